"""The held-out windows and the folds: whole windows, each after all that it is forecast from."""

from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
import yaml

from data_prep.storage import Frame
from model_training.splitting import day_numbers, make_folds, part_of, series_of, split
from tests.conftest import BUNDLED, values
from utils.config import Column, Contract, ProjectError, Series, Split, load_params

HORIZON = 7
CONTRACT = Contract(
    "visits",
    "One row per museum and day.",
    "Made for the tests.",
    (
        Column("visit_id", "identifier", "string", "Number."),
        Column("day", "timestamp", "timestamp", "The day."),
        Column("museum", "categorical", "string", "The museum.", allowed=("a", "b")),
        Column("visitors", "target", "integer", "Visitors."),
    ),
    series=Series("museum", "day", 7, HORIZON),
)


def visits(days: int) -> Frame:
    """Return rows of two museums, some days missing, in shuffled order."""
    day = np.repeat(np.arange(days), 2)
    order = np.random.default_rng(0).permutation(day.size)
    order = order[(day[order] % 9 != 4) | (order % 2 == 0)]
    data = pd.DataFrame(
        {
            "visit_id": order.astype(str),
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(day[order], unit="D"),
            "museum": np.array(["a", "b"])[order % 2],
            "visitors": order,
        }
    )
    return nw.from_native(data, eager_only=True)


@pytest.mark.parametrize(("share", "windows"), [(0.01, 1), (0.1, 1), (0.2, 3), (0.5, 7)])
def test_whole_windows_of_the_newest_days_are_held_out(share: float, windows: int) -> None:
    frame = visits(100)
    train, test = split(frame, CONTRACT, Split("time", share, 3, 1))
    held_out = np.unique(day_numbers(test, CONTRACT))
    assert held_out.size == windows * HORIZON
    assert day_numbers(train, CONTRACT).max() == held_out.min() - 1
    assert train.shape[0] + test.shape[0] == frame.shape[0]
    assert values(train, "day") == sorted(values(train, "day"))


def test_too_few_days_are_refused() -> None:
    with pytest.raises(ProjectError, match="7 days are too few to hold out 7"):
        split(visits(7), CONTRACT, Split("time", 0.1, 3, 1))
    train, _ = split(visits(30), CONTRACT, Split("time", 0.1, 3, 1))
    with pytest.raises(ProjectError, match=r"split\.folds is 4, with 7 days each"):
        make_folds(train, np.zeros(train.shape[0]), CONTRACT, Split("time", 0.1, 4, 1))


def test_folds_are_expanding_windows_without_gaps() -> None:
    train, _ = split(visits(100), CONTRACT, Split("time", 0.1, 5, 1))
    days = day_numbers(train, CONTRACT)
    folds = make_folds(train, np.zeros(days.size), CONTRACT, Split("time", 0.1, 5, 1))
    assert len(folds) == 5
    for training, validation in folds:
        assert np.unique(days[validation]).size == HORIZON
        assert days[training].max() == days[validation].min() - 1
        assert days[training].min() == days.min()
    validated = np.concatenate([validation for _, validation in folds])
    assert np.unique(validated).size == validated.size
    assert days[validated].max() == days.max()


def test_a_part_of_the_training_rows_is_the_newest() -> None:
    assert part_of(np.arange(100), 0.1).tolist() == list(range(90, 100))
    assert part_of(np.arange(100), 1.0).tolist() == list(range(100))
    assert part_of(np.arange(5), 0.1).tolist() == [3, 4]


def test_a_contract_without_series_is_refused(contract: Contract) -> None:
    with pytest.raises(ProjectError, match="has no section series"):
        series_of(contract)


SERIES = yaml.safe_load((BUNDLED / "schema.yaml").read_text(encoding="utf-8"))["series"]


@pytest.mark.parametrize(
    ("series", "settings", "message"),
    [
        ({**SERIES, "by": SERIES["time"]}, {}, "must name a categorical column that lists"),
        ({**SERIES, "time": SERIES["by"]}, {}, "which is not a timestamp column"),
        ({**SERIES, "horizon": 0}, {}, r"series\.horizon is 0, but must be at least 1"),
        ({**SERIES, "season": -7}, {}, r"series\.season is -7, but must be at least 1"),
        ({**SERIES, "seasons": 7}, {}, "unknown field `seasons`"),
        (None, {}, "goes with the task forecasting"),
        (SERIES, {"split": {"method": "random"}}, "series are held out by 'time'"),
        (SERIES, {"project": {"task": "regression"}}, "not with regression"),
        (
            SERIES,
            {"transformation": {"calendar": {SERIES["time"]: ["weekday"]}}},
            "lacks the part day",
        ),
    ],
)
def test_what_keeps_series_from_being_forecast_is_named(
    tmp_path: Path, series: object, settings: dict[str, dict[str, object]], message: str
) -> None:
    files = {}
    for name in ("schema", "params"):
        text = (BUNDLED / f"{name}.yaml").read_text(encoding="utf-8")
        files[name] = yaml.safe_load(text)
    files["schema"]["series"] = series
    for section, values_of in settings.items():
        files["params"][section] |= values_of
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ProjectError, match=message):
        load_params(tmp_path / "params.yaml", tmp_path / "schema.yaml")

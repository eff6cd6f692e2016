"""The backtest: its windows, its sums, and that it repeats the evaluation."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from matplotlib.patches import Rectangle

from data_prep.data_card import series_words
from data_viz.backtest_plots import (
    DAY,
    SHOWN_SERIES,
    Forecasts,
    Window,
    forecasts_figure,
    windows_figure,
)
from model_training import backtest
from model_training.backtest import by_series, forecast_rows, summary, windows
from model_training.results import Selection
from model_training.splitting import series_of
from utils.config import Column, convert, load_contract
from utils.files import read_json
from utils.paths import SELECTION


@pytest.fixture
def rows(in_project: Path) -> pl.DataFrame:
    """All rows that were forecast."""
    selection = convert(read_json(in_project / SELECTION), Selection, "")
    return forecast_rows(load_contract(), selection.decision)


def test_no_forecast_is_made_on_its_day_or_later(rows: pl.DataFrame) -> None:
    horizon = series_of(load_contract()).horizon
    assert (rows["origin"] < rows["day"]).all()
    assert rows["ahead"].is_between(1, horizon).all()
    origins = rows["origin"].unique().sort()
    assert set(origins.diff().drop_nulls().dt.total_days()) == {horizon}
    held_out = rows.filter("held_out")["origin"].min()
    assert rows.filter(~pl.col("held_out"))["day"].max() == held_out


def test_the_held_out_windows_repeat_the_evaluation(rows: pl.DataFrame, in_project: Path) -> None:
    evaluation = read_json(in_project / "reports/evaluation.json")
    found = summary(rows.filter("held_out"))
    error = next(i for i in evaluation["metrics"] if i["name"] == "mean_absolute_error")
    assert found.rows == evaluation["rows"]
    assert found.mean_absolute_error == pytest.approx(error["model"]["value"])
    assert found.coverage == pytest.approx(evaluation["decision"]["interval_coverage"])


def test_windows_and_series_have_each_row_once(rows: pl.DataFrame) -> None:
    assert sum(item.result.rows for item in windows(rows)) == rows.height
    assert sum(item.result.rows for item in by_series(rows)) == rows.height
    assert [item.first for item in windows(rows)] == sorted(item.first for item in windows(rows))
    names = [item.series for item in by_series(rows)]
    assert names == sorted(set(rows["series"]))


def test_measuring_again_gives_the_same_bytes(in_project: Path) -> None:
    paths = [
        in_project / "reports/backtest.json",
        in_project / "reports/backtest.md",
        *sorted(in_project.glob("reports/figures/backtest/*.png")),
    ]
    before = [path.read_bytes() for path in paths]
    backtest.main()
    assert len(paths) == 4
    assert [path.read_bytes() for path in paths] == before


def test_the_figure_of_windows_has_a_bar_for_each_part() -> None:
    begin, first = np.datetime64("2026-01-01"), np.datetime64("2026-03-01")
    found = [
        Window(begin, first + 7 * n * DAY, first + (7 * n + 6) * DAY, held_out=n == 2)
        for n in range(3)
    ]
    (axes,) = windows_figure(found).axes
    widths = [round(bar.get_width()) for bar in axes.patches if isinstance(bar, Rectangle)]
    assert widths == [59, 7, 66, 7, 73, 7]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fold", "fold", "held out"]


def test_more_series_than_can_be_seen_are_counted() -> None:
    days = np.arange("2026-01-01", "2026-01-15", dtype="datetime64[D]")
    line = np.arange(14.0)
    found = [Forecasts(f"s{n}", days, line, line, line - 1, line + 1) for n in range(15)]
    target = Column("units", "target", "float", "", unit="kg")
    figure = forecasts_figure(found, target, 0.95)
    assert len(figure.axes) == SHOWN_SERIES
    assert [axes.get_title(loc="left") for axes in figure.axes][:2] == ["s0", "s1"]
    assert f"{SHOWN_SERIES} of 15 series" in [text.get_text() for text in figure.texts]
    assert figure.axes[0].get_ylabel() == "units (kg)"


def test_the_data_card_says_what_a_series_is(in_project: Path) -> None:
    contract = load_contract()
    series = series_of(contract)
    alone = msgspec.structs.replace(contract, series=msgspec.structs.replace(series, by=None))
    assert series_words(alone)[0].startswith("The rows are a series of one value per day")
    selection = convert(read_json(in_project / SELECTION), Selection, "")
    assert set(forecast_rows(alone, selection.decision)["series"]) == {contract.target.name}
    card = (in_project / "reports/data_card.md").read_text(encoding="utf-8")
    assert f"The rows of one `{series.by}` are a series of one value per day" in card
    assert f"known up to {series.horizon} days ahead" in card

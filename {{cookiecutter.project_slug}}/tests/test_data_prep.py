"""Retrieval, cleaning, transformation, features and storage."""

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import narwhals as nw
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_prep.cleaning import clean, standardise
from data_prep.feature_engineering import derive, feature_names
from data_prep.pipeline import main
from data_prep.raw_store import normalise
from data_prep.storage import Frame, read_parquet, write_parquet
from data_prep.transformation import transform
from tests.conftest import MARKERS, values
from utils.config import Contract, ProjectError, Recipe, Transformation

ROW = {
    "order_id": "A1",
    "ordered_at": "2026-03-01T10:30:00",
    "paid_at": "2026-03-03",
    "colour": "red",
    "price": "12.5",
    "pieces": "3",
    "returned": "0",
}


def raw(*rows: dict[str, Any]) -> Frame:
    """Return rows of text as the pandas engine reads them."""
    data = pd.DataFrame([{**ROW, **row} for row in rows])
    return nw.from_native(data.convert_dtypes(dtype_backend="pyarrow"), eager_only=True)


def cleaned(contract: Contract, column: str, text: str | None) -> Any:
    """Return what standardising makes of one text."""
    frame = standardise(raw({column: text}), contract.columns, MARKERS)
    return values(frame, column)[0]


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("price", "12.5", 12.5),
        ("price", " € 1,204.50 ", 1204.5),
        ("price", "12 km", 12.0),
        ("price", "1e3", 1000.0),
        ("price", "-1", None),
        ("price", "10001", None),
        ("price", "inf", None),
        ("price", "nan", None),
        ("price", "1.2.3", None),
        ("price", "N/A", None),
        ("price", None, None),
        ("pieces", "3", 3),
        ("pieces", "3.0", 3),
        ("pieces", "3.5", None),
        ("pieces", "9007199254740993", 9007199254740993),
        ("pieces", "1e30", None),
        ("colour", "  RED ", "red"),
        ("colour", "Navy", "dark blue"),
        ("colour", "dark   blue", "dark blue"),
        ("colour", "Unknown", None),
        ("colour", "green", "green"),
        ("colour", "\xa0RED\u2003", "red"),
        ("order_id", " A 1 ", "A 1"),
        ("ordered_at", "2026-03-01 10:30:00", datetime(2026, 3, 1, 10, 30)),
        ("ordered_at", "2026-03-01T10:30:00Z", datetime(2026, 3, 1, 10, 30)),
        ("ordered_at", "2026-03-01T10:30:00.123", datetime(2026, 3, 1, 10, 30)),
        ("ordered_at", "2024-02-29", datetime(2024, 2, 29)),
        ("ordered_at", "2026-02-29", None),
        ("ordered_at", "2026-13-01", None),
        ("ordered_at", "yesterday", None),
    ],
)
def test_standardise_repairs_or_drops_a_value(
    contract: Contract, column: str, text: str | None, expected: object
) -> None:
    assert cleaned(contract, column, text) == expected


def test_integers_beyond_floats_stay_exact(contract: Contract) -> None:
    big = 2**53 + 1
    frame = nw.from_native(pl.DataFrame({"pieces": [big]}), eager_only=True)
    pieces = [column for column in contract.columns if column.name == "pieces"]
    assert values(standardise(frame, pieces, MARKERS), "pieces") == [big]


def test_time_zones_become_utc(contract: Contract) -> None:
    moment = pl.Series(["2026-03-01T10:30:00+02:00"]).str.to_datetime(time_zone="Europe/Berlin")
    frame = nw.from_native(pl.DataFrame({"ordered_at": moment}), eager_only=True)
    ordered_at = [column for column in contract.columns if column.name == "ordered_at"]
    expected = [datetime(2026, 3, 1, 8, 30)]
    assert values(standardise(frame, ordered_at, MARKERS), "ordered_at") == expected


def test_clean_keeps_the_newest_of_each_identifier_in_order(contract: Contract) -> None:
    frame = raw(
        {"order_id": "B", "ordered_at": "2026-01-02", "price": "2"},
        {"order_id": "A", "price": "1"},
        {"order_id": "B", "ordered_at": "2026-01-03", "price": "3"},
        {"order_id": "A", "price": "1"},
        {"order_id": "C", "returned": "?"},
        {"order_id": "-", "price": "5"},
    )
    result = clean(frame, contract, MARKERS)
    assert values(result, "order_id") == ["A", "B"]
    assert values(result, "price") == [1.0, 3.0]


AWKWARD = st.one_of(
    st.none(),
    st.sampled_from(
        [
            "",
            " ",
            "n/a",
            "RED",
            "navy",
            "€ 3",
            "1e400",
            "2026-02-30",
            "0x1f",
            "٣",
            "İς",
            "\xa0a\u2003b",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda moment: moment.isoformat()),
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(ROW, AWKWARD)), min_size=8, max_size=20)


def engines(rows: list[dict[str, Any]]) -> tuple[Frame, Frame]:
    """Return the same rows of text on pandas, as training has them, and on Polars, as serving."""
    polars = pl.DataFrame(rows, schema=dict.fromkeys(ROW, pl.String))
    pandas = polars.to_pandas(use_pyarrow_extension_array=True)
    return nw.from_native(pandas, eager_only=True), nw.from_native(polars, eager_only=True)


@given(rows=ROWS)
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_training_and_serving_engines_give_the_same_features(
    recipe: Recipe, rows: list[dict[str, Any]]
) -> None:
    results = []
    for frame in engines(rows):
        standard = standardise(frame, recipe.contract.columns, MARKERS)
        again = standardise(standard, recipe.contract.columns, MARKERS)
        assert again.rows() == standard.rows(), "standardising twice must change nothing"
        results.append(derive(standard, recipe))
    pandas, polars = results
    assert pandas.columns == polars.columns
    for name in pandas.columns:
        for left, right in zip(values(pandas, name), values(polars, name), strict=True):
            assert left == right or (
                isinstance(left, float) and math.isclose(left, right, rel_tol=1e-12)
            ), f"{name}: {left!r} on pandas, {right!r} on Polars"


def test_features_are_what_they_say(recipe: Recipe) -> None:
    frame = standardise(raw(ROW, {"pieces": "0", "colour": "?"}), recipe.contract.columns, MARKERS)
    result = derive(frame, recipe)
    names = feature_names(recipe)
    assert set(names.numeric + names.categorical) < set(result.columns)
    assert values(result, "days_to_pay")[0] == pytest.approx(1 + 13.5 / 24)
    assert values(result, "ordered_at_hour")[0] == 10.0
    assert values(result, "ordered_at_weekday")[0] == 7.0, "1 March 2026 is a Sunday"
    assert values(result, "ordered_at_month")[0] == 3.0
    assert values(result, "log_price")[0] == pytest.approx(math.log(13.5))
    assert values(result, "price_per_piece") == [pytest.approx(12.5 / 3), None]
    assert values(result, "colour") == ["red", "missing"]


def test_days_are_counted_from_the_beginning_of_1970() -> None:
    moments = [
        datetime(1969, 12, 31, 23, 59),
        datetime(1970, 1, 1),
        datetime(1900, 3, 1),
        datetime(2000, 2, 29, 12),
        datetime(2026, 3, 1, 10, 30),
        None,
    ]
    table = pl.DataFrame({"at": moments}, schema={"at": pl.Datetime("us")})
    frame = nw.from_native(table, eager_only=True)
    counted = transform(frame, Transformation({}, {"at": ("day",)}, ()))
    since = datetime(1970, 1, 1)
    expected = [None if moment is None else float((moment - since).days) for moment in moments]
    assert values(counted, "at_day") == expected


def test_writing_is_repeatable_and_leaves_nothing_on_failure(tmp_path: Path) -> None:
    frame = raw(ROW)
    write_parquet(frame, tmp_path / "a.parquet")
    write_parquet(frame, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_parquet(tmp_path / "a.parquet").rows() == frame.rows()
    before = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(AttributeError):
        write_parquet(None, tmp_path / "a.parquet")  # type: ignore[arg-type]
    assert (tmp_path / "a.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_row_labels_are_not_written(tmp_path: Path) -> None:
    frame = raw(ROW, {"order_id": "A2"}).filter(nw.col("order_id") == "A2")
    write_parquet(frame, tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").columns == list(ROW)


def test_records_wait_for_a_target_that_is_assigned(contract: Contract) -> None:
    columns = [
        msgspec.structs.replace(column, assigned=column.role == "target")
        for column in contract.columns
    ]
    waiting = msgspec.structs.replace(contract, columns=tuple(columns))
    unlabelled = raw({}, {"order_id": "A2", "ordered_at": ""}).drop("returned")
    records = pl.DataFrame(normalise(unlabelled.to_arrow(), waiting, "orders"))
    assert records["returned"].null_count() == 2
    kept = clean(nw.from_native(records), waiting, MARKERS)
    assert values(kept, "order_id") == ["A1"]
    assert values(kept, "returned") == [None]


def test_a_source_without_usable_rows_ends_the_pipeline(
    in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = read_parquet(in_project / "data/raw")
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "schema.yaml"):
        (tmp_path / name).write_bytes((in_project / name).read_bytes())
    blank = raw.head(1).with_columns(nw.lit("").alias(name) for name in raw.columns)
    write_parquet(blank, tmp_path / "data/raw/part-00000001.parquet")
    monkeypatch.setattr("sys.argv", ["pipeline", "clean"])
    with pytest.raises(ProjectError, match="No row is left after cleaning"):
        main()
    assert not (tmp_path / "data/clean.parquet").exists()

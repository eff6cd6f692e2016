"""Moments in declared formats: the same on the engine of the project and on the others."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd
import polars as pl
import pytest

from data_prep.cleaning import standardise
from data_prep.engine import Engine
from data_prep.moments import form
from tests.conftest import BUNDLED, values
from utils.config import Column, ProjectError, load_params

NOON = datetime(2024, 1, 31, 12, 5)
DAY = datetime(2024, 1, 31)
CASES: list[tuple[str, str | int | float, datetime | None]] = [
    ("%d/%m/%Y", "31/12/2024", datetime(2024, 12, 31)),
    ("%d/%m/%Y", "1/2/2024", datetime(2024, 2, 1)),
    ("%d/%m/%Y", "31/02/2024", None),
    ("%d/%m/%Y", "2024-01-31", DAY),
    ("%d/%m/%Y", "2024-01-31T12:05:00Z", NOON),
    ("%d/%m/%Y", "31.01.2024", None),
    ("%m/%d/%y %H:%M", "1/31/24 12:05", NOON),
    ("%m/%d/%y %H:%M", "1/31/69 7:05", datetime(1969, 1, 31, 7, 5)),
    ("%d-%b-%y", "31-Jan-24", DAY),
    ("%d-%b-%y", "31-JANUARY-24", DAY),
    ("%d-%b-%y", "31-xyz-24", None),
    ("%B %d, %Y %I:%M %p", "January 31, 2024 12:05 PM", NOON),
    ("%B %d, %Y %I:%M %p", "January 31, 2024 12:05 am", datetime(2024, 1, 31, 0, 5)),
    ("%B %d, %Y %I:%M %p", "January 31, 2024 13:05 pm", None),
    ("%d.%m.%Y %H:%M:%S", "31.01.2024 12:05:00", NOON),
    ("%Y%m%d", "20240131", DAY),
    ("%Y%m%d", "n/a", None),
    ("%Y-%m", "2024-01", datetime(2024, 1, 1)),
    ("epoch_seconds", "1706702700", NOON),
    ("epoch_seconds", "-1", None),
    ("epoch_milliseconds", "1706702700999", NOON),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    settings = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").engine
    with Engine(settings) as opened:
        yield opened


def read_by_engine(engine: Engine, table: pl.DataFrame, column: Column, path: Path) -> list[Any]:
    table.write_parquet(path)
    frame = standardise(engine.scan(path), [column], ("n/a",))
    found: list[Any] = engine.collect(frame.sort("row"))[column.name].to_pylist()
    return found


@pytest.mark.parametrize("pattern", dict.fromkeys(pattern for pattern, _, _ in CASES))
def test_moments_in_a_format_are_read_alike_on_all_engines(
    pattern: str, engine: Engine, tmp_path: Path
) -> None:
    column = Column("when", "timestamp", "timestamp", "Moment.", format=pattern)
    texts = [text for other, text, _ in CASES if other == pattern]
    expected = [moment for other, _, moment in CASES if other == pattern]
    polars = pl.DataFrame({"row": range(len(texts)), "when": texts})
    pandas = polars.to_pandas(types_mapper=pd.ArrowDtype)
    for native in (polars, pandas):
        frame = nw.from_native(native, eager_only=True)
        assert values(standardise(frame, [column], ("n/a",)), "when") == expected
    assert read_by_engine(engine, polars, column, tmp_path / "a.parquet") == expected


@pytest.mark.parametrize("pattern", ["epoch_seconds", "%Y%m%d"])
def test_moments_may_be_written_as_numbers(pattern: str, engine: Engine, tmp_path: Path) -> None:
    number, moment = (1706702700, NOON) if pattern == "epoch_seconds" else (20240131, DAY)
    column = Column("when", "timestamp", "timestamp", "Moment.", format=pattern)
    for value in (number, float(number)):
        table = pl.DataFrame({"row": [0, 1], "when": [value, None]})
        frame = nw.from_native(table, eager_only=True)
        assert values(standardise(frame, [column], ()), "when") == [moment, None]
        path = tmp_path / f"{value}.parquet"
        assert read_by_engine(engine, table, column, path) == [moment, None]


@pytest.mark.parametrize("pattern", ["%d/%m", "%Y %Q", "%d/%m/%Y %Y", "%Y-%m %I:%M", "noon"])
def test_formats_without_a_meaning_are_refused(pattern: str) -> None:
    with pytest.raises(ProjectError, match=r"schema.yaml can't be read"):
        form(pattern)

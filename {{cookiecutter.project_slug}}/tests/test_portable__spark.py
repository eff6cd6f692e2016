"""What ``data_prep/portable.py`` works around on Spark is still so.

A test here that fails is good news: a new version of a library does the plain thing right, and the
workaround it names can go.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from data_prep.engine import Engine
from data_prep.portable import weekday, whole_minutes
from utils.config import load_params

SUNDAY, MONDAY = datetime(2026, 3, 1, 23, 59, 59, 999999), datetime(2026, 3, 2)


@pytest.fixture
def moments(in_project: Path, tmp_path: Path) -> Iterator[tuple[Engine, nw.LazyFrame[Any]]]:
    """The engine of the project and a table of two moments, in both orders."""
    table = pl.DataFrame({"start": [SUNDAY, MONDAY], "end": [MONDAY, SUNDAY]})
    table.write_parquet(tmp_path / "moments.parquet")
    with Engine(load_params(in_project / "params.yaml").engine) as engine:
        yield engine, engine.scan(tmp_path / "moments.parquet")


def test_sunday_is_not_the_seventh_day(moments: tuple[Engine, nw.LazyFrame[Any]]) -> None:
    engine, frame = moments
    plain = frame.select(nw.col("start").dt.weekday().alias("day"))
    assert engine.collect(plain)["day"].to_pylist() == [0, 1]  # weekday
    mended = frame.select(weekday(nw.col("start")).alias("day"))
    assert engine.collect(mended)["day"].to_pylist() == [7, 1]


def test_microseconds_are_negative_before_1970(in_project: Path, tmp_path: Path) -> None:
    moments = [datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(2026, 3, 29, 2)]
    pl.DataFrame({"start": moments[:1], "end": moments[1:]}).write_parquet(tmp_path / "old.parquet")
    with Engine(load_params(in_project / "params.yaml").engine) as engine:
        frame = engine.scan(tmp_path / "old.parquet")
        plain = engine.collect(frame.select(nw.col("start").dt.microsecond().alias("part")))
        assert plain["part"].to_pylist() == [-1]  # _microseconds
        minutes = whole_minutes("start", "end", frame.implementation).alias("minutes")
        expected = int((moments[1] - moments[0]).total_seconds() // 60)
        assert engine.collect(frame.select(minutes))["minutes"].to_pylist() == [expected]


def test_there_are_no_durations(moments: tuple[Engine, nw.LazyFrame[Any]]) -> None:
    engine, frame = moments
    with pytest.raises(NotImplementedError):  # whole_minutes
        frame.select((nw.col("end") - nw.col("start")).dt.total_minutes())
    minutes = whole_minutes("start", "end", frame.implementation).alias("minutes")
    assert engine.collect(frame.select(minutes))["minutes"].to_pylist() == [0, 0]

"""What ``data_prep/portable.py`` works around is still so.

A test here that fails is good news: a new version of a library does the plain thing right, and the
workaround it names can go.
"""

from datetime import datetime

import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

BEYOND_FLOATS = 2**53 + 1


def on_pandas(**columns: list[object]) -> nw.LazyFrame[pd.DataFrame]:
    """Return a table on pandas, as data preparation has it there."""
    native = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
    return nw.from_native(native, eager_only=True).lazy()


def test_pandas_raises_on_large_integers_instead_of_rounding() -> None:
    frame = on_pandas(number=[BEYOND_FLOATS])
    with pytest.raises(pa.ArrowInvalid):  # as_float
        frame.select(nw.col("number").cast(nw.Float64))


def test_pandas_raises_on_long_durations() -> None:
    frame = on_pandas(start=[datetime(1, 1, 1)], end=[datetime(2026, 1, 1)])
    with pytest.raises(pa.ArrowInvalid):  # whole_minutes
        frame.select((nw.col("end") - nw.col("start")).dt.total_minutes())


def test_pandas_writes_fractions_of_seconds() -> None:
    frame = on_pandas(moment=[datetime(2026, 1, 1)])
    written = frame.select(nw.col("moment").dt.to_string("%S")).collect("pyarrow").to_native()
    assert written["moment"].to_pylist() == ["00.000000"]  # as_text


def test_polars_leaves_out_the_addition_of_zero() -> None:
    sums = pl.Series([-0.0, 1.0]) + 0.0
    assert str(sums[0]) == "-0.0"  # without_negative_zero


def test_the_order_of_unique_has_to_be_a_list() -> None:
    frame = on_pandas(key=["a", "a"], order=[1, 2])
    with pytest.raises((KeyError, nw.exceptions.ColumnNotFoundError)):  # newest
        frame.unique(subset=["key"], keep="last", order_by="order")

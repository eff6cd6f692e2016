"""What engines do differently and nothing reports, put right in one place.

Each function has a test in ``tests/test_portable.py`` that fails as soon as the library behind it
does the same on every engine: then the function can go.
"""

from typing import Any

import narwhals as nw

MINUTES_PER_DAY = 1440
MICROSECONDS_PER_MINUTE = 60_000_000


def weekday(timestamp: nw.Expr) -> nw.Expr:
    """Return the day of the week, Monday = 1 to Sunday = 7. Narwhals gives Sunday = 0 on Spark."""
    return (timestamp.dt.weekday() + 6) % 7 + 1


def _seconds(timestamp: nw.Expr) -> nw.Expr:
    """Return the seconds since 1970; only Spark counts a moment in seconds."""
    return timestamp.cast(nw.Datetime("us", "UTC")).cast(nw.Int64)


def whole_minutes(
    frame: nw.DataFrame[Any] | nw.LazyFrame[Any], start: str, end: str
) -> nw.Expr:
    """Return the whole minutes from one timestamp to another, rounded towards zero.

    Narwhals has no durations on Spark, so there they are counted from seconds and microseconds.
    """
    first, last = nw.col(start), nw.col(end)
    if not frame.implementation.is_spark_like():
        return (last - first).dt.total_minutes()
    rest = last.dt.microsecond() - first.dt.microsecond()
    microseconds = (_seconds(last) - _seconds(first)) * 1_000_000 + rest
    size = microseconds.abs()
    # what is left divides without a rest, so it is exact as a float
    minutes = (size - size % MICROSECONDS_PER_MINUTE) / MICROSECONDS_PER_MINUTE
    return nw.when(microseconds < 0).then(-minutes).otherwise(minutes)

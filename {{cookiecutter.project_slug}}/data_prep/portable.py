"""What dataframe engines do differently, made the same in this one place.

Each function says what differs. ``tests/test_portable.py`` tells when a new version of a library
makes one of them needless.
"""

from collections.abc import Mapping, Sequence

import narwhals as nw
from narwhals.typing import FrameT

LARGEST_EXACT = 2**53
# Half of the bits that a float holds exactly.
SPLIT = 2**26
TICKS_PER_MINUTE = 60_000_000
# The number of the first day of 1970 where the first day of year 1 has the number 1.
DAYS_BEFORE_1970 = 719_163
# Between these, every engine writes the digits of a fraction alike and without an exponent.
PLAIN_FRACTIONS = (1e-3, 1e7)


def keep(value: nw.Expr, condition: nw.Expr) -> nw.Expr:
    """Return ``value`` where ``condition`` holds, else missing."""
    return nw.when(condition).then(value).otherwise(nw.lit(None))


def recode(value: nw.Expr, codes: Mapping[str, str], implementation: nw.Implementation) -> nw.Expr:
    """Return text with the keys of ``codes`` replaced by their values.

    Narwhals replaces by a mapping on all engines but one, which runs behind a server.
    """
    if implementation is nw.Implementation.PYSPARK_CONNECT:
        recoded = value
        for old, new in codes.items():
            recoded = nw.when(value == old).then(nw.lit(new)).otherwise(recoded)
        return recoded
    return value.replace_strict(
        list(codes), list(codes.values()), default=value, return_dtype=nw.String
    )


def as_float(value: nw.Expr, dtype: nw.dtypes.DType, implementation: nw.Implementation) -> nw.Expr:
    """Return a number as a 64-bit float, the nearest one if it is a large integer.

    pandas raises on integers beyond 2**53 instead of rounding them, so there each is put together
    from two halves that are exact.
    """
    if dtype.is_integer() and implementation.is_pandas_like():
        high = value // SPLIT
        low = value - high * SPLIT
        return high.cast(nw.Float64) * float(SPLIT) + low.cast(nw.Float64)
    return value.cast(nw.Float64)


def without_negative_zero(value: nw.Expr) -> nw.Expr:
    """Return a float with 0 for -0, which some engines turn into 0 on their way and others don't.

    Adding 0 is not enough: Polars leaves the addition out.
    """
    return nw.when(value == 0).then(nw.lit(0.0)).otherwise(value)


def as_text(value: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    """Return any value as text.

    Engines write floats and moments in ways of their own: 1.0 becomes ``1``, a fraction keeps its
    digits unless it is so small or large that they would need an exponent, which makes it missing,
    and moments are written to the second.
    """
    if dtype == nw.String:
        return value
    if dtype.is_float():
        whole = keep(value, (value == value.round(0)) & (value.abs() <= LARGEST_EXACT))
        smallest, largest = PLAIN_FRACTIONS
        plain = (value != value.round(0)) & (value.abs() >= smallest) & (value.abs() < largest)
        return nw.coalesce(whole.cast(nw.Int64).cast(nw.String), keep(value, plain).cast(nw.String))
    if isinstance(dtype, nw.Datetime | nw.Date):
        # pandas adds the fraction to the seconds
        written = value.cast(nw.Datetime("us")).dt.to_string("%Y-%m-%d %H:%M:%S")
        return written.str.replace_all(r"\.[0-9]+$", "")
    return (value.cast(nw.Int64) if dtype == nw.Boolean else value).cast(nw.String)


def weekday(timestamp: nw.Expr) -> nw.Expr:
    """Return the day of the week, Monday = 1 to Sunday = 7; one engine gives Sunday = 0."""
    day = timestamp.dt.weekday().cast(nw.Int64)
    return nw.when(day == 0).then(nw.lit(7)).otherwise(day)


def day_number(timestamp: nw.Expr) -> nw.Expr:
    """Return the whole days since the beginning of 1970, as a float.

    Engines turn moments into numbers in ways of their own, but agree on year and day of the year.
    """
    years = timestamp.dt.year().cast(nw.Float64) - 1
    leaps = (years / 4).floor() - (years / 100).floor() + (years / 400).floor()
    return years * 365 + leaps + timestamp.dt.ordinal_day().cast(nw.Float64) - DAYS_BEFORE_1970


def _seconds(timestamp: nw.Expr) -> nw.Expr:
    """Return the seconds since 1970, where a moment counts in seconds when it becomes a number."""
    return timestamp.cast(nw.Datetime("us", "UTC")).cast(nw.Int64)


def _microseconds(timestamp: nw.Expr) -> nw.Expr:
    """Return the microseconds beyond whole seconds; one engine makes them negative before 1970."""
    part = timestamp.dt.microsecond()
    return nw.when(part < 0).then(part + 1_000_000).otherwise(part)


def whole_minutes(start: str, end: str, implementation: nw.Implementation) -> nw.Expr:
    """Return the whole minutes from one column to another, cut towards 0.

    pandas goes by way of floats, which makes -0 and raises on more than 285 years. Where there are
    no durations, two moments are compared by their seconds and microseconds.
    """
    first, last = nw.col(start), nw.col(end)
    if implementation.is_pandas_like():
        ticks = (last - first).cast(nw.Int64)
        minutes = ticks.abs() // TICKS_PER_MINUTE
    elif implementation.is_spark_like():
        rest = _microseconds(last) - _microseconds(first)
        ticks = (_seconds(last) - _seconds(first)) * 1_000_000 + rest
        size = ticks.abs()
        # what is left divides without a rest, so it is exact on the way through floats, too
        minutes = ((size - size % TICKS_PER_MINUTE) / TICKS_PER_MINUTE).cast(nw.Int64)
    else:
        return (last - first).dt.total_minutes()
    return nw.when(ticks < 0).then(-minutes).otherwise(minutes)


def newest(frame: FrameT, keys: Sequence[str], order: Sequence[str]) -> FrameT:
    """Keep the last row of each key by ``order``; a missing value comes before all others.

    ``unique`` needs the names of the order as a list. On pandas it sorts the whole table by all of
    them, where few rows share their key with another, so there only these few are sorted.
    """
    if not frame.implementation.is_pandas_like():
        return frame.unique(subset=list(keys), keep="last", order_by=list(order))
    shared = nw.col(keys[0]).is_duplicated() if len(keys) == 1 else nw.len().over(*keys) > 1
    names = frame.collect_schema().names()
    marked = frame.with_columns(shared.alias("shares its key"))
    alone = marked.filter(~nw.col("shares its key")).select(names)
    together = marked.filter(nw.col("shares its key")).select(names)
    kept = together.unique(subset=list(keys), keep="last", order_by=list(order))
    return nw.concat([alone, kept])

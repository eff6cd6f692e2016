"""Derived columns and the way to hold out rows, proposed from the cleaned values of a table."""

from datetime import datetime
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from data_prep.transformation import MINUTES_PER_DAY
from utils.config import CalendarPart, Column, Interval

SKEWED = 2.0
LOGARITHMS = 8
DURATIONS = 2
# So many different values make a column that varies.
SEVERAL = 3
IN_ORDER = 0.99
WEEKDAYS_SPANNED, MONTHS_SPANNED = 3 * 7, 2 * 365
TEST_SHARE, FOLDS = 0.2, 5
CLASS_ROWS_HELD_OUT = 5
# So many groups can be dealt out, none of which is more than a part of a fold.
GROUPS, CLASS_GROUPS = 30, 2 * (FOLDS + 1)
LARGEST_GROUP = 0.1

Array = npt.NDArray[np.float64]


def codes(values: pl.Series) -> Array:
    """Return a column as numbers, NaN for missing, shape (n,): categories and moments, too."""
    if values.dtype == pl.String:
        values = values.rank("dense")
    if values.dtype == pl.Datetime:
        values = values.dt.epoch("s")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def durations(moments: pl.DataFrame) -> dict[str, Interval]:
    """Return the pairs of moments of which one is hardly ever before the other.

    Args:
        moments: the timestamps of the table, one column each.
    """
    found = {}
    for start in moments.columns:
        for end in moments.columns:
            known = (moments[end] - moments[start]).drop_nulls()
            days = known.dt.total_minutes() / MINUTES_PER_DAY
            if start == end or days.n_unique() < SEVERAL:
                continue
            if (days >= 0).sum() >= IN_ORDER * days.len():
                found[f"days_from_{start}_to_{end}"] = Interval(start, end)
    return dict(list(found.items())[:DURATIONS])


def calendar(moments: pl.DataFrame) -> dict[str, tuple[CalendarPart, ...]]:
    """Return the parts of the calendar that the moments of each column are spread over."""
    found: dict[str, tuple[CalendarPart, ...]] = {}
    for name in moments.columns:
        known = moments[name].drop_nulls()
        days = (cast("datetime", known.max()) - cast("datetime", known.min())).days
        weekdays = known.dt.weekday().n_unique() >= SEVERAL
        spread: dict[CalendarPart, bool] = {
            "hour": known.dt.hour().n_unique() >= SEVERAL,
            "weekday": days >= WEEKDAYS_SPANNED and weekdays,
            "month": days >= MONTHS_SPANNED,
        }
        chosen = tuple(part for part, useful in spread.items() if useful)
        if chosen:
            found[name] = chosen
    return found


def logarithms(numbers: pl.DataFrame) -> tuple[str, ...]:
    """Return the numeric columns with the longest tails, which linear models see better as logs."""
    found = []
    for name in numbers.columns:
        values = numbers[name].cast(pl.Float64).drop_nulls()
        varied = values.n_unique() > SEVERAL and not (values < 0).any()
        skewness = values.skew() if varied else None
        if skewness is not None and skewness >= SKEWED:
            found.append((skewness, name))
    return tuple(name for _, name in sorted(found, reverse=True)[:LOGARITHMS])


def can_split_by_time(moments: pl.Series, outcome: pl.Series, target: Column) -> bool:
    """Whether the newest rows and every window of cross-validation hold all classes.

    Args:
        moments: by which rows are ordered, shape (n,).
        outcome: the target, shape (n,).
        target: its contract.
    """
    if moments.n_unique() < 2 * FOLDS:
        return False
    ordered = outcome.gather(moments.arg_sort())
    training = ordered.head(round(ordered.len() * (1 - TEST_SHARE)))
    size = training.len() // (FOLDS + 1)
    least = [(training.slice(size * number, size), 1) for number in range(FOLDS + 1)]
    least.append((ordered.tail(ordered.len() - training.len()), CLASS_ROWS_HELD_OUT))
    return all(
        (piece == value).sum() >= count for piece, count in least for value in target.allowed
    )


def can_split_by_group(groups: pl.Series, outcome: pl.Series, target: Column) -> bool:
    """Whether there are enough groups to hold some out, with all classes on both sides.

    Args:
        groups: the group of each row, shape (n,); rows without one are alone.
        outcome: the target, shape (n,).
        target: its contract.
    """
    known = pl.DataFrame({"group": groups, "outcome": outcome}).drop_nulls("group")
    sizes = known["group"].value_counts()["count"]
    if sizes.len() < GROUPS or sizes.max() > LARGEST_GROUP * groups.len():  # type: ignore[operator]
        return False
    spread = known.group_by("outcome").agg(pl.col("group").n_unique())
    found = dict(spread.iter_rows())
    return all(found.get(value, 0) >= CLASS_GROUPS for value in target.allowed)

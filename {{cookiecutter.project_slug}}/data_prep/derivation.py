"""Derived columns, proposed from the cleaned values of a table."""

from datetime import datetime
from typing import cast

import polars as pl

from data_prep.transformation import MINUTES_PER_DAY
from utils.config import CalendarPart, Interval

SKEWED = 2.0
LOGARITHMS = 8
DURATIONS = 2
# So many different values make a column that varies.
SEVERAL = 3
IN_ORDER = 0.99
WEEKDAYS_SPANNED, MONTHS_SPANNED = 3 * 7, 2 * 365


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

"""Derived columns, proposed from the cleaned values of a table."""

from datetime import datetime
from typing import cast

import polars as pl

from utils.config import CalendarPart

SKEWED = 2.0
LOGARITHMS = 8
# So many different values make a column that varies.
SEVERAL = 3
WEEKDAYS_SPANNED, MONTHS_SPANNED = 3 * 7, 2 * 365


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

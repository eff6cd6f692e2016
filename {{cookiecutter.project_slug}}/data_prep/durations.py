"""Durations between two moments of a row, proposed from the values of a table."""

import polars as pl

from data_prep.derivation import SEVERAL
from data_prep.transformation import MINUTES_PER_DAY
from utils.config import Interval

DURATIONS = 2
IN_ORDER = 0.99


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

"""Which columns of series are known before their day, as far as records can tell."""

import re

import polars as pl

# What people call what follows from the calendar, though it can't be computed from the date alone.
NAMED_AS_CALENDAR = re.compile(
    r"(?i)(^|[_\W])(week_?day|day_?of_?week|week_?end|(is_?)?(public_?)?holidays?|bank_?holiday|"
    r"school_?holidays?|work(ing)?_?day|month|quarter|season)($|[_\W])"
)
# What a value may follow from, and the span after which it has to repeat.
PARTS = {
    "weekday": (pl.col("day").dt.weekday(), "1w"),
    "day of the month": (pl.col("day").dt.day(), "1mo"),
    "month": (pl.col("day").dt.month(), "1y"),
    "day of the year": (pl.col("day").dt.month() * 100 + pl.col("day").dt.day(), "1y"),
}


def stays_the_same(values: pl.Series, series: pl.Series) -> bool:
    """Whether each of several series has one value only.

    Args:
        values: the column, shape (n,).
        series: the series of each row, shape (n,).
    """
    rows = pl.DataFrame([values.alias("value"), series.alias("series")])
    return bool((rows.group_by("series").agg(pl.col("value").n_unique())["value"] == 1).all())


def follows_from_calendar(name: str, values: pl.Series, days: pl.Series) -> bool:
    """Whether values are the same in all series, and follow from weekday, month or day of the year.

    What follows has to have repeated itself: a value per month is one of the calendar if each month
    has the same one in several years. Holidays do not repeat like this, so their name counts.

    Args:
        name: of the column.
        values: the column, shape (n,).
        days: the day of each row, shape (n,).
    """
    rows = pl.DataFrame([values.alias("value"), days.alias("day")])
    if not (rows.group_by("day").agg(pl.col("value").n_unique())["value"] == 1).all():
        return False
    if NAMED_AS_CALENDAR.search(name):
        return True
    for part, span in PARTS.values():
        spans = pl.col("day").dt.truncate(span).n_unique()
        groups = rows.group_by(part.alias("part")).agg(pl.col("value").n_unique(), spans)
        if (groups["value"] == 1).all() and groups["day"].sum() >= 2 * groups.height:
            return True
    return False

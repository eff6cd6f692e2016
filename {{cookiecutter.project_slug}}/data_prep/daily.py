"""What makes the rows of an unknown table daily values of series, or why they are none."""

from itertools import combinations

import polars as pl

from data_prep.column_names import known
from data_prep.drafting import Records, Remarks
from data_prep.wishes import Wishes
from utils.config import ProjectError

DAY = "day"
SERIES = "series"
MAXIMUM_SERIES = 200
MINIMUM_DAYS = 60
# A column with fewer rows of each value is taken for the name of a series only if a person says so.
ROWS_PER_SERIES = 10
# Up to this share of repeated rows, a column that is otherwise one tells series apart.
REPEATED = 0.2
PAIRED = 8
STEPS = {7: "a week", 30: "a month", 91: "a quarter", 365: "a year"}
# So far from one of these steps, in its own length, a distance is still called by it.
NEAR = 0.1


def find_time(table: Records, wishes: Wishes) -> str:
    """Return the column with the day of each row.

    Raises:
        ProjectError: there is none.
    """
    moments = [name for name, column in table.columns.items() if column.type == "timestamp"]
    complete = [name for name in moments if not table.values[name].has_nulls()]
    advice = (
        "Name a column of dates that every row has, TIME=column, and, where they are not read, how "
        "they are written, FORMAT=column=pattern"
    )
    if wishes.time == "none":
        raise ProjectError(f"A forecast needs the day of each row. {advice}.")
    if wishes.time:
        if wishes.time not in complete:
            raise ProjectError(f"TIME={wishes.time} does not give every row a day. {advice}.")
        return wishes.time
    if not complete:
        raise ProjectError(f"No column tells the day of every row. {advice}.")
    return max(complete, key=lambda name: table.values[name].dt.date().n_unique())


def _repeated(days: pl.Series, *columns: pl.Series) -> int:
    """Return how many rows have the day and the values of another row."""
    rows = pl.DataFrame([days.alias(DAY), *(c.alias(str(n)) for n, c in enumerate(columns))])
    return rows.height - rows.n_unique()


def _possible(table: Records, time: str, wishes: Wishes) -> dict[str, pl.Series]:
    """Return the columns that could tell series apart: texts first, then those with few values."""
    found = {}
    for name, column in table.columns.items():
        values = table.values[name]
        apart = {time, wishes.target, *wishes.identifiers}
        if name in apart or column.type not in {"string", "integer"}:
            continue
        if not values.has_nulls() and 1 < values.n_unique() < values.len():
            found[name] = values
    order = sorted(
        found, key=lambda name: (table.columns[name].type != "string", found[name].n_unique())
    )
    return {name: found[name] for name in order}


def _not_one_a_day(
    days: pl.Series, possible: dict[str, pl.Series], moments: pl.Series
) -> ProjectError:
    """Return why no column makes the rows daily values, with what to do."""
    most = max(days.value_counts()["count"].to_list())
    if moments.n_unique() > days.n_unique():
        return ProjectError(
            f"A day has up to {most} rows, at different times, and this project forecasts one "
            "value per day. Sum them up or average them by day first; with polars: "
            'table.group_by(pl.col("time").dt.date()).agg(pl.col("value").sum()).'
        )
    for one, other in combinations(list(possible)[:PAIRED], 2):
        if not _repeated(days, possible[one], possible[other]):
            return ProjectError(
                f"{one} and {other} tell series apart only together. Join them in one column and "
                f"name it as SERIES; with polars: pl.concat_str({one!r}, {other!r}, separator=' ')."
            )
    return ProjectError(
        f"A day has up to {most} rows, and no column tells the series apart in which it has one. "
        "Add such a column and name it as SERIES=column, or sum up the rows of a day."
    )


def find_series(table: Records, time: str, wishes: Wishes, remarks: Remarks) -> str:
    """Return the column that tells series apart, an empty text if there is a single series.

    Raises:
        ProjectError: there are several values of a series on one day, or too many series.
    """
    moments = table.values[time]
    days, asked = moments.dt.date(), wishes.options.get("series", "")
    possible = _possible(table, time, wishes)
    if asked not in {"", "none"}:
        chosen = known(asked, list(table.columns), "SERIES")
        if chosen not in possible:
            raise ProjectError(
                f"SERIES={chosen} can't tell series apart: it needs a text or an integer in every "
                "row, and several rows of each. Name another column, or SERIES=none."
            )
        possible = {chosen: possible[chosen]}
    elif asked == "none" or not _repeated(days):
        possible = {}
        remarks.notes.append(f"there is a single series, with one value per day of {time}")
    else:
        possible = {
            name: values
            for name, values in possible.items()
            if values.len() >= ROWS_PER_SERIES * values.n_unique()
        }
    repeated = {name: _repeated(days, values) for name, values in possible.items()}
    best = min(possible, key=lambda name: repeated[name], default="")
    number = repeated[best] if best else _repeated(days)
    if number:
        if not asked and number > REPEATED * days.len():
            raise _not_one_a_day(days, possible, moments)
        what = f"{best} and day" if best else "day"
        raise ProjectError(
            f"{number:,} rows have the {what} of another row, and a series has one value per day. "
            "Keep one of them, or sum them up."
        )
    if best and (count := possible[best].n_unique()) > MAXIMUM_SERIES:
        raise ProjectError(
            f"{best} tells {count:,} series apart, and up to {MAXIMUM_SERIES} are forecast "
            "together. Keep the most important ones, or sum up groups of them."
        )
    if best:
        remarks.notes.append(f"{best} tells {possible[best].n_unique()} series apart")
    return best


def _step(days: int) -> str:
    names = (name for near, name in STEPS.items() if abs(days - near) <= NEAR * near)
    return next(names, f"{days} days")


def check_history(days: pl.Series, series: pl.Series, target: str) -> int:
    """Check that values are a day apart and enough; returns how many days they span.

    Raises:
        ProjectError: they are not.
    """
    rows = pl.DataFrame([days.alias(DAY), series.alias(SERIES)]).sort(SERIES, DAY)
    apart = rows.select(pl.col(DAY).diff().over(SERIES).dt.total_days()).drop_nulls()[DAY]
    step = int(apart.median()) if apart.len() else 1  # type: ignore[arg-type]
    if step > 1:
        raise ProjectError(
            f"The values of {target} are {_step(step)} apart, and this project forecasts days. "
            "Provide daily values; or render a project for regression and adopt there a table in "
            "which each row has the values before it as columns."
        )
    span = (days.max() - days.min()).days + 1  # type: ignore[operator, union-attr]
    if span < MINIMUM_DAYS:
        raise ProjectError(
            f"The rows span {span} days; {MINIMUM_DAYS} are needed to learn from some and to be "
            "tested on others. Provide a longer history."
        )
    return int(span)

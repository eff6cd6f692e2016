"""What a project that forecasts makes of an unknown table: one value per series and day.

Only what is known before its day may be an input. Records do not tell that, so a column goes on if
it follows from the calendar, stays the same in each series, or was named as known.
"""

import msgspec
import polars as pl

from data_prep.column_proposal import NAMED_AS_IDENTIFIER, categorical_column
from data_prep.daily import DAY, check_history, find_series, find_time
from data_prep.derivation import calendar, logarithms
from data_prep.drafting import (
    Draft,
    Inputs,
    Records,
    Remarks,
    find_identifiers,
    find_inputs,
)
from data_prep.known_ahead import follows_from_calendar, stays_the_same
from data_prep.named_columns import asked_for
from data_prep.number_target import number_target
from data_prep.windows_proposal import TEST_SHARE, propose_windows, wished_horizon
from data_prep.wishes import Wishes
from utils.config import CalendarPart, Column, ProjectError, Series, Transformation, Unique

USAGE = "make adopt DATA=table TARGET=column"
# What a person can say besides what is asked for every task, by name.
OPTIONS = {
    "series": "column that tells the series apart, or none; inferred",
    "horizon": "days ahead that are forecast",
    "keep": "columns that are known before their day, with commas",
}
SEASON = 7
# An identifier has a value of its own in so many rows; the others are versions of one.
DIFFERENT = 0.9
# Rows that may come twice later on and are then set apart.
REPEATED_SHARE = 0.01


def check_target(wishes: Wishes) -> None:
    """Check that a target was named.

    Raises:
        ProjectError: none was.
    """
    if not wishes.target:
        raise ProjectError(f"Say which column is forecast: {USAGE}.")


def _goal(column: Column, values: pl.Series) -> Column:
    """Return the contract of what is forecast.

    Raises:
        ProjectError: it is no number, or always the same.
    """
    name = column.source_name
    if column.type == "string":
        raise ProjectError(
            f"The target {name} holds texts such as {values[0]!r}, and forecasts are numbers. Name "
            "another TARGET, or count the rows of a day first."
        )
    if values.n_unique() == 1:
        raise ProjectError(
            f"The target {name} is {values[0]} in all rows: there is nothing to forecast. Name "
            "another TARGET."
        )
    return number_target(column, values)


def _by_series(table: Records, by: str) -> Records:
    """Return the table with names in place of numbers in the column that tells series apart."""
    if not by or table.columns[by].type == "string":
        return table
    column = msgspec.structs.replace(table.columns[by], role="text", type="string")
    values = table.values[by].cast(pl.String)
    return Records({**table.columns, by: column}, {**table.values, by: values})


def _one_version(table: Records, time: str, wishes: Wishes) -> tuple[Records, Wishes]:
    """Return the newest row of each identifier, and the wishes with that identifier.

    A column that is named like an identifier and hardly ever repeats itself is taken for one.
    """
    names = (
        wishes.identifiers
        or tuple(
            name
            for name, values in table.values.items()
            if name not in {time, wishes.target}
            and table.columns[name].type in {"string", "integer"}
            and NAMED_AS_IDENTIFIER.search(name)
            and not values.has_nulls()
            and values.n_unique() >= DIFFERENT * values.len()
        )[:1]
    )
    if not names or not set(names) <= table.columns.keys():
        return table, wishes
    rows = pl.DataFrame([table.values[name].alias(name) for name in (*names, time)])
    rows = rows.with_row_index("place").sort(time, maintain_order=True)
    places = rows.unique(names, keep="last")["place"].sort()
    kept = {name: values.gather(places) for name, values in table.values.items()}
    return Records(table.columns, kept), wishes._replace(identifiers=names)


def _only_known(
    inputs: Inputs, days: pl.Series, series: pl.Series, kept: tuple[str, ...], remarks: Remarks
) -> None:
    """Leave out the columns that may not be known before their day."""
    known: list[str] = []
    unknown: list[str] = []
    for name, column in list(inputs.columns.items()):
        source, values = column.source_name, inputs.values[name]
        if column.role == "text":
            continue
        if source in kept:
            known.append(f"{source} (KEEP)")
        elif stays_the_same(values, series):
            known.append(f"{source} (the same in each series)")
        elif follows_from_calendar(source, values, days):
            known.append(f"{source} (calendar)")
        else:
            unknown.append(source)
            remarks.left_out[source] = "nothing tells that a day's value is known before the day"
            del inputs.columns[name], inputs.values[name]
    if known:
        remarks.notes.append(f"known before their day: {', '.join(known)}")
    if unknown:
        remarks.notes.append(
            f"KEEP={','.join(unknown)} keeps what is known before its day, such as plans, "
            "forecasts and holidays"
        )


def _parts(moments: pl.DataFrame) -> dict[str, tuple[CalendarPart, ...]]:
    """Return the parts of the calendar that the day of a forecast is known by."""
    spread = calendar(moments).get(moments.columns[0], ())
    parts: tuple[CalendarPart, ...] = ("day", "weekday")
    return {moments.columns[0]: (*parts, "month") if "month" in spread else parts}


def draft(table: Records, wishes: Wishes, remarks: Remarks) -> Draft:
    """Return which rows make up series, which columns are known ahead, and what is held out.

    Args:
        table: the rows that have a target.
        wishes: what a person said.
        remarks: what is noticed is added.

    Raises:
        ProjectError: the rows are no daily values of series, or too few, or the target is no
            number.
    """
    goal = _goal(table.columns[wishes.target], table.values[wishes.target])
    time = find_time(table, wishes)
    if time in wishes.identifiers:
        raise ProjectError(
            f"{time} tells the day, so it can't identify a row as well. Name another ID, or none: "
            "rows are then numbered."
        )
    every, wishes = table, wishes._replace(time=time)
    table, wishes = _one_version(table, time, wishes)
    horizon = wished_horizon(wishes)
    days = table.values[time].dt.date().alias(DAY)
    by = find_series(table, time, wishes, remarks)
    table = _by_series(table, by)
    series = table.values[by] if by else pl.repeat("", table.rows, eager=True)
    span = check_history(days, series, goal.source_name)
    windows = propose_windows(span, horizon)
    tested = windows.held_out * windows.horizon
    remarks.notes.append(
        f"up to {windows.horizon} days ahead are forecast, tested on the newest {tested} of "
        f"{span:,} days and on {windows.folds} windows before them; HORIZON= sets another number"
    )
    kept = asked_for(wishes, "keep", [*table.columns, *remarks.left_out])
    identifiers = find_identifiers(every, wishes, remarks)
    inputs = find_inputs(table, {wishes.target, time, by, *identifiers}, remarks)
    _only_known(inputs, days, series, kept, remarks)
    named = find_inputs(Records({time: table.columns[time]}, table.values), set(), remarks)
    moment = next(iter(named.columns))
    columns, values = dict(named.columns), dict(named.values)
    if by:
        which = msgspec.structs.replace(table.columns[by], role="categorical")
        text = f"Which of the {series.n_unique()} series."
        columns[which.name] = msgspec.structs.replace(
            categorical_column(which, series), description=text
        )
        values[which.name] = series
    inputs = Inputs({**columns, **inputs.columns}, {**values, **inputs.values})
    name = table.columns[by].name if by else None
    row = f"{by} and day" if by else "day"
    return Draft(
        f"One row per {row}, with the value of {goal.source_name} that is forecast.",
        goal,
        identifiers,
        inputs,
        moment,
        "time",
        tested / span,
        Transformation(
            elapsed_days={},
            calendar=_parts(named.frame("timestamp")),
            logarithm=logarithms(inputs.frame("numeric")),
        ),
        Series(name, moment, SEASON, windows.horizon),
        (Unique((name, moment) if name else (moment,), tolerated_share=REPEATED_SHARE),),
        {"split": {"test_share": TEST_SHARE, "folds": windows.folds}},
    )

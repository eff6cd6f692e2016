"""What a project that looks for anomalies makes of an unknown table.

A target tells which rows are known to be anomalies. Detectors are measured by it and do not learn
from it, so that a table without one can be adopted as well.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from data_prep.drafting import Draft, Records, Remarks, find_identifiers, find_inputs
from data_prep.grouping import group_rows
from data_prep.leakage import without_leaks
from data_prep.time_order import TEST_SHARE, split_method, time_order
from data_prep.wishes import Wishes
from utils.config import Column, ProjectError

USAGE = "make adopt DATA=table [TARGET=column]"
# What a person can say besides what is asked for every task, by name.
OPTIONS = {"keep": "columns to keep although they tell the known anomalies alone, with commas"}
TWO = 2
SMALLEST_CLASS = 10
SHOWN = 5
# Shares of anomalies above this are nothing that would stand out.
RARE = 0.2
# The digits of a share.
DIGITS = 4
# What is looked at where no anomaly is known.
SUPPOSED_SHARE = 0.02
ANOMALOUS = {"1", "yes", "true", "y", "t", "anomaly", "outlier", "fraud", "fault", "failure"}


def check_target(wishes: Wishes) -> None:
    """Check nothing: a target may be named or not."""
    del wishes


def _pair(counts: Mapping[Any, int]) -> tuple[Any, Any]:
    """Return the value of usual rows and that of anomalies, which are rarer."""
    ordered = sorted(
        counts, key=lambda value: (-counts[value], str(value).lower() in ANOMALOUS, str(value))
    )
    return ordered[0], ordered[1]


def anomaly_column(column: Column, values: pl.Series) -> Column:
    """Return the contract of the column that tells known anomalies.

    Args:
        column: its names and type.
        values: its cleaned values without missing ones, shape (n,).

    Raises:
        ProjectError: it does not have two values, or tells too few anomalies.
    """
    counts: dict[Any, int] = dict(values.value_counts().iter_rows())
    name = column.source_name
    if len(counts) != TWO or column.type == "float":
        shown = ", ".join(sorted(map(str, counts))[:SHOWN])
        raise ProjectError(
            f"The target {name} has {len(counts):,} different values such as {shown}, but known "
            "anomalies are told by two: that of usual rows and that of anomalies. Make a column of "
            f"0 and 1 from it, or leave TARGET out and say IGNORE={name}."
        )
    usual, anomaly = _pair(counts)
    if counts[anomaly] < SMALLEST_CLASS:
        raise ProjectError(
            f"The target {name} tells {counts[anomaly]} anomalies; {SMALLEST_CLASS} are needed to "
            "measure by them. Add more, or leave TARGET out, so that the project works without "
            f"known anomalies, and say IGNORE={name}."
        )
    share = counts[anomaly] / values.len()
    return msgspec.structs.replace(
        column,
        description=f"Known anomalies: {anomaly}, {share:.2%} of the rows; usual rows: {usual}.",
        allowed=(usual, anomaly),
        example=usual,
    )


def _neutral_value(share: float) -> dict[str, dict[str, float]]:
    """Return that as many rows can be looked at as are anomalies, and what that is worth."""
    amounts = {"right_alarm": 1, "false_alarm": -1, "missed_anomaly": 0}
    return {"value": {"contamination": round(share, DIGITS), **amounts}}


def draft(table: Records, wishes: Wishes, remarks: Remarks) -> Draft:
    """Return what a row is, in which columns rows can be unusual, and how rows are held out.

    Args:
        table: the rows; if a target was named, those that have one.
        wishes: what a person said.
        remarks: what is noticed is added.

    Raises:
        ProjectError: the target can't tell anomalies, or a column can't be what it was named for.
    """
    identifiers = find_identifiers(table, wishes, remarks)
    inputs = find_inputs(table, {wishes.target, *identifiers}, remarks)
    group_rows(inputs, remarks)
    if not wishes.target:
        remarks.notes.append(
            f"no anomaly is known, so the {SUPPOSED_SHARE:.0%} of the rows that stand out most "
            "raise an alarm: value.contamination in params.yaml"
        )
        time = time_order(inputs, wishes, remarks)
        said, settings = "One row per record.", _neutral_value(SUPPOSED_SHARE)
        return Draft(
            said,
            None,
            identifiers,
            inputs,
            time,
            split_method(inputs, time, remarks),
            TEST_SHARE,
            settings=settings,
        )
    outcome = table.values[wishes.target]
    goal = anomaly_column(table.columns[wishes.target], outcome)
    share = float((outcome == goal.allowed[1]).mean())  # type: ignore[arg-type]
    remarks.notes.append(
        f"anomalies are the rows with {goal.allowed[1]!r} in {goal.source_name}, {share:.2%}"
    )
    if share > RARE:
        remarks.notes.append(
            f"{share:.0%} are hardly unusual; a project for classification may predict them better"
        )
    without_leaks(inputs, {}, (goal, outcome), wishes, remarks)
    time = time_order(inputs, wishes, remarks, goal, outcome)
    return Draft(
        f"One row per record; {goal.source_name} tells the known anomalies.",
        goal,
        identifiers,
        inputs,
        time,
        split_method(inputs, time, remarks, goal, outcome),
        TEST_SHARE,
        settings=_neutral_value(share),
    )

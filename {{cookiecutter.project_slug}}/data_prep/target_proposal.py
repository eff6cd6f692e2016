"""The target proposed for an unknown table: its classes or its range, if it can be predicted."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from data_prep.column_proposal import MAXIMUM_CATEGORIES
from data_prep.number_target import number_target
from data_prep.wishes import Wishes
from utils.config import Column, ProjectError

SMALLEST_CLASS = 10
# More classes are no classes.
MAXIMUM_CLASSES = 100
ROWS_PER_CLASS = 10
SHOWN = 5
# Answers that are the ones that count, of a pair.
POSITIVE = {"yes", "true", "1", "y", "t", "positive", "pos", "died", "dead", "failed", "bad"}


def _pair(values: Sequence[Any], counts: Mapping[Any, int]) -> tuple[Any, Any]:
    """Return two classes with the one that counts last: 1 or yes, else the rarer one."""
    named = [value for value in values if str(value).lower() in POSITIVE]
    rarer = min(sorted(values, reverse=True), key=lambda value: counts[value])
    positive = named[0] if len(named) == 1 else rarer
    return next(value for value in values if value != positive), positive


def _fitting_tasks(kind: str, distinct: int, rows: int) -> set[str]:
    if kind == "string":
        return {"classification"}
    if distinct <= 2:  # noqa: PLR2004
        return {"classification"}
    few = distinct <= MAXIMUM_CATEGORIES and rows / distinct >= ROWS_PER_CLASS
    return {"classification", "regression"} if kind == "integer" and few else {"regression"}


def _other_task(wishes: Wishes, reason: str) -> ProjectError:
    other = "regression" if wishes.task == "classification" else "classification"
    return ProjectError(
        f"{reason}, and this project is for {wishes.task}. Render one for {other} and adopt the "
        f"table there: `cookiecutter TEMPLATE task={other}`; or name another TARGET."
    )


def _classes(counts: Mapping[Any, int], wishes: Wishes) -> tuple[Any, ...]:
    """Return the classes in their order; of two, the one that counts is the last.

    Raises:
        ProjectError: they are too many, or one has too few rows.
    """
    if len(counts) > MAXIMUM_CLASSES:
        raise ProjectError(
            f"The target {wishes.target} has {len(counts):,} different values, more than the "
            f"{MAXIMUM_CLASSES} classes that are possible: it is rather a name or free text. Name "
            "another TARGET, or group its values."
        )
    rare = [(str(value), count) for value, count in counts.items() if count < SMALLEST_CLASS]
    if rare:
        listed = ", ".join(f"{value} ({count})" for value, count in sorted(rare)[:SHOWN])
        raise ProjectError(
            f"The target {wishes.target} has classes with fewer than {SMALLEST_CLASS} rows, too "
            f"few to learn from and to be tested on: {listed}. Merge them with others, remove "
            "their rows or add more."
        )
    ordered = sorted(counts)
    return _pair(ordered, counts) if len(ordered) == 2 else tuple(ordered)  # noqa: PLR2004


def target_column(column: Column, values: pl.Series, wishes: Wishes) -> Column:
    """Return the contract of the target.

    Args:
        column: its names and type.
        values: its cleaned values without missing ones, shape (n,).
        wishes: the task.

    Raises:
        ProjectError: it can't be predicted by a project for this task.
    """
    counts: dict[Any, int] = dict(values.value_counts().iter_rows())
    rows, distinct = values.len(), len(counts)
    if distinct < 2:  # noqa: PLR2004
        raise ProjectError(
            f"The target {wishes.target} has the single value {next(iter(counts))!r} in {rows:,} "
            "rows: there is nothing to learn. Name another TARGET, or add other rows."
        )
    fitting = _fitting_tasks(column.type, distinct, rows)
    asked_for = wishes.explicit and wishes.task == "regression" and column.type != "string"
    if wishes.task not in fitting and not asked_for:
        shown = ", ".join(sorted(map(str, counts))[:SHOWN])
        what = "texts" if column.type == "string" else "numbers"
        raise _other_task(
            wishes,
            f"The target {wishes.target} has {distinct:,} different {what} such as {shown}, so "
            f"that its task is {' or '.join(sorted(fitting))}",
        )
    if wishes.task == "regression":
        return number_target(column, values)
    classes = _classes(counts, wishes)
    shares = ", ".join(f"{value}: {counts[value] / rows:.1%}" for value in classes[-SHOWN:])
    return msgspec.structs.replace(
        column,
        description=f"What the model predicts, one of {distinct} classes ({shares}).",
        allowed=classes,
        example=classes[0],
    )

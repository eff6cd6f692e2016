"""How rows of a table are held out: the newest by a moment, whole groups, or drawn ones."""

import polars as pl

from data_prep.column_codes import codes
from data_prep.drafting import Inputs, Remarks
from data_prep.grouping import GROUPS
from data_prep.wishes import Wishes
from utils.config import NO_TARGET, Column, ProjectError

TEST_SHARE, FOLDS = 0.2, 5
CLASS_ROWS_HELD_OUT = 5
# A class needs so many groups, and no group is more than a part of a fold.
CLASS_GROUPS = 2 * (FOLDS + 1)
LARGEST_GROUP = 0.1


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


def time_order(
    inputs: Inputs,
    wishes: Wishes,
    remarks: Remarks,
    goal: Column | None = None,
    outcome: pl.Series | None = None,
) -> str:
    """Return the moment by which the newest rows are held out, or an empty text.

    Args:
        inputs: the columns that go on.
        wishes: what a person said.
        remarks: what is noticed is added.
        goal: the target, if there is one.
        outcome: its values, shape (n,).

    Raises:
        ProjectError: the column that was named for it does not order all rows.
    """
    complete = {
        column.source_name: name
        for name, column in inputs.columns.items()
        if column.role == "timestamp" and not column.nullable
    }
    if wishes.time not in {"", "none", *complete}:
        raise ProjectError(
            f"TIME={wishes.time} can't order the rows: it is not a moment that every row has. "
            "Name another column, or TIME=none for a random draw."
        )
    if wishes.time or not complete:
        return complete.get(wishes.time, "")
    # what a row knows last is when it was complete
    means = {name: float(codes(inputs.values[name]).mean()) for name in complete.values()}
    chosen = max(means, key=lambda name: means[name])
    moments = inputs.values[chosen]
    if can_split_by_time(moments, moments if outcome is None else outcome, goal or NO_TARGET):
        remarks.notes.append(f"the newest rows by {chosen} are held out; TIME=none draws them")
        return chosen
    remarks.notes.append(
        f"rows are held out at random: ordered by {chosen}, "
        + ("parts of them would lack a class" if goal else "its moments are too few")
    )
    return ""


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


def split_method(
    inputs: Inputs,
    time: str,
    remarks: Remarks,
    goal: Column | None = None,
    outcome: pl.Series | None = None,
) -> str:
    """Return the method by which rows are held out, given the moment that orders them, if any."""
    if time:
        return "time"
    for name, column in inputs.columns.items():
        groups = inputs.values[name]
        known = groups if outcome is None else outcome
        if column.role == "group" and can_split_by_group(groups, known, goal or NO_TARGET):
            remarks.notes.append(f"rows of one {column.source_name} are held out together or not")
            return "group"
    return "random"

"""What a project that predicts a target makes of an unknown table."""

from data_prep.derivation import calendar, logarithms
from data_prep.drafting import Draft, Records, Remarks, find_identifiers, find_inputs
from data_prep.durations import durations
from data_prep.grouping import group_rows
from data_prep.leakage import without_leaks
from data_prep.target_proposal import target_column
from data_prep.time_order import TEST_SHARE, split_method, time_order
from data_prep.wishes import Wishes
from utils.config import ProjectError, Transformation

USAGE = "make adopt DATA=table TARGET=column"
# What a person can say besides what is asked for every task, by name.
OPTIONS = {"keep": "columns to keep although they predict the target alone, with commas"}


def check_target(wishes: Wishes) -> None:
    """Check that a target was named.

    Raises:
        ProjectError: none was.
    """
    if not wishes.target:
        raise ProjectError(f"Say which column is predicted: {USAGE}.")


def draft(table: Records, wishes: Wishes, remarks: Remarks) -> Draft:
    """Return what a row is, which columns go on, and how rows are held out.

    Args:
        table: the rows that have a target.
        wishes: what a person said.
        remarks: what is noticed is added.

    Raises:
        ProjectError: the target can't be predicted, or a column can't be what it was named for.
    """
    outcome = table.values[wishes.target]
    goal = target_column(table.columns[wishes.target], outcome, wishes)
    identifiers = find_identifiers(table, wishes, remarks)
    inputs = find_inputs(table, {wishes.target, *identifiers}, remarks)
    group_rows(inputs, remarks)
    possible = durations(inputs.frame("timestamp"))
    intervals = without_leaks(inputs, possible, (goal, outcome), wishes, remarks)
    time = time_order(inputs, wishes, remarks, goal, outcome)
    derived = Transformation(
        elapsed_days=intervals,
        calendar=calendar(inputs.frame("timestamp")),
        logarithm=logarithms(inputs.frame("numeric")),
    )
    description = f"One row per record, with {goal.source_name} as the target."
    split = split_method(inputs, time, remarks, goal, outcome)
    return Draft(description, goal, identifiers, inputs, time, split, TEST_SHARE, derived)

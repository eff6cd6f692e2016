"""What a project that looks for clusters makes of an unknown table.

Every input divides rows, so no column is derived from another one: it would count twice.
"""

from data_prep.drafting import Draft, Records, Remarks, find_identifiers, find_inputs
from data_prep.grouping import group_rows
from data_prep.time_order import TEST_SHARE, split_method, time_order
from data_prep.wishes import Wishes
from utils.config import ProjectError

USAGE = "make adopt DATA=table"
# What a person can say besides what is asked for every task, by name: nothing.
OPTIONS: dict[str, str] = {}
# Numbers of clusters from 2 on are tried, up to one cluster for so many rows.
ROWS_PER_CLUSTER = 15
FEWEST, MOST = 3, 9


def check_target(wishes: Wishes) -> None:
    """Check that no target was named.

    Raises:
        ProjectError: one was.
    """
    if wishes.target:
        raise ProjectError(
            f"A clustering has no target, so TARGET={wishes.target} has no meaning. Leave it out; "
            f"IGNORE={wishes.target} keeps the column from dividing the rows."
        )


def most_clusters(rows: int) -> int:
    """Return how many clusters a table could have at most, by how many rows it has."""
    return max(FEWEST, min(MOST, rows // ROWS_PER_CLUSTER))


def draft(table: Records, wishes: Wishes, remarks: Remarks) -> Draft:
    """Return what a row is, which columns divide the rows, and how rows are held out.

    Args:
        table: the rows.
        wishes: what a person said.
        remarks: what is noticed is added.

    Raises:
        ProjectError: a column can't be what it was named for.
    """
    identifiers = find_identifiers(table, wishes, remarks)
    inputs = find_inputs(table, set(identifiers), remarks)
    group_rows(inputs, remarks)
    dividing = [
        column.source_name
        for column in inputs.columns.values()
        if column.role in {"numeric", "categorical"}
    ]
    if dividing:
        remarks.notes.append(
            f"rows are divided by {', '.join(dividing)}; IGNORE= leaves out what should not count"
        )
    most = most_clusters(table.rows)
    remarks.notes.append(f"2 to {most} clusters are tried")
    time = time_order(inputs, wishes, remarks)
    return Draft(
        "One row per record.",
        None,
        identifiers,
        inputs,
        time,
        split_method(inputs, time, remarks),
        TEST_SHARE,
        settings={"clusters": {"most": most}},
    )

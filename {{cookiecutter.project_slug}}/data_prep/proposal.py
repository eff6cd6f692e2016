"""A data contract and settings proposed for an unknown table, with what a person should know of it.

What can be measured is inferred: types, roles, valid values, ranges, missing values. Units and
weights are not guessed, and doubtful columns are left out and named. What the columns are for is up
to ``data_prep/task_proposal.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from data_prep.column_names import known, safe_names
from data_prep.drafting import (
    ROW_NUMBER,
    SHOWN,
    Records,
    Remarks,
    check_learnable,
    identifier_columns,
    segments,
)
from data_prep.inference import Found, infer, read_as
from data_prep.task_proposal import check_target, draft
from data_prep.wishes import Wishes
from utils.config import (
    ADDED_COLUMNS,
    Column,
    Contract,
    Features,
    ProjectError,
    Role,
    Transformation,
)

# The pipeline has a category of this name.
MISSING = "missing"
MINIMUM_ROWS = 50
MONITORED_ROWS = 100
# So many inputs are named where all can be looked up.
NAMED = 6


class Proposal(NamedTuple):
    """A contract with the settings that go with it.

    Attributes:
        contract: the data contract.
        transformation: derivations from single columns.
        features: combinations of columns; none are proposed.
        split: ``time``, ``group`` or ``random``.
        segments: categories for which results are shown.
        markers: more texts that stand for a missing value.
        rows: the rows to learn from that were looked at.
        minimum_rows: recent rows from which monitoring compares.
        settings: more entries of ``params.yaml``, by section.
        notes: what a person should know, one sentence each.
    """

    contract: Contract
    transformation: Transformation
    features: Features
    split: str
    segments: tuple[str, ...]
    markers: tuple[str, ...]
    rows: int
    minimum_rows: int
    settings: Mapping[str, Mapping[str, Any]]
    notes: list[str]


def _checked(wishes: Wishes, names: Sequence[str]) -> Wishes:
    """Return the wishes with names as the records write them."""
    return wishes._replace(
        target=wishes.target and known(wishes.target, names, "TARGET"),
        identifiers=tuple(known(name, names, "ID") for name in wishes.identifiers),
        time=wishes.time if wishes.time in {"", "none"} else known(wishes.time, names, "TIME"),
        ignored=tuple(known(name, names, "IGNORE") for name in wishes.ignored),
        formats={known(name, names, "FORMAT"): how for name, how in wishes.formats.items()},
    )


def _without_ignored(records: pl.DataFrame, wishes: Wishes, remarks: Remarks) -> pl.DataFrame:
    """Return the records without the columns to leave out.

    Raises:
        ProjectError: another wish needs one of them.
    """
    needed = {wishes.target, wishes.time, *wishes.identifiers}
    if both := sorted(needed & set(wishes.ignored)):
        raise ProjectError(
            f"IGNORE names {both[0]}, which is asked for, too. Say only one of both."
        )
    remarks.left_out.update(dict.fromkeys(wishes.ignored, "as IGNORE says"))
    return records.drop(wishes.ignored)


def _markers(
    records: pl.DataFrame, found: Mapping[str, Found], markers: Sequence[str]
) -> tuple[str, ...]:
    """Return the texts that stand for a missing value besides those already known."""
    more = {marker for item in found.values() for marker in item.markers}
    texts = records.select(pl.col(pl.String).str.to_lowercase() == MISSING)
    more |= {MISSING} if any(column.any() for column in texts.iter_columns()) else set()
    return tuple(sorted(more - set(markers)))


def _column(name: str, source: str, found: Found) -> Column:
    roles: dict[str | None, Role] = {"timestamp": "timestamp", "string": "text"}
    return Column(
        name,
        roles.get(found.type, "numeric"),
        found.type or "string",
        "",
        source=None if name == source else source,
        format=found.format,
    )


def _cleaned(
    records: pl.DataFrame, wishes: Wishes, markers: Sequence[str], remarks: Remarks
) -> tuple[Records, tuple[str, ...]]:
    """Infer the type of each column and clean it; returns also what more stands for missing.

    Raises:
        ProjectError: too few rows can be learned from.
    """
    names = records.columns
    found = {name: infer(records[name], markers, wishes.formats.get(name, "")) for name in names}
    more = _markers(records, found, markers)
    for name, item in found.items():
        if item.type is None:
            remarks.left_out[name] = item.note
        elif item.note:
            remarks.notes.append(f"{name}: {item.note}")
    aliases = safe_names(names, {*wishes.reserved, *ADDED_COLUMNS, ROW_NUMBER})
    renamed = [name for name in names if aliases[name] != name]
    if renamed:
        shown = ", ".join(f"{name!r} is {aliases[name]}" for name in renamed[:SHOWN])
        remarks.notes.append(f"renamed columns keep their names as `source`: {shown}")
    if more:
        remarks.notes.append(f"{', '.join(map(repr, more))} counts as missing, too")
    columns = {
        name: _column(aliases[name], name, item) for name, item in found.items() if item.type
    }
    values = {
        name: read_as(records[name], column, (*markers, *more)) for name, column in columns.items()
    }
    return _with_target(Records(columns, values), wishes, remarks), more


def _with_target(table: Records, wishes: Wishes, remarks: Remarks) -> Records:
    """Return the rows that have a target, all if none was named.

    Raises:
        ProjectError: they are too few, or the target can be none.
    """
    name, rows, has = wishes.target, table.rows, ""
    if name:
        if name not in table.columns or table.columns[name].type == "timestamp":
            raise ProjectError(
                f"The target {name} can't be predicted: it holds neither numbers nor classes. Name "
                "another column as TARGET."
            )
        table.columns[name] = msgspec.structs.replace(table.columns[name], role="target")
        usable = table.values[name].is_not_null()
        if not usable.all():
            remarks.notes.append(f"{(~usable).sum():,} rows without the target are dropped")
        rows, has = int(usable.sum()), f" have a value in the target {name}"
        kept = {other: item.filter(usable) for other, item in table.values.items()}
        table = Records(table.columns, kept)
    if rows < MINIMUM_ROWS:
        raise ProjectError(
            f"{rows} rows{has or ' are there'}; {MINIMUM_ROWS} are needed to learn anything that "
            "can be tested. Provide more rows."
        )
    return table


def _reasons(remarks: Remarks) -> dict[str, list[str]]:
    """Return the columns left out by the reason."""
    found: dict[str, list[str]] = {}
    for name, why in remarks.left_out.items():
        found.setdefault(why, []).append(name)
    return found


def propose(
    records: pl.DataFrame, wishes: Wishes, table: str, origin: str, markers: Sequence[str]
) -> Proposal:
    """Propose a contract and settings for a table.

    Args:
        records: the table or its first rows, with the types that the source gives.
        wishes: what a person said.
        table: how the table is called.
        origin: where it comes from, for the provenance.
        markers: lower-case texts that stand for a missing value.

    Raises:
        ProjectError: nothing sensible can be learned from the table, or a column is not there.
    """
    check_target(wishes)
    wishes = _checked(wishes, records.columns)
    remarks = Remarks([], {})
    records = _without_ignored(records, wishes, remarks)
    cleaned, more = _cleaned(records, wishes, markers, remarks)
    drafted = draft(cleaned, wishes, remarks)
    inputs, time = drafted.inputs, drafted.time
    check_learnable(inputs, drafted.transformation, remarks)
    # the first moment is the one by which rows are ordered
    ordered = sorted(
        inputs.columns.values(), key=lambda item: (item.role != "timestamp", item.name != time)
    )
    absent = [f"{', '.join(names)} ({why})" for why, names in _reasons(remarks).items()]
    rows = cleaned.rows
    contract = Contract(
        table=table,
        description=drafted.description,
        provenance=(
            f"Read from {origin}. Types, roles, ranges and categories were inferred from "
            f"{rows:,} rows when the project adopted the table."
            + (f" Left out: {'; '.join(absent)}." if absent else "")
        ),
        columns=(
            *identifier_columns(drafted.identifiers, cleaned),
            *ordered,
            *([drafted.goal] if drafted.goal else []),
        ),
        unique=drafted.unique,
        series=drafted.series,
    )
    return Proposal(
        contract=contract,
        transformation=drafted.transformation,
        features=Features({}),
        split=drafted.split,
        segments=segments(inputs),
        markers=more,
        rows=rows,
        minimum_rows=max(1, min(MONITORED_ROWS, round(rows * drafted.held_out) // 2)),
        settings=drafted.settings,
        notes=[
            *remarks.notes,
            *(
                f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} left out: {why}"
                for why, names in _reasons(remarks).items()
            ),
        ],
    )


def named_inputs(contract: Contract, *apart: str) -> str:
    """Return the names of the inputs of the model as the end of a phrase, besides some."""
    columns = contract.with_role("numeric", "categorical")
    names = [column.name for column in columns if column.name not in apart]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f": {', '.join(names[:NAMED])}{more}" if names else ""

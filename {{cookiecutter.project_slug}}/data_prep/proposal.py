"""A data contract and settings proposed for an unknown table, with what a person should know of it.

What can be measured is inferred: types, roles, valid values, ranges, missing values. Units and
weights are not guessed, and doubtful columns are left out and named.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from data_prep.column_names import known, safe_names
from data_prep.column_proposal import (
    NAMED_AS_GROUP,
    NAMED_AS_IDENTIFIER,
    find_identifier,
    input_column,
    sentinel_note,
)
from data_prep.derivation import (
    GROUPS,
    TEST_SHARE,
    calendar,
    can_split_by_group,
    can_split_by_time,
    codes,
    durations,
    logarithms,
)
from data_prep.inference import Found, infer, read_as
from data_prep.leakage import suspects
from data_prep.target_proposal import Wishes, target_column
from utils.config import (
    ADDED_COLUMNS,
    Column,
    Contract,
    Features,
    Interval,
    ProjectError,
    Role,
    Transformation,
)

ROW_NUMBER = "row_number"
# The pipeline has a category of this name.
MISSING = "missing"
MINIMUM_ROWS = 50
SEGMENTS = 2
SEGMENT_CATEGORIES = 8
MONITORED_ROWS = 100
SHOWN = 5


class Proposal(NamedTuple):
    """A contract with the settings that go with it.

    Attributes:
        contract: the data contract.
        transformation: derivations from single columns.
        features: combinations of columns; none are proposed.
        split: ``time``, ``group`` or ``random``.
        segments: categories for which results are shown.
        markers: more texts that stand for a missing value.
        rows: the rows with a target that were looked at.
        minimum_rows: recent rows from which monitoring compares.
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
    notes: list[str]


class Records(NamedTuple):
    """Rows that have a target, cleaned, by the names of the source.

    Attributes:
        columns: names and types in the contract.
        values: the cleaned values of each column, shape (n,).
    """

    columns: dict[str, Column]
    values: dict[str, pl.Series]


class Remarks(NamedTuple):
    """What is noticed on the way: sentences, and the columns left out with the reason."""

    notes: list[str]
    left_out: dict[str, str]


class Inputs(NamedTuple):
    """The columns that go on besides identifiers and target, by the names of the contract."""

    columns: dict[str, Column]
    values: dict[str, pl.Series]

    def frame(self, *roles: Role) -> pl.DataFrame:
        """Return the columns of some roles as a table."""
        chosen = [name for name, column in self.columns.items() if column.role in roles]
        return pl.DataFrame([self.values[name].alias(name) for name in chosen])


def _checked(wishes: Wishes, names: Sequence[str]) -> Wishes:
    """Return the wishes with names as the records write them."""
    return wishes._replace(
        target=known(wishes.target, names, "TARGET"),
        identifiers=tuple(known(name, names, "ID") for name in wishes.identifiers),
        time=wishes.time if wishes.time in {"", "none"} else known(wishes.time, names, "TIME"),
        keep=tuple(known(name, names, "KEEP") for name in wishes.keep),
        formats={known(name, names, "FORMAT"): how for name, how in wishes.formats.items()},
    )


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
        ProjectError: too few rows have a target.
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
    target = wishes.target
    if target not in columns or columns[target].type == "timestamp":
        raise ProjectError(
            f"The target {target} can't be predicted: it holds neither numbers nor classes. Name "
            "another column as TARGET."
        )
    columns[target] = msgspec.structs.replace(columns[target], role="target")
    values = {
        name: read_as(records[name], column, (*markers, *more)) for name, column in columns.items()
    }
    usable = values[target].is_not_null()
    rows = usable.sum()
    if rows < records.height:
        remarks.notes.append(f"{records.height - rows:,} rows without the target are dropped")
    if rows < MINIMUM_ROWS:
        raise ProjectError(
            f"{rows} rows have a value in the target {target}; {MINIMUM_ROWS} are needed to learn "
            "anything that can be tested. Provide more rows."
        )
    return Records(columns, {name: item.filter(usable) for name, item in values.items()}), more


def _identifiers(table: Records, wishes: Wishes, remarks: Remarks) -> tuple[str, ...]:
    """Return the columns that identify a row; none if the rows have to be numbered.

    Raises:
        ProjectError: a column that was named for it is the target or can't be used.
    """
    others = {name: item for name, item in table.values.items() if name != wishes.target}
    if wishes.identifiers:
        unusable = [name for name in wishes.identifiers if name not in others]
        if unusable:
            raise ProjectError(f"{unusable[0]} can't identify rows. Name another column as ID.")
        keys = pl.DataFrame([others[name].alias(name) for name in wishes.identifiers])
        whole = keys.drop_nulls()
        if repeated := whole.height - whole.n_unique():
            remarks.notes.append(
                f"{repeated:,} rows have the identifier of another row; the newest of each is kept"
            )
        return wishes.identifiers
    chosen = find_identifier({name: item for name, item in others.items() if name != wishes.time})
    if chosen:
        remarks.notes.append(f"{chosen} identifies a row: each has a value of its own")
        return (chosen,)
    remarks.notes.append(f"no column identifies a row, so rows are numbered ({ROW_NUMBER})")
    everything = pl.DataFrame([item.alias(name) for name, item in table.values.items()])
    if repeated := everything.height - everything.n_unique():
        remarks.notes.append(f"{repeated:,} rows repeat another one; all are kept")
    return ()


def _identifier_columns(names: Sequence[str], table: Records) -> list[Column]:
    if not names:
        text = "Number of the row, counted when it is retrieved; a record to predict needs none."
        made = Column(ROW_NUMBER, "identifier", "integer", text, example=1, generated=True)
        return [made]
    found = []
    for name in names:
        first = table.values[name].drop_nulls()[0]
        moment = table.columns[name].type == "timestamp"
        found.append(
            msgspec.structs.replace(
                table.columns[name],
                role="identifier",
                description="Identifies a row.",
                example=f"{first:%Y-%m-%dT%H:%M:%S}" if moment else first,
            )
        )
    return found


def _inputs(table: Records, apart: set[str], remarks: Remarks) -> Inputs:
    """Return the columns besides those named in ``apart`` that go on."""
    found = Inputs({}, {})
    for source, column in table.columns.items():
        if source in apart:
            continue
        made = input_column(column, table.values[source])
        if isinstance(made, str):
            remarks.left_out[source] = made
            continue
        if made.role == "numeric" and (note := sentinel_note(source, table.values[source])):
            remarks.notes.append(note)
        found.columns[made.name] = made
        found.values[made.name] = read_as(table.values[source], made, ())
    return found


def _group(inputs: Inputs, remarks: Remarks) -> None:
    """Let a column that is named like an identifier and repeats itself group the rows."""
    for name, column in inputs.columns.items():
        known = inputs.values[name].drop_nulls()
        groups = known.n_unique()
        named = NAMED_AS_IDENTIFIER if column.role == "text" else NAMED_AS_GROUP
        few = groups < GROUPS and column.role != "text"
        named_so = column.type in {"string", "integer"} and named.search(column.source_name)
        if named_so and not few and groups < known.len():
            inputs.columns[name] = msgspec.structs.replace(
                Column(name, "group", column.type, "", source=column.source),
                description=f"Groups rows that belong together, {groups:,} groups.",
                nullable=column.nullable,
                maximum_missing_share=column.maximum_missing_share,
                example=column.example,
            )
            remarks.notes.append(f"{column.source_name} groups rows; no model learns from it")
            return


def _without_leaks(
    inputs: Inputs, goal: Column, outcome: pl.Series, wishes: Wishes, remarks: Remarks
) -> dict[str, Interval]:
    """Leave out columns that predict the target alone; returns the durations that don't."""
    intervals = durations(inputs.frame("timestamp"))
    columns = {item.name: codes(item) for item in inputs.frame("numeric", "categorical")}
    for name, interval in intervals.items():
        end, start = (codes(inputs.values[side]) for side in (interval.end, interval.start))
        columns[name] = end - start
    measure = "balanced accuracy" if goal.allowed else "R²"
    found = suspects(columns, codes(outcome), classes=bool(goal.allowed))
    for name, power in found.items():
        alone = f"it predicts the target alone ({measure} {power:.3f})"
        if name in intervals:
            remarks.notes.append(f"{name} is no feature: {alone}")
            del intervals[name]
            continue
        source = inputs.columns[name].source_name
        if source in wishes.keep:
            remarks.notes.append(f"{source} is kept: {alone}")
            continue
        remarks.left_out[source] = f"{alone}, as a copy of it or what is known too late would"
        remarks.notes.append(f"KEEP={source} keeps {source}, if it is known before the outcome")
        del inputs.columns[name]
    return intervals


def _time(
    inputs: Inputs, goal: Column, outcome: pl.Series, wishes: Wishes, remarks: Remarks
) -> str:
    """Return the moment by which the newest rows are held out, or an empty text.

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
    if can_split_by_time(inputs.values[chosen], outcome, goal):
        remarks.notes.append(f"the newest rows by {chosen} are held out; TIME=none draws them")
        return chosen
    remarks.notes.append(
        f"rows are held out at random: ordered by {chosen}, parts of them would lack a class"
    )
    return ""


def _split(inputs: Inputs, goal: Column, outcome: pl.Series, time: str, remarks: Remarks) -> str:
    """Return the method by which rows are held out, given the moment that orders them, if any."""
    if time:
        return "time"
    for name, column in inputs.columns.items():
        if column.role == "group" and can_split_by_group(inputs.values[name], outcome, goal):
            remarks.notes.append(f"rows of one {column.source_name} are held out together or not")
            return "group"
    return "random"


def _check_learnable(inputs: Inputs, derived: Transformation, remarks: Remarks) -> None:
    learned = inputs.frame("numeric", "categorical").width
    if learned or derived.elapsed_days or derived.calendar:
        return
    reasons = "; ".join(f"{name}: {why}" for name, why in list(remarks.left_out.items())[:SHOWN])
    raise ProjectError(
        "No column is left that a model could learn from; texts with many different values are "
        f"none{f' ({reasons})' if reasons else ''}. Derive numbers or categories from them first, "
        "such as lengths, counts or topics."
    )


def _segments(inputs: Inputs) -> tuple[str, ...]:
    """Return the categorical columns with the fewest categories."""
    few = sorted(
        (len(column.allowed), name)
        for name, column in inputs.columns.items()
        if column.role == "categorical" and len(column.allowed) <= SEGMENT_CATEGORIES
    )
    return tuple(name for _, name in few[:SEGMENTS])


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
    wishes = _checked(wishes, records.columns)
    remarks = Remarks([], {})
    cleaned, more = _cleaned(records, wishes, markers, remarks)
    outcome = cleaned.values[wishes.target]
    goal = target_column(cleaned.columns[wishes.target], outcome, wishes)
    identifiers = _identifiers(cleaned, wishes, remarks)
    inputs = _inputs(cleaned, {wishes.target, *identifiers}, remarks)
    _group(inputs, remarks)
    intervals = _without_leaks(inputs, goal, outcome, wishes, remarks)
    time = _time(inputs, goal, outcome, wishes, remarks)
    derived = Transformation(
        elapsed_days=intervals,
        calendar=calendar(inputs.frame("timestamp")),
        logarithm=logarithms(inputs.frame("numeric")),
    )
    _check_learnable(inputs, derived, remarks)
    # the first moment is the one by which rows are ordered
    ordered = sorted(
        inputs.columns.values(), key=lambda item: (item.role != "timestamp", item.name != time)
    )
    absent = "; ".join(f"{name} ({why})" for name, why in remarks.left_out.items())
    contract = Contract(
        table=table,
        description=f"One row per record, with {goal.source_name} as the target.",
        provenance=(
            f"Read from {origin}. Types, roles, ranges and categories were inferred from "
            f"{outcome.len():,} rows when the project adopted the table."
            + (f" Left out: {absent}." if absent else "")
        ),
        columns=(*_identifier_columns(identifiers, cleaned), *ordered, goal),
    )
    return Proposal(
        contract=contract,
        transformation=derived,
        features=Features({}),
        split=_split(inputs, goal, outcome, time, remarks),
        segments=_segments(inputs),
        markers=more,
        rows=outcome.len(),
        minimum_rows=min(MONITORED_ROWS, round(outcome.len() * TEST_SHARE) // 2),
        notes=[
            *remarks.notes,
            *(f"{name} is left out: {why}" for name, why in remarks.left_out.items()),
        ],
    )

"""The parts of a proposal for an unknown table: what its rows are, and which columns go on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from data_prep.column_proposal import find_identifier, input_column, sentinel_note
from data_prep.inference import read_as
from data_prep.wishes import Wishes
from utils.config import Column, ProjectError, Role, Series, Transformation, Unique

ROW_NUMBER = "row_number"
SEGMENTS = 2
SEGMENT_CATEGORIES = 8
SHOWN = 5
NO_TRANSFORMATION = Transformation(elapsed_days={}, calendar={}, logarithm=())


class Records(NamedTuple):
    """The rows to learn from, cleaned, by the names of the source.

    Attributes:
        columns: names and types in the contract.
        values: the cleaned values of each column, shape (n,).
    """

    columns: dict[str, Column]
    values: dict[str, pl.Series]

    @property
    def rows(self) -> int:
        """How many there are."""
        return next((values.len() for values in self.values.values()), 0)


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


class Draft(NamedTuple):
    """What a project for one task makes of the columns of a table.

    Attributes:
        description: what a row is, one sentence.
        goal: the target, if there is one.
        identifiers: the columns that identify a row, by the names of the source; none to number.
        inputs: what goes on besides.
        time: the moment by which rows are ordered, empty if there is none.
        split: how rows are held out: ``time``, ``group`` or ``random``.
        held_out: the share of the rows that is held out.
        transformation: derivations from single columns.
        series: what makes the rows series.
        unique: columns whose values together occur once.
        settings: entries of ``params.yaml`` that fit the table, by section.
    """

    description: str
    goal: Column | None
    identifiers: tuple[str, ...]
    inputs: Inputs
    time: str
    split: str
    held_out: float
    transformation: Transformation = NO_TRANSFORMATION
    series: Series | None = None
    unique: tuple[Unique, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = {}


def find_identifiers(table: Records, wishes: Wishes, remarks: Remarks) -> tuple[str, ...]:
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


def identifier_columns(names: Sequence[str], table: Records) -> list[Column]:
    """Return the contract of the columns that identify a row, or of its number."""
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


def find_inputs(table: Records, apart: set[str], remarks: Remarks) -> Inputs:
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


def check_learnable(inputs: Inputs, derived: Transformation, remarks: Remarks) -> None:
    """Check that something is left to learn from.

    Raises:
        ProjectError: nothing is.
    """
    learned = inputs.frame("numeric", "categorical").width
    if learned or derived.elapsed_days or derived.calendar:
        return
    reasons = "; ".join(f"{name}: {why}" for name, why in list(remarks.left_out.items())[:SHOWN])
    raise ProjectError(
        "No column is left that a model could learn from; texts with many different values are "
        f"none{f' ({reasons})' if reasons else ''}. Derive numbers or categories from them first, "
        "such as lengths, counts or topics."
    )


def segments(inputs: Inputs) -> tuple[str, ...]:
    """Return the categorical columns with the fewest categories."""
    few = sorted(
        (len(column.allowed), name)
        for name, column in inputs.columns.items()
        if column.role == "categorical" and len(column.allowed) <= SEGMENT_CATEGORIES
    )
    return tuple(name for _, name in few[:SEGMENTS])

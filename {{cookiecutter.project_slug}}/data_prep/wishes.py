"""What a person said of a table that the project shall adopt."""

from collections.abc import Mapping
from typing import NamedTuple


class Wishes(NamedTuple):
    """What a person said about the table.

    Attributes:
        target: the column that the model is about, as the records call it; empty if there is none.
        task: what the project is for.
        explicit: whether a person named the task.
        identifiers: columns that identify a row, none to find them.
        time: the column that orders rows, ``none`` for a random draw, empty to find it.
        ignored: columns to leave out.
        formats: how columns write moments, by column.
        reserved: names that columns can't have, because answers have them.
        options: what only projects for the same task ask for, by name.
    """

    target: str
    task: str
    explicit: bool = False
    identifiers: tuple[str, ...] = ()
    time: str = ""
    ignored: tuple[str, ...] = ()
    formats: Mapping[str, str] = {}
    reserved: frozenset[str] = frozenset()
    options: Mapping[str, str] = {}


def listed(text: str) -> tuple[str, ...]:
    """Return the names in a text that separates them by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())

"""How a file of records is read: its format needs no schema file beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from data_prep import formats


def beside(system: Any, path: str) -> list[str]:
    """Return the schema files that belong to a file of records: none."""
    del system, path
    return []


def read(source: Path | BinaryIO, name: str, schemas: Sequence[Path]) -> Iterator[pa.Table]:
    """Read the records of a file in bounded memory, as its format does."""
    del schemas
    return formats.read(source, name)

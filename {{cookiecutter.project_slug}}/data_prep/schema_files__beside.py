"""How a file of records is read: by the schema file beside it, wherever both are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from data_prep import formats


def beside(system: Any, path: str) -> list[str]:
    """Return the schema files that belong to a file of records, at most one.

    Args:
        system: the file system that holds it.
        path: the file of records, compressed or not; a URL may have a query.
    """
    address, mark, query = path.partition("?")
    stem = address.partition(formats.SUFFIX)[0] if formats.SUFFIX in _name(address) else ""
    named = [f"{stem}{suffix}{mark}{query}" for suffix in formats.SCHEMA_SUFFIXES if stem]
    return [candidate for candidate in named if system.isfile(candidate)][:1]


def _name(address: str) -> str:
    return address.rpartition("/")[2]


def read(source: Path | BinaryIO, name: str, schemas: Sequence[Path]) -> Iterator[pa.Table]:
    """Read the records of a file in bounded memory.

    Args:
        source: the file, or a stream of its bytes.
        name: how errors call it.
        schemas: the schema file beside it, if there is one.
    """
    return formats.read(source, name, *schemas)

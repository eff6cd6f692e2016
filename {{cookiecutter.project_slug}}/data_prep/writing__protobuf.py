"""How records are written in Protocol Buffers, for the stand-in of the service."""

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from data_prep.encoding import serialised
from data_prep.formats import CONTINUES, only_schema


def write(table: pa.Table, stream: BinaryIO, schema: Path | None = None) -> None:
    """Write each record with its length before it; equal tables give equal bytes.

    Args:
        table: records that have the fields of the schema.
        stream: where the bytes go.
        schema: the schema file; by default the only one in ``data/source``.

    Raises:
        ProjectError: there is no usable schema file, or the records don't fit it.
    """
    for message in serialised(table, schema or only_schema()):
        stream.write(_varint(len(message)) + message)


def _varint(number: int) -> bytes:
    content = bytearray()
    while number >= CONTINUES:
        content.append(number & 0x7F | CONTINUES)
        number >>= 7
    content.append(number)
    return bytes(content)

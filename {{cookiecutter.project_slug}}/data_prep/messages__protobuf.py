"""The messages of the stream: each one record in Protocol Buffers, without a length before it.

The bytes do not say what they mean, so the schema file is needed: the only one in ``data/source``.
"""

from collections.abc import Sequence

import pyarrow as pa
from google.protobuf.message import DecodeError

from data_prep.encoding import serialised
from data_prep.formats import (
    UnreadableError,
    message_class,
    only_schema,
    parse_record,
    read_length,
    table_of,
)
from utils.config import Contract, ProjectError

# The start of a message that a schema registry numbered; no record begins with a zero.
REGISTRY = b"\x00"
REGISTRY_BYTES = 5


def decode(messages: Sequence[bytes], contract: Contract) -> pa.Table:
    """Decode messages of one record each, plain or numbered by a schema registry.

    Args:
        messages: records written by the only schema file in ``data/source``.
        contract: names the table in errors.

    Returns:
        One row per message.

    Raises:
        ProjectError: a message is damaged or was written by another schema.
    """
    path = only_schema()
    kind = message_class(path)
    records = []
    for number, message in enumerate(messages, start=1):
        try:
            records.append(parse_record(kind, _unwrapped(message)))
        except (UnreadableError, DecodeError) as error:
            raise ProjectError(
                f"Message {number} of {contract.table} is not a record of {path}: {error}. "
                "Check what is sent."
            ) from error
    return table_of(records, kind)


def _unwrapped(message: bytes) -> bytes:
    """Remove what a schema registry puts before a record: its number and the path of its type."""
    if not message.startswith(REGISTRY):
        return message
    count, begin = read_length(message, REGISTRY_BYTES)
    for _ in range(count >> 1):
        _, begin = read_length(message, begin)
    if begin < 0:
        raise UnreadableError("it is truncated")
    return message[begin:]


def encode(table: pa.Table, contract: Contract) -> list[bytes]:
    """Encode each record as one message, the inverse of ``decode``."""
    missing = {column.source_name for column in contract.recorded} - set(table.column_names)
    if missing:
        raise ProjectError(f"The records of {contract.table} lack {', '.join(sorted(missing))}.")
    return list(serialised(table, only_schema()))

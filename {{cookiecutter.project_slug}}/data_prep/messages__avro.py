"""The messages of the stream: each one Avro record, without the schema that it was written by.

A message carries at most a fingerprint of its schema, so the schema file is needed: the only one in
``data/source``.
"""

import io
import struct
from collections.abc import Sequence

import fastavro
import pyarrow as pa

from data_prep.encoding import encodable, fingerprint_bytes, only_schema
from data_prep.formats import PARSER_ERRORS, UnreadableError, from_rows
from utils.config import Contract, ProjectError

# The start of a message: the mark of Avro's single object encoding and the fingerprint of its
# schema, or a zero and the number of its schema in a registry.
SINGLE_OBJECT = b"\xc3\x01"
SINGLE_OBJECT_BYTES = 10
REGISTRY = b"\x00"
REGISTRY_BYTES = 5


def decode(messages: Sequence[bytes], contract: Contract) -> pa.Table:
    """Decode messages in Avro's single object encoding, or numbered by a schema registry.

    Args:
        messages: records written by the only schema file in ``data/source``.
        contract: names the table in errors.

    Returns:
        One row per message.

    Raises:
        ProjectError: a message is damaged or was written by another schema.
    """
    path, schema = only_schema()
    start = SINGLE_OBJECT + fingerprint_bytes(schema)
    rows = []
    for number, message in enumerate(messages, start=1):
        stream = io.BytesIO(message)
        try:
            if message.startswith(start):
                stream.seek(SINGLE_OBJECT_BYTES)
            elif message.startswith(REGISTRY):
                stream.seek(REGISTRY_BYTES)
            else:
                raise UnreadableError("it does not begin with the fingerprint of that schema")
            rows.append(fastavro.schemaless_reader(stream, schema))
            if stream.read(1):
                raise UnreadableError("it is longer than a record of that schema")
        except (UnreadableError, *PARSER_ERRORS) as error:
            raise ProjectError(
                f"Message {number} of {contract.table} is not a record of {path}: "
                f"{' '.join(str(error).split()) or 'it is truncated'}. Check what is sent."
            ) from error
    return from_rows(rows, schema)


def encode(table: pa.Table, contract: Contract) -> list[bytes]:
    """Encode each record as one message, the inverse of ``decode``."""
    path, schema = only_schema()
    start = SINGLE_OBJECT + fingerprint_bytes(schema)
    messages = []
    try:
        for row in encodable(table, schema):
            stream = io.BytesIO()
            fastavro.schemaless_writer(stream, schema, row)
            messages.append(start + stream.getvalue())
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise ProjectError(
            f"A record of {contract.table} does not fit {path}: {error}. Correct that file."
        ) from error
    return messages

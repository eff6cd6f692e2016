"""How records are written as Avro container files, for the stand-in of the service."""

import struct
from pathlib import Path
from typing import BinaryIO

import fastavro
import pyarrow as pa

from data_prep.encoding import encodable, fingerprint_bytes, only_schema
from data_prep.formats import read_schema
from utils.config import ProjectError


def write(table: pa.Table, stream: BinaryIO, schema: Path | None = None) -> None:
    """Write a container file; equal tables give equal bytes.

    Args:
        table: records that have the fields of the schema.
        stream: where the bytes go.
        schema: file with the schema; by default the only one in ``data/source``.

    Raises:
        ProjectError: there is no usable schema file, or the records don't fit it.
    """
    path, parsed = (schema, read_schema(schema)) if schema else only_schema()
    try:
        fastavro.writer(
            stream,
            parsed,
            encodable(table, parsed),
            codec="deflate",
            sync_marker=fingerprint_bytes(parsed) * 2,
            sync_interval=1 << 16,
        )
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise ProjectError(f"The records do not fit {path}: {error}. Correct that file.") from error

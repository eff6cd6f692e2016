"""The format of the records: Avro container files.

A container file says by which schema it was written. A schema file (``.avsc``) beside it is what
the records shall look like: a file that was written by another one is brought into its form by the
rules of Avro, or refused.

Blocks of a container are complete in themselves. They are cut apart here, so that memory is bounded
and a columnar parser reads what it can: plain columns. fastavro reads the rest, row by row.
"""

import datetime as dt
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fastavro
import polars as pl
import pyarrow as pa
from fastavro.schema import parse_schema

from utils.config import ProjectError

SUFFIX = ".avro"
SCHEMA_SUFFIXES = (".avsc",)

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 << 20
MAGIC = b"Obj\x01"
SYNC_BYTES = 16
COLUMNAR_CODECS = {"null", "deflate", "snappy"}
COLUMNAR_TYPES = {"boolean", "int", "long", "float", "double", "string", "bytes"}
CONTINUES = 0x80
LAST_SHIFT = 63

Schema = Any


class UnreadableError(ValueError):
    """What is wrong with the bytes; the caller knows where they came from."""


class _Header(NamedTuple):
    """The start of a container: its bytes as they are, and what they say."""

    content: bytes
    schema: Schema
    codec: str
    sync: bytes


def read(source: Path | BinaryIO, name: str = "", schema: Path | None = None) -> Iterator[pa.Table]:
    """Read a container file in bounded memory: a few of its blocks at a time.

    Args:
        source: a file, or an open binary stream.
        name: how errors call the source; the path if empty.
        schema: file with the schema that the records shall have; by default the one beside
            ``source`` with the same name, if there is one.

    Yields:
        Tables of about ``BATCH_ROWS`` rows, at least one; nested values and those of several types
        are JSON text.

    Raises:
        ProjectError: the file is missing, truncated, damaged, not Avro, or does not fit its schema
            file.
    """
    if not isinstance(source, Path):
        yield from _read(source, name or "the stream", schema)
        return
    beside = source.with_suffix(SCHEMA_SUFFIXES[0])
    if schema is None and beside.is_file():
        schema = beside
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ProjectError(
            f"{name or source} was not found or can't be opened. Check its path in params.yaml."
        ) from error
    with stream:
        yield from _read(stream, name or str(source), schema)


def _read(stream: BinaryIO, name: str, path: Path | None) -> Iterator[pa.Table]:
    expected = None if path is None else read_schema(path)
    try:
        header = _read_header(stream)
        same = expected is None or _canonical(expected) == _canonical(header.schema)
        reader = None if same else expected
        empty = True
        for container in _containers(header, stream):
            for table in _tables(container, header, reader):
                empty = False
                yield table
        if empty:
            yield from_rows([], reader or header.schema)
    except fastavro.read.SchemaResolutionError as error:
        raise ProjectError(
            f"{name} was written by a schema that does not fit {path}: {error}. Correct that file."
        ) from error
    except (UnreadableError, *PARSER_ERRORS) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise ProjectError(
            f"{name} is not a readable Avro file: {detail}. It may be truncated or of another "
            "format; fetch or export it again."
        ) from error


PARSER_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    pl.exceptions.PolarsError,
    fastavro.schema.SchemaParseException,
)


def read_schema(path: Path) -> Schema:
    """Read a schema file.

    Raises:
        ProjectError: the file is missing or is no Avro schema.
    """
    try:
        return parse_schema(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ProjectError(f"{path} is not a readable Avro schema: {error}. Correct it.") from error
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise ProjectError(f"{path} is not a valid Avro schema: {error}. Correct it.") from error


def _canonical(schema: Schema) -> str:
    # The canonical form leaves logical types out, but they change what a value means.
    return json.dumps(_without_documentation(schema), sort_keys=True)


def _without_documentation(schema: Schema) -> Schema:
    left_out = {"doc", "aliases", "default", "namespace", "order"}
    if isinstance(schema, Mapping):
        kept = {
            key: _without_documentation(value)
            for key, value in schema.items()
            if key not in left_out and not key.startswith("__")
        }
        return kept["type"] if set(kept) == {"type"} else kept
    return [_without_documentation(item) for item in schema] if _is_list(schema) else schema


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            raise UnreadableError("it ends in the middle")
        content = content + piece if content else piece
    return content


def _long(stream: BinaryIO, *, first: bytes = b"") -> tuple[int, bytes]:
    """Read a zigzag number of variable length; returns it and its bytes."""
    value = shift = 0
    content = b""
    while True:
        byte = first or _exactly(stream, 1)
        first = b""
        content += byte
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < CONTINUES:
            return (value >> 1) ^ -(value & 1), content
        shift += 7
        if shift > LAST_SHIFT:
            raise UnreadableError("a length in it is impossible")


def _size(stream: BinaryIO, *, first: bytes = b"") -> tuple[int, bytes]:
    size, content = _long(stream, first=first)
    if size < 0:
        raise UnreadableError("a length in it is negative")
    return size, content


def _read_header(stream: BinaryIO) -> _Header:
    magic = stream.read(len(MAGIC))
    if magic != MAGIC:
        raise UnreadableError("it does not begin like one" if magic else "it is empty")
    content = [magic]
    metadata: dict[bytes, bytes] = {}
    while True:
        count, written = _long(stream)
        content.append(written)
        if count == 0:
            break
        if count < 0:
            content.append(_size(stream)[1])
        for _ in range(abs(count)):
            pair = []
            for _ in range(2):
                size, written = _size(stream)
                if size > BLOCK_BYTES:
                    raise UnreadableError("its header is damaged")
                pair.append(_exactly(stream, size))
                content += [written, pair[-1]]
            metadata[pair[0]] = pair[1]
    sync = _exactly(stream, SYNC_BYTES)
    schema = parse_schema(json.loads(metadata[b"avro.schema"]))
    codec = metadata.get(b"avro.codec", b"null").decode()
    return _Header(b"".join([*content, sync]), schema, codec, sync)


def _containers(header: _Header, stream: BinaryIO) -> Iterator[bytes]:
    """Cut a container into containers of a few blocks each."""
    content = [header.content]
    rows = size = 0
    while first := stream.read(1):
        count, written_count = _size(stream, first=first)
        length, written_length = _size(stream)
        block = _exactly(stream, length)
        if _exactly(stream, SYNC_BYTES) != header.sync:
            raise UnreadableError("one of its blocks is damaged")
        if rows and (rows + count > BATCH_ROWS or size + length > BLOCK_BYTES):
            yield b"".join(content)
            content = [header.content]
            rows = size = 0
        content += [written_count, written_length, block, header.sync]
        rows += count
        size += length
    if rows:
        yield b"".join(content)


def _tables(container: bytes, header: _Header, reader: Schema | None) -> Iterator[pa.Table]:
    if reader is None and _is_columnar(header):
        frame = pl.read_avro(io.BytesIO(container))
        for piece in frame.iter_slices(BATCH_ROWS):
            yield _arrow(piece)
        return
    rows: list[Any] = []
    schema = reader or header.schema
    for row in fastavro.reader(io.BytesIO(container), reader):
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            yield from_rows(rows, schema)
            rows = []
    if rows:
        yield from_rows(rows, schema)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    types = [
        {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(kind, kind)
        for kind in table.schema.types
    ]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def _is_columnar(header: _Header) -> bool:
    """Whether the columnar parser reads every column of a container as it was meant."""
    return header.codec in COLUMNAR_CODECS and all(
        _is_plain(field["type"]) for field in header.schema.get("fields", [{"type": "null"}])
    )


def _is_plain(kind: Schema) -> bool:
    if _is_list(kind):
        others = [item for item in kind if item != "null"]
        return len(kind) - len(others) <= 1 and len(others) == 1 and _is_plain(others[0])
    return (kind["type"] if isinstance(kind, Mapping) else kind) in COLUMNAR_TYPES


def from_rows(rows: Sequence[Any], schema: Schema) -> pa.Table:
    """Make a table of records as the parser gives them.

    Args:
        rows: one mapping from field to value per record.
        schema: names the columns, in their order.

    Raises:
        UnreadableError: the schema is not that of a record.
    """
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    if fields is None:
        raise UnreadableError("its schema is not a record")
    return pa.table(
        {field["name"]: _array([row[field["name"]] for row in rows]) for field in fields}
    )


def _array(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 or kinds & {dict, list, tuple, uuid.UUID}:
        return pa.array(
            [None if value is None else as_text(value) for value in values], pa.string()
        )
    return pa.array(values)


def as_text(value: object) -> str:
    """Write a value as text: nested ones as JSON, bytes in hexadecimal, moments as ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple | bool | int | float):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)

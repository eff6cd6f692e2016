"""The format of the records: Avro container files, and Avro messages.

A container file says by which schema it was written. A schema file (``.avsc``) beside it is what
the records shall look like: a file that was written by another one is brought into its form by the
rules of Avro, or refused. Messages carry only a fingerprint of their schema, so their schema file,
the only one in ``data/source``, is needed.

Blocks of a container are complete in themselves. They are cut apart here, so that memory is bounded
and a columnar parser reads what it can: plain columns. fastavro reads the rest, row by row.
"""

import datetime as dt
import decimal
import io
import json
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fastavro
import polars as pl
import pyarrow as pa
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from utils.config import Contract, ProjectError

SUFFIX = ".avro"
SCHEMA_SUFFIXES = (".avsc",)
SCHEMA_FOLDER = Path("data/source")

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 << 20
MAGIC = b"Obj\x01"
SYNC_BYTES = 16
# The start of a message: the mark of Avro's single object encoding and the fingerprint of its
# schema, or a zero and the number of its schema in a registry.
SINGLE_OBJECT = b"\xc3\x01"
SINGLE_OBJECT_BYTES = 10
REGISTRY = b"\x00"
REGISTRY_BYTES = 5
COLUMNAR_CODECS = {"null", "deflate", "snappy"}
COLUMNAR_TYPES = {"boolean", "int", "long", "float", "double", "string", "bytes"}
CONTINUES = 0x80
LAST_SHIFT = 63

Schema = Any


class _UnreadableError(ValueError):
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
    expected = None if path is None else _schema(path)
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
            yield _from_rows([], reader or header.schema)
    except fastavro.read.SchemaResolutionError as error:
        raise ProjectError(
            f"{name} was written by a schema that does not fit {path}: {error}. Correct that file."
        ) from error
    except (_UnreadableError, *_PARSER_ERRORS) as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise ProjectError(
            f"{name} is not a readable Avro file: {detail}. It may be truncated or of another "
            "format; fetch or export it again."
        ) from error


_PARSER_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    pl.exceptions.PolarsError,
    fastavro.schema.SchemaParseException,
)


def _schema(path: Path) -> Schema:
    try:
        return parse_schema(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ProjectError(f"{path} is not a readable Avro schema: {error}. Correct it.") from error
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise ProjectError(f"{path} is not a valid Avro schema: {error}. Correct it.") from error


def _message_schema() -> tuple[Path, Schema]:
    """Return the schema of messages: that of the only schema file in ``SCHEMA_FOLDER``."""
    found = sorted(SCHEMA_FOLDER.glob(f"*{SCHEMA_SUFFIXES[0]}"))
    if len(found) != 1:
        raise ProjectError(
            f"{SCHEMA_FOLDER} holds {len(found)} schema files *{SCHEMA_SUFFIXES[0]}, but exactly "
            "one must say what a record looks like. Put it there."
        )
    return found[0], _schema(found[0])


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
            raise _UnreadableError("it ends in the middle")
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
            raise _UnreadableError("a length in it is impossible")


def _size(stream: BinaryIO, *, first: bytes = b"") -> tuple[int, bytes]:
    size, content = _long(stream, first=first)
    if size < 0:
        raise _UnreadableError("a length in it is negative")
    return size, content


def _read_header(stream: BinaryIO) -> _Header:
    magic = stream.read(len(MAGIC))
    if magic != MAGIC:
        raise _UnreadableError("it does not begin like one" if magic else "it is empty")
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
                    raise _UnreadableError("its header is damaged")
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
            raise _UnreadableError("one of its blocks is damaged")
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
            yield _from_rows(rows, schema)
            rows = []
    if rows:
        yield _from_rows(rows, schema)


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


def _from_rows(rows: Sequence[Any], schema: Schema) -> pa.Table:
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    if fields is None:
        raise _UnreadableError("its schema is not a record")
    return pa.table(
        {field["name"]: _array([row[field["name"]] for row in rows]) for field in fields}
    )


def _array(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 or kinds & {dict, list, tuple, uuid.UUID}:
        return pa.array([None if value is None else _text(value) for value in values], pa.string())
    return pa.array(values)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple | bool | int | float):
        return json.dumps(value, ensure_ascii=False, default=_text)
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def _encodable(table: pa.Table, schema: Schema) -> list[dict[str, Any]]:
    """Give each value the Python type that its field asks for."""
    columns = {}
    for field in schema["fields"]:
        convert = _converter(field["type"])
        columns[field["name"]] = [
            None if value is None else convert(value) for value in table[field["name"]].to_pylist()
        ]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _converter(kind: Schema) -> Callable[[Any], Any]:
    if _is_list(kind):
        others = [item for item in kind if item != "null"]
        return _converter(others[0]) if len(others) == 1 else lambda value: value
    if isinstance(kind, Mapping):
        logical = str(kind.get("logicalType", ""))
        if logical.startswith("timestamp"):
            return _as_moment
        return decimal.Decimal if logical == "decimal" else lambda value: value
    simple: dict[str, Callable[[Any], Any]] = {"string": _text, "float": float, "double": float}
    return simple.get(kind, lambda value: value)


def _as_moment(value: Any) -> dt.datetime:
    moment: dt.datetime = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def write(table: pa.Table, stream: BinaryIO, schema: Path | None = None) -> None:
    """Write a container file; equal tables give equal bytes.

    Args:
        table: records that have the fields of the schema.
        stream: where the bytes go.
        schema: file with the schema; by default the only one in ``data/source``.

    Raises:
        ProjectError: there is no usable schema file, or the records don't fit it.
    """
    path, parsed = (schema, _schema(schema)) if schema else _message_schema()
    try:
        fastavro.writer(
            stream,
            parsed,
            _encodable(table, parsed),
            codec="deflate",
            sync_marker=fingerprint_bytes(parsed) * 2,
            sync_interval=1 << 16,
        )
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise ProjectError(f"The records do not fit {path}: {error}. Correct that file.") from error


def fingerprint_bytes(schema: Schema) -> bytes:
    """Return the fingerprint by which messages name their schema: 8 bytes."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


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
    path, schema = _message_schema()
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
                raise _UnreadableError("it does not begin with the fingerprint of that schema")
            rows.append(fastavro.schemaless_reader(stream, schema))
            if stream.read(1):
                raise _UnreadableError("it is longer than a record of that schema")
        except (_UnreadableError, *_PARSER_ERRORS) as error:
            raise ProjectError(
                f"Message {number} of {contract.table} is not a record of {path}: "
                f"{' '.join(str(error).split()) or 'it is truncated'}. Check what is sent."
            ) from error
    return _from_rows(rows, schema)


def encode(table: pa.Table, contract: Contract) -> list[bytes]:
    """Encode each record as one message, the inverse of ``decode``."""
    path, schema = _message_schema()
    start = SINGLE_OBJECT + fingerprint_bytes(schema)
    messages = []
    for row in _encodable(table, schema):
        stream = io.BytesIO()
        try:
            fastavro.schemaless_writer(stream, schema, row)
        except (ValueError, TypeError, LookupError, struct.error) as error:
            raise ProjectError(
                f"A record of {contract.table} does not fit {path}: {error}. Correct that file."
            ) from error
        messages.append(start + stream.getvalue())
    return messages

"""The format of the records: Protocol Buffers, each message with its length before it.

The bytes do not say what they mean, so the schema is needed: a ``.proto`` file, or a descriptor set
(``.desc``), beside the data with the same name, or for messages the only one in ``data/source``.
The first message type of the file is the record. A field declared ``optional`` that is not set is a
missing value; one without the word can't be missing.
"""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_tools import protoc

from utils.config import Contract, ProjectError

SUFFIX = ".pb"
SCHEMA_SUFFIXES = (".proto", ".desc")
SCHEMA_FOLDER = Path("data/source")

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 << 20
# A record whose length claims more is taken for damage.
LARGEST_RECORD = 64 << 20
LONGEST_VARINT = 10
CONTINUES = 0x80
# The start of a message that a schema registry numbered; no record begins with a zero.
REGISTRY = b"\x00"
REGISTRY_BYTES = 5
MOMENT = "google.protobuf.Timestamp"

ARROW_TYPES = {
    FieldDescriptor.CPPTYPE_INT32: pa.int64(),
    FieldDescriptor.CPPTYPE_INT64: pa.int64(),
    FieldDescriptor.CPPTYPE_UINT32: pa.uint64(),
    FieldDescriptor.CPPTYPE_UINT64: pa.uint64(),
    FieldDescriptor.CPPTYPE_FLOAT: pa.float64(),
    FieldDescriptor.CPPTYPE_DOUBLE: pa.float64(),
    FieldDescriptor.CPPTYPE_BOOL: pa.bool_(),
}
FLOATS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}

MessageClass = type[Message]


class _UnreadableError(ValueError):
    """What is wrong with the bytes; the caller knows where they came from."""


def message_class(path: Path) -> MessageClass:
    """Build the class of the records that a schema file describes.

    Args:
        path: a ``.proto`` file, or a descriptor set with its imports, in which the last file
            counts.

    Raises:
        ProjectError: the file is not a usable schema.
    """
    try:
        described = path.read_bytes() if path.suffix == ".desc" else _compile(path)
        files = descriptor_pb2.FileDescriptorSet.FromString(described).file
        pool = descriptor_pool.DescriptorPool()
        for file in files:
            pool.Add(file)
        declared = pool.FindFileByName(files[-1].name).message_types_by_name
        first: Descriptor = declared[files[-1].message_type[0].name]
    except (OSError, DecodeError, LookupError, TypeError) as error:
        raise ProjectError(
            f"{path} is not a readable Protobuf schema with a message: {error}. Correct it."
        ) from error
    built: MessageClass = message_factory.GetMessageClass(first)
    return built


def _compile(path: Path) -> bytes:
    well_known = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "schema.desc")
        status = protoc.main(
            [
                "protoc",
                f"-I{path.parent}",
                f"-I{well_known}",
                "--include_imports",
                f"--descriptor_set_out={target}",
                str(path),
            ]
        )
        if status != 0:
            raise ProjectError(f"{path} is not a valid Protobuf schema. Correct it; see above.")
        return target.read_bytes()


def _only_schema() -> Path:
    found = sorted(path for path in SCHEMA_FOLDER.glob("*") if path.suffix in SCHEMA_SUFFIXES)
    if len(found) != 1:
        raise ProjectError(
            f"{SCHEMA_FOLDER} holds {len(found)} schema files ({', '.join(SCHEMA_SUFFIXES)}), but "
            "exactly one must say what a record looks like. Put it there."
        )
    return found[0]


def _schema_of(source: Path) -> Path:
    for suffix in SCHEMA_SUFFIXES:
        if source.with_suffix(suffix).is_file():
            return source.with_suffix(suffix)
    return _only_schema()


def read(source: Path | BinaryIO, name: str = "", schema: Path | None = None) -> Iterator[pa.Table]:
    """Read records in bounded memory.

    Args:
        source: a file, or an open binary stream.
        name: how errors call the source; the path if empty.
        schema: the schema file; by default the one beside ``source`` with the same name, else the
            only one in ``data/source``.

    Yields:
        Tables of at most ``BATCH_ROWS`` rows, at least one; nested and repeated values are JSON
        text, members of an enumeration their names.

    Raises:
        ProjectError: the file or its schema is missing, or it is truncated, damaged, or was written
            by another schema.
    """
    if not isinstance(source, Path):
        yield from _read(source, name or "the stream", schema or _only_schema())
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ProjectError(
            f"{name or source} was not found or can't be opened. Check its path in params.yaml."
        ) from error
    with stream:
        yield from _read(stream, name or str(source), schema or _schema_of(source))


def _read(stream: BinaryIO, name: str, path: Path) -> Iterator[pa.Table]:
    kind = message_class(path)
    records: list[Message] = []
    count = 0
    try:
        for content in _records(stream):
            count += 1
            records.append(_parsed(kind, content))
            if len(records) == BATCH_ROWS:
                yield _table(records, kind)
                records = []
        if records or count == 0:
            yield _table(records, kind)
    except (_UnreadableError, DecodeError) as error:
        raise ProjectError(
            f"{name} is not readable as Protobuf messages of {path}: record {count or 1}: {error}. "
            "It may be truncated or written by another schema; fetch or export it again."
        ) from error


def _parsed(kind: MessageClass, content: bytes) -> Message:
    record = kind.FromString(content)
    if content and not record.ListFields():
        raise _UnreadableError("it has none of the fields that the schema names")
    return record


def _records(stream: BinaryIO) -> Iterator[bytes]:
    """Cut a stream into records at the lengths that stand before them."""
    begun = b""
    while block := stream.read(BLOCK_BYTES):
        begun += block
        position = 0
        while True:
            length, begin = _length(begun, position)
            if begin < 0 or begin + length > len(begun):
                break
            position = begin + length
            yield begun[begin:position]
        begun = begun[position:]
    if begun:
        raise _UnreadableError("it ends in the middle of a record")


def _length(content: bytes, position: int) -> tuple[int, int]:
    """Return the length of the next record and where it begins, which is -1 if unknown yet."""
    length = 0
    for number, byte in enumerate(content[position : position + LONGEST_VARINT]):
        length |= (byte & 0x7F) << (7 * number)
        if byte < CONTINUES:
            if length > LARGEST_RECORD:
                raise _UnreadableError(f"a length of {length} bytes is impossible")
            return length, position + number + 1
    if position + LONGEST_VARINT <= len(content):
        raise _UnreadableError("a length in it is impossible")
    return 0, -1


def _table(records: Sequence[Message], kind: MessageClass) -> pa.Table:
    return pa.table({field.name: _column(records, field) for field in _fields(kind)})


def _fields(kind: MessageClass) -> list[FieldDescriptor]:
    return cast("list[FieldDescriptor]", list(kind.DESCRIPTOR.fields))


def _column(records: Sequence[Message], field: FieldDescriptor) -> pa.Array:
    name = field.name
    values = [getattr(record, name) for record in records]
    if field.has_presence:
        # Only what equals the default can be missing, and asking is slow.
        values = [
            value if (value and not field.message_type) or record.HasField(name) else None
            for value, record in zip(values, records, strict=True)
        ]
    return _array(values, field)


def _array(values: Sequence[Any], field: FieldDescriptor) -> pa.Array:
    if field.message_type and field.message_type.full_name == MOMENT and not field.is_repeated:
        moments = [
            None if value is None else value.seconds * 1_000_000 + value.nanos // 1_000
            for value in values
        ]
        return pa.array(moments, pa.int64()).cast(pa.timestamp("us"))
    if field.is_repeated or field.message_type:
        return pa.array([_json(value) for value in values], pa.string())
    if field.enum_type:
        names = {number: member.name for number, member in field.enum_type.values_by_number.items()}
        return pa.array(
            [None if value is None else names.get(value, str(value)) for value in values],
            pa.string(),
        )
    if field.type == FieldDescriptor.TYPE_STRING:
        return pa.array(values, pa.string())
    return pa.array(values, ARROW_TYPES.get(field.cpp_type, pa.binary()))


def _json(value: Any) -> str | None:
    if value is None:
        return None
    return msgspec.json.encode(_plain(value)).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if isinstance(value, str | bytes | int | float) else [_plain(v) for v in value]


def _messages(table: pa.Table, path: Path) -> Iterator[bytes]:
    """Serialise each record; missing values are not set."""
    kind = message_class(path)
    fields = _fields(kind)
    try:
        columns = []
        for field in fields:
            convert = _converter(field)
            values = table[field.name].to_pylist()
            columns.append([None if value is None else convert(value) for value in values])
        names = [field.name for field in fields]
        for row in zip(*columns, strict=True):
            given = {
                name: value for name, value in zip(names, row, strict=True) if value is not None
            }
            yield kind(**given).SerializeToString(deterministic=True)
    except (TypeError, ValueError, LookupError) as error:
        raise ProjectError(f"The records do not fit {path}: {error}. Correct that file.") from error


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not field.is_repeated:
        return _text if field.type == FieldDescriptor.TYPE_STRING else lambda value: value
    if field.cpp_type in FLOATS and not field.is_repeated:
        return float
    return lambda value: value


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def _varint(number: int) -> bytes:
    content = bytearray()
    while number >= CONTINUES:
        content.append(number & 0x7F | CONTINUES)
        number >>= 7
    content.append(number)
    return bytes(content)


def write(table: pa.Table, stream: BinaryIO, schema: Path | None = None) -> None:
    """Write each record with its length before it; equal tables give equal bytes.

    Args:
        table: records that have the fields of the schema.
        stream: where the bytes go.
        schema: the schema file; by default the only one in ``data/source``.

    Raises:
        ProjectError: there is no usable schema file, or the records don't fit it.
    """
    for message in _messages(table, schema or _only_schema()):
        stream.write(_varint(len(message)) + message)


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
    path = _only_schema()
    kind = message_class(path)
    records = []
    for number, message in enumerate(messages, start=1):
        try:
            records.append(_parsed(kind, _unwrapped(message)))
        except (_UnreadableError, DecodeError) as error:
            raise ProjectError(
                f"Message {number} of {contract.table} is not a record of {path}: {error}. "
                "Check what is sent."
            ) from error
    return _table(records, kind)


def _unwrapped(message: bytes) -> bytes:
    """Remove what a schema registry puts before a record: its number and the path of its type."""
    if not message.startswith(REGISTRY):
        return message
    count, begin = _length(message, REGISTRY_BYTES)
    for _ in range(count >> 1):
        _, begin = _length(message, begin)
    if begin < 0:
        raise _UnreadableError("it is truncated")
    return message[begin:]


def encode(table: pa.Table, contract: Contract) -> list[bytes]:
    """Encode each record as one message, the inverse of ``decode``."""
    missing = {column.source_name for column in contract.recorded} - set(table.column_names)
    if missing:
        raise ProjectError(f"The records of {contract.table} lack {', '.join(sorted(missing))}.")
    return list(_messages(table, _only_schema()))

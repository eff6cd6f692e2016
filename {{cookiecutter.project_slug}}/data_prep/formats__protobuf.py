"""The format of the records: Protocol Buffers, each message with its length before it.

The bytes do not say what they mean, so the schema is needed: a ``.proto`` file, or a descriptor set
(``.desc``), beside the data with the same name, or else the only one in ``data/source``.
The first message type of the file is the record. A field declared ``optional`` that is not set is a
missing value; one without the word can't be missing.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_tools import protoc

from utils.config import ProjectError

SUFFIX = ".pb"
SCHEMA_SUFFIXES = (".proto", ".desc")
SCHEMA_FOLDER = Path("data/source")

BATCH_ROWS = 65_536
BLOCK_BYTES = 8 << 20
# A record whose length claims more is taken for damage.
LARGEST_RECORD = 64 << 20
LONGEST_VARINT = 10
CONTINUES = 0x80
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

MessageClass = type[Message]


class UnreadableError(ValueError):
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


def only_schema() -> Path:
    """Return the only schema file in ``SCHEMA_FOLDER``.

    Raises:
        ProjectError: there is none, or there are several.
    """
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
    return only_schema()


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
        yield from _read(source, name or "the stream", schema or only_schema())
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
            records.append(parse_record(kind, content))
            if len(records) == BATCH_ROWS:
                yield table_of(records, kind)
                records = []
        if records or count == 0:
            yield table_of(records, kind)
    except (UnreadableError, DecodeError) as error:
        raise ProjectError(
            f"{name} is not readable as Protobuf messages of {path}: record {count or 1}: {error}. "
            "It may be truncated or written by another schema; fetch or export it again."
        ) from error


def parse_record(kind: MessageClass, content: bytes) -> Message:
    """Parse one record.

    Raises:
        UnreadableError: it was written by another schema.
        DecodeError: it is damaged.
    """
    record = kind.FromString(content)
    if content and not record.ListFields():
        raise UnreadableError("it has none of the fields that the schema names")
    return record


def _records(stream: BinaryIO) -> Iterator[bytes]:
    """Cut a stream into records at the lengths that stand before them."""
    begun = b""
    while block := stream.read(BLOCK_BYTES):
        begun += block
        position = 0
        while True:
            length, begin = read_length(begun, position)
            if begin < 0 or begin + length > len(begun):
                break
            position = begin + length
            yield begun[begin:position]
        begun = begun[position:]
    if begun:
        raise UnreadableError("it ends in the middle of a record")


def read_length(content: bytes, position: int) -> tuple[int, int]:
    """Read a number of variable length, such as that of the bytes of the next record.

    Returns:
        The number, and the position after it, which is -1 if the content ends within it.

    Raises:
        UnreadableError: the number is longer or larger than a length can be.
    """
    length = 0
    for number, byte in enumerate(content[position : position + LONGEST_VARINT]):
        length |= (byte & 0x7F) << (7 * number)
        if byte < CONTINUES:
            if length > LARGEST_RECORD:
                raise UnreadableError(f"a length of {length} bytes is impossible")
            return length, position + number + 1
    if position + LONGEST_VARINT <= len(content):
        raise UnreadableError("a length in it is impossible")
    return 0, -1


def table_of(records: Sequence[Message], kind: MessageClass) -> pa.Table:
    """Make a table of records, with one column per field of their class."""
    return pa.table({field.name: _column(records, field) for field in fields_of(kind)})


def fields_of(kind: MessageClass) -> list[FieldDescriptor]:
    """Return the fields of a class of records, in their order."""
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

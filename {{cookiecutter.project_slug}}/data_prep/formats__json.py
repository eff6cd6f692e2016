"""The format of the records: JSON, either one object per line or one array of objects.

Numbers, texts and truth values keep their types. A column that mixes them, or holds integers beyond
64 bits, becomes text, and nested values become the JSON text they were.
"""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import polars as pl
import pyarrow as pa

from utils.config import ProjectError

SUFFIX = ".json"

BATCH_ROWS = 65_536
# What is parsed at once; a longer record makes it grow.
BLOCK_BYTES = 8 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITESPACE = b" \t\r\n"
# A place at which one record of an array may end and the next begin; it may also lie in a record.
BETWEEN_RECORDS = re.compile(rb"\}[ \t\r\n]*,")
TRIED_PLACES = 16
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
# From here on not every integer has a float of its own.
FIRST_INEXACT = 2**53
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1

Record = dict[str, msgspec.Raw]
RECORD = msgspec.json.Decoder(Record)
LINES = msgspec.json.Decoder(msgspec.Raw)
ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class UnreadableError(ValueError):
    """What is wrong with the text; the caller knows where it came from."""


def read(source: Path | BinaryIO, name: str = "") -> Iterator[pa.Table]:
    """Read records in bounded memory, from lines or from an array.

    Args:
        source: a file, or an open binary stream.
        name: how errors call the source; the path if empty.

    Yields:
        Tables of at most ``BATCH_ROWS`` rows, at least one; each has the columns that its records
        name, with the types that these have.

    Raises:
        ProjectError: the file is missing, empty, truncated, or is not JSON records in UTF-8.
    """
    if not isinstance(source, Path):
        yield from _read(source, name or "the stream")
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ProjectError(
            f"{name or source} was not found or can't be opened. Check its path in params.yaml."
        ) from error
    with stream:
        yield from _read(stream, name or str(source))


def _read(stream: BinaryIO, name: str) -> Iterator[pa.Table]:
    try:
        first = b""
        while not first and (block := stream.read(BLOCK_BYTES)):
            first = block.removeprefix(BYTE_ORDER_MARK).lstrip(WHITESPACE)
        if not first:
            raise UnreadableError("it is empty")
        rows = 0
        for text in (_from_array if first.startswith(b"[") else _from_lines)(first, stream):
            table = parse_lines(text, rows)
            rows += table.num_rows
            for begin in range(0, table.num_rows, BATCH_ROWS):
                yield table.slice(begin, BATCH_ROWS)
        if rows == 0:
            yield pa.table({})
    except (UnreadableError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"{name} is not readable as JSON records: {error}. It must hold one object per line, "
            "or one array of objects, in UTF-8; export it again."
        ) from error


def _from_lines(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Cut text with one object per line into pieces of whole lines."""
    begun = [first]
    while block := stream.read(BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join([*begun, block[:end]])
            begun = []
        begun.append(block[end:])
    yield b"".join(begun)


def _from_array(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Cut an array into pieces of whole elements, each element as one line."""
    begun = first[1:]
    following = False
    while block := stream.read(BLOCK_BYTES):
        begun += block
        end, elements = _whole_elements(begun)
        if elements:
            yield b"\n".join(elements)
            begun = begun[end:]
            following = True
    begun = begun.rstrip(WHITESPACE)
    if not begun.endswith(b"]"):
        raise UnreadableError("the array does not end, so the text may be truncated")
    elements = _elements(begun[:-1])
    if following and not elements:
        raise UnreadableError("the array ends with a comma")
    yield b"\n".join(elements)


def _elements(text: bytes) -> list[bytes]:
    try:
        found = ARRAY.decode(b"[" + text + b"]")
    except msgspec.DecodeError as error:
        raise UnreadableError(str(error)) from error
    return [one_line(bytes(element)) for element in found]


def one_line(element: bytes) -> bytes:
    """Remove line breaks, which JSON allows between values only."""
    return element.replace(b"\n", b" ").replace(b"\r", b" ")


def _whole_elements(text: bytes) -> tuple[int, list[bytes]]:
    """Return the elements that are complete, and where the text after them and a comma begins."""
    tail = len(text)
    for _ in range(TRIED_PLACES):
        begin = text.rfind(b"}", 0, tail)
        if begin < 0:
            return 0, []
        tail = begin
        place = BETWEEN_RECORDS.match(text, begin)
        if place is None:
            continue
        try:
            # Only at the end of an element the text before is a whole array.
            return place.end(), _elements(text[: begin + 1])
        except UnreadableError:
            continue
    end = _last_end(text)
    return (end + 1, _elements(text[:end])) if end else (0, [])


def _last_end(text: bytes) -> int:
    """Return the position of the last comma between elements, or 0, by counting brackets."""
    depth = 0
    last = 0
    for token in TOKEN.finditer(text):
        if token[0] in b"{[":
            depth += 1
        elif token[0] in b"}]":
            depth -= 1
            place = BETWEEN_RECORDS.match(text, token.start())
            if depth == 0 and place is not None:
                last = place.end() - 1
    return last


def parse_lines(text: bytes, rows_before: int) -> pa.Table:
    """Parse objects, one per line, all columns at once where they are plain.

    Args:
        text: whole lines in UTF-8.
        rows_before: number of the records before them, for errors.

    Returns:
        One row per line.

    Raises:
        UnreadableError: a line is not a JSON object.
        UnicodeDecodeError: a line is not UTF-8.
    """
    # The fast parser forgives some mistakes, this one none, and it says how many records there are.
    try:
        written = LINES.decode_lines(text)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"after record {rows_before} or later: {error}") from error
    if not written:
        return pa.table({})
    try:
        frame = pl.read_ndjson(BytesIO(text), infer_schema_length=None)
    except pl.exceptions.PolarsError:
        frame = pl.DataFrame()
    if frame.height != len(written):
        frame = pl.DataFrame()
    awkward = {column.name for column in frame.iter_columns() if _is_awkward(column)}
    if frame.width and not awkward:
        return _arrow(frame)
    records = [_record(raw, number) for number, raw in enumerate(written, start=rows_before + 1)]
    plain = _arrow(frame.drop(awkward))
    names = dict.fromkeys(name for record in records for name in record)
    return pa.table(
        {
            name: plain[name]
            if name in plain.column_names
            else _array([record.get(name) for record in records])
            for name in names
        }
    )


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """Convert a frame; its texts are never so long that they need large offsets."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    types = [pa.string() if pa.types.is_large_string(kind) else kind for kind in table.schema.types]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def _is_awkward(column: pl.Series) -> bool:
    """Whether the fast parser does not keep every value of a column as it was."""
    if column.dtype == pl.Float64:
        largest = column.abs().max()
        return isinstance(largest, float) and not largest < FIRST_INEXACT
    return column.dtype not in {pl.Int64, pl.String, pl.Boolean, pl.Null}


def _record(text: msgspec.Raw, number: int) -> Record:
    try:
        return RECORD.decode(text)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"record {number} is not an object: {error}") from error


def _kind(text: bytes) -> str:
    if text[:1] in b'"tf{[':
        return {b'"': "text", b"t": "truth", b"f": "truth"}.get(text[:1], "nested")
    return "float" if set(text) & set(b".eE") else "integer"


def _array(values: Sequence[msgspec.Raw | None]) -> pa.Array:
    """Give values of one kind their type; a mixture becomes the JSON text of each."""
    written = [b"null" if value is None else bytes(value) for value in values]
    texts = [None if text == b"null" else text for text in written]
    kinds = {_kind(text) for text in texts if text is not None}
    parsed: list[Any] = [None if text is None else msgspec.json.decode(text) for text in texts]
    if len(kinds) <= 1 and not kinds & {"nested", "integer"}:
        return pa.array(parsed)
    present = [value for value in parsed if value is not None]
    if kinds == {"integer"} and all(
        SMALLEST_INTEGER <= value <= LARGEST_INTEGER for value in present
    ):
        return pa.array(parsed, pa.int64())
    if kinds == {"integer", "float"} and all(abs(value) < FIRST_INEXACT for value in present):
        return pa.array(parsed, pa.float64())
    return pa.array(
        [
            value if text is None or isinstance(value, str) else text.decode()
            for text, value in zip(texts, parsed, strict=True)
        ],
        pa.string(),
    )

"""The format of the records: comma-separated text with a header, UTF-8.

Every column is text. Types come from the data contract during cleaning, not from guesses of a
parser.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from utils.config import ProjectError

SUFFIX = ".csv"

BATCH_ROWS = 65_536
# What is parsed at once; no row can be longer.
BLOCK_BYTES = 8 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Chained(io.RawIOBase):
    """Bytes that were read already, followed by the rest of their stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._rest.read(size)
        taken = bytes(self._head if size < 0 else self._head[:size])
        self._head = self._head[len(taken) :]
        return taken + self._rest.read() if size < 0 else taken


def read(source: Path | BinaryIO, name: str = "") -> Iterator[pa.Table]:
    """Read records in bounded memory.

    Args:
        source: a file, or an open binary stream.
        name: how errors call the source; the path if empty.

    Yields:
        Tables of at most ``BATCH_ROWS`` rows, at least one, in which every column is text.

    Raises:
        ProjectError: the file is missing, empty or not UTF-8, its rows differ in length, or two
            columns have the same name.
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
        head = _block(stream)
        if len(head) < BLOCK_BYTES and not head.endswith(b"\n"):
            head += b"\n"  # the parser needs it where there is nothing but a header
        header = _header(head, name)
        with pacsv.open_csv(
            pa.PythonFile(_Chained(head, stream), mode="r"),
            read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        ) as reader:
            nothing = True
            for block in reader:
                for begin in range(0, block.num_rows, BATCH_ROWS):
                    nothing = False
                    yield pa.Table.from_batches([block.slice(begin, BATCH_ROWS)])
            if nothing:
                yield reader.schema.empty_table()
    except UnicodeDecodeError as error:
        raise ProjectError(f"{name} is not UTF-8 text ({error}). Convert it first.") from error
    except pa.ArrowInvalid as error:
        detail = " ".join(str(error).split())
        if "invalid UTF8" in detail:
            raise ProjectError(f"{name} is not UTF-8 text ({detail}). Convert it first.") from error
        raise ProjectError(
            f"{name} is not a readable CSV file: {detail}. Every row needs as many values as the "
            "header has names; correct or export it again."
        ) from error


def _block(stream: BinaryIO) -> bytes:
    """Read the first block; a stream may give less than it was asked for."""
    pieces = []
    missing = BLOCK_BYTES
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _header(head: bytes, name: str) -> list[str]:
    content = head.removeprefix(BYTE_ORDER_MARK)
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    header = next(csv.reader(lines), [])
    if not header:
        raise ProjectError(
            f"{name} is not a readable CSV file: it is empty. Export it again, with a header."
        )
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise ProjectError(
            f"{name} has more than one column named {', '.join(repeated)}. Rename all but one."
        )
    return header

"""The format of the records: Parquet, typed and compressed by column."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from utils.config import ProjectError

SUFFIX = ".parquet"

BATCH_ROWS = 65_536
# A stream up to this size is kept in memory, a longer one in a temporary file.
SPOOLED_BYTES = 8 << 20


def read(source: Path | BinaryIO, name: str = "") -> Iterator[pa.Table]:
    """Read records row group by row group, in bounded memory.

    Args:
        source: a file, or an open binary stream; one that can't seek goes to a temporary file,
            because the table of contents stands at its end.
        name: how errors call the source; the path if empty.

    Yields:
        Tables of at most ``BATCH_ROWS`` rows, at least one.

    Raises:
        ProjectError: the file is missing, truncated, or is not Parquet.
    """
    if isinstance(source, Path):
        try:
            stream: BinaryIO = source.open("rb")
        except OSError as error:
            raise ProjectError(
                f"{name or source} was not found or can't be opened. Check its path in params.yaml."
            ) from error
        with stream:
            yield from _read(stream, name or str(source))
    elif source.seekable():
        yield from _read(source, name or "the stream")
    else:
        with tempfile.SpooledTemporaryFile(SPOOLED_BYTES) as spooled:
            shutil.copyfileobj(source, spooled)
            spooled.seek(0)
            yield from _read(spooled, name or "the stream")


def _read(stream: object, name: str) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(stream, page_checksum_verification=True) as file:
            empty = True
            for batch in file.iter_batches(BATCH_ROWS):
                empty = False
                yield pa.Table.from_batches([batch])
            if empty:
                yield file.schema_arrow.empty_table()
    except (pa.ArrowException, OSError) as error:
        detail = " ".join(str(error).split())
        raise ProjectError(
            f"{name} is not a readable Parquet file: {detail} It may be truncated or of another "
            "format; fetch or export it again."
        ) from error

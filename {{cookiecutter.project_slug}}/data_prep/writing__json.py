"""How records are written as JSON, for the stand-in of the service."""

from typing import BinaryIO

import polars as pl
import pyarrow as pa


def write(table: pa.Table, stream: BinaryIO) -> None:
    """Write records as one object per line; missing values are null."""
    pl.DataFrame(table).write_ndjson(stream)

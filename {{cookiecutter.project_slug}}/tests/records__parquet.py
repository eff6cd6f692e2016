"""Records of Parquet files in the tests, written without the code of this project."""

from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write(table: pa.Table, stream: BytesIO, schema: Path | None = None) -> None:
    """Write records with checksums; this format has no schema file."""
    del schema
    pq.write_table(table, stream, compression="zstd", write_page_checksum=True)

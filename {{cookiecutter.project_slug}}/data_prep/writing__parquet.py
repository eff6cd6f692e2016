"""How records are written as Parquet, for the stand-in of the service."""

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.formats import BATCH_ROWS


def write(table: pa.Table, stream: BinaryIO) -> None:
    """Write records; equal tables give equal bytes."""
    plain = table.replace_schema_metadata(None)
    pq.write_table(
        plain,
        stream,
        compression="zstd",
        row_group_size=BATCH_ROWS,
        write_page_checksum=True,
    )

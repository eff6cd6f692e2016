"""Records for the tests of Avro, and how to write them without the code of this project."""

import datetime as dt
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import strategies as st

SCHEMA_FOLDER = Path("data/source")
FIELDS: list[dict[str, Any]] = [
    {"name": "order_id", "type": "string"},
    {"name": "pieces", "type": ["null", "long"]},
    {"name": "price", "type": ["null", "double"]},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
    {"name": "returned", "type": "long"},
]
ARROW = [pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", "UTC"), pa.int64()]
INTEGERS = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(
    lambda value: value.replace(tzinfo=dt.UTC)
)
ROW = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    INTEGERS | st.none(),
    st.floats(allow_nan=False) | st.none(),
    MOMENTS | st.none(),
    INTEGERS,
)


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a record with some fields."""
    return {"type": "record", "name": "Order", "fields": list(fields)}


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows as a table with the types of ``FIELDS``."""
    return pa.table(
        {
            field["name"]: pa.array([row[i] for row in rows], kind)
            for i, (field, kind) in enumerate(zip(FIELDS, ARROW, strict=True))
        }
    )


def write(table: pa.Table, stream: BytesIO, schema: Path | None = None) -> None:
    """Write records by a schema file, by default the only one in ``data/source``."""
    [path] = [schema] if schema else SCHEMA_FOLDER.glob("*.avsc")
    parsed = json.loads(path.read_bytes())
    fastavro.writer(stream, parsed, table.to_pylist(), codec="deflate")

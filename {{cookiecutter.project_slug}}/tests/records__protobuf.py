"""Records for the tests of Protocol Buffers, and how the library itself writes them."""

import datetime as dt
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from google.protobuf.proto import serialize_length_prefixed
from hypothesis import strategies as st

from data_prep.formats import message_class, only_schema

SCHEMA = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Order {
  string order_id = 1;
  optional int64 pieces = 2;
  optional double price = 3;
  google.protobuf.Timestamp at = 4;
  optional bool paid = 5;
  optional int64 returned = 6;
}
"""
ARROW = [
    pa.string(),
    pa.int64(),
    pa.float64(),
    pa.timestamp("us"),
    pa.bool_(),
    pa.int64(),
]
NAMES = ["order_id", "pieces", "price", "at", "paid", "returned"]
INTEGERS = st.integers(-(2**63), 2**63 - 1)
ROW = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    INTEGERS | st.none(),
    st.floats(allow_nan=False) | st.none(),
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)) | st.none(),
    st.booleans() | st.none(),
    INTEGERS | st.none(),
)


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows as a table with the fields of ``SCHEMA``."""
    return pa.table(
        {
            name: pa.array([row[i] for row in rows], kind)
            for i, (name, kind) in enumerate(zip(NAMES, ARROW, strict=True))
        }
    )


def write(table: pa.Table, stream: BytesIO, schema: Path | None = None) -> None:
    """Write records by a schema file, by default the only one in ``data/source``."""
    kind = message_class(schema or only_schema())
    for row in table.to_pylist():
        given = {name: value for name, value in row.items() if value is not None}
        serialize_length_prefixed(kind(**given), stream)

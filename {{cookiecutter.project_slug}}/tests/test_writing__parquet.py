"""Writing Parquet: what is written is read, and a changed byte is noticed."""

import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import formats
from data_prep.writing import write
from utils.config import ProjectError

TABLE = pa.table({"a": list(range(1000)), "b": [f"text {n}" for n in range(1000)]})


def written(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    write(table, stream)
    return stream.getvalue()


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1) | st.none(), st.text(max_size=5))))
def test_what_is_written_is_read(rows: list[tuple[Any, str]]) -> None:
    numbers = pa.array([number for number, _ in rows], pa.int64())
    texts = pa.array([text.encode(errors="ignore").decode() for _, text in rows], pa.string())
    table = pa.table({"n": numbers, "s": texts})
    content = written(table)
    assert read(content).equals(table)
    assert written(table) == content


def test_a_table_without_rows_keeps_its_columns() -> None:
    assert read(written(TABLE.slice(0, 0))).schema == TABLE.schema


def test_a_changed_byte_is_noticed() -> None:
    content = bytearray(written(TABLE))
    content[200] ^= 0xFF
    with pytest.raises(ProjectError, match="the export is not a readable Parquet file"):
        read(bytes(content))

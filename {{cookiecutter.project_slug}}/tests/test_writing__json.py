"""Writing JSON: what is written is read."""

import io
from typing import Any

import pyarrow as pa
from hypothesis import given, settings

from data_prep import formats
from data_prep.writing import write
from tests.records import columns


def written(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    write(table, stream)
    return stream.getvalue()


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(
        formats.read(io.BytesIO(content), "the export"), promote_options="permissive"
    )


@settings(deadline=None, max_examples=40)
@given(columns())
def test_what_is_written_is_read(values: dict[str, list[Any]]) -> None:
    kinds = {"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "t": pa.bool_()}
    table = pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()})
    content = written(table)
    assert read(content).to_pydict() == table.to_pydict()
    assert written(table) == content

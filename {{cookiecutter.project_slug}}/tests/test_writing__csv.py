"""Writing comma-separated text: what is written is read."""

import io

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import formats
from data_prep.writing import write
from tests.records import TEXTS


def written(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    write(table, stream)
    return stream.getvalue()


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=20))
def test_what_is_written_is_read(rows: list[tuple[str, str, str]]) -> None:
    names = ["a", "the b", "c"]
    table = pa.table(
        {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)}
    )
    content = written(table)
    assert read(content).equals(table)
    assert written(table) == content


def test_typed_and_nested_values_are_written_as_text() -> None:
    table = pa.table({"n": [2**53 + 1, None], "x": [0.1, 2.0], "l": [[1], None]})
    assert read(written(table)).to_pydict() == {
        "n": ["9007199254740993", ""],
        "x": ["0.1", "2"],
        "l": ["[1]", ""],
    }

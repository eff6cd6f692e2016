"""Writing Protocol Buffers: what is written is read, and records fit the schema file."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import formats
from data_prep.writing import write
from tests.records import ROW, SCHEMA, table_of
from utils.config import ProjectError


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The schema file of the records, the only one in the folder of schema files."""
    monkeypatch.setattr(formats, "SCHEMA_FOLDER", tmp_path)
    path = tmp_path / "t.proto"
    path.write_text(SCHEMA)
    return path


def written(table: pa.Table, schema: Path | None = None) -> bytes:
    stream = io.BytesIO()
    write(table, stream, schema)
    return stream.getvalue()


def read(content: bytes, schema: Path | None = None) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export", schema))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROW, max_size=8))
def test_what_is_written_is_read(schema: Path, rows: list[tuple[Any, ...]]) -> None:
    table = table_of(rows)
    content = written(table, schema)
    assert read(content).equals(table)
    assert written(table) == content


def test_long_records_are_read(schema: Path) -> None:
    table = table_of([("x" * size, 1, 2.0, None, None, 0) for size in (1, 100, 127, 128, 20_000)])
    assert read(written(table, schema)).equals(table)


@pytest.mark.usefixtures("schema")
def test_records_that_do_not_fit_are_an_error() -> None:
    table = table_of([("a", 1, 2.0, None, None, 0)])
    with pytest.raises(ProjectError, match="do not fit"):
        written(table.drop_columns("price"))

"""Writing Avro: what is written is read, and records fit the schema file or are refused."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import encoding, formats
from data_prep.writing import write
from tests.records import FIELDS, ROW, record, table_of
from utils.config import ProjectError


def written(table: pa.Table, schema: Path | None = None) -> bytes:
    stream = io.BytesIO()
    write(table, stream, schema)
    return stream.getvalue()


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export"))


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The schema file of the records, the only one in the folder of schema files."""
    monkeypatch.setattr(encoding, "SCHEMA_FOLDER", tmp_path)
    path = tmp_path / "t.avsc"
    path.write_text(json.dumps(record(*FIELDS)))
    return path


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_what_is_written_is_read(schema: Path, rows: list[tuple[Any, ...]]) -> None:
    table = table_of(rows)
    content = written(table, schema)
    assert read(content).equals(table)
    assert written(table) == content


def test_records_that_do_not_fit_are_an_error(schema: Path) -> None:
    table = table_of([("a", 1, 2.0, None, 0)]).drop_columns("price")
    with pytest.raises(ProjectError, match="do not fit"):
        written(table, schema)
    schema.unlink()
    with pytest.raises(ProjectError, match="holds 0 schema files"):
        written(table)

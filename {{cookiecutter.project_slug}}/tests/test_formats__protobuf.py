"""Protocol Buffers: what comes back, how schema files count, what is refused, what is held."""

import datetime as dt
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import formats
from tests.records import NAMES, ROW, SCHEMA, table_of, write
from utils.config import ProjectError

RICH = """
syntax = "proto3";
message Order {
  enum Colour { RED = 0; BLUE = 1; }
  message Line { string name = 1; int64 count = 2; }
  optional Colour colour = 1;
  Line line = 2;
  repeated int64 numbers = 3;
  map<string, int64> counts = 4;
  optional uint64 large = 5;
  int64 never_missing = 6;
}
"""


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


def test_types_come_through(tmp_path: Path) -> None:
    schema = tmp_path / "t.proto"
    schema.write_text(RICH)
    kind: Any = formats.message_class(schema)
    full = kind(
        colour=1, line={"name": "x", "count": 2}, numbers=[1, 2], counts={"q": 3}, large=2**64 - 1
    )
    content = b"".join(
        bytes([len(message)]) + message
        for message in (full.SerializeToString(), kind(never_missing=5).SerializeToString())
    )
    table = read(content, schema).to_pydict()
    assert json.loads(table.pop("line")[0]) == {"name": "x", "count": "2"}
    assert table == {
        "colour": ["BLUE", None],
        "numbers": ["[1,2]", "[]"],
        "counts": ['{"q":3}', "{}"],
        "large": [2**64 - 1, None],
        "never_missing": [0, 5],
    }


def test_a_descriptor_set_serves_as_well(schema: Path, tmp_path: Path) -> None:
    table = table_of([("a", 1, 2.5, dt.datetime(2025, 1, 1), True, 0)])
    path = tmp_path / "t.pb"
    path.write_bytes(written(table, schema))
    options = [f"-I{tmp_path}", "--include_imports", f"--descriptor_set_out={tmp_path}/t.desc"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *options, str(schema)]
    subprocess.run(command, check=True)
    schema.unlink()
    assert pa.concat_tables(formats.read(path)).equals(table)


def test_large_files_come_in_pieces(
    schema: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = table_of([(f"number {n}", n, None, None, None, 0) for n in range(1000)])
    path = tmp_path / "t.pb"
    path.write_bytes(written(table, schema))
    monkeypatch.setattr(formats, "BLOCK_BYTES", 50)
    monkeypatch.setattr(formats, "BATCH_ROWS", 100)
    pieces = list(formats.read(path))
    assert [piece.num_rows for piece in pieces] == [100] * 10
    assert pa.concat_tables(pieces).equals(table)


@pytest.mark.usefixtures("schema")
def test_damage_is_one_clear_error() -> None:
    content = written(table_of([("text", 1, 2.0, None, None, 0)] * 300))
    bad = [b"a,b\n1,2\n", content[:-1], b"\xff" * 12, b"\xff\xff\xff\xff\x7f", b"\x02\x7a\x00"]
    for damaged in bad:
        with pytest.raises(ProjectError, match="the export is not readable as Protobuf"):
            read(damaged)
    assert read(b"").column_names == NAMES


def test_schema_files_are_checked(schema: Path, tmp_path: Path) -> None:
    for text in ("message {", 'syntax = "proto3";'):
        schema.write_text(text)
        with pytest.raises(ProjectError, match=r"t\.proto is not a .*Protobuf schema"):
            read(b"")
    (tmp_path / "u.proto").write_text(SCHEMA)
    with pytest.raises(ProjectError, match="holds 2 schema files"):
        read(b"")


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"absent\.pb was not found"):
        list(formats.read(tmp_path / "absent.pb"))

"""Avro: what comes back, how schema files count, what is refused, how much is held at once."""

import contextlib
import datetime as dt
import decimal
import io
import json
import uuid
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import formats
from tests.records import FIELDS, ROW, record, table_of, write
from utils.config import ProjectError


def container(kind: Any, values: list[Any], codec: str = "null") -> bytes:
    stream = io.BytesIO()
    schema = record({"name": "a", "type": kind})
    fastavro.writer(stream, schema, [{"a": value} for value in values], codec=codec)
    return stream.getvalue()


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export"))


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """The schema file of the records."""
    path = tmp_path / "t.avsc"
    path.write_text(json.dumps(record(*FIELDS)))
    return path


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_what_is_written_is_read(schema: Path, rows: list[tuple[Any, ...]]) -> None:
    table = table_of(rows)
    stream = io.BytesIO()
    write(table, stream, schema)
    assert read(stream.getvalue()).equals(table)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("long", [2**62], [2**62]),
        (["long", "null"], [1, None], [1, None]),
        (["null", "long", "string"], [1, "x", None], ["1", "x", None]),
        ({"type": "int", "logicalType": "date"}, [dt.date(2025, 1, 1)], [dt.date(2025, 1, 1)]),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            [decimal.Decimal("1.25")],
            [decimal.Decimal("1.25")],
        ),
        (
            {"type": "long", "logicalType": "local-timestamp-millis"},
            [dt.datetime(2025, 1, 1, 12)],
            [dt.datetime(2025, 1, 1, 12)],
        ),
        ({"type": "enum", "name": "E", "symbols": ["x", "y"]}, ["y", "x"], ["y", "x"]),
        ({"type": "string", "logicalType": "uuid"}, [uuid.UUID(int=7)], [str(uuid.UUID(int=7))]),
        ({"type": "array", "items": "long"}, [[1, 2]], ["[1, 2]"]),
        ({"type": "map", "values": "long"}, [{"q": 1}], ['{"q": 1}']),
        (record({"name": "z", "type": "int"}) | {"name": "S"}, [{"z": 1}], ['{"z": 1}']),
        ("null", [None], [None]),
        ("boolean", [True], [True]),
    ],
)
@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2"])
def test_types_come_through(kind: Any, values: list[Any], expected: list[Any], codec: str) -> None:
    assert read(container(kind, values, codec))["a"].to_pylist() == expected


def test_both_parsers_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = container(["null", "long"], [1, None, 2**60])
    fast = read(content)
    monkeypatch.setattr(formats, "COLUMNAR_CODECS", set[str]())
    assert read(content).equals(fast)


def test_large_files_come_in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "t.avro"
    stream = io.BytesIO()
    rows = [{"a": n} for n in range(3000)]
    fastavro.writer(stream, record({"name": "a", "type": "long"}), rows, sync_interval=100)
    path.write_bytes(stream.getvalue())
    monkeypatch.setattr(formats, "BATCH_ROWS", 500)
    pieces = list(formats.read(path))
    assert len(pieces) >= 6
    assert max(piece.num_rows for piece in pieces) <= 500
    assert pa.concat_tables(pieces)["a"].to_pylist() == list(range(3000))


def test_a_container_without_rows_keeps_its_columns() -> None:
    assert read(container("long", [])).column_names == ["a"]


def test_the_schema_file_beside_the_data_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.avro"
    path.write_bytes(container("int", [1, 2]))
    beside = path.with_suffix(".avsc")
    new = {"name": "b", "type": "string", "default": "x"}
    beside.write_text(json.dumps(record({"name": "a", "type": "double"}, new)))
    table = pa.concat_tables(formats.read(path))
    assert table.to_pydict() == {"a": [1.0, 2.0], "b": ["x", "x"]}
    beside.write_text(json.dumps(record({"name": "a", "type": "boolean"})))
    with pytest.raises(ProjectError, match=r"does not fit .*t\.avsc"):
        list(formats.read(path))
    for text in ("{", '{"type": "nothing"}'):
        beside.write_text(text)
        with pytest.raises(ProjectError, match=r"t\.avsc is not a .* Avro schema"):
            list(formats.read(path))


def test_damage_is_one_clear_error() -> None:
    content = container("string", ["text"] * 50)
    changed = bytearray(content)
    changed[-1] ^= 0xFF
    for bad in (b"", b"a,b\n1,2\n", content[:-1], content[:-300], content[:20], bytes(changed)):
        with pytest.raises(ProjectError, match="the export is not a readable Avro file"):
            read(bad)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_damage_is_noticed_or_harmless(data: st.DataObject) -> None:
    content = bytearray(container(["null", "long"], list(range(30)), "deflate"))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    # any other error fails the test
    with contextlib.suppress(ProjectError):
        read(bytes(content))


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"absent\.avro was not found"):
        list(formats.read(tmp_path / "absent.avro"))

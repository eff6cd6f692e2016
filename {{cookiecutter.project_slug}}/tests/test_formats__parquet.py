"""Parquet: what comes back, what is refused, how much is held at once."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import formats
from tests.records import write
from utils.config import ProjectError

TABLE = pa.table({"a": list(range(1000)), "b": [f"text {n}" for n in range(1000)]})


def written(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    write(table, stream)
    return stream.getvalue()


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export"))


class Pipe(io.BytesIO):
    """A stream that can't seek, like the body of a response."""

    def seekable(self) -> bool:
        """Say no."""
        return False


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1) | st.none(), st.text(max_size=5))))
def test_what_is_written_is_read(rows: list[tuple[Any, str]]) -> None:
    numbers = pa.array([number for number, _ in rows], pa.int64())
    texts = pa.array([text.encode(errors="ignore").decode() for _, text in rows], pa.string())
    table = pa.table({"n": numbers, "s": texts})
    content = written(table)
    assert read(content).equals(table)
    assert pa.concat_tables(formats.read(Pipe(content))).equals(table)


def test_large_files_come_in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(formats, "BATCH_ROWS", 100)
    path = tmp_path / "t.parquet"
    path.write_bytes(written(TABLE))
    pieces = list(formats.read(path))
    assert [piece.num_rows for piece in pieces] == [100] * 10
    assert pa.concat_tables(pieces).equals(TABLE)


def test_a_table_without_rows_keeps_its_columns() -> None:
    assert read(written(TABLE.slice(0, 0))).schema == TABLE.schema


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", written(TABLE)[:-40], written(TABLE)[40:]])
def test_damage_is_one_clear_error(content: bytes) -> None:
    with pytest.raises(ProjectError, match="the export is not a readable Parquet file"):
        read(content)


def test_a_changed_byte_is_noticed() -> None:
    content = bytearray(written(TABLE))
    content[200] ^= 0xFF
    with pytest.raises(ProjectError, match="the export is not a readable Parquet file"):
        read(bytes(content))


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"absent\.parquet was not found"):
        list(formats.read(tmp_path / "absent.parquet"))

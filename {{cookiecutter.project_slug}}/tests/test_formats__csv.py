"""Comma-separated text: what comes back, what is refused, how much is held at once."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import formats
from tests.records import TEXTS, write
from utils.config import ProjectError


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(formats.read(io.BytesIO(content), "the export"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=20))
def test_what_is_written_is_read(rows: list[tuple[str, str, str]]) -> None:
    names = ["a", "the b", "c"]
    table = pa.table(
        {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)}
    )
    stream = io.BytesIO()
    write(table, stream)
    assert read(stream.getvalue()).equals(table)


def test_every_column_is_text_and_nothing_is_missing() -> None:
    table = read(b"\xef\xbb\xbfa,b\r\n1,\r\n n/a ,2025-01-01\r\n")
    assert table.to_pydict() == {"a": ["1", " n/a "], "b": ["", "2025-01-01"]}
    assert set(table.schema.types) == {pa.string()}


def test_large_files_come_in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(formats, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(formats, "BATCH_ROWS", 100)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f'{n},"x\ny"\n' for n in range(3000)))
    pieces = list(formats.read(path))
    assert max(piece.num_rows for piece in pieces) <= 100
    assert pa.concat_tables(pieces)["a"].to_pylist() == [str(n) for n in range(3000)]


def test_a_header_alone_gives_no_rows() -> None:
    for content in (b"a,b", b"a,b\n"):
        assert read(content).schema.names == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a,a\n1,2\n", "more than one column named a"),
        (b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"a,b\n1,2\n1\n", "Expected 2 columns, got 1"),
        (b"a,b\n\xff\xfe,2\n", "not UTF-8"),
        (b"a,b\n" + b"1,2\n" * 3000 + b"\xff,2\n", "not UTF-8"),
        (b'a,b\n1,2\n"open,2\n1,2\n', "not a readable CSV"),
    ],
)
def test_damage_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(formats, "BLOCK_BYTES", 4096)
    with pytest.raises(ProjectError, match=message) as caught:
        read(content)
    assert "the export" in str(caught.value)


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"absent\.csv was not found"):
        list(formats.read(tmp_path / "absent.csv"))

"""JSON: what comes back from lines and arrays, what is refused, how much is held at once."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

from data_prep import formats
from tests.records import columns, write
from utils.config import ProjectError


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(
        formats.read(io.BytesIO(content), "the export"), promote_options="permissive"
    )


@settings(deadline=None, max_examples=40)
@given(columns())
def test_what_is_written_is_read(values: dict[str, list[Any]]) -> None:
    kinds = {"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "t": pa.bool_()}
    table = pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()})
    stream = io.BytesIO()
    write(table, stream)
    assert read(stream.getvalue()).to_pydict() == table.to_pydict()


@settings(deadline=None, max_examples=40)
@given(columns())
def test_lines_and_arrays_give_the_same(values: dict[str, list[Any]]) -> None:
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    lines = "\n".join(json.dumps(row) for row in rows)
    assert read(lines.encode()).equals(read(json.dumps(rows, indent=1).encode()))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["9007199254740993", "-9223372036854775808"], [2**53 + 1, -(2**63)]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1", '"x"', "null"], ["1", "x", None]),
        (["true", "1"], ["true", "1"]),
        (["9007199254740993", "1.5"], ["9007199254740993", "1.5"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (['{"k": [1, 2]}', "null", '"x"'], ['{"k": [1, 2]}', None, "x"]),
        (["[1.10]", "1"], ["[1.10]", "1"]),
        (["null", "null"], [None, None]),
    ],
)
def test_values_are_exact_or_text(written: list[str], expected: list[Any]) -> None:
    lines = "\n".join(f'{{"a": {value}, "b": 1}}' for value in written).encode()
    table = read(lines)
    assert table["a"].to_pylist() == expected
    assert table["b"].type == pa.int64()


@pytest.mark.parametrize("array", [False, True])
def test_large_files_come_in_pieces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, array: bool
) -> None:
    monkeypatch.setattr(formats, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(formats, "BATCH_ROWS", 100)
    rows = [
        {"a": n, "s": '"},{[', "l": [{"q": k, "r": {"s": "]"}} for k in range(n % 40)]}
        for n in range(1000)
    ]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(rows) if array else "\n".join(map(json.dumps, rows)))
    pieces = list(formats.read(path))
    assert len(pieces) >= 40
    assert max(piece.num_rows for piece in pieces) <= 100
    table = pa.concat_tables(pieces)
    assert table["a"].to_pylist() == list(range(1000))
    assert [json.loads(text) for text in table["l"].to_pylist()] == [row["l"] for row in rows]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" \n", "is empty"),
        (b'{"a": 1}\n{"a": 2', "truncated"),
        (b'[{"a": 1}, {"a": 2}', "does not end"),
        (b'[{"a": 1},]', "trailing comma"),
        (b'[{"a": 1}] [', "does not end"),
        (b"[1, 2]", "record 1 is not an object"),
        (b'{"a": 1}\n[1]\n', "record 2 is not an object"),
        (b'{"a": 01}\n', "invalid number"),
        (b'{"a": NaN}\n', "malformed"),
        (b'{"a": "\xff"}\n', "utf-8"),
        (b"PAR1", "malformed"),
    ],
)
def test_damage_is_one_clear_error(content: bytes, message: str) -> None:
    with pytest.raises(ProjectError, match=message) as caught:
        read(content)
    assert "the export is not readable as JSON records" in str(caught.value)


def test_every_truncation_of_an_array_is_noticed() -> None:
    content = b'[{"a": 1, "b": "x]"}, {"a": {"c": [2]}}]'
    assert read(content).num_rows == 2
    for end in range(len(content)):
        with pytest.raises(ProjectError):
            read(content[:end])


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"absent\.json was not found"):
        list(formats.read(tmp_path / "absent.json"))

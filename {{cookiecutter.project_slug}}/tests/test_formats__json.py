"""JSON: what comes back from lines and arrays, what is refused, how much is held at once."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import formats
from utils.config import Column, Contract, ProjectError

SMALL = Contract(
    table="orders",
    description="One row per order.",
    provenance="Made for the tests.",
    columns=(
        Column("order_id", "identifier", "string", "Order number."),
        Column("pieces", "numeric", "integer", "Number of pieces.", nullable=True),
        Column("returned", "target", "integer", "1 if returned."),
    ),
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, max_value=1e15, min_value=-1e15)


def read(content: bytes) -> pa.Table:
    return pa.concat_tables(
        formats.read(io.BytesIO(content), "the export"), promote_options="permissive"
    )


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    rows = draw(st.integers(1, 8))
    kinds = {"n": INTEGERS, "x": NUMBERS, "s": TEXTS, "t": st.booleans()}
    return {
        name: draw(st.lists(kind | st.none(), min_size=rows, max_size=rows))
        for name, kind in kinds.items()
    }


@settings(deadline=None, max_examples=40)
@given(columns())
def test_what_is_written_is_read(values: dict[str, list[Any]]) -> None:
    kinds = {"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "t": pa.bool_()}
    table = pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()})
    stream = io.BytesIO()
    formats.write(table, stream)
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


def test_messages_are_objects() -> None:
    table = pa.table({"order_id": ["a", "ü\n"], "pieces": [2**60, None], "returned": [0, 1]})
    messages = formats.encode(table, SMALL)
    assert formats.decode(messages, SMALL).equals(table)
    assert formats.decode([b'{\n"order_id": "a"}'], SMALL).to_pydict() == {
        "order_id": ["a"],
        "pieces": [None],
    }
    assert formats.decode([], SMALL).num_rows == 0


@pytest.mark.parametrize("bad", [b"", b"{", b"1", b'{"a": 1}{"a": 2}', b'{"a": "\xff"}'])
def test_a_bad_message_is_an_error(bad: bytes) -> None:
    with pytest.raises(ProjectError, match="message"):
        formats.decode([b'{"a": "x"}', bad], SMALL)

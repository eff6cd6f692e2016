"""The raw store: what it keeps, in which types, and what a kill at any moment leaves."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep import raw_store
from data_prep.raw_store import Batch, Position, groups_to_merge, normalise
from tests.conftest import ROOT
from utils.config import Column, Contract, ProjectError

SOURCE = "somewhere"
CONTRACT = Contract(
    table="t",
    description="Numbered rows.",
    provenance="Made for the tests.",
    columns=(
        Column("id", "identifier", "integer", "Number."),
        Column("value", "target", "float", "Value."),
    ),
)


def batch(ids: list[Any], position: Position, *, restart: bool = False) -> Batch:
    values = [float(number) for number in range(len(ids))]
    return Batch(pa.table({"id": ids, "value": values, "other": ids}), position, restart)


def add(folder: Path, ids: list[Any], position: Position, *, restart: bool = False) -> int:
    return raw_store.append(folder, batch(ids, position, restart=restart), CONTRACT, SOURCE)


def ids(folder: Path) -> list[Any]:
    """The identifiers in the store, whose parts have one schema."""
    tables = [pq.read_table(path) for path in raw_store.parts(folder)]
    return list(pa.concat_tables(tables)["id"].to_pylist()) if tables else []


def ids_of(folder: Path, name: str) -> list[Any]:
    tables = [pq.read_table(path) for path in raw_store.parts(folder)]
    return list(pa.concat_tables(tables)[name].to_pylist())


def position(folder: Path) -> Position | None:
    return raw_store.position(folder, CONTRACT, SOURCE)


def test_records_and_position_are_added_together(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    assert position(raw) is None
    assert add(raw, [1, 2], {"next": 3}) == 2
    assert add(raw, [3], {"next": 4}) == 1
    assert (ids(raw), position(raw), raw_store.rows(raw)) == ([1, 2, 3], {"next": 4}, 3)
    assert [path.name for path in raw_store.parts(raw)] == [
        "part-00000001.parquet",
        "part-00000002.parquet",
    ]
    assert pq.read_schema(raw_store.parts(raw)[0]).names == ["id", "value"]


def test_equal_records_give_equal_parts(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        add(tmp_path / name, [1, 2], {"next": 3})
        contents.append(raw_store.parts(tmp_path / name)[0].read_bytes())
    assert contents[0] == contents[1]


def test_records_without_an_identifier_are_numbered(tmp_path: Path) -> None:
    columns = (
        Column("row", "identifier", "integer", "Number.", generated=True),
        Column("value", "target", "float", "Value.", source="The value (€)"),
    )
    contract = Contract("t", "Rows.", "Made for the tests.", columns)
    for values in ([0.5, 1.5], [2.5]):
        records = pa.table({"The value (€)": values})
        raw_store.append(tmp_path, Batch(records, {}), contract, SOURCE)
    tables = [pq.read_table(path) for path in raw_store.parts(tmp_path)]
    found = pa.concat_tables(tables).to_pydict()
    assert found == {"row": [1, 2, 3], "value": [0.5, 1.5, 2.5]}
    again = Batch(pa.table({"value": [9.5]}), {}, restart=True)
    raw_store.append(tmp_path, again, contract, SOURCE)
    raw_store.finish(tmp_path)
    assert ids_of(tmp_path, "row") == [1]
    with pytest.raises(ProjectError, match=r"lacks the column\(s\) The value \(€\)"):
        normalise(pa.table({"other": [1]}), contract, SOURCE)


def test_a_source_may_move_on_without_records(tmp_path: Path) -> None:
    add(tmp_path, [1], {"next": 2})
    nothing = Batch(pa.table({}), {"next": 9})
    assert raw_store.append(tmp_path, nothing, CONTRACT, SOURCE) == 0
    assert (ids(tmp_path), position(tmp_path)) == ([1], {"next": 9})


def test_beginning_anew_replaces_the_records_when_it_is_complete(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    add(raw, [1, 2], {"next": 3})
    add(raw, [7], {"next": 8}, restart=True)
    add(raw, [8], {"next": 9})
    assert ids(raw) == [1, 2]
    assert (position(raw), raw_store.rows(raw)) == ({"next": 9}, 2)
    raw_store.recover(raw)
    raw_store.finish(raw)
    assert (ids(raw), position(raw)) == ([7, 8], {"next": 9})
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_beginning_anew_twice_keeps_nothing_of_the_first_time(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    add(raw, [1], {"next": 2})
    add(raw, [5], {"next": 6}, restart=True)
    add(raw, [7], {"next": 8}, restart=True)
    raw_store.finish(raw)
    assert ids(raw) == [7]


@pytest.mark.parametrize("changed", ["source", "columns"])
def test_records_of_another_source_or_contract_are_replaced(tmp_path: Path, changed: str) -> None:
    raw = tmp_path / "raw"
    add(raw, [1], {"next": 2})
    source, contract = SOURCE, CONTRACT
    if changed == "source":
        source = "elsewhere"
    else:
        more = Column("other", "numeric", "integer", "Another.")
        contract = Contract("t", "d", "p", (*CONTRACT.columns, more))
    assert raw_store.position(raw, contract, source) is None
    raw_store.append(raw, batch([5], {"next": 6}), contract, source)
    raw_store.append(raw, batch([6], {"next": 7}), contract, source)
    assert raw_store.position(raw, contract, source) == {"next": 7}
    raw_store.finish(raw)
    assert ids(raw) == [5, 6]


def test_a_part_from_elsewhere_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "part-00000001.parquet")
    with pytest.raises(ProjectError, match="was not written by retrieval"):
        position(tmp_path)
    (tmp_path / "part-00000001.parquet").write_bytes(b"nonsense")
    with pytest.raises(ProjectError, match="was not written by retrieval"):
        position(tmp_path)


# ---------------------------------------------------------------- types


def plain(values: pa.Array, kind: Any = "string") -> tuple[str, list[Any]]:
    contract = Contract("t", "d", "p", (Column("a", "identifier", kind, "A column."),))
    column = normalise(pa.table({"a": values}), contract, SOURCE)["a"]
    return str(column.type), column.to_pylist()


MORNING = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([1, None], pa.int8()), "integer", ("int64", [1, None])),
        (pa.array([1, None], pa.int32()), "float", ("double", [1.0, None])),
        (pa.array([2**53 + 1]), "float", ("string", [str(2**53 + 1)])),
        (pa.array([2**64 - 1], pa.uint64()), "integer", ("string", [str(2**64 - 1)])),
        (pa.array([0.5], pa.float32()), "float", ("double", [0.5])),
        (pa.array([0.5]), "integer", ("double", [0.5])),
        (pa.array([Decimal("1.50")]), "float", ("double", [1.5])),
        (pa.array([Decimal("1.50")]), "integer", ("string", ["1.50"])),
        (pa.array([Decimal("3.00")]), "integer", ("int64", [3])),
        (pa.array([True, None]), "integer", ("int64", [1, None])),
        (pa.array([True, None]), "string", ("string", ["true", None])),
        (pa.array(["é"], pa.large_string()), "string", ("string", ["é"])),
        (pa.array(["a", None, "a"]).dictionary_encode(), "string", ("string", ["a", None, "a"])),
        (pa.array(["é".encode()]), "string", ("string", ["é"])),
        (pa.nulls(1), "timestamp", ("timestamp[us]", [None])),
        (pa.nulls(1), "float", ("double", [None])),
        (pa.array([date(2026, 1, 2)]), "timestamp", ("timestamp[us]", [datetime(2026, 1, 2)])),
        (
            pa.array([MORNING], pa.timestamp("ns", "Asia/Kolkata")),
            "timestamp",
            ("timestamp[us]", [MORNING.replace(tzinfo=None)]),
        ),
        (
            pa.array([{"b": [1, None]}, None]),
            "string",
            ("string", ['{"b": [1, null]}', None]),
        ),
    ],
    ids=str,
)
def test_types_become_few(values: pa.Array, kind: str, expected: tuple[str, list[Any]]) -> None:
    assert plain(values, kind) == expected


def test_what_the_store_can_not_keep_is_refused() -> None:
    with pytest.raises(ProjectError, match="somewhere: column a has the type binary"):
        plain(pa.array([b"\xff"]))
    with pytest.raises(ProjectError, match=r"lacks the column\(s\) id, value .* has other"):
        normalise(pa.table({"other": [1]}), CONTRACT, SOURCE)
    twice = pa.table([pa.array([1]), pa.array([1]), pa.array([1.0])], ["id", "id", "value"])
    with pytest.raises(ProjectError, match="more than one column named id"):
        normalise(twice, CONTRACT, SOURCE)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2], ["a"], ["1", "2", "a"]),
        ([1, 2], [2.0], [1, 2, 2]),
        ([1, 2], [2.5], ["1", "2", "2.5"]),
        ([0.5], [2], [0.5, 2.0]),
        ([0.5], [2**53 + 1], ["0.5", str(2**53 + 1)]),
        (["a"], [2, None], ["a", "2", None]),
        (["1"], [2], ["1", "2"]),
        ([1], ["2"], ["1", "2"]),
        ([1], [None], [1, None]),
        ([None], ["a"], [None, "a"]),
        ([datetime(2026, 1, 2)], [5], ["2026-01-02 00:00:00.000000", "5"]),
    ],
    ids=str,
)
def test_a_type_that_does_not_fit_makes_the_column_text(
    tmp_path: Path, first: list[Any], second: list[Any], expected: list[Any]
) -> None:
    raw = tmp_path / "raw"
    add(raw, first, {"next": 1})
    add(raw, second, {"next": 2})
    assert ids(raw) == expected
    assert position(raw) == {"next": 2}
    assert len({pq.read_schema(path).remove_metadata() for path in raw_store.parts(raw)}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1, 1, 1], [3]),
        ([400_000, 400_000, 400_000], [2, 1]),
        ([1, 600_000, 1, 1], [1, 1, 2]),
        ([1_000_000, 1], [1, 1]),
        ([499_999, 499_999, 2, 1], [3, 1]),
    ],
)
def test_small_neighbours_become_one_part(sizes: list[int], expected: list[int]) -> None:
    assert groups_to_merge(sizes) == expected


def test_many_small_parts_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_store, "PART_ROWS", 8)
    monkeypatch.setattr(raw_store, "SMALL_PARTS", 4)
    for number in range(7):
        add(tmp_path / "raw", [number, number], {"next": number})
    before = raw_store.describe(tmp_path / "raw")
    raw_store.finish(tmp_path / "raw")
    after = raw_store.describe(tmp_path / "raw")
    assert (before.parts, after.parts) == (7, 2)
    assert (before.rows, before.sha256) == (after.rows, after.sha256)
    assert ids(tmp_path / "raw") == [number for number in range(7) for _ in range(2)]
    assert position(tmp_path / "raw") == {"next": 6}
    add(tmp_path / "raw", [7], {"next": 7})
    assert ids(tmp_path / "raw")[-1] == 7


@pytest.mark.parametrize(
    "other",
    [[["a", None], [""]], [["a", ""], [None]], [["b", ""], [""]], [["a"], [""]], [["a", ""]] * 2],
    ids=str,
)
def test_the_fingerprint_tells_records_apart_but_not_parts(
    tmp_path: Path, other: list[list[Any]]
) -> None:
    def fingerprint(name: str, pieces: list[list[Any]]) -> str:
        for number, piece in enumerate(pieces):
            raw_store.append(
                tmp_path / name,
                Batch(
                    pa.table({"id": pa.array(piece, pa.string()), "value": [0.0] * len(piece)}),
                    {"next": number},
                ),
                CONTRACT,
                SOURCE,
            )
        return raw_store.describe(tmp_path / name).sha256

    reference = fingerprint("reference", [["a", ""], [""]])
    assert fingerprint("cut anew", [["a"], ["", ""]]) == reference
    assert fingerprint("other", other) != reference


# ---------------------------------------------------------------- kills

GENERATION = "generation"


def feed(folder: Path, generation: int, pieces: list[list[Any]]) -> None:
    """Do what retrieval does with a source that has these pieces, of this generation."""
    raw_store.recover(folder)
    before = position(folder)
    begun = before is not None and before[GENERATION] == generation
    for number in range(before["next"] if before and begun else 0, len(pieces)):
        restart = number == 0 and not begun
        state = {GENERATION: generation, "next": number + 1}
        add(folder, pieces[number], state, restart=restart)
    raw_store.finish(folder)


# Text in the third piece makes the identifiers text; more than two small parts are merged.
OLD: list[list[Any]] = [[1, 2], [3]]
NEW: list[list[Any]] = [[11], [12, 13], ["x"], ["y", None]]
NEW_IDS = ["11", "12", "13", "x", "y", None]


class KilledError(BaseException):
    """Stands for the end of a process: nothing is tidied up on the way out."""


def end_at(number: int, end: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Call ``end`` before the ``number``-th change of the file system and before all later ones."""
    left = iter(range(number))

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if next(left, None) is None:
                end()
            return original(*arguments, **named)

        return call

    def rmtree(folder: Path, ignore_errors: bool = False) -> None:
        # file by file, so that it can be interrupted
        if folder.exists() or not ignore_errors:
            for path in sorted(folder.iterdir()):
                path.unlink()
            folder.rmdir()

    for name in ("rename", "replace", "unlink", "mkdir", "rmdir"):
        patch.setattr(Path, name, counted(getattr(Path, name)))
    patch.setattr(os, "link", counted(os.link))
    patch.setattr(os, "fsync", counted(os.fsync))
    patch.setattr(shutil, "rmtree", rmtree)


def die() -> None:
    raise KilledError


def check_what_is_left(folder: Path) -> None:
    """A store is always a beginning of one generation, with its position, and goes on from it."""
    raw = folder / "raw"
    raw_store.recover(raw)
    found = [str(value) if value is not None else None for value in ids(raw)]
    assert found in (["1", "2", "3"], NEW_IDS[: len(found)])
    feed(raw, 2, NEW)
    assert ids(raw) == NEW_IDS
    assert [path.name for path in folder.iterdir()] == ["raw"]
    assert {path.name[:5] for path in raw.iterdir()} == {"part-"}


@pytest.mark.parametrize("before", [[], OLD], ids=["growing", "beginning anew"])
def test_an_end_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, before: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_store, "SMALL_PARTS", 2)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    (tmp_path / "base/raw").mkdir(parents=True)
    if before:
        feed(tmp_path / "base/raw", 1, before)
    for number in range(1000):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "base", folder)
        with monkeypatch.context() as patch:
            end_at(number, die, patch)
            try:
                feed(folder / "raw", 2, NEW)
                break
            except KilledError:
                pass
        check_what_is_left(folder)
    assert number > 30


def kill_itself(folder: str) -> None:
    """Feed a store until the process, in the middle of it, is killed."""
    end_at(20, lambda: os.kill(os.getpid(), signal.SIGKILL), pytest.MonkeyPatch())
    feed(Path(folder), 2, NEW)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path) -> None:
    feed(tmp_path / "raw", 1, OLD)
    code = "import sys, tests.test_raw_store; tests.test_raw_store.kill_itself(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "raw"], check=False, cwd=ROOT)
    assert run.returncode == -signal.SIGKILL
    check_what_is_left(tmp_path)

"""Retrieval: what arrives in the raw store, and the manifest that says so."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_prep import raw_store, retrieval
from data_prep.raw_store import Batch, Position
from data_prep.source import FORMAT
from data_prep.storage import read_table
from utils.config import Contract, ProjectError
from utils.paths import RAW, RETRIEVAL


class Source:
    """A source whose records and errors a test sets."""

    def __init__(self) -> None:
        self.name = "a source"
        self.batches: list[Batch | Exception] = []
        self.asked: Position | None = None

    def describe(self, _: object) -> str:
        """Return the name that the test set."""
        return self.name

    def read(self, _: object, __: Contract, position: Position | None) -> Iterator[Batch]:
        """Yield the batches that the test set."""
        self.asked = position
        for batch in self.batches:
            if isinstance(batch, Exception):
                raise batch
            yield batch


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Source:
    """A source that takes the place of the project's, in an empty folder."""
    made = Source()
    monkeypatch.setattr(retrieval, "batches", made.read)
    monkeypatch.setattr(retrieval, "describe", made.describe)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def go(source: Source, contract: Contract) -> Callable[..., dict[str, Any]]:
    """A function that retrieves batches, given as (ids, position, restart), once."""

    def run(*given: tuple[list[str], int, bool] | Exception) -> dict[str, Any]:
        names = [column.name for column in contract.columns]
        source.batches = [
            item
            if isinstance(item, Exception)
            else Batch(
                pa.table(dict.fromkeys(names, pa.array(item[0], pa.string()))),
                {"next": item[1]},
                item[2],
            )
            for item in given
        ]
        settings: Any = None
        arrived = retrieval.retrieve(settings, contract, RAW)
        retrieval.update_manifest(RETRIEVAL, RAW, source.name, arrived)
        manifest: dict[str, Any] = json.loads(RETRIEVAL.read_text())
        return manifest

    return run


def stored() -> list[str]:
    return list(read_table(RAW)["order_id"].to_pylist())


def test_the_manifest_says_what_arrived(source: Source, go: Callable[..., dict[str, Any]]) -> None:
    first = go((["a", "b"], 1, False), (["c"], 2, False))
    assert source.asked is None
    assert (first["rows"], first["rows_new"], first["columns"], first["parts"]) == (3, 3, 7, 2)
    assert (first["source"], first["format"]) == ("a source", FORMAT)
    assert first["retrieved_at"].endswith("+00:00")
    second = go((["d"], 3, False))
    assert source.asked == {"next": 2}
    assert (second["rows"], second["rows_new"]) == (4, 1)
    assert second["sha256"] != first["sha256"]
    assert stored() == ["a", "b", "c", "d"]


def test_nothing_new_leaves_the_manifest_untouched(go: Callable[..., dict[str, Any]]) -> None:
    first = go((["a"], 1, False))
    changed = RETRIEVAL.stat().st_mtime_ns
    assert go() == first
    assert RETRIEVAL.stat().st_mtime_ns == changed
    RETRIEVAL.unlink()
    assert go()["sha256"] == first["sha256"]


def test_a_source_that_begins_anew_replaces_all(go: Callable[..., dict[str, Any]]) -> None:
    go((["a", "b"], 1, False))
    manifest = go((["c"], 1, True), (["d"], 2, False))
    assert (manifest["rows"], manifest["rows_new"]) == (2, 2)
    assert stored() == ["c", "d"]


def test_another_source_replaces_all(source: Source, go: Callable[..., dict[str, Any]]) -> None:
    go((["a", "b"], 1, False))
    source.name = "another source"
    assert go((["c"], 1, False))["source"] == "another source"
    assert source.asked is None
    assert stored() == ["c"]


def test_an_error_keeps_what_was_complete(
    source: Source, go: Callable[..., dict[str, Any]]
) -> None:
    go((["a"], 1, False))
    with pytest.raises(ProjectError, match="broke off"):
        go((["b"], 2, False), ProjectError("broke off"))
    assert stored() == ["a", "b"]
    with pytest.raises(ProjectError, match="broke off"):
        go((["x"], 1, True), ProjectError("broke off"))
    assert stored() == ["a", "b"]
    manifest = go((["y"], 2, False))
    assert source.asked == {"next": 1}
    assert (stored(), manifest["rows"]) == (["x", "y"], 2)


def test_a_source_without_records_is_refused(
    source: Source, go: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(ProjectError, match="a source has no records"):
        go()
    with pytest.raises(ProjectError, match="a source has no records"):
        go(([], 1, False))
    go((["a"], 1, False))
    with pytest.raises(ProjectError, match="a source has no records"):
        go(([], 1, True))
    assert stored() == ["a"]
    source.name = "another source"
    with pytest.raises(ProjectError, match="another source has no records"):
        go()
    assert stored() == ["a"]
    assert not raw_store.parts(Path("data/absent"))

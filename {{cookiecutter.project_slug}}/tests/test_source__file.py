"""The source of files: what is found, what is new, and what is wrong, said clearly."""

import bz2
import functools
import gzip
import io
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pyarrow as pa
import pytest

from data_prep import formats, source
from data_prep.raw_store import Batch, Position
from data_prep.source import Settings, batches, describe
from tests import schema_files
from tests.records import write
from utils.config import Column, Contract, ProjectError

CONTRACT = Contract(
    table="t",
    description="Numbered rows.",
    provenance="Made for the tests.",
    columns=(
        Column("id", "identifier", "string", "Number."),
        Column("value", "target", "float", "Value."),
    ),
)
END = formats.SUFFIX


def content(*ids: str) -> bytes:
    """The bytes of a file in the format of this project."""
    stream = io.BytesIO()
    write(pa.table({"id": list(ids), "value": [0.5] * len(ids)}), stream)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with two files of records and some other files in ``data``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/source").mkdir()
    for name, text in schema_files.FILES.items():
        (tmp_path / "data/source" / name).write_text(text)
    (tmp_path / f"data/b{END}").write_bytes(content("b1", "b2"))
    (tmp_path / f"data/deep/c{END}").write_bytes(content("c1"))
    (tmp_path / f"data/.hidden{END}").write_bytes(content("h1"))
    (tmp_path / "data/notes.txt").write_text("Not a table.")
    return tmp_path


def read(path: str, position: Position | None = None) -> list[Batch]:
    return list(batches(Settings(path), CONTRACT, position))


def ids(found: list[Batch]) -> list[str]:
    return [name for batch in found for name in batch.records["id"].to_pylist()]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"data/b{END}", ["b1", "b2"]),
        ("data", ["b1", "b2", "c1"]),
        ("data/", ["b1", "b2", "c1"]),
        (f"data/*{END}", ["b1", "b2"]),
        (f"data/**/*{END}", ["b1", "b2", "c1"]),
        (f"data/[ab]{END}", ["b1", "b2"]),
    ],
)
def test_a_path_is_a_file_a_folder_or_a_pattern(
    folder: Path, path: str, expected: list[str]
) -> None:
    assert folder.exists()
    found = read(path)
    assert ids(found) == expected
    assert [batch.restart for batch in found] == [False]
    assert describe(Settings(path)) == path
    assert read(path, found[-1].position) == []


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".gz", gzip.compress),
        (".gz", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        (".bz2", bz2.compress),
        (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_files_may_be_compressed(folder: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    packed = folder / f"packed/a{END}{ending}"
    packed.parent.mkdir()
    packed.write_bytes(pack(content("a1", "a2")))
    assert ids(read("packed")) == ["a1", "a2"]


def test_only_new_files_are_read(folder: Path) -> None:
    first = read("data")
    (folder / f"data/a{END}").write_bytes(content("a1"))
    second = read("data", first[-1].position)
    assert ids(second) == ["a1"]
    assert not second[0].restart
    assert read("data", second[-1].position) == []


@pytest.mark.parametrize("what", ["changed", "gone"])
def test_a_changed_or_vanished_file_begins_anew(folder: Path, what: str) -> None:
    position = read("data")[-1].position
    path = folder / f"data/b{END}"
    if what == "changed":
        path.write_bytes(content("b9"))
    else:
        path.unlink()
    found = read("data", position)
    assert [batch.restart for batch in found] == [True]
    assert ids(found) == [*(["b9"] if what == "changed" else []), "c1"]


def test_reading_resumes_within_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BATCH_ROWS", 2)
    pieces = [content("a1"), content("a2", "a3"), content("a4", "a5")]
    (folder / f"data/a{END}").write_bytes(b"".join(pieces))

    def read_pieces(path: Any, name: str, *schemas: Path) -> Iterator[pa.Table]:
        if Path(str(path)).name != f"a{END}":
            yield from formats_read(path, name, *schemas)
            return
        for piece in pieces:
            yield from formats_read(io.BytesIO(piece), name)

    formats_read = formats.read
    monkeypatch.setattr(formats, "read", read_pieces)
    everything = read("data")
    assert len(everything) > len(pieces)
    for number, batch in enumerate(everything):
        rest = read("data", batch.position)
        assert ids(everything[: number + 1]) + ids(rest) == ids(everything)
        assert not any(other.restart for other in rest)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent", "absent was not found"),
        (f"absent{END}", "was not found"),
        ("absent/*", r"absent/\* holds no"),
        ("empty", "empty holds no"),
        ("model.pkl", "model.pkl is a pickle file"),
        ("model.pickle.gz", "is a pickle file"),
        ("pickles", "is a pickle file"),
        (f"broken{END}.gz", f"broken{END}.gz (can't be read to its end|is not a readable)"),
        ("notes.txt", f"This project reads {END} files"),
        ("foo://bar/x", "can't be read"),
        ("https://me:secret@host/x", "holds a password for host"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, path: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "pickles").mkdir()
    for name in ("model.pkl", "model.pickle.gz", "pickles/x.joblib"):
        (folder / name).write_bytes(b"x")
    (folder / "notes.txt").write_text("Not a table\x00\xff.", encoding="latin-1")
    packed = gzip.compress(content(*(f"a{number}" for number in range(2000))))
    (folder / f"broken{END}.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ProjectError, match=message) as caught:
        read(path)
    assert "secret" not in str(caught.value)


def test_a_missing_column_is_said(folder: Path) -> None:
    other = Column("weight", "numeric", "float", "Weight.")
    contract = msgspec.structs.replace(CONTRACT, columns=(*CONTRACT.columns, other))
    assert folder.exists()
    with pytest.raises(ProjectError, match=r"lacks the column\(s\) weight"):
        list(batches(Settings("data"), contract, None))


def test_a_store_whose_package_is_missing_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert folder.exists()
    with pytest.raises(ProjectError, match="needs the package s3fs: run `uv add"):
        read("s3://bucket/x")


# ---------------------------------------------------------------- over HTTP


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and answers some paths with an error."""

    def send_head(self) -> Any:
        """Answer, with an error if the path begins with its number."""
        for status in (401, 403, 404, 500):
            if self.path.startswith(f"/{status}"):
                self.send_error(status)
                return None
        return super().send_head()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """The address of a web server that serves ``data``."""
    handler = functools.partial(Handler, directory=str(folder / "data"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    # what it listed is remembered by address
    fsspec.filesystem("http").clear_instance_cache()


def test_files_are_fetched_over_http(folder: Path, address: str) -> None:
    path = f"{address}/b{END}?token=secret"
    found = read(path)
    assert ids(found) == ["b1", "b2"]
    assert "secret" not in describe(Settings(path)) + str(found[-1].position)
    assert read(path, found[-1].position) == []
    (folder / f"data/b{END}").write_bytes(content("b1", "b2", "b3"))
    changed = read(path, found[-1].position)
    assert ids(changed) == ["b1", "b2", "b3"]
    assert changed[0].restart


def test_pages_that_list_files_are_folders(address: str) -> None:
    assert ids(read(f"{address}/deep/")) == ["c1"]
    assert ids(read(f"{address}/*{END}")) == ["b1", "b2"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("404", "was not found"),
        ("401", "may not be read with the credentials"),
        ("403", "may not be read with the credentials"),
        ("500", r"a server that fails \(status 500\)"),
    ],
)
def test_refused_requests_are_explained(address: str, path: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message) as caught:
        read(f"{address}/{path}{END}?token=secret")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unreachable_server_is_explained(address: str) -> None:
    host = address.rpartition(":")[0]
    with pytest.raises(ProjectError, match="can't be reached"):
        read(f"{host}:9/x{END}")

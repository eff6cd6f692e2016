"""The schema file beside a file of records: found wherever both are, and part of its version."""

import functools
import gzip
import io
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from data_prep import formats
from data_prep.raw_store import Batch, Position
from data_prep.source import Settings, batches
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
[(NAME, SCHEMA)] = schema_files.FILES.items()
SCHEMA_END = Path(NAME).suffix


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of records, another one compressed, and the schema file of both."""
    monkeypatch.chdir(tmp_path)
    schema = tmp_path / f"a{SCHEMA_END}"
    schema.write_text(SCHEMA, encoding="utf-8")
    stream = io.BytesIO()
    write(pa.table({"id": ["1", "2"], "value": [0.5, 1.5]}), stream, schema)
    (tmp_path / f"a{formats.SUFFIX}").write_bytes(stream.getvalue())
    (tmp_path / f"a{formats.SUFFIX}.gz").write_bytes(gzip.compress(stream.getvalue()))
    return tmp_path


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Where the files are: in the folder, or at the address of a server."""
    if request.param == "folder":
        yield str(folder)
        return
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    # what it listed is remembered by address
    fsspec.filesystem("http").clear_instance_cache()


def read(path: str, position: Position | None = None) -> list[Batch]:
    return list(batches(Settings(path), CONTRACT, position))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_records_are_read_by_the_schema_beside_them(folder: Path, place: str, ending: str) -> None:
    path = f"{place}/a{formats.SUFFIX}{ending}"
    found = read(path)
    assert [name for batch in found for name in batch.records["id"].to_pylist()] == ["1", "2"]
    assert read(path, found[-1].position) == []
    (folder / f"a{SCHEMA_END}").write_text("This is no schema.", encoding="utf-8")
    with pytest.raises(ProjectError, match="schema"):
        read(path)


def test_a_changed_schema_begins_anew(folder: Path, place: str) -> None:
    path = f"{place}/a{formats.SUFFIX}"
    position = read(path)[-1].position
    with (folder / f"a{SCHEMA_END}").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert [batch.restart for batch in read(path, position)] == [True]

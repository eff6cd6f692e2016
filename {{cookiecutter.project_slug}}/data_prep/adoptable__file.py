"""What a project that reads files can adopt: a file, a folder, a pattern, or the URL of one."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pyarrow as pa

from data_prep.preview import SOURCE_FOLDER, Preview, gather
from data_prep.schema_copies import schema_of
from data_prep.source import (
    Files,
    Settings,
    describe,
    find_files,
    is_local,
    local_file,
    reaching,
    read_file,
)

# Larger files stay where they are.
COPIED_BYTES = 100 * 2**20


def _first_records(files: Files, source: str) -> Iterator[pa.Table]:
    """Yield records from the first on, with all their columns as the format gives them.

    Args:
        files: those to read.
        source: how errors call them.

    Raises:
        ProjectError: one can't be read.
    """
    with TemporaryDirectory() as downloads:
        for name in sorted(files.paths):
            file = local_file(files, name, Path(downloads), source)
            yield from read_file(file, source if source.endswith(name) else f"{source}: {name}")


def preview(data: str, table: str) -> Preview:
    """Look at a table.

    Args:
        data: where it is, as in ``source.path`` of ``params.yaml``.
        table: how to call it; by its file name if empty.

    Raises:
        ProjectError: it can't be read.
    """
    settings = Settings(data)
    source = describe(settings)
    with reaching(source):
        listing = find_files(settings)
    here = is_local(listing.system)
    files = {file: Path(path) for file, path in listing.paths.items()} if here else {}
    schemas = {file: schema_of(path) for file, path in files.items()}
    records = gather(_first_records(listing, source), source)
    stem = PurePosixPath(data.rstrip("/")).name.partition(".")[0]
    name = table or re.sub(r"\W+", "_", stem).strip("_").lower() or "records"
    if not files or sum(path.stat().st_size for path in files.values()) > COPIED_BYTES:
        place = str(Path(data).resolve()) if files else data
        return Preview(records, name, {"path": place}, {}, place)
    if all(path.resolve().is_relative_to(SOURCE_FOLDER.resolve()) for path in files.values()):
        return Preview(records, name, {"path": data}, {}, data)
    folder = SOURCE_FOLDER if len(files) == 1 else SOURCE_FOLDER / name
    copies = {folder / file: path for file, path in files.items()}
    path = (next(iter(copies)) if len(files) == 1 else folder).as_posix()
    beside = {
        (folder / file).with_name(schema.name): schema
        for file, found in schemas.items()
        for schema in found
    }
    return Preview(records, name, {"path": path}, {**copies, **beside}, path)

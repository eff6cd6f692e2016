"""What a project that reads files can adopt: a file, a folder, a pattern, or the URL of one."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pyarrow as pa

from data_prep.preview import SOURCE_FOLDER, Preview, gather
from data_prep.schema_copies import schema_of
from data_prep.source import (
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


def _located(settings: Settings) -> dict[str, Path]:
    """Return the files of this machine that a path names, by name; none for a URL elsewhere.

    Raises:
        ProjectError: there is no file, or it is one that is not read.
    """
    with reaching(describe(settings)):
        files = find_files(settings)
    return {name: Path(path) for name, path in files.paths.items() if is_local(files.system)}


def _first_records(settings: Settings) -> Iterator[pa.Table]:
    """Yield records from the first on, with all their columns as the format gives them.

    Raises:
        ProjectError: there is no file, or one can't be read.
    """
    source = describe(settings)
    with TemporaryDirectory() as downloads:
        with reaching(source):
            files = find_files(settings)
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
    files = _located(settings)
    schemas = {file: schema_of(path) for file, path in files.items()}
    records = gather(_first_records(settings), describe(settings))
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

"""Source of the raw records: a file, a folder, a pattern, or the URL of one of these.

Each file is read once. The position holds a version of every file that was read, and how far the
one came that is being read; a file that changed or is gone, or whose schema changed, makes the raw
store begin anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import urlsplit

import fsspec
import msgspec
import pyarrow as pa

from data_prep import formats, schema_files
from data_prep.raw_store import Batch, Position, normalise
from utils.config import Contract, ProjectError, convert
from utils.files import sha256

FORMAT = formats.SUFFIX.removeprefix(".")
# The endings of compressed files, and what Arrow calls the compression.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
PICKLES = {".pkl", ".pickle", ".joblib"}
# What reaches other stores; a project installs the one that it needs.
PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}
# How stores call what changes with the content of a file.
VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "Digest", "Last-Modified")
UNAUTHORISED = {401, 403}
SERVER_ERRORS = 500
# A batch is complete when it has this many rows or bytes.
BATCH_ROWS = 500_000
BATCH_BYTES = 64 * 2**20


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``source`` of ``params.yaml``.

    ``path``: a file, a folder, a pattern such as ``data/source/2026-*``, or the URL of one of
    these. The credentials of a store come from the environment variables that its package reads.
    """

    path: str


class Reading(msgspec.Struct, frozen=True):
    """The file that is being read, and how many of its rows are in the raw store."""

    file: str
    rows: int


class Progress(msgspec.Struct, frozen=True):
    """The position: the versions of the files that were read, by name."""

    files: dict[str, str]
    reading: Reading | None = None


class Files(NamedTuple):
    """What the path names: where it is and, by name, the path of each file there."""

    system: Any
    paths: dict[str, str]


class Readable(NamedTuple):
    """A file on this machine, and the schema files by which it is read."""

    path: Path
    schemas: list[Path]


def describe(settings: Settings) -> str:
    """Return where the records come from, without the query of a URL, which may hold a secret.

    Raises:
        ProjectError: the URL holds a password.
    """
    if "://" not in settings.path:
        return settings.path
    url = urlsplit(settings.path)
    if url.password:
        raise ProjectError(
            f"params.yaml: source.path holds a password for {url.hostname}. Remove it and set the "
            "environment variables that its package reads."
        )
    return f"{url.scheme}://{url.netloc}{url.path}"


def batches(settings: Settings, contract: Contract, position: Position | None) -> Iterator[Batch]:
    """Yield the records that are new, in bounded memory.

    Args:
        settings: where they are.
        contract: names the columns to keep.
        position: what was read before.

    Yields:
        Records of one or several files. The first batch begins anew if a file that was read before
        changed or is gone.

    Raises:
        ProjectError: there is no file, one can't be read, or it lacks a column of the contract.
    """
    source = describe(settings)
    before = convert(position or {"files": {}}, Progress, f"the position in {source}")
    with TemporaryDirectory() as downloads:
        with reaching(source):
            files = find_files(settings)
            versions = {
                name: _versions(files.system, path, Path(downloads))
                for name, path in files.paths.items()
            }
        restart = any(versions.get(name) != version for name, version in before.files.items())
        held = {} if restart else dict(before.files)
        reading = None if restart else before.reading
        waiting: list[pa.Table] = []

        def batch() -> Batch:
            records = pa.concat_tables(waiting) if waiting else pa.table({})
            return Batch(records, msgspec.to_builtins(Progress(dict(held), reading)), restart)

        for name in _order(versions, held, reading):
            rows = reading.rows if reading else 0
            file = local_file(files, name, Path(downloads), source)
            shown = source if source.endswith(name) else f"{source}: {name}"
            for table in _tables(file, shown, contract, rows):
                if waiting and (_is_full(waiting) or table.schema != waiting[0].schema):
                    yield batch()
                    waiting, restart = [], False
                waiting.append(table)
                rows += table.num_rows
                held[name], reading = versions[name], Reading(name, rows)
            held[name], reading = versions[name], None
        if restart or Progress(held, reading) != before:
            yield batch()


def _order(
    versions: Mapping[str, str], held: Mapping[str, str], reading: Reading | None
) -> list[str]:
    """Return the files to read: first the rest of the one begun, then new ones by name."""
    return [*([reading.file] if reading else []), *sorted(versions.keys() - held.keys())]


def _is_full(tables: list[pa.Table]) -> bool:
    rows: int = sum(table.num_rows for table in tables)
    size: int = sum(table.nbytes for table in tables)
    return rows >= BATCH_ROWS or size >= BATCH_BYTES


def _tables(file: Readable, name: str, contract: Contract, skipped: int) -> Iterator[pa.Table]:
    """Read the rows of a file after the first ``skipped`` ones."""
    for table in read_file(file, name):
        records = normalise(table, contract, name).slice(skipped)
        skipped -= min(skipped, table.num_rows)
        if records.num_rows:
            yield records


def read_file(file: Readable, name: str) -> Iterator[pa.Table]:
    """Read a file, compressed or not, with all its columns."""
    suffix = PurePosixPath(name).suffix
    try:
        with pa.input_stream(str(file.path), compression=COMPRESSIONS.get(suffix)) as stream:
            source = cast("BinaryIO", stream) if suffix in COMPRESSIONS else file.path
            yield from schema_files.read(source, name, file.schemas)
    except ProjectError as error:
        if _without_compression(name).suffix in {formats.SUFFIX, ""}:
            raise
        raise ProjectError(f"{error} This project reads {formats.SUFFIX} files.") from error
    except (OSError, EOFError) as error:
        raise ProjectError(
            f"{name} can't be read to its end ({error}). Copy or export it again."
        ) from error


def local_file(files: Files, name: str, downloads: Path, source: str) -> Readable:
    """Return a file of this machine, or fetch one from elsewhere."""
    with reaching(source):
        path = files.paths[name]
        schemas = schema_files.beside(files.system, path)
        if is_local(files.system):
            return Readable(Path(path), [Path(schema) for schema in schemas])
        for earlier in downloads.iterdir():
            earlier.unlink()
        return Readable(
            _fetch(files.system, path, downloads),
            [_fetch(files.system, schema, downloads) for schema in schemas],
        )


def _fetch(system: Any, path: str, downloads: Path) -> Path:
    """Fetch a file; one of the same kind that was fetched before is replaced."""
    ending = PurePosixPath(urlsplit(path).path).suffix
    fetched = downloads / f"file{ending}"
    system.get_file(path, str(fetched))
    return fetched


def is_local(system: Any) -> bool:
    """Return whether a file system is that of this machine."""
    return "file" in system.protocol


def _versions(system: Any, path: str, downloads: Path) -> str:
    """Return what changes when the content of a file or of its schema does."""
    paths = [path, *schema_files.beside(system, path)]
    return ", ".join(_version(system, path, downloads) for path in paths)


def _version(system: Any, path: str, downloads: Path) -> str:
    """Return what changes when the content of a file does, on all machines alike."""
    if is_local(system):
        return sha256(Path(path))
    details = system.info(path)
    for key in VERSIONS:
        if details.get(key):
            return f"{details[key]} {details.get('size')}"
    return sha256(_fetch(system, path, downloads))


def find_files(settings: Settings) -> Files:
    """Find the files of the path.

    Raises:
        ProjectError: there is none, or it is one that is not read.
    """
    source = describe(settings)
    system, path = fsspec.url_to_fs(settings.path)
    web = "https" in system.protocol
    pattern = re.search(r"\*" if web else r"[*?[]", path)
    # Only an address with a slash at its end is taken for a folder, a page that lists others.
    page = web and not pattern and not source.endswith("/")
    if page or (not web and system.isfile(path)):
        name = PurePosixPath(source).name
        _refuse_pickles([name])
        return Files(system, {name: path})
    if pattern:
        root = path[: pattern.start()].rpartition("/")[0]
        found = system.glob(path, detail=True)
    else:
        root = path.rstrip("/")
        found = system.find(path, detail=True)
    named = {
        full.removeprefix(root).lstrip("/"): full
        for full, details in found.items()
        if details["type"] == "file"
    }
    shown = {
        name: full
        for name, full in named.items()
        if not any(part.startswith(".") for part in PurePosixPath(name).parts)
    }
    # A pattern says which files are meant; in a folder it is those with the ending of the format.
    kept = {name: full for name, full in shown.items() if pattern or _is_of_format(name)}
    _refuse_pickles(kept or shown)
    if not kept and not pattern and not system.exists(path):
        raise FileNotFoundError
    if not kept:
        raise ProjectError(
            f"{source} holds no {formats.SUFFIX} file. Check source.path in params.yaml."
        )
    return Files(system, kept)


def _is_of_format(name: str) -> bool:
    return _without_compression(name).suffix == formats.SUFFIX


def _without_compression(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix in COMPRESSIONS else path


def _refuse_pickles(names: Iterable[str]) -> None:
    for name in names:
        if PICKLES & set(PurePosixPath(name).suffixes):
            raise ProjectError(
                f"{name} is a pickle file. Loading one can run any code hidden in it: save the "
                f"table as a {formats.SUFFIX} file instead."
            )


@contextmanager
def reaching(source: str) -> Iterator[None]:
    """Turn the errors of stores into one sentence.

    Nothing of their text is repeated, because it may hold the whole URL.

    Raises:
        ProjectError: the source is missing, out of reach or may not be read.
    """
    try:
        yield
    except ProjectError:
        raise
    except ImportError as error:
        package = PACKAGES.get(source.partition("://")[0], str(error))
        raise ProjectError(
            f"{source} needs the package {package}: run `uv add --group train {package}`."
        ) from None
    except Exception as error:  # every store has its own kinds of errors
        raise ProjectError(f"{source} {_problem(error)}.") from None


def _problem(error: BaseException) -> str:
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    kinds = " ".join(type(cause).__name__ for cause in causes)
    statuses = {getattr(cause, "status", None) for cause in causes}
    if statuses & UNAUTHORISED or re.search("Permission|Credential|Auth|Forbidden", kinds):
        return (
            "may not be read with the credentials of this environment. Set the environment "
            "variables that its package reads"
        )
    failed = [status for status in statuses if status and status >= SERVER_ERRORS]
    if failed:
        return f"is answered by a server that fails (status {failed[0]}). Run again later"
    if re.search("Connect|Timeout|Payload|gaierror", kinds):
        return "can't be reached, or broke off. Check the address and the network, and run again"
    if isinstance(error, FileNotFoundError):
        return "was not found. Check source.path in params.yaml"
    return f"can't be read ({type(error).__name__}). Check source.path in params.yaml"

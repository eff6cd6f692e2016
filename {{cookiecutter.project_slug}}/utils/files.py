"""Files that are either whole or absent, and their fingerprints."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from utils.config import ProjectError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block succeeds.

    When the block fails nothing is left behind and an older file at ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; what the pipeline writes is for everyone on the machine
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def link(source: Path, path: Path) -> None:
    """Give a file a second name, atomically; where that is not possible, copy it.

    No step changes a file in place, so that two names of one file are as good as two files.
    """
    with atomic_path(path) as temporary:
        temporary.unlink()
        try:
            temporary.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, temporary)


@contextmanager
def only_process(path: Path, doing: str = "adding records") -> Iterator[None]:
    """Let one process at a time into the block; the system opens it when that process ends.

    Args:
        path: an empty file that all of them name. Windows has no such lock, so nobody waits there.
        doing: what the process in the block does, for the error.

    Raises:
        ProjectError: another process is in the block.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProjectError(
                f"Another process is {doing} (it holds {path}). Wait until it has ended, or "
                "stop it, and run again."
            ) from error
        yield


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write ``value`` atomically as indented JSON with one newline at its end."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    write_text(path, encoded.decode() + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ProjectError: the file is missing or is not JSON.
    """
    try:
        return msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise ProjectError(f"{path} was not found. `make run` writes it.") from error
    except msgspec.DecodeError as error:
        raise ProjectError(f"{path} is not valid JSON: {error}. `make run` writes it.") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 fingerprint of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

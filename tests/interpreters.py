"""The Python interpreters of this machine that rendered projects can use."""

import functools
import os
import subprocess
from pathlib import Path

OLDEST = (3, 11)
ASK = "import sys; print(*sys.version_info[:2], sys.base_prefix)"

Version = tuple[int, int]


def parse(version: str) -> Version:
    """The numbers of a version such as `3.12`."""
    major, minor = version.split(".")
    return int(major), int(minor)


def _folders() -> list[Path]:
    """Folders that may hold interpreters: those of PATH, and those that pyenv keeps."""
    folders = [Path(part) for part in os.environ["PATH"].split(os.pathsep) if part]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [*folders, *sorted(root.glob("versions/*/bin"))]


@functools.cache
def installed() -> dict[Version, Path]:
    """Version -> folder with a `python3` of this version, oldest first.

    A shim that names a version which is not installed fails when asked, and is left out.
    """
    found: dict[Version, Path] = {}
    for folder in _folders():
        if "shims" in folder.parts or not (folder / "python3").is_file():
            continue
        command = [str(folder / "python3"), "-c", ASK]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            major, minor, prefix = done.stdout.split(maxsplit=2)
            version = int(major), int(minor)
            if version >= OLDEST:
                # The interpreter itself, also when a virtual environment is active.
                found.setdefault(version, Path(prefix.strip()) / "bin")
    return dict(sorted(found.items()))


def for_version(version: str) -> Path | None:
    """The folder of the interpreter that a project of this oldest version is tried with.

    This version if it is installed, otherwise the newest that is installed and new enough.
    """
    found = installed()
    wanted = parse(version)
    newer = [folder for candidate, folder in found.items() if candidate >= wanted]
    return found.get(wanted) or (newer[-1] if newer else None)

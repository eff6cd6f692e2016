"""The rendered projects and environments that the measurements use."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tools.demo import environment

ROOT = Path(__file__).parent.parent
WORKLOADS = Path(__file__).parent / "workloads"
PEERS = Path(__file__).parent / "peers.txt"
SLUG = "subscription_churn"
# Neither side may spend its time on reporting use, nor on threads that fight for the cores.
QUIET = {"DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1"}


class Places(NamedTuple):
    """Folders of one run."""

    build: Path
    batch: Path
    api: Path
    peers: Path

    def scratch(self, name: str) -> Path:
        """An empty folder."""
        path = self.build / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


def places(build: Path) -> Places:
    """Where everything of a run in `build` lies."""
    return Places(build, build / "batch" / SLUG, build / "api" / SLUG, build / "peers")


def program(environment_folder: Path, name: str) -> str:
    """A program of a virtual environment."""
    return str(environment_folder / "bin" / name)


def uv() -> str:
    """The uv that runs this, or the one on the path.

    Raises:
        FileNotFoundError: There is none.
    """
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        raise FileNotFoundError("uv was not found: start the benchmarks by `make bench`")
    return found


def variables(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of what is measured: the caller's, without this repository's own settings."""
    inherited = environment()
    path = os.pathsep.join([str(Path(uv()).parent), inherited["PATH"]])
    base = {"PATH": path, "UV_PYTHON": sys.executable}
    return {**inherited, **base, **QUIET, **(extra or {})}


def call(command: list[str], folder: Path, extra: Mapping[str, str] | None = None) -> str:
    """Run a command quietly; returns its standard output.

    Raises:
        RuntimeError: It failed; the text ends with what it wrote.
    """
    done = subprocess.run(
        command, cwd=folder, env=variables(extra), capture_output=True, text=True, check=False
    )
    if done.returncode:
        written = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(command)} in {folder.name} failed:\n{written}")
    return done.stdout


def workload(project: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Run a workload with the project's own interpreter and code; returns what it reports."""
    command = [program(project / ".venv", "python"), str(WORKLOADS / name), *arguments]
    output = call(command, project, {"PYTHONPATH": str(project)})
    report: dict[str, Any] = json.loads(output.splitlines()[-1])
    return report


def render(folder: Path, *answers: str) -> None:
    """Render our template with its command-line tool."""
    command = [program(Path(sys.prefix), "cookiecutter"), "--no-input", str(ROOT), *answers]
    call(command, folder)


def install_peers(folder: Path) -> None:
    """Make the environment of the peers."""
    call([uv(), "venv", "--quiet", "--python", sys.executable, str(folder)], ROOT)
    python = program(folder, "python")
    call([uv(), "pip", "install", "--quiet", "--python", python, "-r", str(PEERS)], ROOT)


def render_service(where: Places) -> None:
    """Render the project that serves by API, with the model that the batch project trained."""
    where.api.parent.mkdir(parents=True)
    render(where.api.parent, "serving=api")
    call(["make", "setup"], where.api)
    shutil.copytree(where.batch / "models", where.api / "models")


def render_engine(where: Places, engine: str) -> Path:
    """Render the project that prepares its data with this engine; returns its folder."""
    folder = where.scratch(f"engine-{engine}")
    render(folder, f"engine={engine}")
    call(["make", "setup"], folder / SLUG)
    return folder / SLUG


def versions(environment_folder: Path) -> dict[str, str]:
    """The installed packages of a virtual environment and their versions."""
    python = program(environment_folder, "python")
    listed = call([uv(), "pip", "list", "--quiet", "--format", "json", "--python", python], ROOT)
    return {item["name"]: item["version"] for item in json.loads(listed)}

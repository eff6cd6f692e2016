"""Where a model comes from: commit of the code, settings, environment, versions of libraries."""

import hashlib
import platform
import subprocess
from importlib.metadata import version as library_version

import msgspec

from model_deployment.artefact import Environment
from utils.config import Params

LIBRARIES = ("numpy", "pandas", "scikit-learn", "onnx", "onnxruntime", "polars", "narwhals")
# Settings that name things, change how the work is done or what happens afterwards; what they do
# change shows in the fingerprint of the data.
WITHOUT_INFLUENCE = frozenset(
    {"project", "source", "engine", "explanation", "serving", "monitoring"}
)
CODE = ("*.py", "dvc.yaml", "pyproject.toml", "uv.lock")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def git_commit() -> str:
    """Return the commit of the code, empty before the first one.

    ``-dirty`` follows when code differs from the commit; what the pipeline itself writes does not
    count.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "HEAD")
    changed = commit and _git("status", "--porcelain", "--", *CODE)
    return f"{commit}-dirty" if changed else commit


def settings(params: Params) -> dict[str, object]:
    """Return the sections of ``params.yaml`` that decide which model comes out."""
    sections: dict[str, object] = msgspec.to_builtins(params)
    return {
        name: value
        for name, value in sections.items()
        if name not in WITHOUT_INFLUENCE and value not in (None, {})
    }


def settings_fingerprint(params: Params) -> str:
    """Return the SHA-256 fingerprint of ``settings``, whatever the order of their keys."""
    return hashlib.sha256(msgspec.json.encode(settings(params), order="sorted")).hexdigest()


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that take part in making a model."""
    return {name: library_version(name) for name in LIBRARIES}


def environment() -> Environment:
    """Describe the interpreter and the kind of machine, not which machine it is."""
    return Environment(
        python=platform.python_version(), platform=f"{platform.system()} {platform.machine()}"
    )

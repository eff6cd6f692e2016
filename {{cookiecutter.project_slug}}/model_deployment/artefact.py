"""The model artefact: an immutable folder per version, and the pointer to the live one.

``models/<version>/`` holds ``model.onnx`` (served), ``model.skops`` (inspected, retrained from),
``reference.parquet`` (what monitoring compares with), ``metadata.json`` with the fingerprint of
each file, and ``MODEL_CARD.md``. ``models/live.json`` names the live version together with the
fingerprint of its metadata, so that no file of an artefact can change unnoticed.

Usage: ``python -m model_deployment.artefact VERSION`` makes an earlier version live again.
"""

import os

# The runtime reads this when it is imported and would otherwise send usage data.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import argparse
import logging
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime

from data_prep.feature_engineering import FeatureNames, feature_names
from utils.config import Project, ProjectError, Recipe
from utils.files import sha256, write_json
from utils.logging import run
from utils.outcome import Decision

MODELS = Path("models")
POINTER = "live.json"
METADATA = "metadata.json"
GRAPH = "model.onnx"
REFERENCE = "reference.parquet"

T = TypeVar("T")

log = logging.getLogger(__name__)


class DataVersion(msgspec.Struct, frozen=True):
    """The raw data a model was trained from."""

    source: str
    sha256: str
    rows: int


class Environment(msgspec.Struct, frozen=True):
    """What a model was made with, besides its libraries."""

    python: str = ""
    platform: str = ""


class Metadata(msgspec.Struct, frozen=True):
    """What a model is, what it was made from, and how to check its files."""

    version: str
    project: Project
    recipe: Recipe
    decision: Decision
    estimator: str
    metrics: dict[str, float | None]
    parity: float
    data: DataVersion
    schema_sha256: str
    git_commit: str
    libraries: dict[str, str]
    files: dict[str, str]
    # Neither decides about the version: the same model comes from other settings and machines.
    settings_sha256: str = ""
    environment: Environment = Environment()


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The live version."""

    version: str
    metadata_sha256: str


class Scorer(NamedTuple):
    """An ONNX graph with the names of its inputs."""

    session: onnxruntime.InferenceSession
    names: FeatureNames

    def score(
        self, numeric: npt.NDArray[np.float64], categorical: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.float64]:
        """Return the scores, shape (n,) or (n, k), of inputs in the order of ``names``."""
        feeds: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.object_]] = {}
        if self.names.numeric:
            feeds["numeric"] = numeric
        if self.names.categorical:
            feeds["categorical"] = categorical
        scores: npt.NDArray[np.float64] = self.session.run(["score"], feeds)[0]
        return scores


class Artefact(NamedTuple):
    """A verified model, ready to score."""

    directory: Path
    metadata: Metadata
    scorer: Scorer


def open_graph(path: Path, recipe: Recipe, *, threads: int = 1) -> Scorer:
    """Open an ONNX graph; one prediction uses up to ``threads`` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Scorer(session, feature_names(recipe))


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise ProjectError(f"{path} was not found. Train and export a model: make run") from error
    except (msgspec.DecodeError, OSError) as error:
        raise ProjectError(f"{path} can't be read: {error}. Export again: make run") from error


def read_pointer(models: Path) -> Pointer:
    """Read which version is live.

    Raises:
        ProjectError: there is none, or the pointer is damaged.
    """
    pointer = _read(models / POINTER, Pointer)
    if Path(pointer.version).name != pointer.version:
        raise ProjectError(f"{models / POINTER} names {pointer.version!r}, which is not a version.")
    return pointer


def _check_fingerprint(path: Path, fingerprint: str) -> None:
    if not path.is_file():
        raise ProjectError(f"{path} is missing from the artefact. Export again: make run")
    if sha256(path) != fingerprint:
        raise ProjectError(
            f"{path} was changed after export and is refused. Export again: make run"
        )


def publish(models: Path, version: str) -> None:
    """Make ``version`` the live one; readers see the old pointer or the new, never a mixture."""
    pointer = Pointer(version, sha256(models / version / METADATA))
    write_json(models / POINTER, pointer)


def load_version(models: Path, version: str, *, threads: int = 1) -> Artefact:
    """Load a version after checking the fingerprint of every file that its metadata lists.

    Raises:
        ProjectError: a file is missing, or is not the one that was exported.
    """
    directory = models / version
    metadata = _read(directory / METADATA, Metadata)
    for name, fingerprint in metadata.files.items():
        _check_fingerprint(directory / name, fingerprint)
    scorer = open_graph(directory / GRAPH, metadata.recipe, threads=threads)
    return Artefact(directory, metadata, scorer)


def load_artefact(models: Path = MODELS, *, threads: int = 1) -> Artefact:
    """Load the live model after checking the fingerprint of every file of its folder.

    Args:
        models: folder with the pointer and one folder per version.
        threads: threads that one prediction may use.

    Raises:
        ProjectError: a file is missing, or is not the one that was exported.
    """
    pointer = read_pointer(models)
    _check_fingerprint(models / pointer.version / METADATA, pointer.metadata_sha256)
    return load_version(models, pointer.version, threads=threads)


def main() -> None:
    """Make the version named on the command line live, if its files are as they were exported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="a folder of models/")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the artefacts")
    arguments = parser.parse_args()
    load_version(arguments.models, arguments.version)
    publish(arguments.models, arguments.version)
    log.info("live", extra={"version": arguments.version})


if __name__ == "__main__":
    run(main)

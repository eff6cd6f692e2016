"""The record of experiments: files that DVC compares, and a server where one is named."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from model_training import tracking
from model_training.experiment import Experiment, read_experiment
from model_training.tracking import record
from utils.config import ProjectError
from utils.files import read_json, sha256

NAMES = ("DVC_STUDIO_TOKEN", "DVC_STUDIO_URL", "DVC_STUDIO_REPO_URL", "DVC_EXP_NAME")


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def experiment(in_project: Path) -> Experiment:
    """What the run of the pipeline has measured."""
    del in_project
    return read_experiment()


def fingerprints(folder: Path) -> dict[str, str]:
    """Return the fingerprint of each file of a folder by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def test_a_run_has_its_metrics_lineage_and_series(experiment: Experiment) -> None:
    folder = Path("reports/experiment")
    measured = read_json(folder / "metrics.json")
    assert measured["held_out"] == experiment.metrics
    assert measured["details"] == experiment.details
    known = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    assert known["model"] == experiment.version
    assert experiment.lineage.items() <= known.items()
    for trial in experiment.trials:
        series = folder / f"plots/metrics/folds/{trial.result.name}.tsv"
        values = [float(line.split("\t")[1]) for line in series.read_text().splitlines()[1:]]
        assert values == trial.result.folds
    curve = (folder / "plots/metrics/learning_curve/validation.tsv").read_text().splitlines()[1:]
    assert [int(line.split("\t")[0]) for line in curve] == [
        point.rows for point in experiment.learning_curve
    ]


def test_recording_again_gives_the_same_bytes(experiment: Experiment, tmp_path: Path) -> None:
    record(experiment, tmp_path / "run")
    first = fingerprints(tmp_path / "run")
    record(experiment, tmp_path / "run")
    assert fingerprints(tmp_path / "run") == first
    assert fingerprints(Path("reports/experiment")) == first


class Studio(BaseHTTPRequestHandler):
    """Answers like the server and keeps what it was sent."""

    status: ClassVar[int] = 200
    received: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        """Keep the body of the request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(json.loads(body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Studio]]:
    """A server of experiments that the environment names."""
    with HTTPServer(("127.0.0.1", 0), Studio) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DVC_STUDIO_TOKEN", "secret")
        monkeypatch.setenv("DVC_STUDIO_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("DVC_STUDIO_REPO_URL", "https://example.org/project.git")
        monkeypatch.setattr(Studio, "status", 200)
        monkeypatch.setattr(Studio, "received", [])
        yield Studio
        server.shutdown()


def test_a_server_gets_the_run_under_its_key(
    experiment: Experiment, tmp_path: Path, studio: type[Studio]
) -> None:
    record(experiment, tmp_path / "run")
    assert {sent["type"] for sent in studio.received} == {"start", "data", "done"}
    assert {sent["name"] for sent in studio.received} == {experiment.key}
    data = next(sent for sent in studio.received if sent["type"] == "data")
    (metrics,) = data["metrics"].values()
    assert metrics["data"]["held_out"] == experiment.metrics


def test_nothing_is_sent_without_a_token(
    experiment: Experiment,
    tmp_path: Path,
    studio: type[Studio],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DVC_STUDIO_TOKEN")
    record(experiment, tmp_path / "run")
    assert studio.received == []


def test_a_server_that_refuses_is_an_error_and_leaves_nothing(
    experiment: Experiment,
    tmp_path: Path,
    studio: type[Studio],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(studio, "status", 401)
    with pytest.raises(ProjectError, match=r"not recorded.*DVC_STUDIO_TOKEN"):
        record(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_not_there_is_an_error(
    in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprints(in_project / "reports/experiment")
    with HTTPServer(("127.0.0.1", 0), Studio) as server:
        free = server.server_port
    with monkeypatch.context() as patched:
        patched.setenv("DVC_STUDIO_TOKEN", "secret")
        patched.setenv("DVC_STUDIO_URL", f"http://127.0.0.1:{free}")
        patched.setenv("DVC_STUDIO_REPO_URL", "https://example.org/project.git")
        with pytest.raises(ProjectError, match="not recorded"):
            tracking.main()
    assert not (in_project / "reports/experiment").exists()
    tracking.main()
    assert fingerprints(in_project / "reports/experiment") == before

"""The record of experiments in MLflow: a local database, and a server where one is named."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from model_training import tracking
from model_training.experiment import Experiment, read_experiment
from model_training.tracking import DATABASE, KEY, documents, record
from utils.config import ProjectError

STARTING_SECONDS = 120


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def experiment(in_project: Path) -> Experiment:
    """What the run of the pipeline has measured."""
    del in_project
    return read_experiment()


@pytest.fixture
def client(in_project: Path) -> MlflowClient:
    """The database that the run of the pipeline has written."""
    del in_project
    return MlflowClient(tracking_uri=f"sqlite:///{DATABASE}")


def runs(client: MlflowClient, experiment: Experiment) -> tuple[list[Run], list[Run]]:
    """Return the runs of an experiment, and those of its candidates."""
    folder = client.get_experiment_by_name(experiment.project)
    assert folder is not None
    found = client.search_runs([folder.experiment_id], f"tags.{KEY} = '{experiment.key}'")
    children = [one for one in found if "mlflow.parentRunId" in one.data.tags]
    return [one for one in found if one not in children], children


def test_a_run_has_settings_metrics_lineage_and_documents(
    client: MlflowClient, experiment: Experiment
) -> None:
    (parent,), children = runs(client, experiment)
    assert parent.info.status == "FINISHED"
    measured = experiment.metrics | experiment.details
    assert measured.items() <= parent.data.metrics.items()
    assert {name: str(value) for name, value in experiment.settings.items()} == parent.data.params
    assert experiment.lineage.items() <= parent.data.tags.items()
    files = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert files == {"model_card.md", "data_card.md", "figures"}
    curve = client.get_metric_history(parent.info.run_id, "learning_curve/validation")
    assert [point.step for point in sorted(curve, key=lambda point: point.step)] == [
        point.rows for point in experiment.learning_curve
    ]
    assert {one.info.run_name for one in children} == {
        trial.result.name for trial in experiment.trials
    }


def test_each_candidate_has_its_score_in_every_fold(
    client: MlflowClient, experiment: Experiment
) -> None:
    _, children = runs(client, experiment)
    by_name = {one.info.run_name: one for one in children}
    for trial in experiment.trials:
        history = client.get_metric_history(
            by_name[trial.result.name].info.run_id, f"{experiment.metric}_fold"
        )
        ordered = sorted(history, key=lambda point: point.step)
        assert [point.value for point in ordered] == trial.result.folds


def test_the_same_run_is_recorded_once(client: MlflowClient, experiment: Experiment) -> None:
    before = [one.info.run_id for group in runs(client, experiment) for one in group]
    tracking.main()
    after = [one.info.run_id for group in runs(client, experiment) for one in group]
    assert after == before
    other = msgspec.structs.replace(experiment, key="other")
    uri = f"sqlite:///{DATABASE}"
    assert record(other, [], uri)
    assert not record(other, [], uri)
    assert len(runs(client, other)[0]) == 1


def test_a_run_that_fails_is_not_shown(
    client: MlflowClient, experiment: Experiment, tmp_path: Path
) -> None:
    broken = msgspec.structs.replace(experiment, key="broken")
    uri = f"sqlite:///{DATABASE}"
    with pytest.raises(ProjectError, match="not recorded"):
        record(broken, [tmp_path / "absent.md"], uri)
    assert runs(client, broken) == ([], [])


def test_what_a_lost_connection_left_is_replaced(
    client: MlflowClient, experiment: Experiment
) -> None:
    lost = msgspec.structs.replace(experiment, key="lost")
    folder = client.get_experiment_by_name(experiment.project)
    assert folder is not None
    begun = client.create_run(folder.experiment_id, run_name="begun", tags={KEY: "lost"})
    assert record(lost, [], f"sqlite:///{DATABASE}")
    (parent,), _ = runs(client, lost)
    assert parent.info.run_id != begun.info.run_id
    assert parent.info.status == "FINISHED"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_not_there_is_an_error_that_hides_the_login(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    with pytest.raises(ProjectError, match=r"not recorded at http://127\.0\.0\.1") as raised:
        record(experiment, [], uri)
    assert "secret" not in str(raised.value)
    assert "MLFLOW_TRACKING_URI" in str(raised.value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A tracking server in a process of its own."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"),
        *("--artifacts-destination", str(tmp_path / "artifacts")),
    ]
    with (tmp_path / "server.log").open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + STARTING_SECONDS
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
                    break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < until, "the server does not answer"
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_server_gets_the_run_with_its_documents(
    experiment: Experiment, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracking.main()
    tracking.main()
    remote = MlflowClient(tracking_uri=server)
    (parent,), children = runs(remote, experiment)
    assert experiment.metrics.items() <= parent.data.metrics.items()
    assert len(children) == len(experiment.trials)
    figures = remote.list_artifacts(parent.info.run_id, "figures")
    names = {Path(item.path).name for item in figures}
    assert names == {path.name for path in documents() if path.suffix == ".png"}

"""The record of experiments in MLflow: a database in ``data/``, or a server.

Usage: ``python -m model_training.tracking``. ``make experiments`` shows the runs in the browser.
With the environment variable ``MLFLOW_TRACKING_URI`` they go to the server it names instead.
"""

import os

# The library reads these when it is imported: it would send usage data, and ask a server that does
# not answer for many minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from model_training.experiment import Experiment, Plain, read_experiment
from utils.config import ProjectError
from utils.files import write_json
from utils.logging import run
from utils.paths import DATA_CARD, MODEL_CARD, REPORTS

DATABASE = Path("data/mlflow.db")
ARTIFACTS = Path("data/mlflow")
RECORD = REPORTS / "experiment.json"
FIGURES = REPORTS / "figures"
KEY = "experiment_key"
# Which of its pages MLflow opens.
KIND = {"mlflow.experimentKind": "custom_model_development"}
# What names may hold, and how long values may be.
UNUSABLE = re.compile(r"[^\w\-. /:]", re.ASCII)
LONGEST_VALUE = 6000
PARAMS_AT_ONCE = 100

log = logging.getLogger(__name__)


def documents() -> list[Path]:
    """Return the cards and figures that belong to a run."""
    return [MODEL_CARD, DATA_CARD, *sorted(FIGURES.rglob("*.png"))]


def _name(text: str) -> str:
    return UNUSABLE.sub("_", text)


def _metrics(values: Mapping[str, float], step: int, milliseconds: int) -> list[Metric]:
    return [Metric(_name(name), value, milliseconds, step) for name, value in values.items()]


def _write(
    client: MlflowClient,
    run_id: str,
    settings: Mapping[str, Plain],
    metrics: Sequence[Metric],
) -> None:
    params = [Param(_name(name), str(value)[:LONGEST_VALUE]) for name, value in settings.items()]
    for start in range(0, len(params), PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + PARAMS_AT_ONCE])
    client.log_batch(run_id, metrics=list(metrics))


def _folder(client: MlflowClient, project: str, uri: str) -> str:
    """Return the identifier of the project's runs, after making room for them if necessary."""
    found = client.get_experiment_by_name(project)
    if found is not None:
        return str(found.experiment_id)
    local = ARTIFACTS.resolve().as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(project, artifact_location=local, tags=KIND))


def _fill(
    client: MlflowClient,
    experiment: Experiment,
    folder: str,
    files: Sequence[Path],
    started: list[str],
) -> None:
    now = int(time.time() * 1000)
    lineage = {name: value[:LONGEST_VALUE] for name, value in experiment.lineage.items()}
    parent = client.create_run(
        folder,
        run_name=experiment.version,
        tags={
            KEY: experiment.key,
            "model_version": experiment.version,
            "estimator": experiment.estimator,
            **{_name(name): value for name, value in lineage.items()},
            "mlflow.note.content": f"{experiment.estimator} won by {experiment.metric}. The model "
            "card and the figures are among the artifacts, the candidates below this run.",
        },
    )
    started.append(parent.info.run_id)
    curve = [
        metric
        for point in experiment.learning_curve
        for metric in _metrics(
            {"learning_curve/training": point.train, "learning_curve/validation": point.validation},
            point.rows,
            now,
        )
    ]
    measured = _metrics(experiment.metrics | experiment.details, 0, now)
    _write(client, parent.info.run_id, experiment.settings, [*measured, *curve])
    for trial in experiment.trials:
        child = client.create_run(
            folder,
            run_name=trial.result.name,
            tags={"mlflow.parentRunId": parent.info.run_id, KEY: experiment.key},
        )
        started.append(child.info.run_id)
        whole = {
            f"{experiment.metric}_mean": trial.result.mean,
            f"{experiment.metric}_standard_error": trial.result.standard_error,
        }
        folds = [
            metric
            for number, score in enumerate(trial.result.folds, start=1)
            for metric in _metrics({f"{experiment.metric}_fold": score}, number, now)
        ]
        _write(client, child.info.run_id, trial.settings, [*_metrics(whole, 0, now), *folds])
        client.set_terminated(child.info.run_id)
    for path in files:
        folder_name = "figures" if path.suffix == ".png" else None
        client.log_artifact(parent.info.run_id, str(path), folder_name)
    client.set_terminated(parent.info.run_id)


def _remove(client: MlflowClient, runs: Sequence[str]) -> None:
    for run_id in runs:
        client.delete_run(run_id)


def record(experiment: Experiment, files: Sequence[Path], uri: str) -> bool:
    """Write a run with one run per candidate below it, unless it is there already.

    Args:
        experiment: what was measured.
        files: cards and figures.
        uri: of the database or the server.

    Returns:
        Whether the run was written now.

    Raises:
        ProjectError: the database or the server can't be used. Of a run that was begun, nothing is
            shown; what a lost connection leaves behind is removed by the next attempt.
    """
    started: list[str] = []
    try:
        client = MlflowClient(tracking_uri=uri)
        folder = _folder(client, experiment.project, uri)
        found = client.search_runs([folder], f"tags.{KEY} = '{experiment.key}'")
        parents = [one for one in found if "mlflow.parentRunId" not in one.data.tags]
        if any(one.info.status == "FINISHED" for one in parents):
            return False
        _remove(client, [one.info.run_id for one in found])
        try:
            _fill(client, experiment, folder, files, started)
        except BaseException:
            _remove(client, started)
            raise
    except (MlflowException, OSError) as error:
        raise ProjectError(
            f"The run was not recorded at {_shown(uri)}: {_reason(error, uri)} Check "
            "MLFLOW_TRACKING_URI, or unset it to keep runs on this machine, and run again."
        ) from error
    return True


def _shown(uri: str) -> str:
    """Return an address without the user and password that it may hold."""
    login, at, _ = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(login + at, "", 1) if at else uri


def _reason(error: Exception, uri: str) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    login, at, _ = urlsplit(uri).netloc.rpartition("@")
    first = lines[0].replace(login + at, "") if at else lines[0]
    return first.rstrip(".") + "."


def main() -> None:
    """Record what the pipeline has measured."""
    experiment = read_experiment()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE.as_posix()}"
    new = record(experiment, documents(), uri)
    write_json(RECORD, {"key": experiment.key, "project": experiment.project})
    log.info("recorded" if new else "recorded before", extra={"run": experiment.key})


if __name__ == "__main__":
    run(main)

"""The record of experiments as small files that DVC compares between commits and experiments.

Usage: ``python -m model_training.tracking``. ``dvc exp run`` makes each run an experiment, and
``make experiments`` lists them. With the environment variable ``DVC_STUDIO_TOKEN`` the same goes to
DVC Studio, at ``DVC_STUDIO_URL`` where that is set; without it nothing leaves the machine.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dvclive.live import Live

from model_training.experiment import Experiment, read_experiment
from model_training.lineage import git_commit
from utils.config import ProjectError
from utils.logging import run
from utils.paths import REPORTS

EXPERIMENT = REPORTS / "experiment"

CLIENT = "dvc_studio_client"

log = logging.getLogger(__name__)


class _Complaints(logging.Handler):
    """Collects what the client of the server reports instead of raising an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.said.append(record.getMessage())


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect the warnings of the client in the block, in place of showing them."""
    collector, client = _Complaints(), logging.getLogger(CLIENT)
    before = (client.handlers, client.propagate)
    client.handlers, client.propagate = [collector], False
    try:
        yield collector.said
    finally:
        client.handlers, client.propagate = before


@contextmanager
def _placed(folder: Path) -> Iterator[Path]:
    """Yield the folder; without a commit from another place, because dvclive raises before one."""
    if git_commit():
        yield folder
        return
    whole = folder.resolve()
    with TemporaryDirectory() as elsewhere, chdir(elsewhere):
        yield whole


def record(experiment: Experiment, folder: Path) -> None:
    """Write a run, and send it where the environment names a server.

    Args:
        experiment: what was measured.
        folder: takes ``metrics.json``, ``params.yaml`` and ``plots/metrics/``; on an error it is
            gone.

    Raises:
        ProjectError: the server can't be reached or refuses the run.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with _complaints() as said, _placed(folder) as place:
        # DVC names the run when it is an experiment; any other is sent under its key, once.
        name = os.environ.get("DVC_EXP_NAME", experiment.key)
        lineage = {"model": experiment.version, "estimator": experiment.estimator}
        with Live(str(place), save_dvc_exp=False, dvcyaml=False, exp_name=name) as live:
            for key, value in (lineage | experiment.lineage).items():
                live.log_param(key, value)
            for point in experiment.learning_curve:
                live.step = point.rows
                live.log_metric("learning_curve/training", point.train)
                live.log_metric("learning_curve/validation", point.validation)
            for trial in experiment.trials:
                for fold, score in enumerate(trial.result.folds, start=1):
                    live.step = fold
                    live.log_metric(f"folds/{trial.result.name}", score)
            live.summary = {"held_out": experiment.metrics, "details": experiment.details}
    if said:
        shutil.rmtree(folder, ignore_errors=True)
        raise ProjectError(
            f"The run was not recorded: {said[0]}. Check DVC_STUDIO_TOKEN and DVC_STUDIO_URL, or "
            "unset them to keep runs on this machine, and run again."
        )


def main() -> None:
    """Record what the pipeline has measured."""
    experiment = read_experiment()
    record(experiment, EXPERIMENT)
    log.info("recorded", extra={"run": experiment.key, "folder": str(EXPERIMENT)})


if __name__ == "__main__":
    run(main)

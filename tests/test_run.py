"""Rendered projects that really run: set up, pipeline, checks, tests, one prediction.

Every task meets every way of serving and of tracking here, and the other choices are dealt evenly
over these rows. RUN_EVERY=1 adds every objective of a task, each combination of task, serving and
CI, and each pair of answers that shape the data layer.

A step that fails does not stop the others, so that one run shows all that is wrong.
"""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import yaml
from sklearn.metrics import (
    adjusted_rand_score,
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    roc_auc_score,
    root_mean_squared_error,
)

from tests import interpreters, template
from tests.combinations import Row, complete_row, covering_array
from tests.object_stores import object_store
from tests.test_ci import commands_of
from tools import demo, make_samples

# These meet in the code: what a task answers is served, and its runs are tracked.
MEETING = ("task", "serving", "tracking")
# So do these: where records come from, in which form, what prepares them and what they are for.
DATA = ("task", "data_source", "data_format", "engine", "serving")
COMMANDS = ["make check", "make test", "make run"]
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "Tester", "EMAIL": "tester@example.org"}.items()
}
LIMIT_SECONDS = 1200
SHOWN = 6000
# How far from the best achievable score the selected model may be. A detector of anomalies never
# sees which rows they are, so it can't come as close as a model that knows the truth.
CLOSE = {"classification": 0.05, "regression": 0.05, "forecasting": 0.05, "anomaly_detection": 0.15}
# k of the metrics of anomaly detection, as a share of the rows, in the settings of the sample.
SHARE_LOOKED_AT = 0.025
# More wrong labels than this of a class would be a failure of labelling, not of the model.
WRONG_LABELS = 0.1
# The same for numbers: the mean error of labels, as a share of what no model can predict.
LABEL_ERROR = 0.25

# The sample of each task.
SAMPLES = {
    "classification": "subscriptions",
    "regression": "deliveries",
    "forecasting": "sales",
    "clustering": "customers",
    "anomaly_detection": "readings",
}
# The column of each sample whose distribution changes in the newest rows.
DRIFTING = {
    "classification": "channel",
    "regression": "weather",
    "forecasting": "weather",
    "clustering": "country",
    "anomaly_detection": "work_shift",
}
# The column with the predictions of a regressor, or of the second of two classes.
SCORES = {
    "classification": "score_1",
    "regression": "score_1",
    "forecasting": "score_3",
    "anomaly_detection": "score_1",
}
# What an answer says as a number.
ANSWERS = {
    "classification": "probability",
    "regression": "prediction",
    "forecasting": "prediction",
    "clustering": "membership",
    "anomaly_detection": "anomaly_score",
}
# The measured part of the README about what comes of the model.
RESULTS = {
    "classification": "value",
    "regression": "value",
    "forecasting": "value",
    "clustering": "clusters",
    "anomaly_detection": "value",
}
# How well clusters must agree with the groups that rows were drawn from (adjusted Rand index).
ALIKE = 0.9

Floats = npt.NDArray[np.float64]
Metric = Callable[[Floats, Floats], float]


def dealt(rows: list[Row]) -> list[Row]:
    """Answer the questions that rows leave open, each choice in turn.

    Each question runs through its choices in another rhythm, so that these mix. A choice that is
    refused beside the earlier ones gives way to the next.
    """
    full = []
    for index, row in enumerate(rows):
        answers = dict(row)
        for place, (name, choices) in enumerate(template.OPTIONS.items()):
            first = (index + place * (index // len(choices))) % len(choices)
            answers.setdefault(
                name,
                next(
                    choice
                    for choice in (*choices[first:], *choices[:first])
                    if complete_row({**answers, name: choice}, template.OPTIONS, template.REFUSED)
                ),
            )
        full.append({name: answers[name] for name in template.OPTIONS})
    return full


def covered(names: tuple[str, ...], strength: int, given: list[Row]) -> list[Row]:
    """The rows that bring together what these questions can be answered with, beside given ones."""
    options = {name: template.OPTIONS[name] for name in names}
    return dealt(covering_array(options, strength, template.REFUSED, given))


ROWS = covered(MEETING, 2, [])
# What RUN_EVERY=1 adds: to the projects that run as a whole, and the pairs of the data layer.
MORE_ROWS: list[Row] = []
DATA_ROWS: list[Row] = []
if os.environ.get("RUN_EVERY"):
    MORE_ROWS += covered(("task", "objective"), 2, ROWS)
    MORE_ROWS += covered(("task", "serving", "ci"), 3, ROWS + MORE_ROWS)
    DATA_ROWS += covered(DATA, 2, ROWS)


def first_with(**answers: str) -> int:
    """The first row with these answers, for steps that one row has to take."""
    return next(i for i, row in enumerate(ROWS) if answers.items() <= row.items())


# Steps that are the same in every project are taken by one.
ALONE, NO_UV = first_with(task="classification"), first_with(task="regression")
WITH_NOTEBOOKS = {first_with(serving=choice) for choice in template.OPTIONS["serving"]}


class Project:
    """A rendered project and commands run in it."""

    def __init__(self, folder: Path, answers: Row) -> None:
        """Remember where the project is and what it was rendered from."""
        self.folder = folder
        self.answers = answers

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints; fails with its last lines when it does."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=demo.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout[-SHOWN:]}"
        return done.stdout

    @property
    def python(self) -> str:
        """The interpreter of the project."""
        return str(self.folder / ".venv" / "bin" / "python")

    def text(self, name: str) -> str:
        """The text of one file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file."""
        content: dict[str, Any] = json.loads(self.text(name))
        return content

    def params(self) -> dict[str, Any]:
        """The settings of the project."""
        content: dict[str, Any] = yaml.safe_load(self.text("params.yaml"))
        return content

    def commands(self) -> list[str]:
        """The commands of its CI, in their order, or what CI runs elsewhere."""
        found = commands_of(self.folder)
        assert set(COMMANDS) <= set(found) or self.answers["ci"] == "none"
        return found or COMMANDS


def without_uv(path: str) -> str:
    """A search path without the folders that hold uv."""
    return os.pathsep.join(
        part for part in path.split(os.pathsep) if not (Path(part) / "uv").exists()
    )


@pytest.fixture
def project(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """The project of a row, with the interpreter that its answers name first on the path."""
    answers: Row = request.param
    folder = interpreters.for_version(answers["python_version"])
    if folder is None:
        pytest.skip(f"no Python {answers['python_version']} or newer is installed")
    if answers["engine"] == "spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    path = os.environ["PATH"]
    if answers is ROWS[NO_UV]:
        path = without_uv(path)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{path}")
    # Rows run beside each other; threads of both would wait for each other, spinning.
    # And pytest takes its folder away from other users, under which a server of a row may run.
    settings = {"OMP_NUM_THREADS": "1", "PYTEST_DEBUG_TEMPROOT": str(tmp_path)}
    # What the tests reach is measured once for each task.
    settings["COVERAGE"] = "1" if answers in (ROWS[ALONE], ROWS[NO_UV]) else ""
    for name, value in {**IDENTITY, **settings}.items():
        monkeypatch.setenv(name, value)
    yield Project(template.bake(tmp_path, answers), answers)
    shutil.rmtree(tmp_path, ignore_errors=True)


def own_tests(answers: Row) -> list[str]:
    """The test files that a project has because of the answers that shape its data layer."""
    return sorted(
        final
        for source, conditions in template.final_names().items()
        for when, final in conditions
        if final.startswith("tests/test_")
        and template.matches(when, answers)
        and set(when) & (set(DATA) - {"task", "serving"})
    )


def test_every_choice_is_run() -> None:
    """No choice of any question is left out of the rows."""
    for name, choices in template.OPTIONS.items():
        assert {row[name] for row in (*ROWS, *DATA_ROWS)} == set(choices), name


@pytest.mark.run
@pytest.mark.parametrize(
    "project",
    ROWS + MORE_ROWS,
    indirect=True,
    ids=["-".join((r["task"], r["objective"], r["serving"], r["ci"])) for r in ROWS + MORE_ROWS],
)
def test_project(
    project: Project, subtests: pytest.Subtests, request: pytest.FixtureRequest
) -> None:
    """From raw data to monitoring and back, as its user would."""
    index = (ROWS + MORE_ROWS).index(request.node.callspec.params["project"])
    for command in project.commands():
        with subtests.test(command):
            project.run(*command.split())
    with subtests.test("a second run does nothing"):
        a_second_run_does_nothing(project)
    with subtests.test("README"):
        the_readme_is_filled_in(project)
    with subtests.test("score"):
        the_model_is_good(project)
    with subtests.test("prediction"):
        a_prediction_is_served(project)
    with subtests.test("clean"):
        nothing_is_left_uncommitted(project)
    with subtests.test("versions"):
        versions_are_shared(project)
    if project.answers["data_source"] == "file" and project.answers["dvc_remote"] != "local":
        with subtests.test("object store"):
            records_are_read_from_an_object_store(project)
    with subtests.test("monitor"):
        live_predictions_are_monitored(project)
    if index in WITH_NOTEBOOKS and "make notebooks" not in project.commands():
        with subtests.test("notebooks"):
            project.run("make", "notebooks")
    if project.answers["serving"] == "api":
        with subtests.test("OpenAPI"):
            the_service_keeps_its_description(project)
    if index == ALONE:
        with subtests.test("hooks"):
            project.run("make", "hooks")
        with subtests.test("dashboard"):
            the_dashboard_starts(project)
        with subtests.test("changed parameter"):
            a_changed_parameter_reruns_what_depends_on_it(project)
    if index == NO_UV:
        with subtests.test("uv of its own"):
            assert (project.folder / ".uv" / "bin" / "uv").exists()


@pytest.mark.run
@pytest.mark.parametrize(
    "project",
    DATA_ROWS,
    indirect=True,
    ids=["-".join(row[name] for name in DATA) for row in DATA_ROWS],
)
def test_data_layer(project: Project, subtests: pytest.Subtests) -> None:
    """Each way of getting and preparing data, from the source to a served prediction."""
    project.run("make", "run")
    with subtests.test("a second run does nothing"):
        a_second_run_does_nothing(project)
    with subtests.test("README"):
        the_readme_is_filled_in(project)
    with subtests.test("score"):
        the_model_is_good(project)
    with subtests.test("prediction"):
        a_prediction_is_served(project)
    with subtests.test("types"):
        project.run("make", "check")
    files = own_tests(project.answers)
    if files:
        with subtests.test("tests of the data layer"):
            project.run(project.python, "-m", "pytest", "-q", *files)


def reports_written(project: Project) -> dict[str, int]:
    """When each output of the pipeline was written."""
    files = [
        path
        for name in ("data", "models", "reports")
        for path in (project.folder / name).rglob("*")
    ]
    files.append(project.folder / "README.md")
    return {str(path): path.stat().st_mtime_ns for path in files if path.is_file()}


def a_second_run_does_nothing(project: Project) -> None:
    """No stage runs again, and no file is written again.

    Only a source outside the project has to be asked whether it has something new.
    """
    before = reports_written(project)
    said = project.run("make", "run")
    assert stages_run(said) == asking(project)
    assert asking(project) or "Data and pipelines are up to date." in said
    assert reports_written(project) == before


def asking(project: Project) -> set[str]:
    """The stages that run each time, because only the source knows whether it has changed."""
    return set() if project.answers["data_source"] == "file" else {"retrieve"}


def the_readme_is_filled_in(project: Project) -> None:
    """Every measured part holds what was measured, and its figures exist."""
    readme = project.text("README.md")
    parts = dict(re.findall(r"<!-- measured: (\w+) -->\n(.*?)\n<!-- end: \1 -->", readme, re.S))
    expected = {"data", "exploration", "search", "model", "explanation"}
    expected |= {"deployment", "monitoring", RESULTS[project.answers["task"]]}
    if project.answers["label_source"] != "natural":
        expected.add("labels")
    if project.answers["task"] == "forecasting":
        expected.add("backtest")
    if project.answers["task"] == "anomaly_detection":
        expected.add("detectors")
    assert set(parts) == expected
    for name, text in parts.items():
        assert not re.search(r"writes .* here\.$", text), name
        assert len(text.split()) > 10, name
    figures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", readme)
    assert figures
    assert not [name for name in figures if not (project.folder / name).is_file()]
    assert not re.search(r"\bTODO\b|\bTBD\b|\bnan\b|\bNone\b", readme)


def stored_predictions(project: Project) -> pd.DataFrame:
    """The predictions of the held-out rows, as the pipeline has stored them."""
    code = "import pandas, sys; pandas.read_parquet(sys.argv[1]).to_csv(sys.stdout, index=False)"
    python = project.folder / ".venv" / "bin" / "python"
    text = project.run(str(python), "-c", code, "data/test_predictions.parquet")
    return pd.read_csv(io.StringIO(text))


def the_clusters_are_the_groups(project: Project) -> None:
    """The clusters of the held-out rows are the groups that these were drawn from."""
    truth = make_samples.SAMPLES[SAMPLES["clustering"]]().truth
    rows = stored_predictions(project).merge(truth, on=truth.columns[0], validate="one_to_one")
    found = rows.filter(regex="^score_").to_numpy().argmax(axis=1)
    alike = adjusted_rand_score(rows["group"], found)
    assert alike > ALIKE, f"adjusted Rand index {alike:.3f} with the groups of the sample"


def held_out(project: Project) -> pd.DataFrame:
    """The predictions of the held-out rows with the truth that the sample was drawn from.

    What the project takes for the outcome is in the column `target` whatever its name, the
    prediction in `score`, of two classes the probability of the second, and what really happened
    in `outcome` where labels may be wrong about it.
    """
    name = SAMPLES[project.answers["task"]]
    sample = make_samples.SAMPLES[name]()
    if name in make_samples.LABELLED:
        sample = make_samples.assigned(name, sample).sample
    truth = sample.truth
    columns = yaml.safe_load(project.text("schema.yaml"))["columns"]
    [target] = [column["name"] for column in columns if column["role"] == "target"]
    names = {target: "target", SCORES[project.answers["task"]]: "score"}
    predictions = stored_predictions(project).rename(columns=names)
    together = predictions.merge(truth, on=truth.columns[0], validate="one_to_one")
    assert len(together) == len(predictions)
    return together


def precision_at_k(outcome: Floats, scores: Floats) -> float:
    """The share of anomalies in the first rows by their scores, where no two scores are equal."""
    first = SHARE_LOOKED_AT * outcome.size
    counted = np.clip(first - np.arange(outcome.size), 0, 1)
    return float(counted @ outcome[np.argsort(-scores)] / first)


# Metric -> how it is computed, whether more is better, and the score of a perfect model.
ACHIEVABLE: dict[str, tuple[Metric, bool, str]] = {
    "brier_score": (lambda y, p: float(brier_score_loss(y, p)), False, "probability"),
    "log_loss": (lambda y, p: float(log_loss(y, p)), False, "probability"),
    "roc_auc": (lambda y, p: float(roc_auc_score(y, p)), True, "probability"),
    "average_precision": (lambda y, p: float(average_precision_score(y, p)), True, "probability"),
    "precision_at_k": (precision_at_k, True, "probability"),
    "mean_absolute_error": (lambda y, p: float(mean_absolute_error(y, p)), False, "median"),
    "root_mean_squared_error": (lambda y, p: float(root_mean_squared_error(y, p)), False, "mean"),
    "spearman": (
        lambda y, p: float(pd.Series(y).corr(pd.Series(p), method="spearman")),
        True,
        "median",
    ),
}


def the_model_is_good(project: Project) -> None:
    """Better than the baseline beyond doubt, and close to the best that any model can reach."""
    chosen = project.params()["selection"]["metric"]
    measured = {item["name"]: item for item in project.json("reports/evaluation.json")["metrics"]}
    assert measured[chosen]["improvement"]["low"] > 0, measured[chosen]
    if project.answers["task"] == "clustering":
        the_clusters_are_the_groups(project)
    if chosen not in ACHIEVABLE:
        return
    metric, more_is_better, perfect = ACHIEVABLE[chosen]
    rows = held_out(project)
    target = rows["target"].to_numpy()
    reached = metric(target, rows["score"].to_numpy())
    best = metric(target, rows[perfect].to_numpy())
    # The report tells the same as an independent calculation.
    assert reached == pytest.approx(measured[chosen]["model"]["value"])
    if project.answers["label_source"] != "natural":
        # By what really happened, and against a model that knows the truth as well as labels tell.
        outcome = rows["outcome"].to_numpy()
        reached = metric(outcome, rows["score"].to_numpy())
        best = metric(outcome, as_labels_tell(project, rows, perfect))
    behind = best / reached - 1 if more_is_better else reached / best - 1
    assert behind < CLOSE[project.answers["task"]], (
        f"{chosen}: {reached:.4f}, the best achievable is {best:.4f}"
    )


def as_labels_tell(project: Project, rows: pd.DataFrame, perfect: str) -> Floats:
    """The best prediction of labels that are wrong as often as those of the project.

    Wrong labels put a bound on what can be learned. Let e1 be the share of labels 0 where the
    outcome is 1, and e0 that of labels 1 where it is 0, whatever the record. Then the label of a
    record is 1 with the probability p (1 - e1) + (1 - p) e0, which a perfect model of the labels
    predicts. A number that labels give too high on average is predicted too high by as much.
    """
    truth, label, outcome = (rows[name].to_numpy() for name in (perfect, "target", "outcome"))
    if project.answers["task"] == "classification":
        missed, invented = (float((label != outcome)[outcome == value].mean()) for value in (1, 0))
        assert max(missed, invented) < WRONG_LABELS, (missed, invented)
        return np.asarray(truth * (1 - missed) + (1 - truth) * invented)
    error = label - outcome
    assert np.abs(error).mean() < LABEL_ERROR * np.abs(outcome - truth).mean()
    return np.asarray(truth + error.mean())


def a_prediction_is_served(project: Project) -> None:
    """One raw record goes through the chosen way of serving and comes back with an answer."""
    if project.answers["serving"] == "api":
        answer = json.loads(demo.predict_api(project.folder))
    else:
        answer = json.loads(demo.predict_batch(project.folder))
    version = project.json("models/live.json")["version"]
    assert answer["model_version"] == version
    assert float(answer[ANSWERS[project.answers["task"]]]) >= 0


def the_service_keeps_its_description(project: Project) -> None:
    """Generated requests, valid and not, are answered as the OpenAPI description says."""
    port = demo.free_port()
    address = f"http://127.0.0.1:{port}"
    process = demo.started(
        project.folder, "make", "serve", env={**demo.environment(), "PORT": str(port)}
    )
    try:
        demo.wait_until_ready(f"{address}/ready", process)
        judge = str(Path(sys.prefix) / "bin" / "schemathesis")
        options = ("--checks", "all", "--seed", "1", "--max-examples", "30", "--no-color")
        assert "No issues found" in project.run(judge, "run", *options, f"{address}/openapi.json")
    finally:
        demo.stop(process)


def nothing_is_left_uncommitted(project: Project) -> None:
    """What a run writes is either versioned or ignored, and runs leave a committed tree clean."""
    project.run("git", "add", "--all")
    versioned = project.run("git", "ls-files").splitlines()
    made = [name for name in versioned if not name.startswith("data/source/")]
    assert not [name for name in made if name.endswith((".parquet", ".onnx", ".skops"))]
    project.run("git", "commit", "--quiet", "--message", "Run the pipeline")
    project.run("make", "run")
    assert project.run("git", "status", "--porcelain") == ""


def versions_are_shared(project: Project) -> None:
    """Another clone of the committed project gets the same data and models from the remote."""
    remote = project.answers["dvc_remote"]
    bucket = f"{project.folder.name.replace('_', '-')}-storage"
    with contextlib.ExitStack() as stack:
        if remote != "local":
            stack.enter_context(object_store(remote, bucket, project.python))
        project.run("make", "push")
        clone = Project(project.folder.parent / "clone", project.answers)
        project.run("git", "clone", "--quiet", str(project.folder), str(clone.folder))
        if remote == "local":
            # The folder beside the clone is the one beside the project.
            assert (project.folder.parent / f"{project.folder.name}_storage").is_dir()
        clone.run("make", "pull")
        said = clone.run("make", "run")
    assert stages_run(said) == asking(project)
    assert clone.json("models/live.json") == project.json("models/live.json")
    shutil.rmtree(clone.folder)


def records_are_read_from_an_object_store(project: Project) -> None:
    """The records of the sample are the same in a bucket, schema file beside them included."""
    clone = Project(project.folder.parent / "reader", project.answers)
    project.run("git", "clone", "--quiet", str(project.folder), str(clone.folder))
    params = clone.folder / "params.yaml"
    files = (project.folder / "data" / "source").iterdir()
    store = object_store(project.answers["dvc_remote"], "records", project.python, files)
    with store as url:
        changed = re.sub(r"path: data/source/\S+", f"path: {url}", clone.text("params.yaml"))
        assert changed != clone.text("params.yaml")
        params.write_text(changed, encoding="utf-8")
        clone.run(project.python, "-m", "data_prep.retrieval")
    arrived, known = (at.json("reports/retrieval.json") for at in (clone, project))
    assert arrived["source"] == url
    assert {arrived[name] == known[name] for name in ("rows", "columns", "sha256")} == {True}
    shutil.rmtree(clone.folder)


def live_predictions_are_monitored(project: Project) -> None:
    """What was served in operation is compared, and the one column that drifts is named."""
    if project.answers["serving"] == "api":
        where = ("--records", "data/recent.parquet", "--log", "data/served")
        project.run(project.python, "-m", "model_deployment.replay", *where)
    else:
        project.run("make", "score")
    assert DRIFTING[project.answers["task"]] in project.run("make", "monitor")


def stages_run(said: str) -> set[str]:
    """The stages that a run of the pipeline names as run."""
    return set(re.findall(r"^Running stage '([^']+)'", said, flags=re.MULTILINE))


def a_changed_parameter_reruns_what_depends_on_it(project: Project) -> None:
    """A setting of monitoring reruns neither training nor export."""
    params = project.folder / "params.yaml"
    changed = project.text("params.yaml").replace("warning_index: 0.1\n", "warning_index: 0.11\n")
    assert changed != project.text("params.yaml")
    params.write_text(changed, encoding="utf-8")
    assert stages_run(project.run("make", "run")) == {"monitor", "document", "report"}


def the_dashboard_starts(project: Project) -> None:
    """The dashboard answers on its address."""
    port = demo.free_port()
    settings = {"STREAMLIT_SERVER_PORT": str(port), "STREAMLIT_SERVER_HEADLESS": "true"}
    process = demo.started(
        project.folder, "make", "dashboard", env={**demo.environment(), **settings}
    )
    try:
        demo.wait_until_ready(f"http://127.0.0.1:{port}/", process)
        demo.wait_until_ready(f"http://127.0.0.1:{port}/_stcore/health", process)
    finally:
        demo.stop(process)

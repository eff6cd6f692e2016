"""The search for hyperparameters: proposals, resumption, early stops, results and refusals."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from matplotlib.figure import Figure

from data_viz.search_plots import search_figures
from model_training import search
from model_training.hyperparameters import (
    Point,
    Settings,
    best_points,
    spaces,
    starting_point,
)
from model_training.model_selection import BASELINE
from model_training.results import CandidateSearch, SearchReport, Trial
from model_training.search import Ended, Task, play, study_name, summarise
from model_training.trials import Hunt, open_journal, open_study, propose
from utils.config import Hyperparameter, ProjectError, Search, Space, load_params
from utils.files import only_process, read_json
from utils.paths import SEARCH, SEARCH_LOCK, SEARCHED
from utils.readme import search_part

FOLDS = 4
SEED = 3
SPACES = {
    "rate": Space(0.01, 1.0, log=True),
    "leaves": Space(2, 30),
    "kind": Space(choices=("a", "b", None)),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep Optuna from telling of every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def loss(task: Task) -> float | str:
    """Return the score of a made-up model: best for rate 0.1, 10 leaves and kind b."""
    _, point, fold = task
    rate, leaves = float(str(point["rate"])), float(str(point["leaves"]))
    return abs(rate - 0.1) + abs(leaves - 10) / 10 + 0.5 * (point["kind"] != "b") + fold / 100


def evaluate(tasks: Sequence[Task]) -> list[float | str]:
    return [loss(task) for task in tasks]


class StoppedError(Exception):
    """The process was ended."""


def until(limit: int) -> Callable[[Sequence[Task]], list[float | str]]:
    """Return an evaluation that ends the process when it is asked for the ``limit``-th time."""
    calls = 0

    def limited(tasks: Sequence[Task]) -> list[float | str]:
        nonlocal calls
        calls += 1
        if calls == limit:
            raise StoppedError
        return evaluate(tasks)

    return limited


def hunts(journal: Path, *names: str, greater_is_better: bool = False) -> list[Hunt]:
    storage = open_journal(journal)
    return [
        Hunt(name, SPACES, open_study(storage, name, greater_is_better=greater_is_better))
        for name in names or ("boosting", "forest")
    ]


def searched(
    journal: Path,
    evaluation: Callable[[Sequence[Task]], Sequence[float | str]] = evaluate,
    *,
    trials: int = 10,
) -> list[CandidateSearch]:
    """Search to the end and return what was found."""
    found = hunts(journal)
    count, ended = play(found, Search(3, trials), SEED, FOLDS, evaluation)
    return [summarise(hunt, count, FOLDS, ended) for hunt in found]


def test_the_first_trial_is_the_starting_point() -> None:
    assert starting_point(Space(1, 100, log=True)) == 10
    assert starting_point(Space(0.02, 2.0, log=True)) == 0.2
    assert starting_point(Space(0.0, 5.0)) == 2.5
    assert starting_point(Space(2, 9, start=3)) == 3
    assert starting_point(Space(choices=(None, "sqrt"))) is None


def test_a_search_finds_better_points_within_its_ranges(tmp_path: Path) -> None:
    first, other = searched(tmp_path / "trials.jsonl", trials=24)
    start, best = first.trials[0], first.trials[first.best]
    assert start.hyperparameters == {"rate": 0.1, "leaves": 16, "kind": "a"}
    assert start.mean is not None
    assert best.mean is not None
    assert best.mean < start.mean / 2
    assert first.hyperparameters == best.hyperparameters
    assert best.mean == min(trial.mean for trial in first.trials if trial.mean is not None)
    assert sum(first.importance.values()) == pytest.approx(1, abs=0.001)
    assert set(first.importance) == set(SPACES)
    for trial in first.trials:
        assert 0.01 <= float(str(trial.hyperparameters["rate"])) <= 1
        assert trial.hyperparameters["leaves"] in range(2, 31)
    assert first.trials == other.trials, "the same task and seed"


def test_hopeless_trials_end_after_the_first_folds(tmp_path: Path) -> None:
    asked: list[Task] = []

    def counting(tasks: Sequence[Task]) -> list[float | str]:
        asked.extend(tasks)
        return evaluate(tasks)

    first, *_ = searched(tmp_path / "trials.jsonl", counting, trials=12)
    early = [trial for trial in first.trials if trial.state == "stopped early"]
    assert early
    assert min(trial.number for trial in early) >= 3, "the first batch has nothing to compare with"
    assert all(len(trial.folds) == FOLDS // 2 and trial.mean is None for trial in early)
    assert len(asked) == 2 * (12 * FOLDS - len(early) * FOLDS // 2)


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5])
def test_a_stopped_search_ends_as_if_it_had_not_been_stopped(tmp_path: Path, calls: int) -> None:
    whole = searched(tmp_path / "whole.jsonl")
    with pytest.raises(StoppedError):
        searched(tmp_path / "trials.jsonl", until(calls))
    assert searched(tmp_path / "trials.jsonl") == whole


def test_a_search_goes_on_from_within_a_batch(tmp_path: Path) -> None:
    whole, journal = tmp_path / "whole.jsonl", tmp_path / "trials.jsonl"
    expected = searched(whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    for kept in (3, 4, 7, len(lines) - 1):
        # the last line is cut, as by a process that ended while writing it
        journal.write_bytes(b"".join(lines[:kept]) + lines[kept][:20])
        assert searched(journal) == expected


def test_a_finished_search_evaluates_nothing_again(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    expected = searched(journal)
    content = journal.read_bytes()
    assert searched(journal, until(1)) == expected
    assert journal.read_bytes() == content


def test_a_larger_budget_continues_and_a_smaller_one_looks_back(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    small = searched(journal, trials=5)
    assert searched(journal, trials=10) == searched(tmp_path / "whole.jsonl", trials=10)
    assert searched(journal, until(1), trials=5) == small


def test_a_budget_of_time_ends_the_search(tmp_path: Path) -> None:
    found = hunts(tmp_path / "trials.jsonl", "boosting")
    assert play(found, Search(2, minutes=1e-9), SEED, FOLDS, evaluate) == (2, "minutes")
    assert play(found, Search(2, 2, 60), SEED, FOLDS, until(1)) == (2, "trials")
    count, ended = play(found, Search(2, None, 1e-9), SEED, FOLDS, until(1))
    assert (count, ended) == (2, "minutes"), "the time of the earlier run counts"


def test_a_trial_that_fails_is_reported_and_never_the_best(tmp_path: Path) -> None:
    def failing(tasks: Sequence[Task]) -> list[float | str]:
        return ["no such kind" if task[1]["kind"] == "b" else loss(task) for task in tasks]

    first, *_ = searched(tmp_path / "trials.jsonl", failing)
    failed = [trial for trial in first.trials if trial.hyperparameters["kind"] == "b"]
    assert failed
    assert all(trial.state == "failed" and trial.reason == "no such kind" for trial in failed)
    assert first.trials[first.best].state == "complete"
    with pytest.raises(ProjectError, match=r"No trial of boosting .*: never\. Correct"):
        searched(tmp_path / "none.jsonl", lambda tasks: ["never" for _ in tasks])


def test_the_direction_of_the_metric_decides(tmp_path: Path) -> None:
    found = hunts(tmp_path / "trials.jsonl", "boosting", greater_is_better=True)
    play(found, Search(3, 9), SEED, FOLDS, evaluate)
    result = summarise(found[0], 9, FOLDS, "trials")
    means = [trial.mean for trial in result.trials if trial.mean is not None]
    assert result.trials[result.best].mean == max(means)


@pytest.mark.parametrize(
    "content",
    [b"hello\n", b"hello", b'{"a": 1}\n', b"[1, 2]\n", b"\x00\xff\n", b'{"op_code": 4}\n'],
)
def test_a_foreign_or_damaged_journal_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "trials.jsonl"
    journal.write_bytes(content)
    with pytest.raises(ProjectError, match=r"trials\.jsonl is no journal of a search, or damaged"):
        open_journal(journal)
    assert journal.read_bytes() == content


def test_trials_of_something_else_are_refused(tmp_path: Path) -> None:
    found = hunts(tmp_path / "trials.jsonl", "boosting")
    found[0].study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ProjectError, match="trial 0 in the journal of the search"):
        play(found, Search(1, 1), SEED, FOLDS, evaluate)


def test_proposals_depend_on_nothing_but_the_earlier_trials(tmp_path: Path) -> None:
    def points(count: int) -> list[Point]:
        return [trial.params for trial in propose(found, 3, count, 3, SEED)]

    (found,) = hunts(tmp_path / "trials.jsonl", "boosting")
    play([found], Search(3, 6), SEED, FOLDS, evaluate)
    assert points(3) == points(3)
    assert points(2) == points(3)[:2]


def set_params(path: str, value: object) -> None:
    """Change one entry of ``params.yaml`` in the current folder."""
    content = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    entry = content
    for key in parents:
        entry = entry[key]
    entry[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def trained(in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with what the stage reads, and the journal of the first run."""
    for name in ("params.yaml", "schema.yaml", "data/train.parquet", str(SEARCHED), str(SEARCH)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((in_project / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_gives_the_same_bytes_again(trained: Path) -> None:
    before = (trained / SEARCH).read_bytes()
    search.main()
    assert (trained / SEARCH).read_bytes() == before
    report = read_json(trained / SEARCH)
    searched = [
        name for name, settings in load_params().selection.candidates.items() if spaces(settings)
    ]
    found = {candidate["name"]: len(candidate["trials"]) for candidate in report["candidates"]}
    assert found == dict.fromkeys(searched, 3)


def test_selection_compares_what_the_search_found(in_project: Path) -> None:
    found = {
        item["name"]: item["hyperparameters"]
        for item in read_json(in_project / SEARCH)["candidates"]
    }
    best = {
        item["name"]: item["trials"][item["best"]]["mean"]
        for item in read_json(in_project / SEARCH)["candidates"]
    }
    assert found
    for item in read_json(in_project / "reports/selection.json")["candidates"]:
        if item["name"] in found:
            assert item["hyperparameters"].items() >= found[item["name"]].items()
            assert item["mean"] == pytest.approx(best[item["name"]])


def test_without_trials_nothing_is_searched(trained: Path) -> None:
    set_params("selection.search.trials", 0)
    search.main()
    report = read_json(trained / SEARCH)
    assert report["candidates"] == []
    assert not list((trained / "reports/figures/search").glob("*.png"))
    assert "No hyperparameters were searched" in search_part(load_params(), {"search": report})


@pytest.mark.parametrize(
    ("setting", "space"),
    [
        ("no_such_setting", {"low": 1, "high": 3}),
        ("", {"low": -5, "high": 3}),
        ("", {"choices": ["nonsense", "more"]}),
    ],
)
@pytest.mark.usefixtures("trained")
def test_spaces_that_no_model_takes_are_refused_before_the_search(
    setting: str, space: dict[str, object]
) -> None:
    candidates = load_params().selection.candidates
    name = next(name for name, settings in candidates.items() if spaces(settings))
    searched = setting or next(iter(spaces(candidates[name])))
    set_params("selection.candidates", {BASELINE: {}, name: {searched: space}})
    with pytest.raises(ProjectError, match=rf"selection\.candidates\.{name}.*{searched}"):
        search.main()


@pytest.mark.usefixtures("trained")
def test_another_search_at_the_same_time_is_refused() -> None:
    with only_process(SEARCH_LOCK), pytest.raises(ProjectError, match="is searching"):
        search.main()


@pytest.mark.parametrize(
    ("path", "value"),
    [("split.folds", 3), ("split.seed", 1), ("selection.search.batch", 7)],
)
def test_a_new_study_begins_when_what_scores_depend_on_changes(
    trained: Path, path: str, value: object
) -> None:
    name = next(iter(read_json(trained / SEARCH)["candidates"]))["name"]
    before = study_name(name, load_params())
    set_params("selection.search.trials", 50)
    assert study_name(name, load_params()) == before, "a larger budget continues"
    set_params(path, value)
    assert study_name(name, load_params()) != before


def test_a_new_study_begins_with_other_rows(trained: Path) -> None:
    name = next(iter(read_json(trained / SEARCH)["candidates"]))["name"]
    before = study_name(name, load_params())
    with (trained / "data/train.parquet").open("ab") as stream:
        stream.write(b"more")
    assert study_name(name, load_params()) != before


def test_a_report_about_other_hyperparameters_is_refused() -> None:
    found = CandidateSearch("forest", "trials", 0, {"depth": 3}, {}, [])
    report = SearchReport("error", False, [found])
    candidates: dict[str, Settings] = {"forest": {"depth": Space(1, 5), "trees": 9}}
    assert best_points(candidates, report) == {"forest": {"depth": 3, "trees": 9}}
    with pytest.raises(ProjectError, match="searched other hyperparameters of forest"):
        best_points({"forest": {"trees": Space(1, 5)}}, report)


def texts(figure: Figure) -> str:
    return " ".join(
        text.get_text()
        for axes in figure.axes
        for text in (axes.title, axes.xaxis.label, *axes.get_xticklabels())
    )


def test_figures_show_every_candidate_and_hyperparameter(tmp_path: Path) -> None:
    report = SearchReport("error", False, searched(tmp_path / "trials.jsonl", trials=12))
    figures = search_figures(report, "Error")
    assert set(figures) == {
        "search_history",
        "score_by_hyperparameter",
        "hyperparameter_importance",
    }
    assert len(figures["search_history"].axes) == 2
    slices = figures["score_by_hyperparameter"]
    assert len(slices.axes) == 2 * len(SPACES)
    assert [axes.get_xscale() for axes in slices.axes[:2]] == ["log", "linear"]
    assert {"rate", "leaves", "None"} <= set(texts(slices).split())
    one = report.candidates[0]
    for axes in (figures["search_history"].axes[0], slices.axes[0]):
        marks = {line.get_label(): np.size(line.get_xdata()) for line in axes.lines}
        complete = sum(trial.mean is not None for trial in one.trials)
        assert marks["trial"] == complete
        assert marks["stopped early or failed"] == 12 - complete


def test_without_importance_there_is_no_figure_of_it() -> None:
    point: dict[str, Hyperparameter] = {"depth": 3}
    trial = Trial(0, "complete", point, [1.0, 2.0], 1.5, 0.5)
    ended: Ended = "minutes"
    report = SearchReport("m", True, [CandidateSearch("forest", ended, 0, point, {}, [trial])])
    assert set(search_figures(report, "M")) == {"search_history", "score_by_hyperparameter"}

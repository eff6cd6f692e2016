"""Search for the hyperparameters that ``params.yaml`` gives as ranges or choices.

Usage: ``python -m model_training.search`` evaluates trials by cross-validation on the training rows
and writes all of them and the best. Finished trials are kept in ``data/search``, so that a search
that was stopped goes on where it was.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import optuna
from tqdm import tqdm

from data_prep.feature_engineering import feature_names
from data_viz.plot_utils import save_figures
from data_viz.search_plots import search_figures
from model_training.candidates import candidates
from model_training.hyperparameters import (
    Point,
    spaces,
    starting_point,
    with_point,
)
from model_training.model_selection import Comparison, load_comparison, pipeline, unseen_scores
from model_training.parallel import each
from model_training.results import CandidateSearch, SearchReport
from model_training.trials import (
    Hunt,
    as_result,
    failure,
    hopeless,
    importance,
    judged,
    keep,
    kept,
    open_journal,
    open_study,
    point_of,
    propose,
    rounded,
)
from utils.config import (
    SCHEMA_PATH,
    Contract,
    Params,
    ProjectError,
    Search,
    load_contract,
    load_params,
    recipe,
)
from utils.files import only_process, sha256, write_json
from utils.logging import run
from utils.paths import SEARCH, SEARCH_LOCK, SEARCHED, TRAIN

FIGURES = Path("reports/figures/search")
CODE = Path(__file__).resolve().parent
LIBRARIES = ("optuna", "scikit-learn")
SECONDS_PER_MINUTE = 60

# The fold of a point: candidate, values of what is searched, number of the fold.
Task = tuple[str, Point, int]
Evaluate = Callable[[Sequence[Task]], Sequence[float | str]]
Ended = Literal["trials", "minutes"]

log = logging.getLogger(__name__)


class Attempt(NamedTuple):
    """A proposed trial on its way to the journal."""

    hunt: Hunt
    number: int
    trial: optuna.Trial
    point: Point


def fold_score(
    comparison: Comparison, params: Params, contract: Contract, task: Task
) -> float | str:
    """Return the score of a point on the validation rows of a fold, or why it has none."""
    name, point, fold = task
    training, validation = comparison.folds[fold]
    settings = with_point(params.selection.candidates[name], point)
    metric = params.selection.metric
    try:
        candidate = candidates({name: settings}, metric, params.split.seed)[name]
        model = pipeline(candidate, feature_names(recipe(params, contract)), contract)
        predicted = unseen_scores(
            {name: model},
            comparison.inputs,
            comparison.outcome,
            comparison.weights,
            (name, training, validation),
        )
    except (ProjectError, ValueError) as error:
        return " ".join(str(error).split())
    score = comparison.metric.function(
        comparison.outcome[validation],
        predicted,
        comparison.weights[validation],
        comparison.value,
    )
    return rounded(score) if math.isfinite(score) else f"{metric} is undefined on fold {fold + 1}"


def check_spaces(params: Params) -> None:
    """Build every candidate at the ends of its ranges and with each of its choices.

    Raises:
        ProjectError: a hyperparameter is unknown, or can't have such a value.
    """
    for name, settings in params.selection.candidates.items():
        searched = spaces(settings)
        start = {key: starting_point(space) for key, space in searched.items()}
        for key, space in searched.items():
            for value in space.choices or (space.low, space.high):
                point = with_point(settings, {**start, key: value})
                candidates({name: point}, params.selection.metric, params.split.seed)


def study_name(name: str, params: Params) -> str:
    """Return the name of the study of a candidate: it changes with all that its scores depend on.

    These are the training rows and what is read from them, the folds, the metric, the candidate
    with its spaces, the size of a batch, the code and the libraries; not the budget, so that a
    larger one continues the same study.
    """
    meaning = [CODE.parent / "utils" / name for name in ("metrics.py", "outcome.py")]
    code = [*sorted(CODE.glob("*.py")), *meaning]
    decisive = {
        "rows": sha256(TRAIN),
        "contract": sha256(SCHEMA_PATH),
        "columns": [params.transformation, params.features],
        "folds": params.split,
        "metric": [params.selection.metric, params.value],
        "hyperparameters": params.selection.candidates[name],
        "batch": params.selection.search.batch,
        "code": {path.name: sha256(path) for path in code},
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    encoded = msgspec.json.encode(decisive, order="deterministic")
    return f"{name}-{hashlib.sha256(encoded).hexdigest()[:16]}"


def _scores(
    attempts: Sequence[Attempt], folds: range, evaluate: Evaluate
) -> list[list[float | str]]:
    tasks = [(attempt.hunt.name, attempt.point, fold) for attempt in attempts for fold in folds]
    found = iter(evaluate(tasks) if tasks else [])
    return [[next(found) for _ in folds] for _ in attempts]


def proposed(hunts: Sequence[Hunt], numbers: range, batch: int, seed: int) -> list[Attempt]:
    """Return the trials with these numbers that the journal does not hold yet."""
    return [
        Attempt(hunt, number, trial, point_of(hunt, trial))
        for hunt in hunts
        if len(hunt.finished) < numbers.stop
        for number, trial in zip(
            numbers, propose(hunt, numbers.start, len(numbers), batch, seed), strict=True
        )
        if number >= len(hunt.finished)
    ]


def evaluate_attempts(attempts: Sequence[Attempt], folds: int, evaluate: Evaluate) -> None:
    """Evaluate trials and bring them into the journal.

    All are evaluated on the first half of the folds; those that are hopeless then end there.
    """
    began = time.monotonic()
    early = folds // 2
    scores = _scores(attempts, range(early), evaluate)
    promising = [
        place
        for place, attempt in enumerate(attempts)
        if not failure(scores[place]) and not hopeless(attempt.trial, scores[place])
    ]
    later = _scores([attempts[place] for place in promising], range(early, folds), evaluate)
    for place, more in zip(promising, later, strict=True):
        scores[place] += more
    seconds = (time.monotonic() - began) / max(1, len(attempts))
    for attempt, found in zip(attempts, scores, strict=True):
        keep(attempt.hunt, judged(attempt.number, attempt.point, found, folds), early, seconds)


def play(
    hunts: Sequence[Hunt], budget: Search, seed: int, folds: int, evaluate: Evaluate
) -> tuple[int, Ended]:
    """Search until the budget is used up, all candidates side by side, batch by batch.

    Args:
        hunts: the searches, with the trials that they have already.
        budget: how many trials each may have, and how long all may take; the time of trials from
            an earlier, stopped run counts.
        seed: makes the proposals repeatable.
        folds: how many folds a point is evaluated on.
        evaluate: returns the score of each task, or why it has none.

    Returns:
        How many trials of each candidate belong to the budget, and what ended the search.
    """
    number, seconds = 0, 0.0
    total = None if budget.trials is None else budget.trials * len(hunts)
    with tqdm(total=total, desc="search", unit=" trials") as bar:
        while budget.trials is None or number < budget.trials:
            if budget.minutes is not None and seconds >= SECONDS_PER_MINUTE * budget.minutes:
                return number, "minutes"
            left = budget.batch if budget.trials is None else budget.trials - number
            numbers = range(number, number + min(budget.batch, left))
            evaluate_attempts(proposed(hunts, numbers, budget.batch, seed), folds, evaluate)
            number = numbers.stop
            seconds += sum(
                kept(trial).seconds
                for hunt in hunts
                for trial in hunt.finished[numbers.start : numbers.stop]
            )
            bar.update(len(hunts) * len(numbers))
    return number, "trials"


def summarise(hunt: Hunt, trials: int, folds: int, ended: Ended) -> CandidateSearch:
    """Return what the first ``trials`` trials of a candidate found.

    Raises:
        ProjectError: none of them could be evaluated.
    """
    results = [as_result(hunt, trial, folds) for trial in hunt.finished[:trials]]
    sign = -1 if hunt.greater_is_better else 1
    ranked = [(sign * trial.mean, trial.number) for trial in results if trial.mean is not None]
    if not ranked:
        raise ProjectError(
            f"No trial of {hunt.name} could be evaluated: {results[0].reason}. Correct "
            "selection.candidates in params.yaml."
        )
    best = min(ranked)[1]
    return CandidateSearch(
        name=hunt.name,
        ended_by=ended,
        best=best,
        hyperparameters=results[best].hyperparameters,
        importance=importance(hunt, trials, folds // 2),
        trials=results,
    )


def main() -> None:
    """Search, and write the trials, the best of them and their figures."""
    params, contract = load_params(), load_contract()
    comparison, budget = load_comparison(params, contract), params.selection.search
    check_spaces(params)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = []
    with only_process(SEARCH_LOCK, "searching"):
        storage = open_journal(SEARCHED)
        greater_is_better = comparison.metric.greater_is_better
        hunts = [
            Hunt(
                name,
                spaces(settings),
                open_study(storage, study_name(name, params), greater_is_better=greater_is_better),
            )
            for name, settings in params.selection.candidates.items()
            if spaces(settings) and budget.trials != 0
        ]
        if hunts:
            folds = len(comparison.folds)
            score = partial(fold_score, comparison, params, contract)
            trials, ended = play(
                hunts,
                budget,
                params.split.seed,
                folds,
                lambda tasks: each(score, tasks, params.engine, "folds"),
            )
            found = [summarise(hunt, trials, folds, ended) for hunt in hunts]
    report = SearchReport(params.selection.metric, greater_is_better, found)
    save_figures(search_figures(report, comparison.metric.label), FIGURES)
    write_json(SEARCH, report)
    for search in found:
        failed = [trial.reason for trial in search.trials if trial.state == "failed"]
        if failed:
            log.warning(
                "trials failed",
                extra={"model": search.name, "trials": len(failed), "reason": failed[0]},
            )
        log.info("searched", extra={"model": search.name, **search.hyperparameters})


if __name__ == "__main__":
    run(main)

"""Trials of a search: kept in a journal, proposed by Optuna, read back as results.

A trial enters the journal when it is finished, in one line and in the order of the numbers. What
is proposed next depends only on those before and on the seed, so a search that was stopped goes on
as if it had not been.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from model_training.hyperparameters import Point, readable, starting_point
from model_training.results import Trial
from utils.config import ProjectError, Space, convert
from utils.files import atomic_path

# With fewer trials, the importance of hyperparameters is chance.
TRIALS_FOR_IMPORTANCE = 10
BETTER_SHARE = 0.5
DIGITS = 9
STATES = {
    "complete": TrialState.COMPLETE,
    "stopped early": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the journal holds about a trial besides what Optuna itself keeps."""

    folds: list[float]
    seconds: float
    reason: str = ""


class Hunt(NamedTuple):
    """The search of one candidate: what is searched, and the study that keeps its trials."""

    name: str
    spaces: dict[str, Space]
    study: optuna.Study

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that the journal holds, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False)

    @property
    def greater_is_better(self) -> bool:
        """Whether the best trial is the one with the largest score."""
        return self.study.direction == optuna.study.StudyDirection.MAXIMIZE


def rounded(score: float) -> float:
    """Return a score without the last digits, in which machines differ."""
    return float(f"{score:.{DIGITS}g}")


def mean_of(scores: Sequence[float | str]) -> float:
    """Return the mean of the scores of folds, rounded."""
    return rounded(float(np.mean(np.array(scores, dtype=np.float64))))


def open_journal(path: Path) -> JournalStorage:
    """Open the journal of all searches, or begin one.

    Raises:
        ProjectError: the file is something else, or damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.exists():
            _drop_cut_line(path)
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        return JournalStorage(backend)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ProjectError(
            f"{path} is no journal of a search, or damaged. Delete it; the search begins anew."
        ) from error


def _drop_cut_line(path: Path) -> None:
    """Remove the last line if the process that wrote it was ended in the middle."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines():
        json.loads(line)["op_code"]
    if whole != content:
        if not content[len(whole) :].startswith(b"{"):
            raise ValueError("the last line is no object")
        with atomic_path(path) as temporary:
            temporary.write_bytes(whole)


def open_study(storage: JournalStorage, name: str, *, greater_is_better: bool) -> optuna.Study:
    """Return the study of this name, new or with the trials it has."""
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage)
    directions = optuna.study.StudyDirection
    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction=directions.MAXIMIZE if greater_is_better else directions.MINIMIZE,
    )


def distributions(spaces: Mapping[str, Space]) -> dict[str, BaseDistribution]:
    """Return the spaces as Optuna describes them, in the order of their names."""
    described: dict[str, BaseDistribution] = {}
    for name, space in sorted(spaces.items()):
        if space.choices is not None:
            described[name] = CategoricalDistribution(space.choices)
        elif isinstance(space.low, int) and isinstance(space.high, int):
            described[name] = IntDistribution(space.low, space.high, log=space.log)
        else:
            low, high = float(space.low or 0), float(space.high or 0)
            described[name] = FloatDistribution(low, high, log=space.log)
    return described


def _study_of(hunt: Hunt, trials: Sequence[FrozenTrial], **settings: Any) -> optuna.Study:
    study = optuna.create_study(direction=hunt.study.direction, **settings)
    study.add_trials(trials)
    return study


def propose(hunt: Hunt, first: int, count: int, batch: int, seed: int) -> list[optuna.Trial]:
    """Return the next trials of a study in memory, which knows those before ``first``.

    The first trial of all is the starting point, the others of the first batch are random, the
    later ones come from the tree-structured Parzen estimator. Source: Bergstra et al. (2011),
    Algorithms for Hyper-Parameter Optimization.

    Args:
        hunt: the search of a candidate.
        first: number of the first trial to propose; all before are finished.
        count: how many to propose.
        batch: how many a full batch has.
        seed: together with ``first``, makes the proposals repeatable.
    """
    study = _study_of(
        hunt,
        hunt.finished[:first],
        sampler=optuna.samplers.TPESampler(seed=seed + first, n_startup_trials=batch),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=batch),
    )
    if first == 0:
        study.enqueue_trial(
            {name: starting_point(space) for name, space in sorted(hunt.spaces.items())}
        )
    described = distributions(hunt.spaces)
    return [study.ask(described) for _ in range(count)]


def point_of(hunt: Hunt, trial: optuna.Trial) -> Point:
    """Return the hyperparameters of a proposed trial, numbers with few digits."""
    return {
        name: readable(value, hunt.spaces[name]) if isinstance(value, float) else value
        for name, value in sorted(trial.params.items())
    }


def failure(scores: Sequence[float | str]) -> str:
    """Return why one of the folds has no score, or an empty text."""
    return next((score for score in scores if isinstance(score, str)), "")


def hopeless(proposed: optuna.Trial, scores: Sequence[float | str]) -> bool:
    """Say whether a trial is worse on the first folds than the median of the earlier trials.

    Source: Golovin et al. (2017), Google Vizier, section 3.1.2, the median stopping rule.
    """
    proposed.report(mean_of(scores), step=len(scores))
    return proposed.should_prune()


def judged(number: int, point: Point, scores: Sequence[float | str], folds: int) -> Trial:
    """Return a finished trial.

    Args:
        number: its number.
        point: what was tried.
        scores: of each fold that was evaluated, or why it has none.
        folds: how many folds a complete trial has.
    """
    seen = [score for score in scores if not isinstance(score, str)]
    reason = failure(scores)
    if reason:
        return Trial(number, "failed", point, seen, reason=reason)
    if len(seen) < folds:
        return Trial(number, "stopped early", point, seen)
    error = float(np.std(seen, ddof=1) / np.sqrt(len(seen)))
    return Trial(number, "complete", point, seen, mean_of(seen), rounded(error))


def keep(hunt: Hunt, trial: Trial, early: int, seconds: float) -> None:
    """Write a finished trial to the journal.

    Args:
        hunt: the search of the candidate.
        trial: what was found; its number must be the next one.
        early: how many folds decided whether to evaluate the others.
        seconds: how long it took.
    """
    hunt.study.add_trial(
        optuna.trial.create_trial(
            state=STATES[trial.state],
            value=trial.mean,
            params=trial.hyperparameters,
            distributions=distributions(hunt.spaces),
            intermediate_values={} if trial.reason else {early: mean_of(trial.folds[:early])},
            user_attrs=msgspec.to_builtins(Kept(trial.folds, seconds, trial.reason)),
        )
    )


def kept(trial: FrozenTrial) -> Kept:
    """Return what the journal holds about a trial.

    Raises:
        ProjectError: it was written by something else.
    """
    return convert(trial.user_attrs, Kept, f"trial {trial.number} in the journal of the search")


def as_result(hunt: Hunt, trial: FrozenTrial, folds: int) -> Trial:
    """Return a trial of the journal for the report; ``folds`` is how many a complete one has."""
    details = kept(trial)
    scores: list[float | str] = [*details.folds]
    scores += [details.reason] if details.reason else []
    point = {name: trial.params[name] for name in hunt.spaces}
    return judged(trial.number, point, scores, folds)


def importance(hunt: Hunt, trials: int, folds: int) -> dict[str, float]:
    """Return the share of each hyperparameter in what makes a trial good, the largest first.

    Good is what belongs to the better half on the first folds, on which all trials were evaluated.
    Source: Watanabe et al. (2023), PED-ANOVA.

    Args:
        hunt: the search of a candidate.
        trials: how many of its trials count.
        folds: on how many folds all were evaluated.

    Returns:
        Shares that sum to 1; empty with a single hyperparameter, with few trials, or when these
        are all alike.
    """
    seen = [trial for trial in hunt.finished[:trials] if not kept(trial).reason]
    if len(hunt.spaces) == 1 or len(seen) < TRIALS_FOR_IMPORTANCE:
        return {}
    comparable = [
        optuna.trial.create_trial(
            value=mean_of(kept(trial).folds[:folds]),
            params=trial.params,
            distributions=trial.distributions,
        )
        for trial in seen
    ]
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BETTER_SHARE)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            found = optuna.importance.get_param_importances(
                _study_of(hunt, comparable), evaluator=evaluator, params=sorted(hunt.spaces)
            )
        except UserWarning:  # the better half can't be told from the others
            return {}
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {name: round(share, 4) for name, share in ordered}

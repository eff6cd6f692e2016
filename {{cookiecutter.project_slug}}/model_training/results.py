"""What search, selection and evaluation hand on: their reports, and scores as columns."""

import re
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from utils.config import Hyperparameter
from utils.metrics import DecisionReport
from utils.outcome import Decision

SCORE = "score"

Array = npt.NDArray[np.float64]


class Trial(msgspec.Struct, frozen=True):
    """One point of a search: what was tried and how good it was.

    ``folds`` are the scores of the folds that were evaluated; a trial that was stopped early has
    only the first ones and, like one that failed for ``reason``, neither mean nor standard error.
    """

    number: int
    state: Literal["complete", "stopped early", "failed"]
    hyperparameters: dict[str, Hyperparameter]
    folds: list[float]
    mean: float | None = None
    standard_error: float | None = None
    reason: str = ""


class CandidateSearch(msgspec.Struct, frozen=True):
    """The search of one candidate; ``importance`` is the share of each hyperparameter."""

    name: str
    ended_by: Literal["trials", "minutes"]
    best: int
    hyperparameters: dict[str, Hyperparameter]
    importance: dict[str, float]
    trials: list[Trial]


class SearchReport(msgspec.Struct, frozen=True):
    """The searches of all candidates that have something to search."""

    metric: str
    greater_is_better: bool
    candidates: list[CandidateSearch]


class CandidateResult(msgspec.Struct, frozen=True):
    """Cross-validated scores of one candidate with the hyperparameters it was compared with."""

    name: str
    mean: float
    standard_error: float
    folds: list[float]
    hyperparameters: dict[str, Hyperparameter] = msgspec.field(default_factory=dict)


class LearningPoint(msgspec.Struct, frozen=True):
    """Score of the winner when trained on ``rows`` of the training rows of each fold."""

    rows: int
    train: float
    validation: float


class Selection(msgspec.Struct, frozen=True):
    """The comparison of all candidates."""

    metric: str
    greater_is_better: bool
    winner: str
    decision: Decision
    candidates: list[CandidateResult]
    learning_curve: list[LearningPoint]


class Estimate(msgspec.Struct, frozen=True):
    """A number measured on the held-out rows with its bootstrap interval; None if undefined."""

    value: float | None
    low: float | None
    high: float | None


class MetricResult(msgspec.Struct, frozen=True):
    """One metric of the model and of the naive baseline on the same rows."""

    name: str
    label: str
    unit: str
    greater_is_better: bool
    model: Estimate
    baseline: Estimate
    improvement: Estimate

    @property
    def beats_baseline(self) -> bool:
        """Whether the interval of the improvement lies above 0."""
        return self.improvement.low is not None and self.improvement.low > 0


class Segment(msgspec.Struct, frozen=True):
    """The chosen metric on the rows that share one category.

    What ``mean_outcome`` and ``mean_score`` are the means of say the ``level_labels``; without a
    target there is no outcome. ``decisions`` says, by name, what came of the decisions.
    """

    column: str
    category: str
    rows: int
    mean_outcome: float | None
    mean_score: float
    metric: float | None
    decisions: dict[str, float] = msgspec.field(default_factory=dict)


class EvaluationReport(msgspec.Struct, frozen=True):
    """Everything measured on the held-out rows."""

    model: str
    rows: int
    confidence: float
    metrics: list[MetricResult]
    decision: DecisionReport
    level_labels: tuple[str, str]
    segments: list[Segment]

    @property
    def decision_labels(self) -> list[str]:
        """Name what is known of the decisions in each segment."""
        return list(self.segments[0].decisions) if self.segments else []


def score_columns(scores: Array) -> dict[str, Array]:
    """Return scores as columns: (n,) as ``score``, (n, k) as ``score_0`` to ``score_<k - 1>``."""
    if scores.ndim == 1:
        return {SCORE: scores}
    return {f"{SCORE}_{code}": scores[:, code] for code in range(scores.shape[1])}


def scores_of(table: pa.Table) -> Array:
    """Return the scores that a table holds as ``score_columns`` gives them."""
    names = [name for name in table.column_names if re.fullmatch(rf"{SCORE}(_\d+)?", name)]
    columns = [table[name].to_numpy() for name in names]
    return columns[0] if names == [SCORE] else np.stack(columns, axis=1)

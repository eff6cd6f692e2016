"""Metrics of a binary classification, of the model and of the business.

Every metric is a function of ``target`` (0 or 1, shape (n,)), ``scores`` (the predicted
probability of 1, shape (n,)) and ``value`` (what each decision is worth).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from utils.config import convert

Array = npt.NDArray[np.float64]

# Keeps log(0) finite: the smallest probability that a 64-bit float can tell from certainty.
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each kind of decision is worth, in ``currency``, against doing nothing."""

    currency: str
    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


class Metric(NamedTuple):
    """A metric with what a report needs to show it."""

    label: str
    unit: str
    greater_is_better: bool
    function: Callable[[Array, Array, Value], float]


def load_value(values: Mapping[str, str | float]) -> Value:
    """Read the ``value`` section of ``params.yaml``.

    Raises:
        ProjectError: a key is missing or unknown, or acting is never worth more than not acting.
    """
    return convert(dict(values), Value, "params.yaml, section value")


def decision_threshold(value: Value) -> float:
    """Return the probability from which acting is worth more than not acting, in [0, 1].

    Source: Elkan (2001), The Foundations of Cost-Sensitive Learning, equation 2.
    """
    gain_if_negative = value.true_negative - value.false_positive
    gain_if_positive = value.true_positive - value.false_negative
    total = gain_if_negative + gain_if_positive
    return float(np.clip(gain_if_negative / total, 0.0, 1.0)) if total > 0 else 1.0


def log_loss(target: Array, scores: Array, value: Value) -> float:
    """Mean negative log-likelihood, in nats."""
    del value
    certain = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return float(-np.mean(target * np.log(certain) + (1 - target) * np.log1p(-certain)))


def brier_score(target: Array, scores: Array, value: Value) -> float:
    """Mean squared difference between probability and outcome (Brier 1950)."""
    del value
    return float(np.mean((scores - target) ** 2))


def roc_auc(target: Array, scores: Array, value: Value) -> float:
    """Share of (positive, negative) pairs ranked rightly, ties counted half; NaN for one class.

    Source: Hanley and McNeil (1982), by way of the Mann-Whitney statistic.
    """
    del value
    positives = float(target.sum())
    negatives = target.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    rank_sum = float(rankdata(scores)[target == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(target: Array, scores: Array, value: Value) -> float:
    """Precision averaged over the recall steps; NaN without a positive row."""
    del value
    return float(average_precision_score(target, scores)) if target.any() else float("nan")


def value_per_decision(target: Array, scores: Array, value: Value) -> float:
    """Mean worth of the decisions taken at ``decision_threshold``."""
    acted = scores >= decision_threshold(value)
    positive = target == 1
    worth = np.where(
        acted,
        np.where(positive, value.true_positive, value.false_positive),
        np.where(positive, value.false_negative, value.true_negative),
    )
    return float(worth.mean())


METRICS: dict[str, Metric] = {
    "log_loss": Metric("Log loss", "nats", False, log_loss),
    "brier_score": Metric("Brier score", "", False, brier_score),
    "roc_auc": Metric("ROC AUC", "", True, roc_auc),
    "average_precision": Metric("Average precision", "", True, average_precision),
    "value_per_decision": Metric("Value per decision", "currency", True, value_per_decision),
}


def fit_decision(target: Array, scores: Array, value: Value, confidence: float) -> dict[str, float]:
    """Return what turns a score into a decision: the threshold that the values imply."""
    del target, scores, confidence
    return {"threshold": decision_threshold(value)}


def decision_summary(
    target: Array, scores: Array, decision: Mapping[str, float]
) -> dict[str, float]:
    """Count the outcomes of the decisions: the confusion matrix at the threshold."""
    acted = scores >= decision["threshold"]
    positive = target == 1
    return {
        "true_positives": int((acted & positive).sum()),
        "false_positives": int((acted & ~positive).sum()),
        "false_negatives": int((~acted & positive).sum()),
        "true_negatives": int((~acted & ~positive).sum()),
    }

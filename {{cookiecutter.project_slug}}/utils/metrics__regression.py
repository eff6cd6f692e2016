"""Metrics of a regression, of the model and of the business.

Every metric is a function of ``target`` (shape (n,)), ``scores`` (the predictions in the unit of
the target, shape (n,)) and ``value`` (what an error costs).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from utils.config import convert

Array = npt.NDArray[np.float64]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit of error costs, in ``currency``."""

    currency: str
    cost_per_unit_too_high: float
    cost_per_unit_too_low: float


class Metric(NamedTuple):
    """A metric with what a report needs to show it."""

    label: str
    unit: str
    greater_is_better: bool
    function: Callable[[Array, Array, Value], float]


def load_value(values: Mapping[str, str | float]) -> Value:
    """Read the ``value`` section of ``params.yaml``.

    Raises:
        ProjectError: a key is missing or unknown.
    """
    return convert(dict(values), Value, "params.yaml, section value")


def mean_absolute_error(target: Array, scores: Array, value: Value) -> float:
    """Mean absolute difference, in the unit of the target."""
    del value
    return float(np.mean(np.abs(scores - target)))


def root_mean_squared_error(target: Array, scores: Array, value: Value) -> float:
    """Root of the mean squared difference, in the unit of the target."""
    del value
    return float(np.sqrt(np.mean((scores - target) ** 2)))


def explained_variance_share(target: Array, scores: Array, value: Value) -> float:
    """Coefficient of determination R²; NaN for a constant target."""
    del value
    total = float(np.sum((target - target.mean()) ** 2))
    return 1 - float(np.sum((target - scores) ** 2)) / total if total > 0 else float("nan")


def spearman(target: Array, scores: Array, value: Value) -> float:
    """Rank correlation of prediction and outcome (Spearman 1904); 0 for a constant prediction."""
    del value
    if np.ptp(scores) == 0 or np.ptp(target) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(target), rankdata(scores))[0, 1])


def value_per_prediction(target: Array, scores: Array, value: Value) -> float:
    """Mean worth of a prediction: minus what its error costs."""
    error = scores - target
    cost = np.where(
        error > 0, error * value.cost_per_unit_too_high, -error * value.cost_per_unit_too_low
    )
    return -float(cost.mean())


METRICS: dict[str, Metric] = {
    "mean_absolute_error": Metric("Mean absolute error", "target", False, mean_absolute_error),
    "root_mean_squared_error": Metric(
        "Root mean squared error", "target", False, root_mean_squared_error
    ),
    "r_squared": Metric("R²", "", True, explained_variance_share),
    "spearman": Metric("Spearman rank correlation", "", True, spearman),
    "value_per_prediction": Metric("Value per prediction", "currency", True, value_per_prediction),
}


def fit_decision(target: Array, scores: Array, value: Value, confidence: float) -> dict[str, float]:
    """Return what turns a prediction into an interval: quantiles of out-of-fold residuals.

    The interval from ``prediction + lower`` to ``prediction + upper`` holds the outcome with
    probability ``confidence`` for exchangeable rows.

    Source: Papadopoulos et al. (2002), Inductive Confidence Machines for Regression.
    """
    del value
    residuals = target - scores
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(residuals, [tail, 1 - tail])
    return {"lower": float(lower), "upper": float(upper)}


def decision_summary(
    target: Array, scores: Array, decision: Mapping[str, float]
) -> dict[str, float]:
    """Share of outcomes inside the prediction interval, and its width."""
    residuals = target - scores
    inside = (residuals >= decision["lower"]) & (residuals <= decision["upper"])
    return {
        "interval_coverage": float(inside.mean()),
        "interval_width": decision["upper"] - decision["lower"],
    }

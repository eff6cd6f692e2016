"""Metrics of a regression, of the model and of the business.

Every metric is a function of ``target`` (shape (n,)), ``scores`` (how far errors spread, and the
predictions in the unit of the target, shape (n, 2)), ``weights`` (how many rows each row stands
for, shape (n,)) and ``value`` (what an error costs).
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, convert
from utils.metric import MetricOf
from utils.outcome import Adaptation, Decision, interval, point, widths

Array = npt.NDArray[np.float64]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit of error costs, in ``currency``."""

    currency: str
    cost_per_unit_too_high: float
    cost_per_unit_too_low: float


Metric = MetricOf[Value]


def load_value(values: Mapping[str, Any], target: Column) -> Value:
    """Read the ``value`` section of ``params.yaml``.

    Raises:
        ProjectError: a key is missing or unknown.
    """
    del target
    return convert(dict(values), Value, "params.yaml, section value")


def mean_absolute_error(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean absolute difference, in the unit of the target."""
    del value
    return float(np.average(np.abs(point(scores) - target), weights=weights))


def root_mean_squared_error(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Root of the mean squared difference, in the unit of the target."""
    del value
    return float(np.sqrt(np.average((point(scores) - target) ** 2, weights=weights)))


def explained_variance_share(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Coefficient of determination R²; NaN for a constant target."""
    del value
    centre = np.average(target, weights=weights)
    total = float(np.sum(weights * (target - centre) ** 2))
    left = float(np.sum(weights * (target - point(scores)) ** 2))
    return 1 - left / total if total > 0 else float("nan")


def weighted_ranks(values: Array, weights: Array) -> Array:
    """Return the mean rank of each value in a table where rows occur as often as they weigh.

    Shape (n,); with weights of 1 these are the usual ranks, ties sharing their mean.
    """
    _, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place, weights)
    ranks: Array = (np.cumsum(mass) - (mass - 1) / 2)[place]
    return ranks


def spearman(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Rank correlation of prediction and outcome (Spearman 1904); 0 for a constant prediction."""
    del value
    predicted = point(scores)
    if np.ptp(predicted) == 0 or np.ptp(target) == 0:
        return 0.0
    sides = [weighted_ranks(side, weights) for side in (target, predicted)]
    first, second = (side - np.average(side, weights=weights) for side in sides)
    covariance = np.sum(weights * first * second)
    spread = np.sqrt(np.sum(weights * first**2) * np.sum(weights * second**2))
    return float(covariance / spread) if spread > 0 else 0.0


def value_per_prediction(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean worth of a prediction: minus what its error costs."""
    error = point(scores) - target
    cost = np.where(
        error > 0, error * value.cost_per_unit_too_high, -error * value.cost_per_unit_too_low
    )
    return -float(np.average(cost, weights=weights))


METRICS: dict[str, Metric] = {
    "mean_absolute_error": Metric("Mean absolute error", "target", False, mean_absolute_error),
    "root_mean_squared_error": Metric(
        "Root mean squared error", "target", False, root_mean_squared_error
    ),
    "r_squared": Metric("R²", "", True, explained_variance_share),
    "spearman": Metric("Spearman rank correlation", "", True, spearman),
    "value_per_prediction": Metric("Value per prediction", "currency", True, value_per_prediction),
}


def level_labels(target: Column) -> tuple[str, str]:
    """Name the two numbers of ``levels``."""
    unit = f" ({target.unit})" if target.unit else ""
    return f"Mean outcome{unit}", f"Mean prediction{unit}"


def levels(target: Array, scores: Array, weights: Array) -> tuple[float, float]:
    """Return the mean outcome and the mean prediction, in the unit of the target."""
    return (
        float(np.average(target, weights=weights)),
        float(np.average(point(scores), weights=weights)),
    )


def decision_rates(
    target: Array, scores: Array, weights: Array, decision: Decision
) -> dict[str, float]:
    """Return what the intervals are like on some rows, by name."""
    low, high = interval(scores, decision)
    inside = (target >= low) & (target <= high)
    return {
        "Inside the interval": float(np.average(inside, weights=weights)),
        "Mean width": float(np.average(widths(scores, decision), weights=weights)),
    }


class DecisionReport(msgspec.Struct, frozen=True):
    """The prediction interval, and how many held-out outcomes it holds.

    ``lower`` and ``upper`` are in units of how far errors spread, ``width_quartiles`` in the unit
    of the target: a quarter, half and three quarters of the intervals are narrower.
    """

    lower: float
    upper: float
    interval_coverage: float
    interval_width: float
    width_quartiles: list[float]
    words: list[str]


def _compared(found: Adaptation) -> str:
    return (
        "the mean interval score of out-of-fold rows, which is the width plus a penalty for "
        f"outcomes outside, is {found.interval_score_adapted:.4g} where the width follows the row "
        f"and {found.interval_score_single:.4g} with one width for all (improvement "
        f"{found.improvement:.3g}, standard error {found.standard_error:.2g})"
    )


def decision_summary(
    target: Array, scores: Array, weights: Array, value: Value, decision: Decision
) -> DecisionReport:
    """Measure the prediction interval: its width, and the share of outcomes inside."""
    del value
    coverage, width = decision_rates(target, scores, weights, decision).values()
    wide = widths(scores, decision)
    quartiles = np.quantile(
        wide, [0.25, 0.5, 0.75], weights=weights, method="inverted_cdf"
    ).tolist()
    meant = f"{decision.confidence:.0%} were meant"
    held = f"the outcome of {coverage:.1%} of the held-out rows; {meant}."
    found = decision.adaptation
    if found is not None and found.applied:
        words = [
            "The prediction interval is as wide as errors usually are on such a row: its median "
            f"width is {quartiles[1]:.4g}, and the middle half of the widths is between "
            f"{quartiles[0]:.4g} and {quartiles[2]:.4g}. It holds {held}",
            f"The width follows the row because that is better: {_compared(found)}.",
        ]
    else:
        words = [
            f"The prediction interval, from {decision.lower:+.4g} to {decision.upper:+.4g} around "
            f"a prediction, is {quartiles[1]:.4g} wide for every row and holds {held}",
            "The width is the same for all rows because there are too few to tell more."
            if found is None
            else "The width is the same for all rows because nothing better was found: "
            f"{_compared(found)}.",
        ]
    return DecisionReport(
        lower=decision.lower,
        upper=decision.upper,
        interval_coverage=coverage,
        interval_width=width,
        width_quartiles=quartiles,
        words=words,
    )

"""Metrics of forecasts, of the model and of the business.

Every metric is a function of ``target`` (shape (n,)), ``scores`` (shape (n, 4), see
``utils.outcome``), ``weights`` (how many rows each row stands for, shape (n,)) and ``value`` (what
an error costs).
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, convert
from utils.metric import MetricOf
from utils.outcome import Decision, days_ahead, interval, point, scales

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


def mean_absolute_scaled_error(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean absolute difference in units of the series, so that small series count as large ones.

    The unit is the mean error, on the training rows, of repeating the value one season before.
    Source: Hyndman and Koehler (2006), Another Look at Measures of Forecast Accuracy.
    """
    del value
    return float(np.average(np.abs(point(scores) - target) / scales(scores), weights=weights))


def weighted_absolute_percentage_error(
    target: Array, scores: Array, weights: Array, value: Value
) -> float:
    """Sum of the absolute differences as a share of the sum of all values; NaN if that is 0."""
    del value
    total = float(np.sum(weights * np.abs(target)))
    wrong = float(np.sum(weights * np.abs(point(scores) - target)))
    return wrong / total if total > 0 else float("nan")


def absolute_bias(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """How far the sum of the forecasts is off, as a share of all values; NaN if these sum to 0."""
    del value
    total = float(np.sum(weights * np.abs(target)))
    off = abs(float(np.sum(weights * (point(scores) - target))))
    return off / total if total > 0 else float("nan")


def value_per_prediction(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean worth of a forecast: minus what its error costs."""
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
    "mean_absolute_scaled_error": Metric(
        "Mean absolute scaled error", "", False, mean_absolute_scaled_error
    ),
    "weighted_absolute_percentage_error": Metric(
        "Weighted absolute percentage error", "", False, weighted_absolute_percentage_error
    ),
    "absolute_bias": Metric("Absolute bias", "", False, absolute_bias),
    "value_per_prediction": Metric("Value per forecast", "currency", True, value_per_prediction),
}


def level_labels(target: Column) -> tuple[str, str]:
    """Name the two numbers of ``levels``."""
    unit = f" ({target.unit})" if target.unit else ""
    return f"Mean value{unit}", f"Mean forecast{unit}"


def levels(target: Array, scores: Array, weights: Array) -> tuple[float, float]:
    """Return the mean value and the mean forecast, in the unit of the target."""
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
        "Mean width": float(np.average(high - low, weights=weights)),
    }


class StepResult(msgspec.Struct, frozen=True):
    """What came of the forecasts that many days ahead."""

    days_ahead: int
    rows: int
    mean_absolute_error: float
    coverage: float
    width: float


class DecisionReport(msgspec.Struct, frozen=True):
    """The prediction interval, and how many held-out values it holds, in all and per day ahead."""

    interval_coverage: float
    interval_width: float
    steps: list[StepResult]
    words: list[str]


def _step(step: int, chosen: npt.NDArray[np.bool_], table: Mapping[str, Array]) -> StepResult:
    weights = table["weights"][chosen]
    error, inside, width = (
        float(np.average(table[name][chosen], weights=weights))
        for name in ("error", "inside", "width")
    )
    return StepResult(step, int(chosen.sum()), error, inside, width)


def decision_summary(
    target: Array, scores: Array, weights: Array, value: Value, decision: Decision
) -> DecisionReport:
    """Measure the prediction interval: its width, and the share of values inside."""
    del value
    low, high = interval(scores, decision)
    table = {
        "error": np.abs(point(scores) - target),
        "inside": ((target >= low) & (target <= high)).astype(np.float64),
        "width": high - low,
        "weights": weights,
    }
    ahead = days_ahead(scores)
    counted = weights > 0
    steps = [
        _step(int(step), (ahead == step) & counted, table) for step in np.unique(ahead[counted])
    ]
    coverage = float(np.average(table["inside"], weights=weights))
    width = float(np.average(table["width"], weights=weights))
    first, last = steps[0], steps[-1]
    return DecisionReport(
        interval_coverage=coverage,
        interval_width=width,
        steps=steps,
        words=[
            f"The prediction interval, {width:.4g} wide on average, holds the value of "
            f"{coverage:.1%} of the held-out rows.",
            f"The mean absolute error of forecasts is {first.mean_absolute_error:.4g} at "
            f"{first.days_ahead} ahead and {last.mean_absolute_error:.4g} at {last.days_ahead} "
            "ahead, counted in days.",
        ],
    )

"""Rows with outcomes, answers of the model and weights: how a metric is measured on them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from utils.metrics import Metric, Value

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Judged(NamedTuple):
    """Outcomes and answers of a model, n along the first axis, and weights, shape (n,)."""

    outcome: Array
    predicted: Array
    weights: Array

    def at(self, rows: Rows) -> "Judged":
        """Return the rows with these numbers."""
        return Judged(self.outcome[rows], self.predicted[rows], self.weights[rows])

    def answered(self, predicted: Array) -> "Judged":
        """Return the same rows with other answers."""
        return self._replace(predicted=predicted)


def measured(metric: Metric, judged: Judged, value: Value) -> float:
    """Return a metric over all rows; NaN where it is not defined."""
    return metric.function(judged.outcome, judged.predicted, judged.weights, value)


class Losses(NamedTuple):
    """What each row loses against a perfect answer, shape (n,), never below 0, and its weight.

    ``squared`` losses are averaged first, and the root of the average is shown.
    """

    label: str
    rows: Array
    weights: Array
    squared: bool = False

    @property
    def shown(self) -> Array:
        """The loss of each row on the scale of ``label``, shape (n,)."""
        return np.sqrt(self.rows) if self.squared else self.rows

    def mean(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Return the mean loss of the chosen rows, on the scale of ``label``."""
        mean = float(np.average(self.rows[chosen], weights=self.weights[chosen]))
        return float(np.sqrt(mean)) if self.squared else mean

"""What the answers of anomaly detection are called, and how wrong the place of each row is."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, Losses
from utils.config import Column
from utils.metrics import Value
from utils.outcome import SCORE

Array = npt.NDArray[np.float64]

NAME = "anomaly score"


def answers(predicted: Array, column: Column) -> dict[str, Array]:
    """Return what the model says, each shape (n,), by its name in words."""
    del column
    return {NAME: predicted[:, SCORE]}


def drawn_answers(outcome: Array, weights: Array, column: Column) -> list[str]:
    """Return the names of the answers that are drawn."""
    del outcome, weights, column
    return [NAME]


def row_answers(judged: Judged, column: Column) -> dict[str, list[float]]:
    """Return what the model says to single rows, by name."""
    return {name: said.tolist() for name, said in answers(judged.predicted, column).items()}


def _share_above(scores: Array, others: Array, weights: Array) -> Array:
    """Return the share of ``others`` that score higher than each row, equal ones counted half."""
    order = np.argsort(others, kind="stable")
    reached = np.append(0.0, np.cumsum(weights[order]))
    left, right = (
        reached[np.searchsorted(others[order], scores, side=side)] for side in ("left", "right")
    )
    share: Array = 1 - (left + right) / 2 / reached[-1]
    return share


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return how wrong the place of each row in the order of the scores is.

    A known anomaly loses the share of usual rows that score higher, a usual row the share of
    anomalies that score lower. Where no anomaly is known, a row has its anomaly score instead.
    """
    del name, value
    outcome, scores, weights = judged.outcome, judged.predicted[:, SCORE], judged.weights
    anomaly = outcome == 1
    if not weights[anomaly].any() or not weights[~anomaly].any():
        return Losses(NAME.capitalize(), scores, weights)
    rows = np.empty(outcome.size)
    rows[anomaly] = _share_above(scores[anomaly], scores[~anomaly], weights[~anomaly])
    rows[~anomaly] = 1 - _share_above(scores[~anomaly], scores[anomaly], weights[anomaly])
    return Losses("Share of the other kind on the wrong side", np.maximum(rows, 0.0), weights)

"""What the answers of a clustering are called, and how badly each row is placed."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, Losses
from utils.config import Column
from utils.metrics import Value, row_silhouettes
from utils.outcome import assigned

Array = npt.NDArray[np.float64]

# Clusters that are drawn, the largest ones.
DRAWN = 5


def _name(code: int) -> str:
    return f"share in cluster {code + 1}"


def answers(predicted: Array, column: Column) -> dict[str, Array]:
    """Return whether each row is in each cluster, 1 or 0, shape (n,), by its name in words."""
    del column
    codes = assigned(predicted)
    return {_name(code): (codes == code).astype(np.float64) for code in range(predicted.shape[1])}


def drawn_answers(outcome: Array, weights: Array, column: Column) -> list[str]:
    """Return the names of the answers that are drawn, as far as there are so many clusters."""
    del outcome, weights, column
    return [_name(code) for code in range(DRAWN)]


def row_answers(judged: Judged, column: Column) -> dict[str, list[float] | list[str]]:
    """Return what the model says to single rows, by name."""
    del column
    return {
        "cluster": [str(code + 1) for code in assigned(judged.predicted)],
        "membership": judged.predicted.max(axis=1).tolist(),
    }


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return how far the silhouette of each row is from 1, whatever the metric ``name``."""
    del name, value
    silhouettes = row_silhouettes(judged.outcome, judged.predicted, judged.weights)
    return Losses("Distance of the silhouette from 1", 1 - silhouettes, judged.weights)

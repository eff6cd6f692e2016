"""What the answers of a classification are called, and what each of them loses."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, Losses
from model_training.singly import measured_singly
from utils.config import Column
from utils.metrics import METRICS, Value
from utils.outcome import TWO

Array = npt.NDArray[np.float64]

# Metrics that are means over the rows; the others rank rows and say nothing about a single one.
MEANS = ("log_loss", "brier_score", "value_per_decision")
OTHERWISE = "brier_score"
# Of more classes, the most frequent are drawn.
DRAWN = 4


def _name(column: Column, code: int) -> str:
    return f"probability of {column.name} = {column.allowed[code]}"


def answers(predicted: Array, column: Column) -> dict[str, Array]:
    """Return what the model says, each shape (n,), by its name in words.

    Of two classes it is the probability of the second, else that of each class.
    """
    first = 1 if len(column.allowed) == TWO else 0
    return {_name(column, code): predicted[:, code] for code in range(first, len(column.allowed))}


def drawn_answers(outcome: Array, weights: Array, column: Column) -> list[str]:
    """Return the names of the answers that are drawn: those of the most frequent classes."""
    classes = len(column.allowed)
    if classes == TWO:
        return [_name(column, 1)]
    counts = np.bincount(outcome.astype(np.int64), weights, classes)
    return [_name(column, int(code)) for code in np.argsort(-counts, kind="stable")[:DRAWN]]


def row_answers(judged: Judged, column: Column) -> dict[str, list[float] | list[str]]:
    """Return what the model says to single rows, by name: of more than two classes in short."""
    if len(column.allowed) == TWO:
        return {name: said.tolist() for name, said in answers(judged.predicted, column).items()}
    actual = judged.predicted[np.arange(judged.outcome.size), judged.outcome.astype(np.int64)]
    return {
        "most probable": [str(column.allowed[code]) for code in judged.predicted.argmax(axis=1)],
        "its probability": judged.predicted.max(axis=1).tolist(),
        "probability of the outcome": actual.tolist(),
    }


def perfect(judged: Judged) -> Judged:
    """Return the rows with the answers of a model that knows the outcome."""
    known = np.eye(judged.predicted.shape[1])[judged.outcome.astype(np.int64)]
    return judged.answered(known)


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return what each row loses by the metric called ``name``.

    A metric that ranks rows gives way to the Brier score.
    """
    metric = METRICS[name if name in MEANS else OTHERWISE]
    sign = -1.0 if metric.greater_is_better else 1.0
    reached, best = (measured_singly(metric, rows, value) for rows in (judged, perfect(judged)))
    label = f"{metric.label} short of the best" if metric.greater_is_better else metric.label
    return Losses(label, np.maximum(sign * (reached - best), 0.0), judged.weights)

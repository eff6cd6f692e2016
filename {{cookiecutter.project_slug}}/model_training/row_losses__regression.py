"""What the answers of a regression are called, and what each of them loses."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, Losses
from model_training.singly import measured_singly
from utils.config import Column
from utils.metrics import METRICS, Value
from utils.outcome import point

Array = npt.NDArray[np.float64]

SQUARED = "root_mean_squared_error"
COST = "value_per_prediction"
OTHERWISE = "mean_absolute_error"


def answers(predicted: Array, column: Column) -> dict[str, Array]:
    """Return what the model says, each shape (n,), by its name in words."""
    return {f"predicted {column.name.replace('_', ' ')}": point(predicted)}


def drawn_answers(outcome: Array, weights: Array, column: Column) -> list[str]:
    """Return the names of the answers that are drawn."""
    del outcome, weights
    return [f"predicted {column.name.replace('_', ' ')}"]


def row_answers(judged: Judged, column: Column) -> dict[str, list[float]]:
    """Return what the model says to single rows, by name."""
    return {name: said.tolist() for name, said in answers(judged.predicted, column).items()}


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return what each row loses by the metric called ``name``.

    A metric that compares all rows with each other gives way to the absolute error.
    """
    errors = point(judged.predicted) - judged.outcome
    if name == COST:
        costs = -measured_singly(METRICS[COST], judged, value)
        return Losses("Cost of the error", costs, judged.weights)
    if name == SQUARED:
        return Losses(METRICS[SQUARED].label, errors**2, judged.weights, squared=True)
    return Losses(METRICS[OTHERWISE].label, np.abs(errors), judged.weights)

"""What the answers of a classification are called, and what each of them loses."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, Losses, measured
from utils.config import Contract
from utils.metrics import METRICS, Value

Array = npt.NDArray[np.float64]

# Metrics that are means over the rows; the others rank rows and say nothing about a single one.
MEANS = ("log_loss", "brier_score", "value_per_decision")
OTHERWISE = "brier_score"


def answers(predicted: Array, contract: Contract) -> dict[str, Array]:
    """Return what the model says, each shape (n,), by its name in words."""
    return {f"probability of {contract.target.name} = 1": predicted}


def perfect(outcome: Array) -> Array:
    """Return the answers of a model that knows the outcome."""
    return outcome


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return what each row loses by the metric called ``name``.

    A metric that ranks rows gives way to the squared difference of probability and outcome.
    """
    metric = METRICS[name if name in MEANS else OTHERWISE]
    best = judged.answered(perfect(judged.outcome))
    sign = -1.0 if metric.greater_is_better else 1.0
    single = np.arange(judged.outcome.size)[:, np.newaxis]
    lost = [
        sign * (measured(metric, judged.at(row), value) - measured(metric, best.at(row), value))
        for row in single
    ]
    label = f"{metric.label} short of the best" if metric.greater_is_better else metric.label
    return Losses(label, np.maximum(np.array(lost), 0.0))

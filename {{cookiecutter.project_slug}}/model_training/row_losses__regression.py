"""What the answers of a regression are called, and what each of them loses."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, Losses, measured
from utils.config import Contract
from utils.metrics import METRICS, Value

Array = npt.NDArray[np.float64]

SQUARED = "root_mean_squared_error"
COST = "value_per_prediction"
OTHERWISE = "mean_absolute_error"


def answers(predicted: Array, contract: Contract) -> dict[str, Array]:
    """Return what the model says, each shape (n,), by its name in words."""
    return {f"predicted {contract.target.name.replace('_', ' ')}": predicted}


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return what each row loses by the metric called ``name``.

    A metric that compares all rows with each other gives way to the absolute error.
    """
    errors = judged.predicted - judged.outcome
    if name == COST:
        metric = METRICS[COST]
        single = np.arange(errors.size)[:, np.newaxis]
        costs = [-measured(metric, judged.at(row), value) for row in single]
        return Losses("Cost of the error", np.array(costs))
    if name == SQUARED:
        return Losses(METRICS[SQUARED].label, errors**2, squared=True)
    return Losses(METRICS[OTHERWISE].label, np.abs(errors))

"""What answers of a model are judged by: the target of the rows."""

import numpy as np
import numpy.typing as npt

from data_prep.storage import Frame
from model_training.data_preprocessing import target
from model_training.judged import Judged, Rows, measured
from utils.config import Recipe
from utils.metrics import Metric, Value


def outcomes(frame: Frame, recipe: Recipe) -> npt.NDArray[np.float64]:
    """Return the target of the rows as numbers, shape (n,)."""
    return target(frame, recipe.contract)


def measured_on(metric: Metric, judged: Judged, rows: Rows, value: Value) -> float:
    """Return a metric on the rows with these numbers; NaN where it is not defined."""
    return measured(metric, judged.at(rows), value)

"""Metrics of single rows."""

import numpy as np
import numpy.typing as npt

from model_training.judged import Judged, measured
from utils.metrics import Metric, Value

Array = npt.NDArray[np.float64]


def measured_singly(metric: Metric, judged: Judged, value: Value) -> Array:
    """Return a metric that is a mean over the rows, for each row alone, shape (n,)."""
    alone = judged._replace(weights=np.ones(len(judged.outcome)))
    single = np.arange(len(judged.outcome))[:, np.newaxis]
    return np.array([measured(metric, alone.at(row), value) for row in single])

"""What comes of the winner of a selection, whatever it learns from its out-of-fold scores."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from utils.outcome import Decision


class Finished(NamedTuple):
    """The model as it is served, its out-of-fold scores, and what makes answers of scores."""

    model: Pipeline
    scores: npt.NDArray[np.float64]
    decision: Decision

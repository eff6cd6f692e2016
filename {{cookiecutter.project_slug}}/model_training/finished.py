"""What the winner of a selection learns from, out of fold, and what comes of it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from utils.outcome import Decision


class Finished(NamedTuple):
    """The model as it is served, its out-of-fold scores, and what makes answers of scores."""

    model: Pipeline
    scores: npt.NDArray[np.float64]
    decision: Decision


class Unseen(NamedTuple):
    """Rows of cross-validation: inputs, what they are judged by, scores and weights, n of each.

    The scores come from models that had not seen the row.
    """

    inputs: pd.DataFrame
    outcome: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]

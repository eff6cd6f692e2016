"""What answers of a model are judged by: the target of the rows."""

import numpy as np
import numpy.typing as npt

from data_prep.storage import Frame
from model_training.data_preprocessing import target
from utils.config import Recipe


def outcomes(frame: Frame, recipe: Recipe) -> npt.NDArray[np.float64]:
    """Return the target of the rows as numbers, shape (n,)."""
    return target(frame, recipe.contract)

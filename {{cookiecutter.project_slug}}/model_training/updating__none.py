"""What the records since its training change in a model: nothing, for it keeps no history."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline


def up_to_date(model: Pipeline, inputs: pd.DataFrame, outcome: npt.NDArray[np.float64]) -> Pipeline:
    """Return a fitted model as it is measured and served: unchanged.

    Args:
        model: encoder and estimator.
        inputs: of the held-out rows, shape (n, features).
        outcome: what they are judged by, n along the first axis.
    """
    del inputs, outcome
    return model

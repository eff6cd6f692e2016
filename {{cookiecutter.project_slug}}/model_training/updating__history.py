"""What the records since its training change in a model: they join its history."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

Array = npt.NDArray[np.float64]


def up_to_date(model: Pipeline, inputs: pd.DataFrame, outcome: Array) -> Pipeline:
    """Return a fitted model with held-out rows added to its history, as it is measured and served.

    Nothing is fitted on them. A held-out day is forecast from the last origin before its window, so
    its own value and those after the origin are not used for it.

    Args:
        model: encoder and forecaster.
        inputs: of the held-out rows, shape (n, features).
        outcome: shape (n,).
    """
    encode, forecaster = model.named_steps["encode"], model.named_steps["estimate"]
    longer = forecaster.extended(encode.transform(inputs), outcome)
    return Pipeline([("encode", encode), ("estimate", longer)])

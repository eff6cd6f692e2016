"""What answers of a model are judged by: where the rows lie among the training rows."""

import numpy as np
import numpy.typing as npt

from data_prep.feature_engineering import feature_names
from data_prep.storage import Frame, read_parquet
from model_training.data_preprocessing import model_inputs, row_weights
from model_training.encoding import encoder, fit_encoder
from model_training.judged import Judged, Rows, measured
from utils.config import Recipe
from utils.metrics import BY_ROWS, Metric, Value, row_silhouettes
from utils.paths import TRAIN


def outcomes(frame: Frame, recipe: Recipe) -> npt.NDArray[np.float64]:
    """Return the rows as points, encoded as every candidate takes them, shape (n, d).

    Gaps are filled and numbers scaled by what the training rows say, whatever rows are asked for.
    """
    names, contract = feature_names(recipe), recipe.contract
    train = read_parquet(TRAIN)
    encode = encoder(names, contract, impute=True, scale=True)
    fit_encoder(encode, model_inputs(train, names), row_weights(train, contract))
    points: npt.NDArray[np.float64] = encode.transform(model_inputs(frame, names))
    return points


def measured_on(metric: Metric, judged: Judged, rows: Rows, value: Value) -> float:
    """Return a metric on the rows with these numbers; NaN where it is not defined.

    The silhouettes stay those among all rows: a part of them has no centres of its own.
    """
    summary = BY_ROWS.get(metric.function)
    if summary is None:
        return measured(metric, judged.at(rows), value)
    silhouettes = row_silhouettes(*judged)
    return summary(silhouettes[rows], judged.weights[rows])

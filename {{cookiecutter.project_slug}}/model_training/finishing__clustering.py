"""What the winner learns from the rows of cross-validation: names and profiles of its clusters."""

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from model_training.finished import Finished, Unseen
from model_training.profiles import clusters, measures
from utils.config import Contract, Params
from utils.metrics import Value
from utils.outcome import Decision, assigned

Array = npt.NDArray[np.float64]


def finish(
    model: Pipeline, unseen: Unseen, value: Value, params: Params, contract: Contract
) -> Finished:
    """Name and describe the clusters of a fitted model.

    The models of the folds number their clusters each in its own way, so the memberships that
    monitoring compares with are those of the fitted model.

    Args:
        model: the winner, fitted on all training rows.
        unseen: the out-of-fold rows as points, shape (n, d).
        value: without meaning here.
        params: the settings.
        contract: the meaning of the columns.
    """
    del value, params
    points, weights = unseen.outcome, unseen.weights
    scores: Array = model.named_steps["estimate"].membership(points)
    codes, count = assigned(scores), scores.shape[1]
    found = measures(points, scores, weights, model.named_steps["encode"], contract)
    shares = np.bincount(codes, weights, count) / weights.sum()
    return Finished(model, scores, Decision(clusters(found, shares)))

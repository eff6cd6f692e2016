"""What the winner learns from its out-of-fold predictions: an interval that holds the outcome."""

import msgspec
import numpy as np
from sklearn.pipeline import Pipeline

from model_training.finished import Finished, Unseen
from model_training.spread import FEWEST_ROWS, adaptation, prediction_interval, unseen_spreads
from utils.config import Contract, Params
from utils.metrics import Value
from utils.outcome import point


def finish(
    model: Pipeline, unseen: Unseen, value: Value, params: Params, contract: Contract
) -> Finished:
    """Fix the prediction interval of a fitted model, and how far it adapts to the row.

    Args:
        model: the winner, fitted on all training rows.
        unseen: the out-of-fold rows with their spreads and predictions, shape (n, 2).
        value: what an error costs.
        params: the settings.
        contract: what is predicted.
    """
    del value, contract
    outcome, weights = unseen.outcome, unseen.weights
    confidence, seed = params.evaluation.confidence, params.split.seed
    interval = prediction_interval(outcome, unseen.scores, weights, confidence)
    if outcome.size < FEWEST_ROWS:
        return Finished(model, unseen.scores, interval)
    encode, estimator = model.named_steps["encode"], model.named_steps["estimate"]
    inputs, predicted = encode.transform(unseen.inputs), point(unseen.scores)
    errors = outcome - predicted
    spreads = unseen_spreads(inputs, predicted, errors, weights, seed)
    adapted = np.column_stack([spreads, predicted])
    found = adaptation(outcome, unseen.scores, adapted, weights, confidence)
    if not found.applied:
        return Finished(model, unseen.scores, msgspec.structs.replace(interval, adaptation=found))
    estimator.tell(inputs, predicted, errors, weights, seed)
    interval = prediction_interval(outcome, adapted, weights, confidence)
    return Finished(model, adapted, msgspec.structs.replace(interval, adaptation=found))

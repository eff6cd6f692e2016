"""What the winner learns from its out-of-fold predictions: an interval that holds the outcome."""

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from model_training.finished import Finished
from utils.config import Contract, Params
from utils.metrics import Value
from utils.outcome import Decision

Array = npt.NDArray[np.float64]


def prediction_interval(
    target: Array, scores: Array, weights: Array, confidence: float
) -> Decision:
    """Return what turns a prediction into an interval: quantiles of out-of-fold residuals.

    The interval from ``prediction + lower`` to ``prediction + upper`` holds the outcome with
    probability ``confidence`` for exchangeable rows.

    Source: Papadopoulos et al. (2002), Inductive Confidence Machines for Regression.
    """
    residuals = target - scores
    tail = (1 - confidence) / 2
    ends = [tail, 1 - tail]
    if (weights == weights[0]).all():
        lower, upper = np.quantile(residuals, ends)
    else:
        lower, upper = np.quantile(residuals, ends, weights=weights, method="inverted_cdf")
    return Decision(lower=float(lower), upper=float(upper))


def finish(
    model: Pipeline,
    unseen: tuple[Array, Array, Array],
    value: Value,
    params: Params,
    contract: Contract,
) -> Finished:
    """Fix the prediction interval of a fitted model.

    Args:
        model: the winner, fitted on all training rows.
        unseen: outcome, predictions and weights of out-of-fold rows, each of shape (n,).
        value: what an error costs.
        params: the settings.
        contract: what is predicted.
    """
    del value, contract
    interval = prediction_interval(*unseen, params.evaluation.confidence)
    return Finished(model, unseen[1], interval)

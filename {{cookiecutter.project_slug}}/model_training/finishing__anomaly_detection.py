"""What the winner learns from its out-of-fold scores: what is usual, and when to raise an alarm."""

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from model_training.finished import Finished, Unseen
from utils.config import Contract, Params
from utils.metrics import Value, worth_of
from utils.outcome import SCORE, Decision

Array = npt.NDArray[np.float64]

QUANTILES = 201


def _between(ordered: Array, count: int) -> float:
    """Return a score above which lie the first ``count`` of scores in descending order."""
    if count == 0:
        return float(ordered[0] + max(abs(ordered[0]), 1.0))
    if count == ordered.size:
        return float(ordered[-1])
    return float((ordered[count - 1] + ordered[count]) / 2)


def threshold(outcome: Array, scores: Array, weights: Array, value: Value) -> float:
    """Return the anomaly score from which an alarm is raised.

    Where anomalies are known, it is the one with the highest worth on these rows. Elsewhere the
    share ``contamination`` of the rows lies above it.

    Args:
        outcome: known anomalies, shape (n,), NaN where nothing is known.
        scores: anomaly scores, shape (n,).
        weights: of the rows, shape (n,).
        value: what alarms are worth and how many rows can be looked at.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    # So many rows can be above a threshold: rows with equal scores are on the same side.
    possible = np.append(0, np.flatnonzero(np.append(np.diff(ordered), -1.0)) + 1)
    if np.isnan(outcome).any():
        reached = np.append(0.0, np.cumsum(weights[order]))[possible]
        wanted = value.contamination * weights.sum()
        return _between(ordered, int(possible[np.argmin(np.abs(reached - wanted))]))
    ones = np.ones(outcome.size)
    gained = worth_of(outcome, ones, value) - worth_of(outcome, 0 * ones, value)
    total = np.append(0.0, np.cumsum((weights * gained)[order]))[possible]
    return _between(ordered, int(possible[np.argmax(total)]))


def finish(
    model: Pipeline, unseen: Unseen, value: Value, params: Params, contract: Contract
) -> Finished:
    """Fix what raises an alarm, and remember the scores of usual rows.

    Args:
        model: the winner, fitted on all training rows.
        unseen: the out-of-fold rows with their scores, shape (n, 2).
        value: what alarms are worth.
        params: the settings.
        contract: what the columns mean.
    """
    del params, contract
    outcome, scores, weights = unseen.outcome, unseen.scores, unseen.weights
    shares = np.linspace(0, 1, QUANTILES)
    # Rows of equal weight get quantiles that are interpolated between them.
    if (weights == weights[0]).all():
        quantiles = np.quantile(scores[:, SCORE], shares)
    else:
        quantiles = np.quantile(scores[:, SCORE], shares, weights=weights, method="inverted_cdf")
    return Finished(
        model,
        scores,
        Decision(
            threshold=threshold(outcome, scores[:, SCORE], weights, value),
            quantiles=tuple(quantiles.tolist()),
        ),
    )

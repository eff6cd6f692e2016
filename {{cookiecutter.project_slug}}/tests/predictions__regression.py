"""Predictions that are right, for tests of what is made of predictions."""

import numpy as np
from sklearn.linear_model import Lasso
from sklearn.pipeline import Pipeline

from utils.outcome import Decision


def perfect(rows: int) -> tuple[np.ndarray, np.ndarray, Decision, str, str]:
    """Return outcome, predictions and interval, and the figure and words that say so."""
    outcome = np.arange(float(rows))
    scores = np.column_stack([np.ones(rows), outcome])
    return outcome, scores, Decision(-1.0, 1.0, 0.9), "interval_coverage", "all rows, 100.0%"


def put_in_an_unknown_estimator(model: Pipeline) -> None:
    """Replace the fitted estimator of a model by one that no project serves."""
    model.named_steps["estimate"].estimator_ = Lasso()

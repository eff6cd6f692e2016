"""Forecasts that are right, for tests of what is made of predictions."""

import numpy as np
from sklearn.linear_model import Lasso
from sklearn.pipeline import Pipeline

from utils.outcome import Decision


def perfect(rows: int) -> tuple[np.ndarray, np.ndarray, Decision, str, str]:
    """Return values, forecasts and interval, and the figure and words that say so."""
    outcome = np.arange(float(rows))
    ahead = 1.0 + np.arange(rows) % 7
    forecasts = np.column_stack([ahead, np.ones(rows), np.zeros(rows), outcome])
    return (
        outcome,
        forecasts,
        Decision((-1.0,) * 7, (1.0,) * 7),
        "step_coverage",
        "all rows, 100.0%",
    )


def put_in_an_unknown_estimator(model: Pipeline) -> None:
    """Replace the fitted estimator of a model by one that no project serves."""
    model.steps[-1] = ("estimate", Lasso())

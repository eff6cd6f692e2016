"""Predictions that are right, for tests of what is made of predictions."""

import numpy as np

from utils.outcome import Decision

# A candidate, and spaces of its hyperparameters that it does not take.
SEARCHED_CANDIDATE = "random_forest"
UNFIT_SPACES: list[tuple[dict[str, object], str]] = [
    ({"no_such_setting": {"low": 1, "high": 3}}, "no_such_setting"),
    ({"min_samples_leaf": {"low": -5, "high": 3}}, "min_samples_leaf"),
    ({"criterion": {"choices": ["nonsense", "more"]}}, "criterion"),
]


def perfect(rows: int) -> tuple[np.ndarray, np.ndarray, Decision, str, str]:
    """Return outcome, predictions and interval, and the figure and words that say so."""
    outcome = np.arange(float(rows))
    return outcome, outcome, Decision(-1.0, 1.0), "interval_coverage", "all rows, 100.0%"

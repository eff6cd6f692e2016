"""Predictions that are right, for tests of what is made of predictions."""

import numpy as np

from utils.outcome import Cluster, Decision


def perfect(rows: int) -> tuple[np.ndarray, np.ndarray, Decision, str, str]:
    """Return rows at two places, their clusters, and the figure and words that say so."""
    codes = np.arange(rows) % 2
    named = tuple(
        Cluster(number, name, 0.5, f"Cluster {number}, {name}.")
        for number, name in enumerate(("low price", "high price"), start=1)
    )
    points = np.stack([10.0 * codes, np.zeros(rows)], axis=1)
    return points, np.eye(2)[codes], Decision(named), "silhouettes", "mean 1.000"

"""Whether the same clusters come back: on other draws of the rows, and on their halves."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
# Fits a model on rows with these numbers and returns the cluster of every row.
Assign = Callable[[Rows], Codes]


def overlaps(first: Codes, second: Codes, count: int) -> Array:
    """Return the Jaccard coefficient of each cluster with the most similar one of ``second``.

    NaN for a cluster without rows. Source: Hennig (2007), Cluster-wise Assessment of Cluster
    Stability.

    Args:
        first: cluster of each row, shape (n,).
        second: cluster of the same rows in another partition, shape (n,).
        count: number of clusters of ``first``.
    """
    table = np.zeros((count, int(second.max()) + 1))
    np.add.at(table, (first, second), 1)
    together = table.sum(axis=1, keepdims=True) + table.sum(axis=0) - table
    shares = np.divide(table, together, out=np.zeros_like(table), where=together > 0)
    best: Array = shares.max(axis=1)
    return np.where(table.sum(axis=1) > 0, best, np.nan)


def agreement(first: Codes, second: Codes) -> float:
    """Return the adjusted Rand index of two partitions of the same rows; 1 if they are the same.

    It is 0 on average if they have nothing to do with each other. Source: Hubert and Arabie (1985),
    Comparing Partitions.
    """
    return float(adjusted_rand_score(first, second))


def prediction_strength(own: Codes, predicted: Codes) -> float:
    """Return how well another model keeps the clusters of some rows together.

    Of the cluster for which it is least, the share of the pairs of rows that the other model puts
    into the same cluster as well. Clusters of one row have no pairs and are left out.

    Source: Tibshirani and Walther (2005), Cluster Validation by Prediction Strength.

    Args:
        own: cluster of each row by a model fitted on them, shape (n,).
        predicted: the same by a model fitted on other rows, shape (n,).
    """
    table = np.zeros((int(own.max()) + 1, int(predicted.max()) + 1))
    np.add.at(table, (own, predicted), 1)
    sizes = table.sum(axis=1)
    kept = (table * (table - 1)).sum(axis=1)
    usable = sizes > 1
    return float(np.min(kept[usable] / (sizes * (sizes - 1))[usable])) if usable.any() else 1.0


def resampled(
    assign: Assign, draws: Sequence[Rows], judged: Codes, count: int
) -> tuple[list[float], Array]:
    """Fit on rows drawn with replacement and compare with the clusters of rows that none has seen.

    Args:
        assign: fits a model on training rows and returns the cluster of every held-out row.
        draws: numbers of training rows, drawn with replacement.
        judged: cluster of each held-out row by the model itself.
        count: its number of clusters k.

    Returns:
        The adjusted Rand index of each draw, and the Jaccard coefficients, shape (draws, k).
    """
    agreements, found = [], []
    for rows in draws:
        again = assign(np.sort(rows))
        agreements.append(agreement(judged, again))
        found.append(overlaps(judged, again, count))
    return agreements, np.array(found)


def halves(rows: int, count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Return ``count`` ways to divide the rows into two halves by chance, each ascending."""
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(rows) for _ in range(count)]
    return [(np.sort(order[: rows // 2]), np.sort(order[rows // 2 :])) for order in drawn]

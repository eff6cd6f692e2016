"""Estimators that divide rows into clusters and give every row a membership of each.

Clusters are numbered by size, the largest first. What ``membership`` computes, the exported graph
repeats step by step.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.mixture import GaussianMixture

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# A squared distance counts as at least this, so that a row at a centre belongs to it alone.
SMALLEST_SQUARE = 1e-12


def repeated_rows(weights: Array) -> Codes:
    """Return row numbers in which each row occurs in proportion to its weight.

    Whole weights give each row as often as it weighs; of others as many rows are drawn as there
    are, at equal distances along the cumulated weights (systematic sampling; Madow 1949).
    """
    rows = np.arange(weights.size)
    if (weights == np.round(weights)).all():
        return np.repeat(rows, weights.astype(np.int64))
    ends = np.cumsum(weights) / weights.sum() * weights.size
    times = np.diff(np.floor(ends + 0.5), prepend=0.0).astype(np.int64)
    return np.repeat(rows, times)


def squared_distances(points: Array, centres: Array) -> Array:
    """Return the squared distance of every point to every centre, shape (n, k)."""
    total: Array = ((points[:, np.newaxis, :] - centres[np.newaxis]) ** 2).sum(axis=2)
    return total


def nearness(squares: Array) -> Array:
    """Return memberships, shape (n, k), in inverse proportion to squared distances.

    Source: Bezdek (1981), Pattern Recognition with Fuzzy Objective Function Algorithms, with the
    exponent 2.
    """
    positive = np.maximum(squares, SMALLEST_SQUARE)
    inverse = positive.min(axis=1, keepdims=True) / positive
    shares: Array = inverse / inverse.sum(axis=1, keepdims=True)
    return shares


def spread_factors(mixture: GaussianMixture) -> Array:
    """Return, per component, the matrix that brings it to unit variance, shape (k, d, d)."""
    factors, count = mixture.precisions_cholesky_, mixture.means_.shape[0]
    inputs = mixture.means_.shape[1]
    if mixture.covariance_type == "full":
        return np.asarray(factors)
    if mixture.covariance_type == "tied":
        return np.tile(factors, (count, 1, 1))
    if mixture.covariance_type == "diag":
        return np.stack([np.diag(row) for row in factors])
    return np.stack([np.eye(inputs) * factor for factor in factors])


def log_constants(mixture: GaussianMixture) -> Array:
    """Return, per component, its log weight and the log of its density's height, shape (k,).

    The part that all components share is left out.
    """
    diagonals = np.diagonal(spread_factors(mixture), axis1=1, axis2=2)
    heights: Array = np.log(mixture.weights_) + np.log(diagonals).sum(axis=1)
    return heights


def log_densities(points: Array, means: Array, factors: Array, constants: Array) -> Array:
    """Return the log of weight times density of each component, shape (n, k), up to a constant."""
    parts = [
        (((points - mean) @ factor) ** 2).sum(axis=1)
        for mean, factor in zip(means, factors, strict=True)
    ]
    logs: Array = -0.5 * np.stack(parts, axis=1) + constants
    return logs


def softmax(logs: Array) -> Array:
    """Return shares in proportion to the exponentials, shape (n, k)."""
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


class Slices(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """The naive baseline: slices of equally many rows along the direction of most variance."""

    def __init__(self, n_clusters: int = 4) -> None:
        """Keep the settings.

        Args:
            n_clusters: number of slices.
        """
        self.n_clusters = n_clusters

    def fit(self, X: Array, y: object = None) -> "Slices":  # noqa: N803 - scikit-learn's name
        """Find the direction and where to cut.

        Args:
            X: shape (n, d).
            y: ignored.
        """
        del y
        _, axes = np.linalg.eigh(np.cov(X, rowvar=False).reshape(X.shape[1], X.shape[1]))
        self.axis_ = axes[:, -1] * np.sign(axes[np.argmax(np.abs(axes[:, -1])), -1])
        places = np.linspace(0, 1, self.n_clusters + 1)[1:-1]
        self.edges_ = np.quantile(X @ self.axis_, places)
        return self

    def predict(self, X: Array) -> Codes:  # noqa: N803
        """Return the slice of each row, shape (n,)."""
        slices: Codes = np.searchsorted(self.edges_, X @ self.axis_, side="right")
        return slices


class NumberedClusters(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of clusters with memberships, its clusters numbered by size."""

    def __init__(self, estimator: BaseEstimator) -> None:
        """Keep the unfitted estimator."""
        self.estimator = estimator

    def fit(
        self,
        X: Array,  # noqa: N803 - scikit-learn's name
        y: object = None,
        sample_weight: Array | None = None,
    ) -> "NumberedClusters":
        """Fit the estimator and number its clusters.

        A mixture takes no weights, so rows are repeated in proportion to them.

        Args:
            X: shape (n, d).
            y: ignored.
            sample_weight: of the rows, shape (n,).
        """
        del y
        points = np.asarray(X, dtype=np.float64)
        if sample_weight is not None:
            points = points[repeated_rows(sample_weight)]
        self.estimator_ = clone(self.estimator).fit(points)
        self.order_ = np.arange(self._memberships(points[:1]).shape[1])
        sizes = np.bincount(self.predict(points), minlength=self.order_.size)
        self.order_ = np.argsort(-sizes, kind="stable")
        return self

    def _memberships(self, points: Array) -> Array:
        estimator = self.estimator_
        if isinstance(estimator, GaussianMixture):
            factors, constants = spread_factors(estimator), log_constants(estimator)
            return softmax(log_densities(points, estimator.means_, factors, constants))
        if isinstance(estimator, Slices):
            return np.eye(estimator.n_clusters)[estimator.predict(points)]
        return nearness(squared_distances(points, estimator.cluster_centers_))

    def membership(self, X: Any) -> Array:  # noqa: N803
        """Return how much each row belongs to each cluster, shape (n, k); rows sum to 1."""
        return self._memberships(np.asarray(X, dtype=np.float64))[:, self.order_]

    def predict(self, X: Any) -> Codes:  # noqa: N803
        """Return the position of the cluster that each row belongs to most, shape (n,)."""
        codes: Codes = np.argmax(self.membership(X), axis=1)
        return codes

"""Metrics of a clustering: how compact and how separate the clusters are.

Every metric is a function of ``outcome`` (the rows as points, encoded and scaled, shape (n, d)),
``scores`` (the memberships, shape (n, k)), ``weights`` (how many rows each row stands for, shape
(n,)) and ``value``. Nothing says which cluster is right, so they measure the partition itself. Its
centres are those of the rows at hand, so that partitions of any kind are judged alike.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, convert
from utils.metric import MetricOf
from utils.outcome import Decision, assigned

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# The part of the rows that counts as the worst placed.
WORST = 0.1


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing: what a cluster is worth depends on what is done with it, and has no amount here."""

    currency: str = ""


Metric = MetricOf[Value]


class Partition(NamedTuple):
    """Rows and the clusters that they are in.

    ``codes`` (n,) numbers the clusters that occur, ``masses`` (c,) are their weights, ``centres``
    (c, d) their weighted means, and ``distances`` (n, c) those of every row to every centre.
    """

    codes: Codes
    masses: Array
    centres: Array
    distances: Array


def load_value(values: Mapping[str, Any], target: Column) -> Value:
    """Check that ``params.yaml`` has no amounts, as none has a meaning here.

    Raises:
        ProjectError: it has.
    """
    del target
    return convert(dict(values), Value, "params.yaml, section value")


def distances(points: Array, centres: Array) -> Array:
    """Return the Euclidean distance of every point to every centre, shape (n, c)."""
    squares = (points**2).sum(axis=1)[:, np.newaxis] + (centres**2).sum(axis=1)
    apart: Array = np.sqrt(np.maximum(squares - 2 * points @ centres.T, 0.0))
    return apart


def partition(points: Array, scores: Array, weights: Array) -> Partition | None:
    """Return the clusters of the rows that count; None if there are fewer than two."""
    found, codes = np.unique(assigned(scores), return_inverse=True)
    flags = (codes[:, np.newaxis] == np.arange(found.size)) * weights[:, np.newaxis]
    masses = flags.sum(axis=0)
    filled = masses > 0
    if np.count_nonzero(filled) < 2:  # noqa: PLR2004
        return None
    # A cluster whose rows weigh nothing is far from every row.
    centres = np.full((found.size, points.shape[1]), np.inf)
    centres[filled] = (flags.T @ points)[filled] / masses[filled, np.newaxis]
    apart = np.full((codes.size, found.size), np.inf)
    apart[:, filled] = distances(points, centres[filled])
    return Partition(codes, masses, centres, apart)


def row_silhouettes(points: Array, scores: Array, weights: Array) -> Array:
    """Return how much nearer each row is to its own centre than to the nearest other, shape (n,).

    1 is at the centre, 0 half-way to the next cluster, below 0 nearer to another one; 0 in a
    cluster of one row, and NaN where there are fewer than two clusters.

    Sources: Rousseeuw (1987), Silhouettes; with distances to centres in place of mean distances to
    rows as in Vendramin, Campello and Hruschka (2010), Relative Clustering Validity Criteria.

    Args:
        points: shape (n, d).
        scores: memberships, shape (n, k).
        weights: shape (n,).
    """
    found = partition(points, scores, weights)
    if found is None:
        return np.full(len(points), np.nan)
    rows = np.arange(len(points))
    own = found.distances[rows, found.codes]
    others = found.distances.copy()
    others[rows, found.codes] = np.inf
    nearest = others.min(axis=1)
    larger = np.maximum(own, nearest)
    usable = np.isfinite(own) & np.isfinite(nearest) & (larger > 0)
    silhouettes = np.zeros(len(points))
    silhouettes[usable] = (nearest - own)[usable] / larger[usable]
    alone = np.bincount(found.codes)[found.codes] == 1
    return np.where(alone & (weights <= 1), 0.0, silhouettes)


def mean_of(silhouettes: Array, weights: Array) -> float:
    """Return the weighted mean."""
    return float(np.average(silhouettes, weights=weights))


def mean_of_worst(silhouettes: Array, weights: Array) -> float:
    """Return the weighted mean of the lowest tenth."""
    order = np.argsort(silhouettes, kind="stable")
    masses = weights[order]
    before = np.cumsum(masses) - masses
    counted = np.clip(WORST * weights.sum() - before, 0.0, masses)
    return float(np.average(silhouettes[order], weights=counted))


def silhouette(outcome: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean silhouette of the rows."""
    del value
    return mean_of(row_silhouettes(outcome, scores, weights), weights)


def worst_silhouette(outcome: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean silhouette of the tenth of the rows with the lowest."""
    del value
    return mean_of_worst(row_silhouettes(outcome, scores, weights), weights)


def davies_bouldin(outcome: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean over the clusters of how much they overlap with the cluster they overlap with most.

    Source: Davies and Bouldin (1979), A Cluster Separation Measure.
    """
    del value
    found = partition(outcome, scores, weights)
    if found is None:
        return float("nan")
    rows = np.arange(len(outcome))
    filled = np.flatnonzero(found.masses > 0)
    own = np.where(weights > 0, found.distances[rows, found.codes], 0.0)
    scatter = np.bincount(found.codes, weights * own)[filled] / found.masses[filled]
    between = distances(found.centres[filled], found.centres[filled])
    np.fill_diagonal(between, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        overlaps = (scatter[:, np.newaxis] + scatter) / between
    return float(np.nanmax(overlaps, axis=1).mean())


def calinski_harabasz(outcome: Array, scores: Array, weights: Array, value: Value) -> float:
    """Variance between the clusters over that within, each per degree of freedom.

    Source: Calinski and Harabasz (1974), A Dendrite Method for Cluster Analysis.
    """
    del value
    found = partition(outcome, scores, weights)
    if found is None:
        return float("nan")
    filled = found.masses > 0
    total, clusters = float(weights.sum()), int(np.count_nonzero(filled))
    centre = np.average(outcome, axis=0, weights=weights)
    spread = ((found.centres[filled] - centre) ** 2).sum(axis=1)
    between = float((found.masses[filled] * spread).sum())
    own = np.where(weights > 0, found.distances[np.arange(len(outcome)), found.codes], 0.0)
    within = float((weights * own**2).sum())
    freedom = total - clusters
    return between / (clusters - 1) / (within / freedom) if within * freedom > 0 else float("nan")


METRICS: dict[str, Metric] = {
    "silhouette": Metric("Silhouette", "", True, silhouette),
    "worst_silhouette": Metric("Silhouette of the worst-placed tenth", "", True, worst_silhouette),
    "davies_bouldin": Metric("Davies-Bouldin index", "", False, davies_bouldin),
    "calinski_harabasz": Metric("Calinski-Harabasz index", "", True, calinski_harabasz),
}

# How the metrics that are about single rows sum up their silhouettes.
BY_ROWS: dict[Callable[[Array, Array, Array, Value], float], Callable[[Array, Array], float]] = {
    silhouette: mean_of,
    worst_silhouette: mean_of_worst,
}


def level_labels(target: Column) -> tuple[str, str]:
    """Name the two numbers of ``levels``."""
    del target
    return "Share in cluster 1", "Mean membership"


def levels(outcome: Array, scores: Array, weights: Array) -> tuple[float, float]:
    """Return the share of the rows in the first cluster, and the mean of the largest membership."""
    del outcome
    return (
        float(np.average(assigned(scores) == 0, weights=weights)),
        float(np.average(scores.max(axis=1), weights=weights)),
    )


def decision_rates(
    outcome: Array, scores: Array, weights: Array, decision: Decision
) -> dict[str, float]:
    """Return how clearly some rows are assigned, by name."""
    del outcome, decision
    first, second = np.sort(scores, axis=1)[:, :-3:-1].T
    return {"Mean margin to the next cluster": float(np.average(first - second, weights=weights))}


class DecisionReport(msgspec.Struct, frozen=True):
    """The clusters on the held-out rows: shares and mean silhouettes, None without rows."""

    clusters: int
    shares: list[float]
    silhouettes: list[float | None]
    words: list[str]


def decision_summary(
    outcome: Array, scores: Array, weights: Array, value: Value, decision: Decision
) -> DecisionReport:
    """Describe every cluster, and say how much of the held-out rows it holds and how well."""
    del value
    codes, silhouettes = assigned(scores), row_silhouettes(outcome, scores, weights)
    shares: list[float] = []
    means: list[float | None] = []
    words = []
    for code, cluster in enumerate(decision.clusters):
        inside = (codes == code) & (weights > 0) & np.isfinite(silhouettes)
        share = float(np.average(codes == code, weights=weights))
        mean = (
            float(np.average(silhouettes[inside], weights=weights[inside])) if any(inside) else None
        )
        placed = "" if mean is None else f", with a mean silhouette of {mean:.2f}"
        shares.append(share)
        means.append(mean)
        words.append(f"{cluster.profile} Of the held-out rows it holds {share:.1%}{placed}.")
    return DecisionReport(len(decision.clusters), shares, means, words)

"""What else speaks for a number of clusters: the gap statistic, and BIC of Gaussian mixtures.

Both look at one sample of the training rows. Neither asks how the clusters of other rows come out,
as silhouettes and stability on halves do, so that they can support or question what those say.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from model_training.partitions import repeated_rows

Array = npt.NDArray[np.float64]

STARTS = 2


class GapStatistic(msgspec.Struct, frozen=True):
    """How much more compact the rows are than rows without clusters, per number of clusters from 1.

    ``gaps`` are differences of logarithms, ``errors`` their standard errors. ``chosen`` is the
    smallest number whose gap is at most one standard error below the next, None if there is none.
    """

    rows: int
    references: int
    gaps: list[float]
    errors: list[float]
    chosen: int | None


def sampled(points: Array, weights: Array, most: int, seed: int) -> Array:
    """Return at most ``most`` rows, drawn by chance in proportion to their weights.

    Args:
        points: shape (n, d).
        weights: shape (n,).
        most: number of rows to draw.
        seed: makes it repeatable.
    """
    rows = repeated_rows(weights)
    drawn = np.random.default_rng(seed).permutation(rows.size)[:most]
    return points[rows[np.sort(drawn)]]


def log_dispersions(points: Array, most: int, seed: int) -> Array:
    """Return log W(k) for k from 1 to ``most``, W being the squared distances to the centres.

    Args:
        points: shape (n, d).
        most: the largest number of clusters.
        seed: of k-means.
    """
    found = [
        KMeans(clusters, n_init=STARTS, random_state=seed).fit(points).inertia_
        for clusters in range(1, most + 1)
    ]
    return np.log(np.maximum(found, np.finfo(np.float64).tiny))


def without_clusters(
    points: Array, categories: Sequence[int], generator: np.random.Generator
) -> Array:
    """Return rows that have no clusters.

    Numbers are drawn evenly from the box that their principal axes span. Each column of categories
    is drawn from the rows without regard to the others: drawn evenly, categories would be points
    between the categories, and clusters that are only the categories would count as found.

    Args:
        points: shape (n, d), numbers first.
        categories: how many of the last coordinates belong to each column of categories.
        generator: draws them.
    """
    made = points.copy()
    start = points.shape[1] - sum(categories)
    if start:
        numbers = points[:, :start]
        centre = numbers.mean(axis=0)
        _, _, axes = np.linalg.svd(numbers - centre, full_matrices=False)
        along = (numbers - centre) @ axes.T
        drawn = generator.uniform(along.min(axis=0), along.max(axis=0), along.shape)
        made[:, :start] = drawn @ axes + centre
    for width in categories:
        part = slice(start, start + width)
        made[:, part] = points[generator.permutation(len(points)), part]
        start += width
    return made


def gap_statistic(
    points: Array, categories: Sequence[int], most: int, references: int, seed: int
) -> GapStatistic:
    """Compare how compact k-means makes the rows with how compact it makes rows without clusters.

    Source: Tibshirani, Walther and Hastie (2001), Estimating the Number of Clusters in a Data Set
    via the Gap Statistic; rows without clusters as in their variant (b), but for categories.

    Args:
        points: shape (n, d), numbers first.
        categories: how many of the last coordinates belong to each column of categories.
        most: the largest number of clusters.
        references: number of tables without clusters.
        seed: makes it repeatable.
    """
    generator = np.random.default_rng(seed)
    own = log_dispersions(points, most, seed)
    others = np.array(
        [
            log_dispersions(without_clusters(points, categories, generator), most, seed)
            for _ in range(references)
        ]
    )
    gaps = others.mean(axis=0) - own
    errors = others.std(axis=0) * np.sqrt(1 + 1 / references)
    enough = np.flatnonzero(gaps[:-1] >= gaps[1:] - errors[1:])
    return GapStatistic(
        rows=len(points),
        references=references,
        gaps=gaps.tolist(),
        errors=errors.tolist(),
        chosen=int(enough[0]) + 1 if enough.size else None,
    )


def information_criteria(points: Array, mixture: GaussianMixture, most: int) -> list[float]:
    """Return BIC of a mixture with 1 to ``most`` components; lower is better.

    Source: Schwarz (1978), Estimating the Dimension of a Model; for clusters Fraley and Raftery
    (1998), How Many Clusters?

    Args:
        points: shape (n, d).
        mixture: an unfitted mixture.
        most: the largest number of components.
    """
    return [
        float(clone(mixture).set_params(n_components=count).fit(points).bic(points))
        for count in range(1, most + 1)
    ]


def lowest(criteria: Sequence[float]) -> int:
    """Return the number of components, from 1, with the lowest criterion."""
    return int(np.argmin(criteria)) + 1

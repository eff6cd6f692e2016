"""Detectors of anomalies: what they learn is what usual rows look like, never from a target.

A detector gives each row two numbers, shape (n, 2). The second is its anomaly score: a distance
from what is usual, never below 0. The first is the place of the score among random rows, which are
made of values that were drawn from each column on its own: the share of random rows that stand out
less. Usual rows lie where few random rows do, so a low mean of that share tells a good detector
from a bad one without any label: it is the area under the mass-volume curve, with the product of
the columns' distributions as the measure of volume.

Sources: Clémençon and Jakubowicz (2013), Scoring Anomalies: a M-estimation Formulation; Goix
(2016), How to Evaluate the Quality of Unsupervised Anomaly Detection Algorithms?; Hastie,
Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 14.2.4, for such
random rows.
"""

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.covariance import shrunk_covariance
from sklearn.ensemble import IsolationForest
from sklearn.utils._param_validation import Interval

from utils.metrics import highest

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RANDOM_ROWS = 2_000
KNOTS = 101
RANKED_ALIKE = 0.98
# Knots that lie closer than this share of their range would make a rounding error grow.
SMALLEST_GAP = 1e-5
CONCENTRATIONS = 3
WHITENING_SHRINKAGE = 0.001
FILLING_STEPS = 40
FILLING_SHRINKAGE = 0.05
# Inputs that never differ would leave nothing to measure a distance by.
SMALLEST_VARIANCE = 1e-12
# Categories of which less than this share of the rows are hardly count.
SMALLEST_SHARE = 1e-6
# Distances to so many rows at a time, so that memory does not grow with the table.
CHUNK = 4_096
NORMAL_QUARTILES = 1.349


def is_category(inputs: Array) -> Flags:
    """Return which columns of encoded inputs, shape (n, features), only say yes or no."""
    return np.asarray(((inputs == 0) | (inputs == 1)).all(axis=0))


def _drawn(ordered: Array, weights: Array, places: Array) -> npt.NDArray[np.int64]:
    """Return the numbers of rows at ``places`` from 0 to 1 of their order, by their weights."""
    order = np.lexsort(ordered.T[::-1])
    reached = np.cumsum(weights[order])
    found = np.searchsorted(reached / reached[-1], places, side="right")
    return np.asarray(order[np.minimum(found, order.size - 1)], dtype=np.int64)


def together(inputs: Array) -> list[npt.NDArray[np.int64]]:
    """Return the columns, in groups, that random rows take from the same row.

    These are all categories, as they exclude each other, and numbers that rank rows almost alike,
    such as a number and its logarithm.

    Args:
        inputs: encoded rows, shape (n, features).
    """
    category = is_category(inputs)
    left = list(np.flatnonzero(~category))
    ranks = stats.rankdata(inputs, axis=0)
    groups = [np.flatnonzero(category)] if category.any() else []
    while left:
        first = ranks[:, left[0]]
        alike = [
            column
            for column in left
            if abs(np.corrcoef(first, ranks[:, column])[0, 1]) >= RANKED_ALIKE
        ]
        groups.append(np.array(alike))
        left = [column for column in left if column not in alike]
    return groups


def random_rows(inputs: Array, weights: Array, count: int, seed: int) -> Array:
    """Return rows in which each number was drawn without regard to the others.

    A row of weight 2 counts as two.

    Args:
        inputs: encoded rows, shape (n, features).
        weights: how many rows each stands for, shape (n,).
        count: how many rows to make.
        seed: makes them repeatable.
    """
    generator = np.random.default_rng(seed)
    made = np.empty((count, inputs.shape[1]))
    for columns in together(inputs):
        values = inputs[:, columns]
        made[:, columns] = values[_drawn(values, weights, generator.random(count))]
    return made


def knots(scores: Array) -> tuple[Array, Array]:
    """Return rising scores and the share of random rows below each, to interpolate between.

    Args:
        scores: anomaly scores of random rows, shape (n,).
    """
    shares = np.linspace(0, 1, KNOTS)
    places = np.quantile(scores, shares)
    width = float(places[-1] - places[0])
    if width <= 0:
        return np.array([places[0] - 0.5, places[0] + 0.5]), np.array([0.0, 1.0])
    kept = [0]
    for number in range(1, KNOTS):
        if places[number] - places[kept[-1]] > SMALLEST_GAP * width:
            kept.append(number)
    # the last share that has the same score
    last = [*(following - 1 for following in kept[1:]), KNOTS - 1]
    return places[kept], shares[last]


def moments(inputs: Array, weights: Array) -> tuple[Array, Array]:
    """Return the mean (features,) and the covariance (features, features) of weighted rows."""
    mean = np.average(inputs, axis=0, weights=weights)
    centred = inputs - mean
    covariance: Array = (centred * weights[:, np.newaxis]).T @ centred / weights.sum()
    return mean, covariance


class Filling(NamedTuple):
    """What fills in missing values: those that make a row least unusual, given its other values.

    That is their expectation if rows are normally distributed. It is found by ``FILLING_STEPS``
    accelerated gradient steps, whatever is missing, which the served graph repeats. Source:
    Nesterov (2004), Introductory Lectures on Convex Optimization, section 2.2.

    Attributes:
        mean: of each input, shape (features,).
        spread: its standard deviation, shape (features,).
        slope: the gradient of a standardised row, shape (features, features), times the step size.
        momentum: how much of the last step is taken once more.
    """

    mean: Array
    spread: Array
    slope: Array
    momentum: float

    def filled(self, inputs: Array) -> Array:
        """Return inputs, shape (n, features), without missing values."""
        known = ~np.isnan(inputs)
        if known.all():
            return inputs
        given = np.where(known, (inputs - self.mean) / self.spread, 0.0)
        current = before = given
        for _ in range(FILLING_STEPS):
            ahead = current + self.momentum * (current - before)
            before, current = current, np.where(known, given, ahead - ahead @ self.slope)
        return np.where(known, inputs, current * self.spread + self.mean)


def learn_filling(inputs: Array, weights: Array) -> Filling:
    """Learn to fill in missing values from encoded rows, shape (n, features)."""
    known = ~np.isnan(inputs)
    counted = known * weights[:, np.newaxis]
    rows = np.maximum(counted.sum(axis=0), np.finfo(np.float64).tiny)
    values = np.where(known, inputs, 0.0)
    mean = (counted * values).sum(axis=0) / rows
    spread = np.sqrt((counted * (values - mean) ** 2).sum(axis=0) / rows)
    spread = np.where(spread > 0, spread, 1.0)
    filled = np.where(known, inputs, mean)
    # Twice, because means in place of missing values hide how columns belong together.
    for _ in range(2):
        _, covariance = moments((filled - mean) / spread, weights)
        shrunk = shrunk_covariance(covariance, FILLING_SHRINKAGE)
        values, vectors = np.linalg.eigh(shrunk + np.eye(len(shrunk)) * SMALLEST_VARIANCE)
        ratio = float(np.sqrt(values[-1] / values[0]))
        slope = (vectors * (values[0] / values)) @ vectors.T
        found = Filling(mean, spread, slope, (ratio - 1) / (ratio + 1))
        filled = found.filled(inputs)
    return found


class Detector(BaseEstimator):  # type: ignore[misc]
    """What all detectors have in common; the target is never looked at."""

    random_state: int

    def fit(self, inputs: Array, target: object = None, sample_weight: Array | None = None) -> Self:
        """Learn what usual rows look like.

        Args:
            inputs: encoded rows, shape (n, features), NaN for missing.
            target: is not used.
            sample_weight: how many rows each row stands for, shape (n,).
        """
        del target
        weights = np.ones(inputs.shape[0]) if sample_weight is None else np.asarray(sample_weight)
        filling = learn_filling(inputs, weights)
        # what a saved model may hold
        self.filling_: dict[str, Any] = filling._asdict()
        filled = filling.filled(inputs)
        self._learn(filled, weights)
        drawn = random_rows(filled, weights, RANDOM_ROWS, self.random_state)
        self.knots_, self.shares_ = knots(self.distances(drawn))
        return self

    @abstractmethod
    def _learn(self, inputs: Array, weights: Array) -> None:
        """Fit to filled inputs, shape (n, features), with weights, shape (n,)."""

    @abstractmethod
    def distances(self, inputs: Array) -> Array:
        """Return how far each filled row lies from what is usual, shape (n,), never below 0."""

    def predict(self, inputs: Array) -> Array:
        """Return the share of random rows that stand out less, and the anomaly score, (n, 2)."""
        score = self.distances(Filling(**self.filling_).filled(inputs))
        steps = (score[:, np.newaxis] - self.knots_[:-1]) / np.diff(self.knots_)
        share = self.shares_[0] + np.clip(steps, 0, 1) @ np.diff(self.shares_)
        return np.stack([share, score], axis=1)


class UnusualValue(Detector):
    """The naive baseline: how unusual the most unusual single number of a row is.

    In standard deviations from the median, the deviation being taken from the quartiles.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"random_state": [Integral]}

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def _learn(self, inputs: Array, weights: Array) -> None:
        numbers = np.flatnonzero(~is_category(inputs))
        self.columns_ = numbers if numbers.size else np.arange(inputs.shape[1])
        low, middle, high = np.quantile(
            inputs[:, self.columns_],
            [0.25, 0.5, 0.75],
            axis=0,
            weights=weights,
            method="inverted_cdf",
        )
        spread = (high - low) / NORMAL_QUARTILES
        self.median_, self.spread_ = middle, np.where(spread > 0, spread, 1.0)

    def distances(self, inputs: Array) -> Array:
        """Return the largest absolute deviation of a row, shape (n,)."""
        deviations = np.abs((inputs[:, self.columns_] - self.median_) / self.spread_)
        largest: Array = deviations.max(axis=1)
        return largest


def given_categories(inputs: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Return what turns rows into numbers that are freed of what their categories let expect.

    A category that is rare is no anomaly, so distances are measured between the numbers alone.

    Args:
        inputs: filled rows, shape (n, features).
        weights: how many rows each stands for, shape (n,).

    Returns:
        Mean of the inputs (features,), the linear map (features, numbers) and the covariance of
        what it gives (numbers, numbers). Without numbers, the map keeps all inputs.
    """
    mean, covariance = moments(inputs, weights)
    category = is_category(inputs)
    if category.all() or not category.any():
        return mean, np.eye(mean.size), covariance
    own = covariance[np.ix_(category, category)]
    slopes = np.linalg.solve(
        own + np.eye(len(own)) * SMALLEST_SHARE, covariance[np.ix_(category, ~category)]
    )
    freed = np.zeros((mean.size, int((~category).sum())))
    freed[~category] = np.eye(freed.shape[1])
    freed[category] = -slopes
    return mean, freed, freed.T @ covariance @ freed


def whitening(covariance: Array, shrinkage: float) -> Array:
    """Return the map to directions that are uncorrelated and have variance 1, both (d, d).

    Args:
        covariance: of what is mapped.
        shrinkage: how far it is drawn to the identity, so that no direction of noise counts much.
    """
    shrunk = shrunk_covariance(covariance, shrinkage) + np.eye(len(covariance)) * SMALLEST_VARIANCE
    values, vectors = np.linalg.eigh(shrunk)
    found: Array = vectors / np.sqrt(values)
    return found


class RobustCovariance(Detector):
    """The distance of Mahalanobis (1936), which sees combinations that the columns rule out.

    The rows that lie farthest away are left out and the covariance is estimated again, so that
    anomalies don't stretch what counts as usual: the concentration steps of Rousseeuw and Van
    Driessen (1999), A Fast Algorithm for the Minimum Covariance Determinant Estimator.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "shrinkage": [Interval(Real, 0, 1, closed="right")],
        "trimmed": [Interval(Real, 0, 0.5, closed="left")],
        "random_state": [Integral],
    }

    def __init__(
        self, shrinkage: float = 0.01, trimmed: float = 0.05, random_state: int = 0
    ) -> None:
        self.shrinkage = shrinkage
        self.trimmed = trimmed
        self.random_state = random_state

    def _learn(self, inputs: Array, weights: Array) -> None:
        kept = weights
        for _ in range(CONCENTRATIONS if self.trimmed > 0 else 1):
            self.mean_, freed, covariance = given_categories(inputs, kept)
            self.whitening_ = freed @ whitening(covariance, self.shrinkage)
            kept = weights * (1 - highest(self.distances(inputs), weights, self.trimmed))

    def distances(self, inputs: Array) -> Array:
        """Return the distance of Mahalanobis of each row, shape (n,)."""
        whitened = (inputs - self.mean_) @ self.whitening_
        lengths: Array = np.sqrt(np.sum(whitened * whitened, axis=1))
        return lengths


class PrincipalComponents(Detector):
    """How much of a row the most important principal components can't tell.

    As many components are kept as have the share ``kept`` of the variance. Source: Jackson (1991),
    A User's Guide to Principal Components, section 2.7.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "kept": [Interval(Real, 0, 1, closed="neither")],
        "random_state": [Integral],
    }

    def __init__(self, kept: float = 0.9, random_state: int = 0) -> None:
        self.kept = kept
        self.random_state = random_state

    def _learn(self, inputs: Array, weights: Array) -> None:
        self.mean_, freed, covariance = given_categories(inputs, weights)
        values, vectors = np.linalg.eigh(covariance)
        told = np.cumsum(values[::-1])
        enough = int(np.searchsorted(told, self.kept * told[-1])) + 1
        # ascending, so the last ones are the most important; one at least is left to judge by
        self.left_ = freed @ vectors[:, : max(vectors.shape[1] - enough, 1)]

    def distances(self, inputs: Array) -> Array:
        """Return the length of what the kept components leave of each row, shape (n,)."""
        rest = (inputs - self.mean_) @ self.left_
        lengths: Array = np.sqrt(np.sum(rest * rest, axis=1))
        return lengths


class NearestNeighbours(Detector):
    """The mean distance to the nearest of some rows that were drawn from the training rows.

    Source: Sugiyama and Borgwardt (2013), Rapid Distance-Based Outlier Detection via Sampling.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "neighbours": [Interval(Integral, 1, None, closed="left")],
        "rows": [Interval(Integral, 1, None, closed="left")],
        "random_state": [Integral],
    }

    def __init__(self, neighbours: int = 10, rows: int = 256, random_state: int = 0) -> None:
        self.neighbours = neighbours
        self.rows = rows
        self.random_state = random_state

    def _learn(self, inputs: Array, weights: Array) -> None:
        generator = np.random.default_rng(self.random_state)
        count = min(self.rows, int(np.count_nonzero(weights)))
        drawn = generator.choice(
            inputs.shape[0], count, replace=False, p=weights / weights.sum(), shuffle=False
        )
        self.neighbours_ = min(self.neighbours, count)
        self.drawn_ = inputs[np.sort(drawn)]

    def _chunk(self, inputs: Array) -> Array:
        squares = np.zeros((inputs.shape[0], self.drawn_.shape[0]))
        # Column by column, as the served graph does it, so that both round alike.
        for column in range(inputs.shape[1]):
            apart = inputs[:, [column]] - self.drawn_[:, column]
            squares += apart * apart
        nearest = np.sort(np.sqrt(squares), axis=1)[:, : self.neighbours_]
        mean: Array = nearest.mean(axis=1)
        return mean

    def distances(self, inputs: Array) -> Array:
        """Return the mean distance of each row to its nearest neighbours, shape (n,)."""
        starts = range(0, max(inputs.shape[0], 1), CHUNK)
        return np.concatenate([self._chunk(inputs[start : start + CHUNK]) for start in starts])


class IsolationTrees(Detector):
    """How few random splits it takes to tell a row from the others, from 0 to 1.

    A split looks at one input, so a row whose single numbers are all usual is never told apart,
    however little they go together. With ``whitened``, splits look at directions that are freed of
    what categories and other numbers let expect, and brought to the same variance: there such a row
    stands out. Sources: Liu, Ting and Zhou (2008), Isolation Forest; for splits that are not along
    single inputs Hariri, Carrasco Kind and Brunner (2021), Extended Isolation Forest.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "whitened": ["boolean"],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [Interval(Integral, 2, None, closed="left")],
        "random_state": [Integral],
    }

    def __init__(
        self,
        n_estimators: int = 200,
        max_samples: int = 256,
        whitened: bool = True,
        random_state: int = 0,
    ) -> None:
        self.whitened = whitened
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.random_state = random_state

    def _seen(self, inputs: Array) -> Array:
        """Return the rows as the trees see them."""
        if not self.whitened:
            return inputs
        seen: Array = (inputs - self.mean_) @ self.whitening_
        return seen

    def _learn(self, inputs: Array, weights: Array) -> None:
        if self.whitened:
            self.mean_, freed, covariance = given_categories(inputs, weights)
            self.whitening_ = freed @ whitening(covariance, WHITENING_SHRINKAGE)
        self.forest_ = IsolationForest(
            n_estimators=self.n_estimators,
            max_samples=min(self.max_samples, inputs.shape[0]),
            random_state=self.random_state,
        ).fit(self._seen(inputs), sample_weight=weights)

    def distances(self, inputs: Array) -> Array:
        """Return the anomaly score of the forest for each row, shape (n,)."""
        score: Array = -self.forest_.score_samples(self._seen(inputs))
        return score

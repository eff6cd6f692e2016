"""How far the errors of a regression spread on a row, so that intervals are as wide as needed.

The absolute out-of-fold errors are predicted from the encoded inputs and the prediction by small
boosted trees. Errors are divided by what is predicted of their size before their quantiles are
taken, and the quantiles are multiplied by it again: the locally weighted split conformal inference
of Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-Free Predictive Inference for
Regression, section 5.2. It is done only where it makes intervals better beyond chance.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from utils.outcome import Adaptation, Decision, interval, point

Array = npt.NDArray[np.float64]

# With fewer rows, the size of errors can't be told apart from chance.
FEWEST_ROWS = 300
FOLDS = 5
# No interval is narrower than one for this part of the mean absolute error.
SMALLEST_PART = 0.2
# So many steps a standard deviation of the predictions has where trees look at them.
STEPS = 256
# The improvement has to be this many times its standard error.
BEYOND_CHANCE = 2.0


class SpreadRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that says how far its errors spread on a row; 1 everywhere before it is told."""

    def __init__(self, estimator: BaseEstimator) -> None:
        """Keep the unfitted regressor."""
        self.estimator = estimator

    def fit(
        self,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: Array,
        sample_weight: Array | None = None,
    ) -> "SpreadRegressor":
        """Fit the regressor and forget what it was told about its errors.

        Args:
            X: inputs, shape (n, features).
            y: target, shape (n,).
            sample_weight: of the rows, shape (n,).
        """
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=sample_weight)
        self.spread_: BaseEstimator | None = None
        self.smallest_ = self.step_ = 1.0
        return self

    def _told(self, X: Any, predicted: Array) -> Array:  # noqa: N803
        """Return the inputs and the prediction in steps, shape (n, features + 1).

        Without steps a prediction could lie on the threshold of a tree, and which side it falls on
        would depend on its last digit, in which the served graph may differ.
        """
        return np.column_stack([X, np.round(predicted / self.step_)])

    def tell(self, X: Any, predicted: Array, errors: Array, weights: Array, seed: int) -> None:  # noqa: N803
        """Learn how far errors on unseen rows spread.

        Args:
            X: inputs of these rows, shape (n, features).
            predicted: by models that had not seen them, shape (n,).
            errors: outcome less prediction, shape (n,).
            weights: of the rows, shape (n,).
            seed: makes it repeatable.
        """
        sizes, width = np.abs(errors), float(np.std(predicted))
        self.step_ = width / STEPS if width > 0 else 1.0
        self.spread_ = HistGradientBoostingRegressor(
            max_iter=40, max_leaf_nodes=6, min_samples_leaf=60, random_state=seed
        ).fit(self._told(X, predicted), sizes, sample_weight=weights)
        self.smallest_ = SMALLEST_PART * float(np.average(sizes, weights=weights))

    def spreads(self, X: Any, predicted: Array) -> Array:  # noqa: N803
        """Return how far errors spread, shape (n,), in the unit of the target once it was told."""
        if self.spread_ is None:
            return np.ones(len(predicted))
        sizes: Array = self.spread_.predict(self._told(X, predicted))
        return np.maximum(sizes, self.smallest_)

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return how far errors spread and the prediction of each row, shape (n, 2)."""
        predicted: Array = self.estimator_.predict(X)
        return np.column_stack([self.spreads(X, predicted), predicted])


def unseen_spreads(
    inputs: Array, predicted: Array, errors: Array, weights: Array, seed: int
) -> Array:
    """Return how far errors spread on each row, told from the errors on other rows, shape (n,)."""
    found = np.ones(errors.size)
    for known, rest in KFold(FOLDS, shuffle=True, random_state=seed).split(inputs):
        teller = SpreadRegressor(HistGradientBoostingRegressor())
        teller.tell(inputs[known], predicted[known], errors[known], weights[known], seed)
        found[rest] = teller.spreads(inputs[rest], predicted[rest])
    return found


def prediction_interval(
    target: Array, scores: Array, weights: Array, confidence: float
) -> Decision:
    """Return what turns a score into an interval: quantiles of the errors over their spread.

    The interval holds the outcome with probability ``confidence`` for exchangeable rows.

    Source: Papadopoulos et al. (2002), Inductive Confidence Machines for Regression.

    Args:
        target: shape (n,).
        scores: out-of-fold spreads and predictions, shape (n, 2).
        weights: shape (n,).
        confidence: of the interval.
    """
    relative = (target - point(scores)) / scores[:, 0]
    tail = (1 - confidence) / 2
    ends = [tail, 1 - tail]
    if (weights == weights[0]).all():
        lower, upper = np.quantile(relative, ends)
    else:
        lower, upper = np.quantile(relative, ends, weights=weights, method="inverted_cdf")
    return Decision(lower=float(lower), upper=float(upper), confidence=confidence)


def interval_scores(target: Array, scores: Array, decision: Decision) -> Array:
    """Return the width of each interval plus what an outcome outside costs, shape (n,).

    Lower is better; no other intervals have a lower expected score than the true quantiles. Source:
    Gneiting and Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation, section
    6.2.
    """
    low, high = interval(scores, decision)
    outside: Array = np.maximum(low - target, 0) + np.maximum(target - high, 0)
    found: Array = high - low + 2 / (1 - decision.confidence) * outside
    return found


def adaptation(
    target: Array, single: Array, adapted: Array, weights: Array, confidence: float
) -> Adaptation:
    """Compare intervals that adapt to the row with those of a single width, on out-of-fold rows.

    Args:
        target: shape (n,).
        single: scores in which all errors spread alike, shape (n, 2).
        adapted: scores with spreads that were told from other rows, shape (n, 2).
        weights: shape (n,).
        confidence: of the intervals.
    """
    before, after = (
        interval_scores(target, scores, prediction_interval(target, scores, weights, confidence))
        for scores in (single, adapted)
    )
    gained = before - after
    gain = float(np.average(gained, weights=weights))
    rows = float(weights.sum() ** 2 / (weights**2).sum())
    error = float(np.sqrt(np.average((gained - gain) ** 2, weights=weights) / rows))
    return Adaptation(
        applied=gain > BEYOND_CHANCE * error,
        interval_score_single=float(np.average(before, weights=weights)),
        interval_score_adapted=float(np.average(after, weights=weights)),
        improvement=gain,
        standard_error=error,
    )

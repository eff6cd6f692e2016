"""Calibration: probabilities that are as often right as they say.

A classifier fitted on many inputs may be too sure of itself or not sure enough. Its out-of-fold
probabilities p are compared with the outcomes, and softmax(slope * log p + offsets) is fitted to
them. For two classes that is the method of Platt on log-odds; the slope alone is the temperature of
Guo et al. (2017), On Calibration of Modern Neural Networks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import KFold

from utils.outcome import SMALLEST_CALIBRATED, Calibration, calibrated

Array = npt.NDArray[np.float64]

# With fewer rows per class, offsets would follow chance, so only the slope is fitted.
ROWS_PER_CLASS = 50
FOLDS = 5
# The improvement has to be this many times its standard error.
BEYOND_CHANCE = 2.0


class CalibratedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that gives every class a probability, corrected by slope and offsets.

    A class without training rows gets the probability 0 (before the correction).
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        classes: int,
        slope: float = 1.0,
        offsets: Sequence[float] | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            estimator: the unfitted classifier.
            classes: number of classes k; outcomes are 0 to k - 1.
            slope: of the correction.
            offsets: of the correction, one per class; None leaves probabilities as they are.
        """
        self.estimator = estimator
        self.classes = classes
        self.slope = slope
        self.offsets = offsets

    def fit(
        self,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: Array,
        sample_weight: Array | None = None,
    ) -> "CalibratedClassifier":
        """Fit the classifier; the correction stays as it is.

        Args:
            X: inputs, shape (n, features).
            y: positions of the classes, shape (n,).
            sample_weight: of the rows, shape (n,).
        """
        found, counts = np.unique(y, return_counts=True)
        estimator = clone(self.estimator) if found.size > 1 else DummyClassifier(strategy="prior")
        if counts.min() == 1 and hasattr(estimator, "early_stopping"):
            # it would hold out a part that has each class
            estimator.set_params(early_stopping=False)
        self.estimator_ = estimator.fit(X, y, sample_weight=sample_weight)
        self.classes_ = np.arange(self.classes)
        return self

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return the probability of each class, shape (n, k)."""
        known = self.estimator_.predict_proba(X)
        scores = np.zeros((known.shape[0], self.classes))
        scores[:, self.estimator_.classes_.astype(np.int64)] = known
        return scores if self.offsets is None else calibrated(scores, self.slope, self.offsets)

    def predict(self, X: Any) -> npt.NDArray[np.int64]:  # noqa: N803
        """Return the position of the most probable class, shape (n,)."""
        best: npt.NDArray[np.int64] = np.argmax(self.predict_proba(X), axis=1)
        return best


def fit_calibration(target: Array, scores: Array, weights: Array) -> tuple[float, list[float]]:
    """Fit slope and offsets by penalised maximum likelihood.

    The logarithm of the slope and the offsets have standard normal priors, so that without evidence
    nothing is corrected.

    Args:
        target: positions of the classes, shape (n,).
        scores: probabilities by a model that has not seen the row, shape (n, k).
        weights: how much each row counts, shape (n,).
    """
    rows, classes = scores.shape
    logs = np.log(np.maximum(scores, SMALLEST_CALIBRATED))
    actual = np.eye(classes)[target.astype(np.int64)]
    relative = (weights / weights.mean())[:, None]
    free = classes if rows >= ROWS_PER_CLASS * classes else 0

    def loss(parameters: Array) -> tuple[float, Array]:
        slope = np.exp(parameters[0])
        offsets = np.zeros(classes)
        offsets[:free] = parameters[1:]
        likelihoods = log_softmax(slope * logs + offsets, axis=1)
        excess = relative * (np.exp(likelihoods) - actual)
        gradient = np.append(np.sum(excess * logs) * slope, excess.sum(axis=0)[:free])
        penalised = -np.sum(relative * actual * likelihoods) + np.sum(parameters**2) / 2
        return float(penalised) / rows, (gradient + parameters) / rows

    found = minimize(loss, np.zeros(1 + free), jac=True, method="L-BFGS-B", tol=1e-10).x
    offsets = np.zeros(classes)
    offsets[:free] = found[1:]
    return float(np.exp(found[0])), offsets.tolist()


def _losses(target: Array, scores: Array) -> Array:
    likely: Array = scores[np.arange(target.size), target.astype(np.int64)]
    return -np.log(np.maximum(likely, SMALLEST_CALIBRATED))


def calibration(
    target: Array, scores: Array, weights: Array, seed: int, *, always: bool
) -> Calibration:
    """Fit a calibration on out-of-fold probabilities and tell whether it improves them.

    The improvement is measured on rows that the calibration was not fitted on.

    Args:
        target: positions of the classes, shape (n,).
        scores: probabilities by models that have not seen the row, shape (n, k).
        weights: how much each row counts, shape (n,).
        seed: of the folds.
        always: apply it whether it improves or not.
    """
    corrected = np.empty_like(scores)
    folds = min(FOLDS, target.size)
    for seen, unseen in KFold(folds, shuffle=True, random_state=seed).split(scores):
        fitted = fit_calibration(target[seen], scores[seen], weights[seen])
        corrected[unseen] = calibrated(scores[unseen], *fitted)
    before, after = _losses(target, scores), _losses(target, corrected)
    gain = float(np.average(before - after, weights=weights))
    spread = weights * (before - after - gain)
    error = float(np.sqrt(np.sum(spread**2)) / weights.sum())
    slope, offsets = fit_calibration(target, scores, weights)
    return Calibration(
        applied=always or gain > BEYOND_CHANCE * error,
        slope=slope,
        offsets=tuple(offsets),
        log_loss_before=float(np.average(before, weights=weights)),
        log_loss_after=float(np.average(after, weights=weights)),
        improvement=gain,
        standard_error=error,
    )

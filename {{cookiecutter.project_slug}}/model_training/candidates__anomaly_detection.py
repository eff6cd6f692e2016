"""The competing detectors, from a naive baseline to an isolation forest."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from model_training.candidate import Candidate
from model_training.detectors import (
    Detector,
    IsolationTrees,
    NearestNeighbours,
    PrincipalComponents,
    RobustCovariance,
    UnusualValue,
)
from utils.config import Contract, ProjectError

# A detector, and whether its numbers are brought to mean 0 and variance 1.
KNOWN: dict[str, tuple[type[Detector], bool]] = {
    "baseline": (UnusualValue, True),
    "robust_covariance": (RobustCovariance, True),
    "principal_components": (PrincipalComponents, True),
    "nearest_neighbours": (NearestNeighbours, True),
    "isolation_forest": (IsolationTrees, True),
}


def candidates(
    settings: Mapping[str, Mapping[str, float | int | str | None]], metric: str, seed: int
) -> dict[str, Candidate]:
    """Build the candidates named in ``params.yaml``.

    Args:
        settings: per candidate the hyperparameters of its class in ``model_training.detectors``.
        metric: the metric the winner is chosen by; no detector depends on it.
        seed: makes fitting repeatable.

    Raises:
        ProjectError: a candidate is unknown or does not take one of its hyperparameters.
    """
    del metric
    chosen = {}
    for name, hyperparameters in settings.items():
        if name not in KNOWN:
            raise ProjectError(
                f"selection.candidates names {name!r} in params.yaml; known are {', '.join(KNOWN)}."
            )
        kind, scale = KNOWN[name]
        try:
            estimator = kind(random_state=seed, **hyperparameters)
            estimator._validate_params()
        except (TypeError, ValueError) as error:
            raise ProjectError(f"selection.candidates.{name} in params.yaml: {error}.") from error
        chosen[name] = Candidate(estimator, impute=False, scale=scale)
    return chosen


def estimator_for(candidate: Candidate, names: FeatureNames, contract: Contract) -> BaseEstimator:
    """Return the unfitted estimator of a candidate."""
    del names, contract
    return clone(candidate.estimator)


def fitted_estimator(model: Pipeline) -> BaseEstimator:
    """Return the estimator that was fitted on the encoded inputs.

    Of a forest that splits single inputs, it is that of its trees.
    """
    detector = model.named_steps["estimate"]
    splits_inputs = isinstance(detector, IsolationTrees) and not detector.whitened
    return detector.forest_ if splits_inputs else detector


def scores(model: Pipeline, inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the share of random rows that stand out less, and the anomaly score, shape (n, 2)."""
    predictions: npt.NDArray[np.float64] = model.predict(inputs)
    return predictions

"""The competing classifiers, from a naive baseline to boosted trees."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from model_training.calibration import CalibratedClassifier
from model_training.candidate import Candidate
from utils.config import Contract, ProjectError


def candidates(
    settings: Mapping[str, Mapping[str, float | int | str | None]], metric: str, seed: int
) -> dict[str, Candidate]:
    """Build the candidates named in ``params.yaml``.

    Args:
        settings: per candidate the hyperparameters of its scikit-learn class.
        metric: the metric the winner is chosen by; the baseline predicts the base rate, which is
            the best constant for every one of them.
        seed: makes fitting repeatable.

    Raises:
        ProjectError: a candidate is unknown or does not take one of its hyperparameters.
    """
    del metric
    known: dict[str, tuple[type[BaseEstimator], dict[str, Any], bool, bool]] = {
        "baseline": (DummyClassifier, {"strategy": "prior"}, True, False),
        "logistic_regression": (LogisticRegression, {"random_state": seed}, True, True),
        # On one thread, because several would add the trees' answers in another order each time.
        "random_forest": (RandomForestClassifier, {"random_state": seed}, True, False),
        "hist_gradient_boosting": (
            HistGradientBoostingClassifier,
            {"random_state": seed},
            False,
            False,
        ),
    }
    chosen = {}
    for name, hyperparameters in settings.items():
        if name not in known:
            raise ProjectError(
                f"selection.candidates names {name!r} in params.yaml; known are {', '.join(known)}."
            )
        kind, fixed, impute, scale = known[name]
        try:
            estimator = kind(**fixed, **hyperparameters)
            estimator._validate_params()
        except (TypeError, ValueError) as error:
            raise ProjectError(f"selection.candidates.{name} in params.yaml: {error}.") from error
        chosen[name] = Candidate(estimator, impute, scale)
    return chosen


def estimator_for(candidate: Candidate, names: FeatureNames, contract: Contract) -> BaseEstimator:
    """Return the unfitted estimator of a candidate, which knows all classes of the target."""
    del names
    return CalibratedClassifier(clone(candidate.estimator), len(contract.target.allowed))


def fitted_estimator(model: Pipeline) -> BaseEstimator:
    """Return the estimator that was fitted on the encoded inputs, before any calibration."""
    return model.named_steps["estimate"].estimator_


def scores(model: Pipeline, inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the predicted probability of each class, shape (n, k); rows sum to 1."""
    probabilities: npt.NDArray[np.float64] = model.predict_proba(inputs)
    return probabilities

"""The competing regressors, from a naive baseline to boosted trees."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from model_training.candidate import Candidate
from model_training.spread import SpreadRegressor
from utils.config import Contract, ProjectError


def candidates(
    settings: Mapping[str, Mapping[str, float | int | str | None]], metric: str, seed: int
) -> dict[str, Candidate]:
    """Build the candidates named in ``params.yaml``.

    Args:
        settings: per candidate the hyperparameters of its scikit-learn class.
        metric: the metric the winner is chosen by; the baseline is the best constant for it, the
            mean for squared errors and the median otherwise.
        seed: makes fitting repeatable.

    Raises:
        ProjectError: a candidate is unknown or does not take one of its hyperparameters.
    """
    constant = "mean" if metric == "root_mean_squared_error" else "median"
    known: dict[str, tuple[type[BaseEstimator], dict[str, Any], bool, bool]] = {
        "baseline": (DummyRegressor, {"strategy": constant}, True, False),
        "ridge": (Ridge, {"random_state": seed}, True, True),
        # On one thread, because several would add the trees' answers in another order each time.
        "random_forest": (RandomForestRegressor, {"random_state": seed}, True, False),
        "hist_gradient_boosting": (
            HistGradientBoostingRegressor,
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
    """Return the unfitted estimator of a candidate."""
    del names, contract
    return SpreadRegressor(clone(candidate.estimator))


def fitted_estimator(model: Pipeline) -> BaseEstimator:
    """Return the estimator that was fitted on the encoded inputs, without what it was told."""
    return model.named_steps["estimate"].estimator_


def scores(model: Pipeline, inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return how far errors spread and the prediction of each row, shape (n, 2)."""
    predictions: npt.NDArray[np.float64] = model.predict(inputs)
    return predictions

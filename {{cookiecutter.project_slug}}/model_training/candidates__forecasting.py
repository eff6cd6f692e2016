"""The competing forecasters, from last season's values to boosted trees on the history."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from model_training.candidate import Candidate
from model_training.forecaster import Forecaster, Layout, fitted_regressor
from model_training.splitting import series_of
from utils.config import Contract, ProjectError, Series


def candidates(
    settings: Mapping[str, Mapping[str, float | int | str | None]], metric: str, seed: int
) -> dict[str, Candidate]:
    """Build the candidates named in ``params.yaml``.

    A forecaster prepares its inputs itself, together with what it takes from the history.

    Args:
        settings: per candidate the hyperparameters of its scikit-learn class; the baseline, which
            repeats the last season, has none.
        metric: the metric the winner is chosen by.
        seed: makes fitting repeatable.

    Raises:
        ProjectError: a candidate is unknown or does not take one of its hyperparameters.
    """
    del metric
    known: dict[str, tuple[type[BaseEstimator], dict[str, Any], bool, bool]] = {
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
        if name == "baseline" and not hyperparameters:
            chosen[name] = Candidate(Forecaster(), impute=False, scale=False)
            continue
        if name not in known:
            raise ProjectError(
                f"selection.candidates names {name!r} in params.yaml; known are baseline, without "
                f"hyperparameters, {', '.join(known)}."
            )
        kind, fixed, impute, scale = known[name]
        try:
            regressor = kind(**fixed, **hyperparameters)
            regressor._validate_params()
        except (TypeError, ValueError) as error:
            raise ProjectError(f"selection.candidates.{name} in params.yaml: {error}.") from error
        estimator = Forecaster(regressor, impute=impute, scale=scale)
        chosen[name] = Candidate(estimator, impute=False, scale=False)
    return chosen


def layout(names: FeatureNames, contract: Contract, series: Series) -> Layout:
    """Return where the encoded inputs have the day and the flags of the series.

    Numbers come first, then the flags of each category, the last of which is a missing one. A
    single series has no flags.
    """
    day = names.numeric.index(f"{series.time}_day")
    if series.by is None:
        return Layout(day, 0, 0)
    allowed = {column.name: column.allowed for column in contract.with_role("categorical")}
    before = names.categorical[: names.categorical.index(series.by)]
    first = len(names.numeric) + sum(len(allowed[name]) + 1 for name in before)
    return Layout(day, first, first + len(allowed[series.by]))


def estimator_for(candidate: Candidate, names: FeatureNames, contract: Contract) -> BaseEstimator:
    """Return the unfitted estimator of a candidate, told what its inputs mean."""
    series = series_of(contract)
    return clone(candidate.estimator).set_params(
        layout=tuple(layout(names, contract, series)), season=series.season, horizon=series.horizon
    )


def fitted_estimator(model: Pipeline) -> BaseEstimator:
    """Return the estimator that was fitted on inputs and history; None if none was."""
    return fitted_regressor(model.named_steps["estimate"])


def scores(model: Pipeline, inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return days ahead, unit of errors, basis and forecast of each row, shape (n, 4)."""
    predictions: npt.NDArray[np.float64] = model.predict(inputs)
    return predictions

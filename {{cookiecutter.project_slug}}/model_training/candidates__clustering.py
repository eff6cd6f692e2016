"""The competing ways to divide rows into clusters, from naive slices to a mixture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from model_training.candidate import Candidate
from model_training.partitions import NumberedClusters, Slices
from utils.config import Contract, ProjectError

FEWEST = 2


def candidates(
    settings: Mapping[str, Mapping[str, float | int | str | None]], metric: str, seed: int
) -> dict[str, Candidate]:
    """Build the candidates named in ``params.yaml``.

    All take their inputs in the same form: gaps filled by medians, numbers scaled to variance 1.

    Args:
        settings: per candidate the hyperparameters of its class.
        metric: the metric the winner is chosen by.
        seed: makes fitting repeatable.

    Raises:
        ProjectError: a candidate is unknown or does not take one of its hyperparameters.
    """
    del metric
    known: dict[str, tuple[type[BaseEstimator], dict[str, Any]]] = {
        "baseline": (Slices, {}),
        "k_means": (KMeans, {"random_state": seed}),
        "bisecting_k_means": (BisectingKMeans, {"random_state": seed}),
        "gaussian_mixture": (GaussianMixture, {"random_state": seed}),
    }
    chosen = {}
    for name, hyperparameters in settings.items():
        if name not in known:
            raise ProjectError(
                f"selection.candidates names {name!r} in params.yaml; known are {', '.join(known)}."
            )
        kind, fixed = known[name]
        try:
            estimator = kind(**fixed, **hyperparameters)
            if kind is not Slices:
                estimator._validate_params()
        except (TypeError, ValueError) as error:
            raise ProjectError(f"selection.candidates.{name} in params.yaml: {error}.") from error
        count = number_of_clusters(estimator)
        if not isinstance(count, int) or count < FEWEST:
            raise ProjectError(
                f"selection.candidates.{name} in params.yaml asks for {count!r} clusters; it takes "
                f"an integer of at least {FEWEST}."
            )
        chosen[name] = Candidate(estimator, impute=True, scale=True)
    return chosen


def number_setting(estimator: BaseEstimator) -> str:
    """Return what the number of clusters is called among the settings of an estimator."""
    return "n_components" if isinstance(estimator, GaussianMixture) else "n_clusters"


def number_of_clusters(estimator: BaseEstimator) -> object:
    """Return the number of clusters that an estimator is asked for."""
    return getattr(estimator, number_setting(estimator))


def estimator_for(candidate: Candidate, names: FeatureNames, contract: Contract) -> BaseEstimator:
    """Return the unfitted estimator of a candidate."""
    del names, contract
    return NumberedClusters(clone(candidate.estimator))


def fitted_estimator(model: Pipeline) -> BaseEstimator:
    """Return the estimator that was fitted on the encoded inputs."""
    return model.named_steps["estimate"].estimator_


def scores(model: Pipeline, inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return how much each row belongs to each cluster, shape (n, k); rows sum to 1."""
    encoded = model.named_steps["encode"].transform(inputs)
    memberships: npt.NDArray[np.float64] = model.named_steps["estimate"].membership(encoded)
    return memberships

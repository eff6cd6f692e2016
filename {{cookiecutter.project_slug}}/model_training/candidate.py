"""A candidate of the selection: an estimator, and the form in which it takes its inputs."""

from typing import NamedTuple

from sklearn.base import BaseEstimator


class Candidate(NamedTuple):
    """An estimator and how its numeric inputs have to be prepared."""

    estimator: BaseEstimator
    impute: bool
    scale: bool

"""Preprocessing for serving: the cleaning and features of training, applied to new records.

Records go through the very functions that prepared the training data, with the recipe that travels
with the model; only the dataframe engine differs, because serving needs neither pandas nor
scikit-learn.
"""

from typing import NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl

from data_prep.cleaning import standardise
from data_prep.feature_engineering import FeatureNames, derive, feature_names
from utils.config import ProjectError, Recipe


class ModelInputs(NamedTuple):
    """Inputs of the model: numbers (n, numeric), NaN for missing, and text (n, categorical)."""

    numeric: npt.NDArray[np.float64]
    categorical: npt.NDArray[np.object_]


def check_columns(present: list[str], recipe: Recipe) -> None:
    """Check that records have every column the model needs.

    Raises:
        ProjectError: columns are missing; the message names all of them.
    """
    missing = [column.name for column in recipe.contract.inputs if column.name not in present]
    if missing:
        raise ProjectError(
            f"The records lack the column(s) {', '.join(missing)}. They have {', '.join(present)}."
        )


def standardise_records(records: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """Bring raw records into the form of the contract, one row per record, without the target."""
    inputs = recipe.contract.inputs
    frame = nw.from_native(records, eager_only=True).select([column.name for column in inputs])
    standardised: pl.DataFrame = standardise(frame, inputs, recipe.missing_markers).to_native()
    return standardised


def to_arrays(features: pl.DataFrame, names: FeatureNames) -> ModelInputs:
    """Return the columns of a feature table as the two arrays the model takes."""
    rows = features.height
    numeric = np.empty((rows, len(names.numeric)))
    categorical = np.empty((rows, len(names.categorical)), dtype=object)
    for position, name in enumerate(names.numeric):
        numeric[:, position] = features[name].to_numpy()
    for position, name in enumerate(names.categorical):
        categorical[:, position] = features[name].to_list()
    return ModelInputs(numeric, categorical)


def model_inputs(standardised: pl.DataFrame, recipe: Recipe) -> ModelInputs:
    """Derive the model's inputs from standardised records, one row per record."""
    features = derive(nw.from_native(standardised, eager_only=True), recipe).to_native()
    return to_arrays(features, feature_names(recipe))

"""Encoders: the inputs of a model as numbers, fitted on the training rows."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from data_prep.feature_engineering import MISSING_CATEGORY, FeatureNames
from utils.config import Contract


def encoder(
    names: FeatureNames, contract: Contract, *, impute: bool, scale: bool
) -> ColumnTransformer:
    """Build the unfitted encoder: numbers imputed and scaled if asked, categories one-hot.

    Args:
        names: the model's inputs.
        contract: the allowed categories; a category it doesn't list is learned from the data.
        impute: replace missing numbers by the median of the training rows.
        scale: bring numbers to mean 0 and variance 1; trees need no scaling.
    """
    allowed = {column.name: column.allowed for column in contract.with_role("categorical")}
    categories: str | list[npt.NDArray[np.object_]] = [
        np.array([*map(str, allowed[name]), MISSING_CATEGORY], dtype=object)
        for name in names.categorical
    ]
    if not all(allowed[name] for name in names.categorical):
        categories = "auto"
    steps = [
        *([("impute", SimpleImputer(strategy="median", keep_empty_features=True))] * impute),
        *([("scale", StandardScaler())] * scale),
    ]
    one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [
            ("numeric", Pipeline(steps) if steps else "passthrough", names.numeric),
            ("categorical", one_hot, names.categorical),
        ]
    )


def fit_encoder(
    encode: ColumnTransformer, inputs: pd.DataFrame, weights: npt.NDArray[np.float64]
) -> None:
    """Fit an encoder in place.

    Weights go to the scaler; medians of missing values are those of the rows as they are.

    Args:
        encode: the encoder.
        inputs: shape (n, features).
        weights: how many rows each row stands for, shape (n,).
    """
    encode.fit(inputs)
    numeric = encode.named_transformers_["numeric"]
    weighted = not (weights == 1).all()
    if weighted and isinstance(numeric, Pipeline) and "scale" in numeric.named_steps:
        numbers = inputs[list(encode.feature_names_in_[encode.output_indices_["numeric"]])]
        filled = numeric[:-1].transform(numbers) if len(numeric) > 1 else numbers
        numeric.named_steps["scale"].fit(filled, sample_weight=weights)

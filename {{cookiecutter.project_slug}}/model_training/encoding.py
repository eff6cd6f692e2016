"""Encoders: the inputs of a model as numbers, fitted on the training rows."""

import numpy as np
import numpy.typing as npt
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

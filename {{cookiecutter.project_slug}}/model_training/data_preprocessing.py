"""Preprocessing for training: the held-out split, and tables as arrays, from the contract.

Usage: ``python -m model_training.data_preprocessing`` writes the training and test rows, and the
held-out records as a caller would send them.
"""

import logging

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from data_prep.feature_engineering import FeatureNames
from data_prep.storage import Frame, read_parquet, write_parquet
from model_training.splitting import split
from utils.config import (
    SAMPLING_WEIGHT,
    Contract,
    ProjectError,
    load_contract,
    load_params,
)
from utils.logging import run
from utils.outcome import encode
from utils.paths import FEATURES, RECENT, SAMPLE, TEST, TRAIN

log = logging.getLogger(__name__)


def model_inputs(frame: Frame, names: FeatureNames) -> pd.DataFrame:
    """Return the inputs of the model, shape (n, features): floats (NaN for missing), then text."""
    table = frame.select(*names.numeric, *names.categorical).to_arrow()
    numeric = {name: table[name].to_numpy().astype(np.float64) for name in names.numeric}
    categorical = {
        name: np.array(table[name].to_pylist(), dtype=object) for name in names.categorical
    }
    return pd.DataFrame({**numeric, **categorical})


def target(frame: Frame, contract: Contract) -> npt.NDArray[np.float64]:
    """Return the target as the numbers that models learn, shape (n,); NaN without a target."""
    if not contract.has_target:
        return np.full(frame.shape[0], np.nan)
    return encode(frame.to_arrow()[contract.target.name].to_pylist(), contract.target)


def row_weights(frame: Frame, contract: Contract) -> npt.NDArray[np.float64]:
    """Return how many rows each row stands for, shape (n,): 1 unless the table says otherwise.

    It is the weight of the sampling times the column of the contract with the role weight.

    Raises:
        ProjectError: a weight is negative, missing or infinite, or all are 0.
    """
    weights = np.ones(frame.shape[0])
    table = frame.to_arrow()
    named = [column.name for column in contract.with_role("weight")]
    for name in (SAMPLING_WEIGHT, *named):
        if name in table.column_names:
            weights *= table[name].to_numpy().astype(np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ProjectError(
            f"The weights of the rows ({' times '.join([SAMPLING_WEIGHT, *named])}) must be finite "
            "and not negative, and one at least above 0. Set a minimum in schema.yaml, so that "
            "validation sets other rows apart."
        )
    return weights


def main() -> None:
    """Split the features and keep the held-out records in the form a caller sends them."""
    params, contract = load_params(), load_contract()
    train, test = split(read_parquet(FEATURES), contract, params.split)
    write_parquet(train, TRAIN)
    write_parquet(test, TEST)
    records = read_parquet(SAMPLE).join(
        test.select(contract.identifiers), on=contract.identifiers, how="semi"
    )
    inputs = [nw.col(column.name) for column in contract.inputs]
    write_parquet(records.sort(contract.identifiers).select(inputs), RECENT)
    log.info("split", extra={"train_rows": train.shape[0], "test_rows": test.shape[0]})


if __name__ == "__main__":
    run(main)

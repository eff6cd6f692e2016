"""Prepare a raw table: WAY SOURCE DESTINATION, where WAY is ours, by_hand or limit."""

import sys
from pathlib import Path

import by_hand
import pandas as pd
from data_prep.cleaning import clean
from data_prep.engine import Engine
from data_prep.feature_engineering import engineer
from data_prep.storage import read_parquet, write_parquet
from data_prep.transformation import transform
from usage import report
from utils.config import load_contract, load_params, recipe

KEPT = ["customer_id", *by_hand.TIMESTAMPS, *by_hand.NUMERIC, *by_hand.ALIASES, "churned"]


def ours(source: Path, destination: Path) -> None:
    """The project's own steps."""
    params, contract = load_params(), load_contract()
    with Engine(params.engine) as engine:
        cleaned = clean(engine.scan(source), contract, params.data.missing_markers)
        transformed = transform(cleaned, params.transformation)
        features = engineer(transformed, recipe(params, contract))
        engine.write(features, destination, contract.identifiers)


def plain(source: Path, destination: Path) -> None:
    """The same in pandas, for this table alone."""
    table = by_hand.features(by_hand.clean(pd.read_parquet(source)))
    table[KEPT].to_parquet(destination, index=False, compression="zstd")


def limit(source: Path, destination: Path) -> None:
    """Only reading and writing."""
    write_parquet(read_parquet(source), destination)


if __name__ == "__main__":
    way = {"ours": ours, "by_hand": plain, "limit": limit}[sys.argv[1]]
    report(lambda: way(Path(sys.argv[2]), Path(sys.argv[3])))

"""Prepare a large typed table: WAY SOURCE DESTINATION.

WAY is ours, unordered, by_hand or limit.

`ours` runs the project's steps on the engine that the project has; its settings are those of
params.yaml. `unordered` does without the order by identifier, which makes equal rows equal bytes.
`limit` reads and writes with pyarrow, piece by piece.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from data_prep.cleaning import clean, deduplicate, standardise, usable
from data_prep.engine import Engine
from data_prep.feature_engineering import engineer
from data_prep.transformation import transform
from usage import report
from utils.config import (
    Column,
    Contract,
    Features,
    Interval,
    Ratio,
    Recipe,
    Transformation,
    load_params,
)

MISSING = ["", "-", "?", "n/a", "na", "nan", "none", "null", "unknown"]
ALIASES = {"navy": "dark blue"}
COLOURS = ("red", "green", "dark blue", "yellow", "white")
CONTRACT = Contract(
    "orders",
    "One row per order.",
    "Made up.",
    (
        Column("order_id", "identifier", "string", "Order number."),
        Column("ordered_at", "timestamp", "timestamp", "Moment of the order."),
        Column("paid_at", "timestamp", "timestamp", "Moment of the payment."),
        Column("colour", "categorical", "string", "Colour.", allowed=COLOURS, aliases=ALIASES),
        Column("price", "numeric", "float", "Price.", minimum=0, maximum=10_000),
        Column("weight", "numeric", "float", "Weight.", minimum=0, maximum=1_000),
        Column("pieces", "numeric", "integer", "Pieces.", minimum=0, maximum=1_000),
        Column("returned", "target", "integer", "1 if returned.", allowed=(0, 1)),
    ),
)
RECIPE = Recipe(
    contract=CONTRACT,
    missing_markers=tuple(MISSING),
    transformation=Transformation(
        elapsed_days={"days_to_pay": Interval("ordered_at", "paid_at")},
        calendar={"ordered_at": ("hour", "weekday", "month")},
        logarithm=("price", "weight", "days_to_pay"),
    ),
    features=Features(ratios={"price_per_piece": Ratio("price", "pieces")}),
)


def ours(source: Path, destination: Path) -> None:
    """The project's own steps, as one query."""
    with Engine(load_params().engine) as engine:
        cleaned = clean(engine.scan(source), CONTRACT, MISSING)
        features = engineer(transform(cleaned, RECIPE.transformation), RECIPE)
        engine.write(features, destination, CONTRACT.identifiers)


def unordered(source: Path, destination: Path) -> None:
    """The same rows in whatever order the engine gives them."""
    with Engine(load_params().engine) as engine:
        standardised = standardise(engine.scan(source), CONTRACT.columns, MISSING)
        cleaned = deduplicate(usable(standardised, CONTRACT), CONTRACT)
        features = engineer(transform(cleaned, RECIPE.transformation), RECIPE)
        engine.write(features, destination, ())


def by_hand(source: Path, destination: Path) -> None:
    """The same as somebody would write it for this one table, in plain pandas."""
    table = pd.read_parquet(source)
    for name in ("order_id", "colour"):
        text = table[name].str.strip().str.replace(r"\s+", " ", regex=True)
        table[name] = text.mask(text.str.lower().isin(MISSING))
    table["colour"] = table["colour"].str.lower().replace(ALIASES)
    for name, most in {"price": 10_000, "weight": 1_000, "pieces": 1_000}.items():
        table[name] = table[name].where(table[name].between(0, most))
    table = (
        table.dropna(subset=["order_id", "ordered_at", "paid_at", "returned"])
        .sort_values(["ordered_at", "paid_at"], kind="stable")
        .drop_duplicates("order_id", keep="last")
        .sort_values("order_id")
    )
    table["days_to_pay"] = (table["paid_at"] - table["ordered_at"]).dt.floor(
        "min"
    ).dt.total_seconds() / 86_400
    for part in ("hour", "month"):
        table[f"ordered_at_{part}"] = getattr(table["ordered_at"].dt, part).astype(float)
    table["ordered_at_weekday"] = table["ordered_at"].dt.day_of_week.astype(float) + 1
    for name in ("price", "weight", "days_to_pay"):
        table[f"log_{name}"] = np.log1p(table[name].where(table[name] >= 0))
    table["price_per_piece"] = table["price"] / table["pieces"].where(table["pieces"] != 0)
    table["pieces"] = table["pieces"].astype(float)
    table["colour"] = table["colour"].fillna("missing")
    table.to_parquet(destination, index=False, compression="zstd")


def limit(source: Path, destination: Path) -> None:
    """Only reading and writing."""
    file = pq.ParquetFile(source)
    with pq.ParquetWriter(destination, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches(100_000):
            writer.write_batch(batch)


if __name__ == "__main__":
    way = {"ours": ours, "unordered": unordered, "by_hand": by_hand, "limit": limit}[sys.argv[1]]
    report(lambda: way(Path(sys.argv[2]), Path(sys.argv[3])))

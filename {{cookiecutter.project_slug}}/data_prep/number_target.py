"""The contract proposed for a target that is a number."""

import msgspec
import polars as pl

from data_prep.column_proposal import middle, number_text
from utils.config import Column


def number_target(column: Column, values: pl.Series) -> Column:
    """Return the contract of a number that is predicted."""
    return msgspec.structs.replace(
        column,
        description=f"What the model predicts: {number_text(values)}.",
        minimum=None if (values < 0).any() else 0,
        example=middle(values),
    )

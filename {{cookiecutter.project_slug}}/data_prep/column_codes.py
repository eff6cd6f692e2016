"""Columns of any type as numbers."""

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]


def codes(values: pl.Series) -> Array:
    """Return a column as numbers, NaN for missing, shape (n,): categories and moments, too."""
    if values.dtype == pl.String:
        values = values.rank("dense")
    if values.dtype == pl.Datetime:
        values = values.dt.epoch("s")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()

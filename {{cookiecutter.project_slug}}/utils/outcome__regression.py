"""The outcome of a regression: the target as a number, and the interval around a prediction."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column

Array = npt.NDArray[np.float64]


class Decision(msgspec.Struct, frozen=True):
    """The offsets of the prediction interval, in the unit of the target."""

    lower: float
    upper: float


def encode(values: Sequence[object], column: Column) -> Array:
    """Return the target as numbers, shape (n,)."""
    del column
    return np.asarray(values, dtype=np.float64)


def point(scores: Array) -> Array:
    """Return the predictions in the unit of the target, shape (n,)."""
    return scores

"""The outcome of a forecast: the value as a number, and the interval around it per step ahead.

Scores have the shape (n, 4): days ahead, unit of errors of the series, basis, and the forecast.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column

Array = npt.NDArray[np.float64]

FORECAST, BEYOND_HORIZON, UNKNOWN_SERIES, NO_HISTORY = range(4)
# What the numbers above are called in an answer.
BASES = ("forecast", "beyond_horizon", "unknown_series", "no_history")


class Decision(msgspec.Struct, frozen=True):
    """The offsets of the prediction interval, one per day ahead, in units of the series."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


def encode(values: Sequence[object], column: Column) -> Array:
    """Return the target as numbers, shape (n,)."""
    del column
    return np.asarray(values, dtype=np.float64)


def point(scores: Array) -> Array:
    """Return the forecasts in the unit of the target, shape (n,)."""
    return scores[:, 3]


def days_ahead(scores: Array) -> npt.NDArray[np.int64]:
    """Return how many days ahead each forecast is, shape (n,)."""
    return scores[:, 0].astype(np.int64)


def scales(scores: Array) -> Array:
    """Return the unit of errors of the series of each forecast, shape (n,)."""
    return scores[:, 1]


def interval(scores: Array, decision: Decision) -> tuple[Array, Array]:
    """Return the ends of the prediction intervals, each of shape (n,)."""
    place = np.clip(days_ahead(scores), 1, len(decision.lower)) - 1
    low, high = (np.array(ends)[place] for ends in (decision.lower, decision.upper))
    return point(scores) + scales(scores) * low, point(scores) + scales(scores) * high

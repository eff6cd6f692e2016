"""The outcome of a regression: the target as a number, and the interval around a prediction.

Scores have the shape (n, 2): how far errors spread on such a row, and the prediction. Serving
imports this module as well, so it needs nothing but NumPy.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column

Array = npt.NDArray[np.float64]

# The columns of the scores.
SPREAD, PREDICTION = 0, 1


class Adaptation(msgspec.Struct, frozen=True):
    """Whether intervals adapt to the row: their mean interval score, lower being better.

    ``improvement`` is that over intervals of a single width, on rows from which neither the model
    nor the spread of its errors was learned; ``applied`` tells whether it is beyond chance.
    """

    applied: bool
    interval_score_single: float
    interval_score_adapted: float
    improvement: float
    standard_error: float


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """The offsets of the prediction interval, in units of the spread.

    Where the interval does not adapt to the row, the spread is 1 and the offsets are in the unit of
    the target.
    """

    lower: float
    upper: float
    confidence: float
    adaptation: Adaptation | None = None


def encode(values: Sequence[object], column: Column) -> Array:
    """Return the target as numbers, shape (n,)."""
    del column
    return np.asarray(values, dtype=np.float64)


def point(scores: Array) -> Array:
    """Return the predictions in the unit of the target, shape (n,)."""
    return scores[:, PREDICTION]


def interval(scores: Array, decision: Decision) -> tuple[Array, Array]:
    """Return the ends of the prediction intervals, each of shape (n,)."""
    spread = scores[:, SPREAD]
    return point(scores) + spread * decision.lower, point(scores) + spread * decision.upper


def widths(scores: Array, decision: Decision) -> Array:
    """Return how wide the prediction intervals are, shape (n,)."""
    wide: Array = scores[:, SPREAD] * (decision.upper - decision.lower)
    return wide

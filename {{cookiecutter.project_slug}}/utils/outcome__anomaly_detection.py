"""The outcome of anomaly detection: known anomalies as numbers, and what raises an alarm.

A target, where the contract has one, lists two values: that of a usual row and that of an anomaly.
Serving imports this module as well, so it needs nothing but NumPy.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, ProjectError

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# The columns of the scores, shape (n, 2): the share of random rows that stand out less, and the
# anomaly score.
SHARE, SCORE = 0, 1


class Decision(msgspec.Struct, frozen=True):
    """What raises an alarm: an anomaly score of at least ``threshold``.

    ``quantiles`` are those of the scores of out-of-fold training rows, from the smallest to the
    largest, in equal steps; they tell how a score compares with what is usual.
    """

    threshold: float
    quantiles: tuple[float, ...]


def encode(values: Iterable[object], column: Column) -> Array:
    """Return 1 for each known anomaly and 0 for each usual row, shape (n,).

    Raises:
        ProjectError: a value is neither of the two that the contract allows.
    """
    positions = {value: position for position, value in enumerate(column.allowed)}
    try:
        return np.array([positions[value] for value in values], dtype=np.float64)  # type: ignore[index]
    except KeyError as error:
        raise ProjectError(
            f"The target {column.name!r} holds {error.args[0]!r}, which schema.yaml does not list "
            "under allowed. Add it there or remove these rows."
        ) from error


def alarms(scores: Array, decision: Decision) -> Flags:
    """Return which rows raise an alarm, shape (n,)."""
    return np.asarray(scores[:, SCORE] >= decision.threshold)


def percentiles(scores: Array, decision: Decision) -> Array:
    """Return the share of training rows, in percent, with a lower anomaly score, shape (n,)."""
    shares = np.linspace(0, 100, len(decision.quantiles))
    found: Array = np.interp(scores[:, SCORE], decision.quantiles, shares)
    return found

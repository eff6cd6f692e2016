"""The outcome of a classification: classes as numbers, and decisions from their probabilities.

The classes are the allowed values of the target in the order of the contract; models learn their
positions. Of two classes, the second is the positive one. Serving imports this module as well, so
it needs nothing but NumPy.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, ProjectError

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

TWO = 2
# Below this a probability counts as this where its logarithm is taken, so that one leaf without
# rows of a class can't outweigh everything else.
SMALLEST_CALIBRATED = 1e-6


class Calibration(msgspec.Struct, frozen=True):
    """A correction of probabilities p to softmax(slope * log p + offsets).

    ``improvement`` is that of the log loss on out-of-fold rows which the correction had not seen,
    in nats, with its standard error; ``applied`` tells whether it was worth it.
    """

    applied: bool
    slope: float
    offsets: tuple[float, ...]
    log_loss_before: float
    log_loss_after: float
    improvement: float
    standard_error: float


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What turns probabilities into decisions.

    ``worth``, in ``currency``, has a row per actual and a column per decided class. ``threshold``
    is the probability of the second of two classes from which deciding for it is worth more.
    """

    classes: tuple[str | int, ...]
    currency: str
    worth: tuple[tuple[float, ...], ...]
    threshold: float | None = None
    calibration: Calibration | None = None


def encode(values: Iterable[object], column: Column) -> Array:
    """Return the position of each value among the classes, shape (n,).

    Raises:
        ProjectError: a value is not one of them.
    """
    positions = {value: position for position, value in enumerate(column.allowed)}
    try:
        return np.array([positions[value] for value in values], dtype=np.float64)  # type: ignore[index]
    except KeyError as error:
        raise ProjectError(
            f"The target {column.name!r} holds {error.args[0]!r}, which schema.yaml does not list "
            "under allowed. Add it there or remove these rows."
        ) from error


def decide(scores: Array, worth: Sequence[Sequence[float]] | Array) -> Codes:
    """Return the class with the highest expected worth per row, the later one where several have.

    Source: Elkan (2001), The Foundations of Cost-Sensitive Learning, equation 1.

    Args:
        scores: probability of each class, shape (n, k).
        worth: of a decision (column) for an actual class (row), shape (k, k).
    """
    expected = scores @ np.asarray(worth, dtype=np.float64)
    best: Codes = expected.shape[1] - 1 - np.argmax(expected[:, ::-1], axis=1)
    return best


def decision_threshold(worth: Array) -> float:
    """Return the probability of the second class from which deciding for it is worth more.

    Source: Elkan (2001), The Foundations of Cost-Sensitive Learning, equation 2.

    Args:
        worth: of a decision (column) for an actual class (row), shape (2, 2).
    """
    gain_if_first = worth[0, 0] - worth[0, 1]
    gain_if_second = worth[1, 1] - worth[1, 0]
    total = gain_if_first + gain_if_second
    return float(np.clip(gain_if_first / total, 0.0, 1.0)) if total > 0 else 1.0


def calibrated(scores: Array, slope: float, offsets: Sequence[float] | Array) -> Array:
    """Return softmax(slope * log p + offsets) of probabilities, shape (n, k)."""
    raised = slope * np.log(np.maximum(scores, SMALLEST_CALIBRATED)) + np.asarray(offsets)
    powers = np.exp(raised - raised.max(axis=1, keepdims=True))
    corrected: Array = powers / powers.sum(axis=1, keepdims=True)
    return corrected


def uncalibrated(scores: Array, calibration: Calibration) -> Array:
    """Return the probabilities that ``calibrated`` was given, shape (n, k), but for tiny ones."""
    slope, offsets = calibration.slope, np.asarray(calibration.offsets)
    return calibrated(scores, 1 / slope, -offsets / slope)

"""Labels compared with other labels of the same records, and with those of a gold set."""

import numpy as np
import numpy.typing as npt

from data_prep.label_model import Array, Settings

GOLD_LABEL = "Mean absolute difference"


def different(votes: Array, others: Array, settings: Settings) -> npt.NDArray[np.bool_]:
    """Return where two labels are there and lie farther apart than tolerated."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(votes - others) > settings.tolerance, dtype=np.bool_)


def against_gold(votes: Array, gold: Array, z: float) -> tuple[float, float, float]:
    """Return the mean absolute difference with its interval, that of a mean of many rows.

    Args:
        votes: shape (n,), all known.
        gold: the right answers, shape (n,).
        z: quantile of the normal distribution that the confidence implies, such as 1.96.
    """
    error = np.abs(votes - gold)
    mean = float(error.mean())
    half = z * float(error.std()) / np.sqrt(error.size)
    return mean, float(max(mean - half, 0)), float(mean + half)

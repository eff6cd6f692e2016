"""From a score to what a caller gets: prediction and interval."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column
from utils.outcome import Decision, interval, point, widths

SCORE = "prediction"


def predictions(scores: npt.NDArray[np.float64], decision: Decision) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: how far errors spread, and predictions, shape (n, 2).
        decision: the offsets of the prediction interval, in units of the spread.

    Returns:
        ``prediction``, ``interval_low``, ``interval_high`` and ``interval_width``, each of shape
        (n,).
    """
    low, high = interval(scores, decision)
    return {
        SCORE: point(scores),
        "interval_low": low,
        "interval_high": high,
        "interval_width": widths(scores, decision),
    }


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    described = {
        SCORE: f"Predicted {target.name}.",
        "interval_low": "Lower end of the prediction interval.",
        "interval_high": "Upper end of the prediction interval.",
        "interval_width": "Distance of the two ends: how uncertain the prediction is.",
    }
    return [
        Column(name=name, role="numeric", type="float", unit=target.unit, description=text)
        for name, text in described.items()
    ]

"""From a score to what a caller gets: prediction and interval."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column
from utils.outcome import Decision

SCORE = "prediction"


def predictions(scores: npt.NDArray[np.float64], decision: Decision) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: predictions in the unit of the target, shape (n,).
        decision: the offsets ``lower`` and ``upper`` of the prediction interval.

    Returns:
        ``prediction``, ``interval_low`` and ``interval_high``, each of shape (n,).
    """
    return {
        SCORE: scores,
        "interval_low": scores + decision.lower,
        "interval_high": scores + decision.upper,
    }


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    described = {
        SCORE: f"Predicted {target.name}.",
        "interval_low": "Lower end of the prediction interval.",
        "interval_high": "Upper end of the prediction interval.",
    }
    return [
        Column(name=name, role="numeric", type="float", unit=target.unit, description=text)
        for name, text in described.items()
    ]

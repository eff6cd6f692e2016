"""From a score to what a caller gets: the score, how it compares, and whether to raise an alarm."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils import outcome
from utils.config import Column
from utils.outcome import Decision, alarms, percentiles

SCORE = "anomaly_score"
# The last digits of a score depend on how many records are scored together.
DIGITS = 9


def predictions(scores: npt.NDArray[np.float64], decision: Decision) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: place among random rows and anomaly score, shape (n, 2).
        decision: the threshold, and the scores of training rows.

    Returns:
        ``anomaly_score``, ``percentile`` and ``is_anomaly``, each of shape (n,).
    """
    return {
        SCORE: np.round(scores[:, outcome.SCORE], DIGITS),
        "percentile": np.round(percentiles(scores, decision), DIGITS),
        "is_anomaly": alarms(scores, decision).astype(np.int64),
    }


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    del target
    return [
        Column(
            name=SCORE,
            role="numeric",
            type="float",
            description="Distance of the record from what is usual; higher is more unusual.",
            minimum=0,
            example=4.2,
        ),
        Column(
            name="percentile",
            role="numeric",
            type="float",
            unit="%",
            description="Share of the training records with a lower anomaly score.",
            minimum=0,
            maximum=100,
            example=99.1,
        ),
        Column(
            name="is_anomaly",
            role="categorical",
            type="integer",
            description="1 if the score reaches the threshold, so that somebody should look.",
            allowed=(0, 1),
            example=1,
        ),
    ]

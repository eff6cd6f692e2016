"""From a score to what a caller gets: forecast, interval, and what the forecast is based on."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column
from utils.outcome import BASES, Decision, days_ahead, interval, point

SCORE = "prediction"


def predictions(scores: npt.NDArray[np.float64], decision: Decision) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: days ahead, unit of errors, basis and forecast, shape (n, 4).
        decision: the offsets of the prediction interval per day ahead.

    Returns:
        ``prediction``, ``interval_low``, ``interval_high``, ``days_ahead`` and ``basis``, each of
        shape (n,).
    """
    low, high = interval(scores, decision)
    return {
        SCORE: point(scores),
        "interval_low": low,
        "interval_high": high,
        "days_ahead": days_ahead(scores),
        "basis": np.array(BASES, dtype=object)[scores[:, 2].astype(np.int64)],
    }


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    described = {
        SCORE: f"Forecast of {target.name}.",
        "interval_low": "Lower end of the prediction interval.",
        "interval_high": "Upper end of the prediction interval.",
    }
    return [
        *(
            Column(name=name, role="numeric", type="float", unit=target.unit, description=text)
            for name, text in described.items()
        ),
        Column(
            name="days_ahead",
            role="numeric",
            type="integer",
            unit="days",
            description="How long before its day the forecast is made; nothing newer is used.",
        ),
        Column(
            name="basis",
            role="categorical",
            type="string",
            allowed=BASES,
            description=(
                "forecast: from the history of the series. beyond_horizon: the day is too far "
                "ahead, so the last step stands in for it and the interval is too narrow. "
                "unknown_series: the mean of all series. no_history: no value of the series was "
                "known when the forecast is made."
            ),
        ),
    ]

"""From a score to what a caller gets: probability and decision."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column

SCORE = "probability"


def predictions(
    scores: npt.NDArray[np.float64], decision: Mapping[str, float]
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: probability of the target being 1, shape (n,).
        decision: the ``threshold`` from which acting is worth it.

    Returns:
        ``probability`` and ``decision`` (1 to act, 0 not to), each of shape (n,).
    """
    return {SCORE: scores, "decision": (scores >= decision["threshold"]).astype(np.int64)}


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    return [
        Column(
            name=SCORE,
            role="numeric",
            type="float",
            description=f"Predicted probability that {target.name} is 1.",
            minimum=0,
            maximum=1,
            example=0.27,
        ),
        Column(
            name="decision",
            role="numeric",
            type="integer",
            description="1 where acting is worth more than not acting, else 0.",
            allowed=(0, 1),
            example=1,
        ),
    ]

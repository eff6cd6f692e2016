"""From memberships to what a caller gets: the cluster, and how clearly the record belongs to it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column
from utils.outcome import Decision, assigned

SCORE = "membership"
# Further digits may differ between a record alone and the same one among others.
DIGITS = 9


def predictions(scores: npt.NDArray[np.float64], decision: Decision) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: memberships, shape (n, k).
        decision: names of the clusters.

    Returns:
        ``cluster`` and ``cluster_name``, ``membership`` of it, ``next_cluster``, which the record
        belongs to second, and ``margin`` between the two memberships; each of shape (n,).
    """
    codes = assigned(scores)
    rows = np.arange(codes.size)
    others = scores.copy()
    others[rows, codes] = -1.0
    following = assigned(others)
    names = np.array([cluster.name for cluster in decision.clusters])
    return {
        "cluster": codes + 1,
        "cluster_name": names[codes],
        SCORE: np.round(scores[rows, codes], DIGITS),
        "next_cluster": following + 1,
        "margin": np.round(scores[rows, codes] - scores[rows, following], DIGITS),
    }


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    del target
    return [
        Column(
            name="cluster",
            role="categorical",
            type="integer",
            description="Number of the cluster, from 1, the largest one.",
            example=2,
        ),
        Column(
            name="cluster_name",
            role="text",
            type="string",
            description="What is special about the cluster.",
            example="high price, low weight",
        ),
        Column(
            name=SCORE,
            role="numeric",
            type="float",
            description="How much the record belongs to the cluster; all clusters add up to 1.",
            minimum=0,
            maximum=1,
            example=0.81,
        ),
        Column(
            name="next_cluster",
            role="categorical",
            type="integer",
            description="Number of the cluster that the record belongs to second.",
            example=4,
        ),
        Column(
            name="margin",
            role="numeric",
            type="float",
            description="Membership of the cluster less that of the next one.",
            minimum=0,
            maximum=1,
            example=0.74,
        ),
    ]

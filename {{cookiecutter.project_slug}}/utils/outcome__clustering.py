"""What a clustering answers: memberships become a cluster, and clusters have names and profiles.

Serving imports this module as well, so it needs nothing but NumPy.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Cluster(msgspec.Struct, frozen=True):
    """A cluster; ``share`` is of the training rows, ``profile`` a sentence that describes it.

    Clusters are numbered by size from 1, so that a model trained again on similar rows calls the
    same cluster by the same number.
    """

    number: int
    name: str
    share: float
    profile: str


class Decision(msgspec.Struct, frozen=True):
    """The clusters, in the order of the memberships."""

    clusters: tuple[Cluster, ...]


def encode(values: Sequence[object], column: Column) -> Array:
    """Return a target as numbers, shape (n,); it is carried along, and no model learns from it."""
    del column
    return np.asarray(values, dtype=np.float64)


def assigned(scores: Array) -> Codes:
    """Return the position of the cluster that each row belongs to most, shape (n,).

    Args:
        scores: memberships, shape (n, k).
    """
    codes: Codes = np.argmax(scores, axis=1)
    return codes

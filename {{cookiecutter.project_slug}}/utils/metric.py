"""What a metric is: a function of outcomes and scores, with what a report needs to show it."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from utils.config import Contract

Array = npt.NDArray[np.float64]
# What decisions or errors are worth, which each task writes in its own way.
V = TypeVar("V")


def always(contract: Contract) -> bool:
    """Say that a metric has a meaning for any contract."""
    del contract
    return True


class MetricOf(NamedTuple, Generic[V]):
    """A metric with what a report needs to show it.

    ``applies`` tells for which contracts it has a meaning. A metric is not ``comparable`` if one
    can have as much of it as one likes at the cost of another, as recall by deciding for all rows:
    then beating a baseline by it says nothing, and no model is chosen by it.
    """

    label: str
    unit: str
    greater_is_better: bool
    function: Callable[[Array, Array, Array, V], float]
    applies: Callable[[Contract], bool] = always
    comparable: bool = True

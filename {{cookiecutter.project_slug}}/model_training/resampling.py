"""Rows drawn with replacement, for the intervals of what was measured on them.

Rows of one group are alike, so they tell less than as many rows of groups of their own. Where whole
groups are held out, whole groups are drawn, so that an interval holds for other groups as well.
Source: Davison and Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from data_prep.storage import Frame
from utils.config import Contract, Split

Rows = npt.NDArray[np.int64]


def units_of(frame: Frame, contract: Contract, settings: Split) -> Rows:
    """Return the number of what each row stays together with, from 0, shape (n,).

    For the split ``group`` that is its group, and a row without one is alone; else each row is.
    """
    rows = np.arange(frame.shape[0])
    if settings.method != "group":
        return rows
    groups = frame.to_arrow()[contract.with_role("group")[0].name].to_pylist()
    first: dict[object, int] = {}
    units = [
        row if group is None else first.setdefault(group, row) for row, group in enumerate(groups)
    ]
    return np.unique(units, return_inverse=True)[1]


def resamples(units: Rows, count: int, generator: np.random.Generator) -> Iterator[Rows]:
    """Yield the numbers of the rows of each of ``count`` resamples.

    Args:
        units: what each row stays together with, numbered from 0, shape (n,).
        count: number of resamples.
        generator: draws as many units as there are, with replacement.
    """
    order = np.argsort(units, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(units))[:-1])
    for _ in range(count):
        drawn = generator.integers(0, len(members), len(members))
        if len(members) == units.size:
            yield order[drawn]
        else:
            yield np.concatenate([members[unit] for unit in drawn])

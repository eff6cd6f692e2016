"""How far two annotators agree on the records that both labelled."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PAIR_LABEL = "the correlation"


def pair_agreement(first: Array, second: Array) -> float:
    """Return Pearson's correlation of two sources on the same records, NaN if it is undefined."""
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:  # noqa: PLR2004
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])

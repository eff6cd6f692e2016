"""How far two annotators agree on the records that both labelled."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import cohen_kappa_score

Array = npt.NDArray[np.float64]

PAIR_LABEL = "Cohen's kappa"


def pair_agreement(first: Array, second: Array) -> float:
    """Return Cohen's kappa (1960) of two sources on the same records, NaN if it is undefined."""
    if np.unique(np.concatenate([first, second])).size < 2:  # noqa: PLR2004
        return float("nan")
    return float(cohen_kappa_score(first, second))

"""Labels compared with other labels of the same records, and with those of a gold set."""

import numpy as np
import numpy.typing as npt

from data_prep.label_model import Array, Settings

GOLD_LABEL = "Share of right labels"


def different(votes: Array, others: Array, settings: Settings) -> npt.NDArray[np.bool_]:
    """Return where two labels are there and differ."""
    del settings
    found: npt.NDArray[np.bool_] = ~np.isnan(votes) & ~np.isnan(others) & (votes != others)
    return found


def against_gold(votes: Array, gold: Array, z: float) -> tuple[float, float, float]:
    """Return the share of right votes with its interval.

    Args:
        votes: shape (n,), all known.
        gold: the right answers, shape (n,).
        z: quantile of the normal distribution that the confidence implies, such as 1.96.

    Source: Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.
    """
    rows = votes.size
    share = float(np.mean(votes == gold))
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2) / (1 + z * z / rows)
    return share, float(max(centre - half, 0)), float(min(centre + half, 1))

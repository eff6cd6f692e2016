"""How far several sources agree when they label the same records, beyond chance."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RESAMPLES = 500


class Alpha(NamedTuple):
    """Krippendorff's alpha with its interval: 1 is perfect agreement, 0 that of chance."""

    value: float
    low: float
    high: float


def _alpha(counts: Array, sums: Array, squares: Array, weights: Array) -> float:
    """Return alpha of records (n,) that count ``weights`` times each.

    Twice the sum of squared distances in a set of m points is 2 (m Σx² - (Σx)²), so a record is
    known by the number of its points, their sum (n, d) and the sum of their squares (n,).
    """
    within = 2 * (counts * squares - (sums**2).sum(axis=1)) / (counts - 1)
    total = float(weights @ counts)
    observed = float(weights @ within) / total
    spread = total * float(weights @ squares) - float(((weights @ sums) ** 2).sum())
    expected = 2 * spread / (total * (total - 1))
    return 1 - observed / expected if expected > 0 else float("nan")


def krippendorff_alpha(points: Array, confidence: float, seed: int) -> Alpha:
    """Measure the agreement of all sources on all records with at least two labels.

    Args:
        points: what each source says of each record, shape (n, k, d), NaN where it says nothing;
            d is 1 for numbers, and for classes each is a corner at the same distance from all
            others.
        confidence: of the interval, by resampling records.
        seed: of the resampling.

    Returns:
        Alpha with the squared distance of points as the difference: the nominal alpha for classes,
        the interval alpha for numbers. NaN if no record has two labels or all labels are the same.

    Source: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
    """
    known = ~np.isnan(points[..., 0])
    several = known.sum(axis=1) > 1
    if not several.any():
        return Alpha(float("nan"), float("nan"), float("nan"))
    values = np.nan_to_num(points[several])
    counts = known[several].sum(axis=1).astype(np.float64)
    parts = (counts, values.sum(axis=1), (values**2).sum(axis=(1, 2)))
    value = _alpha(*parts, np.ones(counts.size))
    if np.isnan(value):
        return Alpha(value, value, value)
    generator = np.random.default_rng(seed)
    share = np.full(counts.size, 1 / counts.size)
    drawn = [
        _alpha(*parts, generator.multinomial(counts.size, share).astype(np.float64))
        for _ in range(RESAMPLES)
    ]
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Alpha(value, float(low), float(high))

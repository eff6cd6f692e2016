"""One number per record from several sources, none of which is always right.

A source says the true number plus its own bias plus an error whose spread is its own too. Numbers,
biases and spreads are estimated together by expectation maximisation. Errors have the heavy tails
of Student's distribution, so that a slip counts little. The biases average to 0, the more exact
sources counting more: what all sources have in common does not show in what they say.

Sources: Raykar et al. (2010), Learning From Crowds, section 4, for sources with a precision of
their own; Lange, Little and Taylor (1989), Robust Statistical Modeling Using the t Distribution.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import erf

from utils.config import Column

Array = npt.NDArray[np.float64]

SMALLEST_CHANGE = 1e-6
# Degrees of freedom of the errors: 4 still has a variance and forgives gross errors.
FREEDOM = 4.0
# A source is never taken for more exact than this share of the spread of all numbers.
SMALLEST_SPREAD = 1e-3
# Turns the median absolute deviation of a normal distribution into its standard deviation.
NORMAL_SCALE = 1.4826
WRONG = "farther from the truth than tolerated"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the estimation goes on at most, and how far from the truth a label may be."""

    iterations: Annotated[int, msgspec.Meta(ge=1)]
    tolerance: Annotated[float, msgspec.Meta(gt=0)]


class Combined(NamedTuple):
    """One label per record.

    Attributes:
        labels: in the unit of the target, shape (n,); NaN where no source says anything.
        confidence: probability that the true number lies within the tolerance, shape (n,); NaN like
            the label.
        quality: what was found out about each source, by the heading of a table.
    """

    labels: Array
    confidence: Array
    quality: list[dict[str, float]]


def encode(values: Sequence[Any], target: Column) -> Array:
    """Return each value as a number, shape (n,); NaN for what is none or breaks the range."""
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError):
            continue
    low = -np.inf if target.minimum is None else target.minimum
    high = np.inf if target.maximum is None else target.maximum
    with np.errstate(invalid="ignore"):
        return np.where(
            np.isfinite(numbers) & (numbers >= low) & (numbers <= high), numbers, np.nan
        )


def decode(labels: Array, target: Column) -> list[Any]:
    """Return the numbers as the target has them, None for NaN."""
    whole = target.type == "integer"
    return [None if np.isnan(x) else round(x) if whole else float(x) for x in labels]


def coordinates(votes: Array, target: Column) -> Array:
    """Return votes (n, k) as points on a line (n, k, 1)."""
    del target
    return votes[..., None]


class _Sources(NamedTuple):
    bias: Array
    variance: Array


def _start(votes: Array, smallest: float) -> _Sources:
    """Measure each source by its deviations from the median of all that were said of a record."""
    several = (~np.isnan(votes)).sum(axis=1) > 1
    compared = votes[several] if several.any() else votes
    deviation = compared - np.nanmedian(compared, axis=1, keepdims=True)
    bias, variance = np.zeros(votes.shape[1]), np.ones(votes.shape[1])
    for source, column in enumerate(deviation.T):
        known = column[~np.isnan(column)]
        if known.size:
            bias[source] = np.median(known)
            spread = NORMAL_SCALE * float(np.median(np.abs(known - bias[source])))
            variance[source] = max(spread, smallest) ** 2
    return _Sources(bias, variance)


def combine(votes: Array, target: Column, settings: Settings, *, silence: bool) -> Combined:
    """Estimate the number of each record and the quality of each source.

    Args:
        votes: in the unit of the target, shape (n, k); NaN where a source says nothing.
        target: the target.
        settings: when to stop, and what is tolerated.
        silence: whether saying nothing is an answer; of a number it tells nothing.
    """
    del target, silence
    known = ~np.isnan(votes)
    told = known.any(axis=1)
    quality = [{"Bias": 0.0, "Spread": float("nan")} for _ in range(votes.shape[1])]
    empty = np.full(len(votes), np.nan)
    if not told.any():
        return Combined(empty, empty, quality)
    values, there = np.nan_to_num(votes[told]), known[told]
    smallest = max(SMALLEST_SPREAD * float(values[there].std()), np.finfo(np.float64).tiny)
    sources = _start(votes[told], smallest)
    weights = there / sources.variance
    for _ in range(settings.iterations):
        uncertainty = 1 / weights.sum(axis=1)
        labels = (weights * (values - sources.bias)).sum(axis=1) * uncertainty
        residual = values - sources.bias - labels[:, None]
        squares = residual**2 + uncertainty[:, None]
        heavy = there * (FREEDOM + 1) / (FREEDOM + squares / sources.variance)
        total = np.maximum(heavy.sum(axis=0), np.finfo(np.float64).tiny)
        bias = sources.bias + (heavy * residual).sum(axis=0) / total
        count = np.maximum(there.sum(axis=0), 1)
        variance = np.maximum((heavy * squares).sum(axis=0) / count, smallest**2)
        bias -= np.average(bias, weights=count / variance)
        change = max(np.abs(bias - sources.bias).max(), np.abs(variance - sources.variance).max())
        sources = _Sources(bias, variance)
        weights = heavy / sources.variance
        if change < SMALLEST_CHANGE:
            break
    uncertainty = 1 / weights.sum(axis=1)
    found, confidence = empty.copy(), empty.copy()
    found[told] = (weights * (values - sources.bias)).sum(axis=1) * uncertainty
    confidence[told] = erf(settings.tolerance / np.sqrt(2 * uncertainty))
    # the variance of Student's distribution
    spread = np.sqrt(sources.variance * FREEDOM / (FREEDOM - 2))
    quality = [
        {"Bias": float(bias), "Spread": float(size)}
        for bias, size in zip(sources.bias, spread, strict=True)
    ]
    return Combined(found, confidence, quality)

"""Where the model is worse than elsewhere, beyond chance."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import stats

from data_viz.summaries import MISSING, short
from model_training.judged import Losses

Array = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
Rows = npt.NDArray[np.bool_]

BANDS = 5
PAIR_BANDS = 3
# How many of the most important inputs are looked at in pairs.
PAIRED = 4
# Share of common rows from which two segments count as the same.
SAME = 0.5


class WeakSegment(msgspec.Struct, frozen=True):
    """Rows that are alike in one or two inputs and on which the model loses more.

    ``loss`` and ``loss_elsewhere`` are means on the scale of the report's label; ``p_value`` is
    adjusted for the number of segments looked at.
    """

    conditions: dict[str, str]
    rows: int
    share_of_rows: float
    share_of_loss: float
    loss: float
    loss_elsewhere: float
    p_value: float


class Tested(msgspec.Struct, frozen=True):
    """The segments that are worse, the worst first, out of how many that were looked at."""

    looked_at: int
    segments: list[WeakSegment]


def bands(values: Array | Text, count: int) -> Text:
    """Name the group that each row falls into: categories, or ranges with about equal many rows.

    Args:
        values: categories as text, or numbers with NaN for missing, shape (n,).
        count: number of ranges; fewer where values repeat.
    """
    if values.dtype == object:
        return values.astype(object)
    numeric = values.astype(np.float64)
    known = np.isfinite(numeric)
    named = np.full(numeric.shape, MISSING, dtype=object)
    if not known.any():
        return named
    edges = np.unique(np.quantile(numeric[known], np.linspace(0, 1, count + 1)[1:-1]))
    codes = np.searchsorted(edges, numeric, side="right")
    for code in np.unique(codes[known]):
        rows = known & (codes == code)
        low, high = numeric[rows].min(), numeric[rows].max()
        named[rows] = short(low) if low == high else f"{short(low)} to {short(high)}"
    return named


def _segments(
    columns: Mapping[str, Array | Text], pairs: Sequence[str]
) -> dict[tuple[tuple[str, str], ...], Rows]:
    found: dict[tuple[tuple[str, str], ...], Rows] = {}
    for name, values in columns.items():
        named = bands(values, BANDS)
        for label in np.unique(named.astype(str)):
            found[((name, str(label)),)] = named == label
    for first, second in combinations(pairs, 2):
        one, other = bands(columns[first], PAIR_BANDS), bands(columns[second], PAIR_BANDS)
        for left in np.unique(one.astype(str)):
            for right in np.unique(other.astype(str)):
                key = ((first, str(left)), (second, str(right)))
                found[key] = (one == left) & (other == right)
    return found


def adjusted(p_values: Array) -> Array:
    """Return p-values, shape (k,), adjusted for all of them together.

    Below the level, the chance of one false finding or more stays below the level, however the
    tests depend on each other. Source: Holm (1979), A Simple Sequentially Rejective Multiple Test
    Procedure.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(p_values.size, 0, -1)
    ascending = np.maximum.accumulate(np.minimum(p_values[order] * factors, 1.0))
    restored = np.empty_like(ascending)
    restored[order] = ascending
    return restored


def _mean(values: Array, weights: Array) -> tuple[float, float, float]:
    """Return the weighted mean, its variance, and how many rows of equal weight would have it.

    Source: Kish (1965), Survey Sampling, section 11.7, for that number.
    """
    mean = float(np.average(values, weights=weights))
    total = weights.sum()
    rows = float(total**2 / np.sum(weights**2))
    spread = float(np.sum((weights * (values - mean)) ** 2) / total**2)
    return mean, spread * rows / (rows - 1) if rows > 1 else np.inf, rows


def _p_value(losses: Losses, chosen: Rows) -> float:
    sides = [losses.rows[chosen], losses.rows[~chosen]]
    if all(np.ptp(side) == 0 for side in sides):
        return 0.0 if sides[0][0] > sides[1][0] else 1.0
    inside, outside = (_mean(losses.rows[rows], losses.weights[rows]) for rows in (chosen, ~chosen))
    total = inside[1] + outside[1]
    if not np.isfinite(total):
        return 1.0
    freedom = total**2 / sum(part[1] ** 2 / (part[2] - 1) for part in (inside, outside))
    return float(stats.t.sf((inside[0] - outside[0]) / np.sqrt(total), freedom))


def weak_segments(
    columns: Mapping[str, Array | Text],
    pairs: Sequence[str],
    losses: Losses,
    *,
    minimum_rows: int,
    significance: float,
) -> Tested:
    """Find the segments whose rows lose more than all others.

    Every segment of at least ``minimum_rows`` rows is compared with the rest by the one-sided test
    of Welch (1947) on weighted means, adjusted for their number. Losses have a long tail to the
    right, which makes this test careful: where it errs, it is silent.

    Args:
        columns: what can make segments, each shape (n,), by name.
        pairs: those of them that also make segments two by two.
        losses: what each row loses, and its weight.
        minimum_rows: of a segment, and of the rows outside it; rows of weight 0 don't count.
        significance: chance of naming any segment when all rows are alike.

    Returns:
        Segments by the loss of their rows beyond what is usual elsewhere, the largest first;
        without those that have most of their rows in common with one before.
    """
    counted = losses.weights > 0
    weight, total = losses.weights.sum(), float(np.sum(losses.rows * losses.weights))
    enough = {
        key: rows
        for key, rows in _segments(columns, pairs).items()
        if minimum_rows <= (rows & counted).sum() <= counted.sum() - minimum_rows
    }
    if not enough or total == 0:
        return Tested(len(enough), [])
    p_values = adjusted(np.array([_p_value(losses, rows) for rows in enough.values()]))
    worse = [
        (rows, key, float(p_value))
        for (key, rows), p_value in zip(enough.items(), p_values, strict=True)
        if p_value < significance
    ]
    worse.sort(key=lambda item: losses.mean(~item[0]) - losses.mean(item[0]))
    kept: list[Rows] = []
    found = []
    for rows, key, p_value in worse:
        if any((rows & other).sum() > SAME * (rows | other).sum() for other in kept):
            continue
        kept.append(rows)
        found.append(
            WeakSegment(
                conditions=dict(key),
                rows=int(rows.sum()),
                share_of_rows=float(losses.weights[rows].sum() / weight),
                share_of_loss=float(np.sum((losses.rows * losses.weights)[rows])) / total,
                loss=losses.mean(rows),
                loss_elsewhere=losses.mean(~rows),
                p_value=p_value,
            )
        )
    return Tested(len(enough), found)

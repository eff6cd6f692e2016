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


def _p_value(inside: Array, outside: Array) -> float:
    if np.ptp(inside) == 0 and np.ptp(outside) == 0:
        return 0.0 if inside[0] > outside[0] else 1.0
    tested = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater")
    return float(tested.pvalue)


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
    of Welch (1947), adjusted for their number. Losses have a long tail to the right, which makes
    this test careful: where it errs, it is silent.

    Args:
        columns: what can make segments, each shape (n,), by name.
        pairs: those of them that also make segments two by two.
        losses: what each row loses.
        minimum_rows: of a segment, and of the rows outside it.
        significance: chance of naming any segment when all rows are alike.

    Returns:
        Segments by the loss of their rows beyond what is usual elsewhere, the largest first;
        without those that have most of their rows in common with one before.
    """
    total = float(losses.rows.sum())
    enough = {
        key: rows
        for key, rows in _segments(columns, pairs).items()
        if minimum_rows <= rows.sum() <= rows.size - minimum_rows
    }
    if not enough or total == 0:
        return Tested(len(enough), [])
    p_values = adjusted(
        np.array([_p_value(losses.rows[rows], losses.rows[~rows]) for rows in enough.values()])
    )
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
                share_of_rows=float(rows.mean()),
                share_of_loss=float(losses.rows[rows].sum()) / total,
                loss=losses.mean(rows),
                loss_elsewhere=losses.mean(~rows),
                p_value=p_value,
            )
        )
    return Tested(len(enough), found)

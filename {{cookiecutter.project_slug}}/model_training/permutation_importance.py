"""How much worse the model gets when one column of the records no longer fits its row."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from data_prep.storage import Frame
from model_training.judged import Judged, measured
from model_training.resampling import resamples
from utils.config import Explanation
from utils.metrics import Metric, Value

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Answer = Callable[[Frame], Array]


class Importance(msgspec.Struct, frozen=True):
    """The loss of the metric without a column, in its unit, with a bootstrap interval.

    All three are None where the metric is not defined.
    """

    column: str
    value: float | None
    low: float | None
    high: float | None


def shuffled(records: Frame, column: str, repeats: int, generator: np.random.Generator) -> Frame:
    """Return ``repeats`` copies of the records, one below the other, with ``column`` shuffled."""
    count = records.shape[0]
    orders = [generator.permutation(count) for _ in range(repeats)]
    copies = records[np.tile(np.arange(count), repeats)]
    return copies.with_columns(records[np.concatenate(orders)][column])


def _loss(metric: Metric, whole: float, copies: Sequence[Judged], value: Value) -> float:
    sign = 1.0 if metric.greater_is_better else -1.0
    broken = float(np.mean([measured(metric, copy, value) for copy in copies]))
    return sign * (whole - broken)


def permutation_importance(
    answer: Answer,
    records: Frame,
    judged: Judged,
    columns: Sequence[str],
    *,
    units: Rows,
    metric: Metric,
    value: Value,
    settings: Explanation,
    confidence: float,
    seed: int,
) -> list[Importance]:
    """Rank columns by how much the metric loses when their values are shuffled between the rows.

    Features are derived again from the shuffled records, so that all that comes from a column
    moves with it. The interval is the percentile interval over rows drawn with replacement, those
    that stay together together; a shuffle counts as one answer of the model and is not drawn anew.

    Sources: Breiman (2001), Random Forests, section 10; Fisher, Rudin and Dominici (2019), All
    Models are Wrong, but Many are Useful.

    Args:
        answer: what the model says to records, n along the first axis.
        records: held-out records as a caller sends them, n rows.
        judged: their outcomes and the answers of the model.
        columns: names of the columns to shuffle.
        units: what each record stays together with, numbered from 0, shape (n,).
        metric: the metric, of which a positive importance is a loss.
        value: what decisions or errors are worth.
        settings: number of shuffles and resamples.
        confidence: of the intervals.
        seed: makes them repeatable.

    Returns:
        One entry per column, the most important first; ties in the order of ``columns``.
    """
    generator = np.random.default_rng(seed)
    draws = list(resamples(units, settings.resamples, generator))
    whole = measured(metric, judged, value)
    drawn = [measured(metric, judged.at(rows), value) for rows in draws]
    tail = (1 - confidence) / 2
    found = []
    for column in columns:
        table = shuffled(records, column, settings.repeats, generator)
        broken = np.split(answer(table), settings.repeats)
        copies = [judged.answered(part) for part in broken]
        point = _loss(metric, whole, copies, value)
        if not np.isfinite(point):
            found.append(Importance(column, None, None, None))
            continue
        resampled = [
            _loss(metric, before, [copy.at(rows) for copy in copies], value)
            for rows, before in zip(draws, drawn, strict=True)
        ]
        low, high = np.nanquantile(resampled, [tail, 1 - tail])
        found.append(Importance(column, point + 0.0, float(low) + 0.0, float(high) + 0.0))
    return sorted(found, key=lambda item: -np.inf if item.value is None else -item.value)

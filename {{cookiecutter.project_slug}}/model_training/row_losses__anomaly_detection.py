"""What the answers of anomaly detection are called, and how wrong the place of each row is."""

from collections.abc import Sequence

import narwhals as nw
import numpy as np
import numpy.typing as npt

from data_prep.storage import Frame
from model_training.judged import Judged, Losses
from model_training.permutation_importance import Answer
from utils.config import Column
from utils.metrics import Value
from utils.outcome import SCORE

Array = npt.NDArray[np.float64]

NAME = "anomaly score"
# So many columns are named as reasons.
REASONS = 2


def answers(predicted: Array, column: Column) -> dict[str, Array]:
    """Return what the model says, each shape (n,), by its name in words."""
    del column
    return {NAME: predicted[:, SCORE]}


def drawn_answers(outcome: Array, weights: Array, column: Column) -> list[str]:
    """Return the names of the answers that are drawn."""
    del outcome, weights, column
    return [NAME]


def row_answers(judged: Judged, column: Column) -> dict[str, list[float]]:
    """Return what the model says to single rows, by name."""
    return {name: said.tolist() for name, said in answers(judged.predicted, column).items()}


def row_reasons(answer: Answer, records: Frame, columns: Sequence[str]) -> dict[str, list[str]]:
    """Name the columns that make each row unusual, those that count most first.

    A value counts as much as the anomaly score falls without it: what is missing is taken for what
    the other values of the row suggest.

    Args:
        answer: what the model says to records.
        records: the rows, n of them.
        columns: those that the model uses.
    """
    whole = answer(records)[:, SCORE]
    # Only a missing value stays, as missing, so that the type of the column does.
    gaps = [nw.when(nw.col(name).is_null()).then(nw.col(name)).alias(name) for name in columns]
    without = [answer(records.with_columns(gap))[:, SCORE] for gap in gaps]
    falls = np.stack([whole - score for score in without], axis=1)
    order = np.argsort(-falls, axis=1, kind="stable")[:, :REASONS]
    named = [
        ", ".join(columns[place] for place in places if fall[place] > 0)
        for places, fall in zip(order, falls, strict=True)
    ]
    return {"stands out in": named}


def _share_above(scores: Array, others: Array, weights: Array) -> Array:
    """Return the share of ``others`` that score higher than each row, equal ones counted half."""
    order = np.argsort(others, kind="stable")
    reached = np.append(0.0, np.cumsum(weights[order]))
    left, right = (
        reached[np.searchsorted(others[order], scores, side=side)] for side in ("left", "right")
    )
    share: Array = 1 - (left + right) / 2 / reached[-1]
    return share


def row_losses(name: str, judged: Judged, value: Value) -> Losses:
    """Return how wrong the place of each row in the order of the scores is.

    A known anomaly loses the share of usual rows that score higher, a usual row the share of
    anomalies that score lower. Where no anomaly is known, a row has its anomaly score instead.
    """
    del name, value
    outcome, scores, weights = judged.outcome, judged.predicted[:, SCORE], judged.weights
    anomaly = outcome == 1
    if not weights[anomaly].any() or not weights[~anomaly].any():
        return Losses(NAME.capitalize(), scores, weights)
    rows = np.empty(outcome.size)
    rows[anomaly] = _share_above(scores[anomaly], scores[~anomaly], weights[~anomaly])
    rows[~anomaly] = 1 - _share_above(scores[~anomaly], scores[anomaly], weights[anomaly])
    return Losses("Share of the other kind on the wrong side", np.maximum(rows, 0.0), weights)

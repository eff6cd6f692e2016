"""What makes rows unusual: the columns without which their anomaly score would fall most."""

from collections.abc import Sequence

import narwhals as nw
import numpy as np

from data_prep.storage import Frame
from model_training.permutation_importance import Answer
from utils.outcome import SCORE

# So many columns are named as reasons.
REASONS = 2


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

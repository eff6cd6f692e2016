"""What singles out rows: nothing that could be named, beside what the model says to them."""

from collections.abc import Sequence

from data_prep.storage import Frame
from model_training.permutation_importance import Answer


def row_reasons(answer: Answer, records: Frame, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return what singles out rows, by name: nothing.

    Args:
        answer: what the model says to records.
        records: the rows.
        columns: those that the model uses.
    """
    del answer, records, columns
    return {}

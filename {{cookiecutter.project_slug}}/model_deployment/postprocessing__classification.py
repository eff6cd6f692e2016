"""From probabilities to what a caller gets: probability and decision."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column
from utils.outcome import TWO, Decision, decide

SCORE = "probability"
# Characters that the name of a field of an answer can't have.
UNUSABLE = re.compile(r'["\\\x00-\x1f]')


def _names(classes: Sequence[str | int]) -> list[str]:
    """Return the column of each class; the position tells apart what would have the same name."""
    names = [UNUSABLE.sub("_", f"{SCORE}_{label}") for label in classes]
    return [name if names.count(name) == 1 else f"{name}_{code}" for code, name in enumerate(names)]


def predictions(scores: npt.NDArray[np.float64], decision: Decision) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the answer.

    Args:
        scores: probability of each class, shape (n, k).
        decision: the classes, and what deciding for each is worth.

    Returns:
        ``decision``, the class with the highest expected worth, after ``probability``, that of the
        second of two classes, or ``probability_<class>`` for each of more; each of shape (n,).
    """
    decided = np.array(decision.classes)[decide(scores, decision.worth)]
    if len(decision.classes) == TWO:
        return {SCORE: scores[:, 1], "decision": decided}
    columns = dict(zip(_names(decision.classes), scores.T, strict=True))
    return {**columns, "decision": decided}


def _probability(name: str, target: Column, label: str | int) -> Column:
    return Column(
        name=name,
        role="numeric",
        type="float",
        description=f"Predicted probability that {target.name} is {label}.",
        minimum=0,
        maximum=1,
        example=0.27,
    )


def output_columns(target: Column) -> list[Column]:
    """Describe the columns of the answer for API documentation and reports."""
    classes = target.allowed
    if len(classes) == TWO:
        probabilities = [_probability(SCORE, target, classes[1])]
    else:
        named = zip(_names(classes), classes, strict=True)
        probabilities = [_probability(name, target, label) for name, label in named]
    decision = Column(
        name="decision",
        role="categorical",
        type=target.type,
        description=f"The value of {target.name} to decide for: its expected worth is the highest.",
        allowed=classes,
        example=classes[-1],
    )
    return [*probabilities, decision]

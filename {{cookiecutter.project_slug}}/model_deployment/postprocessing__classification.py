"""From probabilities to what a caller gets: probability and decision."""

from typing import Any

import numpy as np
import numpy.typing as npt

from utils.config import Column
from utils.outcome import TWO, Decision, decide

SCORE = "probability"


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
    columns = {f"{SCORE}_{label}": scores[:, i] for i, label in enumerate(decision.classes)}
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
        probabilities = [_probability(f"{SCORE}_{label}", target, label) for label in classes]
    decision = Column(
        name="decision",
        role="categorical",
        type=target.type,
        description=f"The value of {target.name} to decide for: its expected worth is the highest.",
        allowed=classes,
        example=classes[-1],
    )
    return [*probabilities, decision]

"""Predictions that are right, for tests of what is made of predictions."""

import numpy as np

from tests.conftest import BUNDLED
from utils.config import load_contract
from utils.outcome import Decision

# A candidate, and spaces of its hyperparameters that it does not take.
SEARCHED_CANDIDATE = "random_forest"
UNFIT_SPACES: list[tuple[dict[str, object], str]] = [
    ({"no_such_setting": {"low": 1, "high": 3}}, "no_such_setting"),
    ({"min_samples_leaf": {"low": -5, "high": 3}}, "min_samples_leaf"),
    ({"criterion": {"choices": ["nonsense", "more"]}}, "criterion"),
]


def perfect(rows: int) -> tuple[np.ndarray, np.ndarray, Decision, str, str]:
    """Return outcome, probabilities and decision, and the figure and words that say so."""
    classes = load_contract(BUNDLED / "schema.yaml").target.allowed
    worth = ((0.0, -1.0), (0.0, 1.0))
    outcome = np.arange(rows) % len(classes)
    decision = Decision(classes=classes, currency="EUR", worth=worth, threshold=0.5)
    return outcome.astype(np.float64), np.eye(len(classes))[outcome], decision, "roc", "area 1.000"

"""Predictions that are right, for tests of what is made of predictions."""

import numpy as np
from sklearn.linear_model import Lasso
from sklearn.pipeline import Pipeline

from tests.conftest import BUNDLED
from utils.config import load_contract
from utils.outcome import Decision


def perfect(rows: int) -> tuple[np.ndarray, np.ndarray, Decision, str, str]:
    """Return outcome, probabilities and decision, and the figure and words that say so."""
    classes = load_contract(BUNDLED / "schema.yaml").target.allowed
    worth = ((0.0, -1.0), (0.0, 1.0))
    outcome = np.arange(rows) % len(classes)
    decision = Decision(classes=classes, currency="EUR", worth=worth, threshold=0.5)
    return outcome.astype(np.float64), np.eye(len(classes))[outcome], decision, "roc", "area 1.000"


def put_in_an_unknown_estimator(model: Pipeline) -> None:
    """Replace the fitted estimator of a model by one that no project serves."""
    model.named_steps["estimate"].estimator_ = Lasso()

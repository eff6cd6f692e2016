"""What the winner learns from its out-of-fold probabilities: its calibration, and to decide."""

from sklearn.pipeline import Pipeline

from model_training.calibration import calibration
from model_training.finished import Finished, Unseen
from utils.config import Contract, Params
from utils.metrics import Value
from utils.outcome import TWO, Decision, calibrated, decision_threshold


def finish(
    model: Pipeline, unseen: Unseen, value: Value, params: Params, contract: Contract
) -> Finished:
    """Calibrate a fitted model as ``selection.calibration`` says, and fix its decisions.

    Args:
        model: the winner, fitted on all training rows.
        unseen: the out-of-fold rows with their probabilities, shape (n, k).
        value: what each decision is worth.
        params: the settings.
        contract: names the classes.
    """
    outcome, scores, weights = unseen.outcome, unseen.scores, unseen.weights
    mode = params.selection.calibration or "auto"
    found = None
    if mode != "none":
        always = mode == "always"
        found = calibration(outcome, scores, weights, params.split.seed, always=always)
    if found is not None and found.applied:
        model.set_params(estimate__slope=found.slope, estimate__offsets=list(found.offsets))
        scores = calibrated(scores, found.slope, found.offsets)
    two = len(contract.target.allowed) == TWO
    decision = Decision(
        classes=contract.target.allowed,
        currency=value.currency,
        worth=tuple(tuple(row) for row in value.worth.tolist()),
        threshold=decision_threshold(value.worth) if two else None,
        calibration=found,
    )
    return Finished(model, scores, decision)

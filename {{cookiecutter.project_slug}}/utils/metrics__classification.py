"""Metrics of a classification, of the model and of the business.

Every metric is a function of ``target`` (the position of the class, shape (n,)), ``scores`` (the
predicted probability of each class, shape (n, k)), ``weights`` (how many rows each row stands for,
shape (n,)) and ``value`` (what each decision is worth). Averages over classes count each class
alike, however rare it is. A metric of decisions takes those with the highest expected worth, which
are the ones that are served.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, Contract, ProjectError, convert
from utils.metric import MetricOf
from utils.outcome import (
    TWO,
    Calibration,
    Decision,
    decide,
    decision_threshold,
    uncalibrated,
)

Array = npt.NDArray[np.float64]

# Keeps log(0) finite: the smallest probability that a 64-bit float can tell from certainty.
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
RELIABILITY_BINS = 10
CURVE_POINTS = 101


class Worth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it is worth to decide for one class when another is the actual one."""

    actual: str | int
    decided: str | int
    worth: float


class Amounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``value`` section of ``params.yaml``, in ``currency`` per decision.

    ``right`` holds for every right decision and ``wrong`` for every wrong one that is not
    ``listed``.
    """

    currency: str
    right: float = 0.0
    wrong: float = 0.0
    listed: tuple[Worth, ...] = ()


class Value(NamedTuple):
    """What a decision (column) is worth for each actual class (row), shape (k, k)."""

    currency: str
    worth: Array


Metric = MetricOf[Value]


def load_value(values: Mapping[str, Any], target: Column) -> Value:
    """Read the ``value`` section of ``params.yaml``.

    Args:
        values: the section.
        target: its allowed values are the classes.

    Raises:
        ProjectError: a key is missing or unknown, a class is unknown, a pair of classes is listed
            twice, or every decision is worth the same.
    """
    source = "params.yaml, section value"
    amounts = convert(dict(values), Amounts, source)
    classes = list(target.allowed)
    worth = np.full((len(classes), len(classes)), amounts.wrong)
    np.fill_diagonal(worth, amounts.right)
    seen = set()
    for item in amounts.listed:
        for label in (item.actual, item.decided):
            if label not in classes:
                raise ProjectError(
                    f"{source}: {label!r} is not one of the classes of {target.name!r}: "
                    f"{', '.join(map(str, classes))}."
                )
        if (item.actual, item.decided) in seen:
            raise ProjectError(
                f"{source}: actual {item.actual}, decided {item.decided} is listed twice."
            )
        seen.add((item.actual, item.decided))
        worth[classes.index(item.actual), classes.index(item.decided)] = item.worth
    if np.ptp(worth, axis=1).max() == 0:
        raise ProjectError(
            f"{source}: every decision is worth the same, so there is nothing to decide. Give "
            "right decisions a worth above that of wrong ones."
        )
    return Value(amounts.currency, worth)


def _of_actual(target: Array, scores: Array) -> Array:
    found: Array = scores[np.arange(target.size), target.astype(np.int64)]
    return found


def log_loss(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean negative log-likelihood, in nats."""
    del value
    likely = np.maximum(_of_actual(target, scores), SMALLEST_PROBABILITY)
    return float(-np.average(np.log(likely), weights=weights))


def brier_score(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Half the summed squared differences between probabilities and outcome (Brier 1950).

    For two classes that is the squared difference for the positive one.
    """
    del value
    squares = np.sum(scores**2, axis=1) - 2 * _of_actual(target, scores) + 1
    return float(np.average(squares, weights=weights) / 2)


def _averaged(
    single: Callable[[Array, Array], float], target: Array, scores: Array, weights: Array
) -> float:
    """Average a measure of one class against the rest; NaN if no class has one.

    Args:
        single: takes the weight of the positive and of all rows, summed over the rows that have at
            least each of the distinct scores, from the largest down.
        target: positions of the classes, shape (n,).
        scores: probabilities, shape (n, k); of two classes only the second is measured.
        weights: of the rows, shape (n,).
    """
    measured = []
    for code in range(1 if scores.shape[1] == TWO else 0, scores.shape[1]):
        order = np.argsort(-scores[:, code], kind="stable")
        ranked = scores[order, code]
        last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
        drawn = np.cumsum(weights[order])[last]
        found = np.cumsum(np.where(target[order] == code, weights[order], 0.0))[last]
        measured.append(single(found, drawn))
    known = [number for number in measured if np.isfinite(number)]
    return float(np.mean(known)) if known else float("nan")


def _area(found: Array, drawn: Array) -> float:
    missed = drawn - found
    positive, negative = found[-1], missed[-1]
    if positive <= 0 or negative <= 0:
        return float("nan")
    return float(np.trapezoid(np.append(0.0, found), np.append(0.0, missed)) / positive / negative)


def _precision(found: Array, drawn: Array) -> float:
    if found[-1] <= 0:
        return float("nan")
    precision = np.divide(found, drawn, out=np.zeros_like(found), where=drawn > 0)
    return float(np.sum(np.diff(found, prepend=0.0) * precision) / found[-1])


def roc_auc(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Share of (positive, negative) pairs ranked rightly, ties counted half; NaN for one class.

    With more than two classes, each against the rest, averaged. Source: Hanley and McNeil (1982).
    """
    del value
    return _averaged(_area, target, scores, weights)


def average_precision(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Precision averaged over the recall steps; NaN without a positive row.

    With more than two classes, each against the rest, averaged.
    """
    del value
    return _averaged(_precision, target, scores, weights)


def worth_of(target: Array, decided: npt.NDArray[np.int64], value: Value) -> Array:
    """Return what each decision is worth, shape (n,)."""
    gained: Array = value.worth[target.astype(np.int64), decided]
    return gained


def value_per_decision(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean worth of the decisions with the highest expected worth."""
    decided = decide(scores, value.worth)
    return float(np.average(worth_of(target, decided, value), weights=weights))


def confusion(target: Array, decided: npt.NDArray[np.int64], weights: Array, classes: int) -> Array:
    """Return the weight of each actual (row) and decided (column) class, shape (k, k)."""
    cells = target.astype(np.int64) * classes + decided
    counts: Array = np.bincount(cells, weights, classes * classes).astype(np.float64)
    return counts.reshape(classes, classes)


class Rates(NamedTuple):
    """How well each class is decided, each of shape (k,); NaN where it is not defined.

    ``precision`` is the share of rows of the class among those decided for it, ``recall`` the share
    decided for it among its rows, ``f1`` their harmonic mean: 0 for a class that is never hit, not
    defined for one that neither occurs nor is decided for. Source: van Rijsbergen (1979),
    Information Retrieval, chapter 7.
    """

    precision: Array
    recall: Array
    f1: Array


def _share(part: Array, whole: Array) -> Array:
    found: Array = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
    return found


def rates(counts: Array) -> Rates:
    """Return how well each class is decided, given the confusion matrix, shape (k, k)."""
    right, actual, decided = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return Rates(_share(right, decided), _share(right, actual), _share(2 * right, actual + decided))


def rates_at_decision(target: Array, scores: Array, weights: Array, value: Value) -> Rates:
    """Return how well each class is decided by the decisions with the highest expected worth."""
    decided = decide(scores, value.worth)
    return rates(confusion(target, decided, weights, scores.shape[1]))


def mean_of_known(shares: Array) -> float:
    """Return the mean over the classes that have a share, each class alike; NaN if none has."""
    known = shares[np.isfinite(shares)]
    return float(known.mean()) if known.size else float("nan")


def balanced_accuracy(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean recall of the classes that occur; 1 / k for deciding always alike.

    Source: Brodersen et al. (2010), The Balanced Accuracy and Its Posterior Distribution.
    """
    return mean_of_known(rates_at_decision(target, scores, weights, value).recall)


def f1_macro(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean over the classes of the harmonic mean of precision and recall."""
    return mean_of_known(rates_at_decision(target, scores, weights, value).f1)


def precision_macro(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean precision of the classes that are decided for."""
    return mean_of_known(rates_at_decision(target, scores, weights, value).precision)


def f1(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Harmonic mean of precision and recall of the positive one of two classes."""
    return float(rates_at_decision(target, scores, weights, value).f1[1])


def precision(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Share of positive rows among those decided for; NaN if there are none."""
    return float(rates_at_decision(target, scores, weights, value).precision[1])


def recall(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Share of the positive rows that are decided for; NaN without a positive row."""
    return float(rates_at_decision(target, scores, weights, value).recall[1])


def two_classes(contract: Contract) -> bool:
    """Say whether the target has two classes, of which the second is the positive one."""
    return len(contract.target.allowed) == TWO


def several_classes(contract: Contract) -> bool:
    """Say whether the target has more than two classes."""
    return not two_classes(contract)


METRICS: dict[str, Metric] = {
    "log_loss": Metric("Log loss", "nats", False, log_loss),
    "brier_score": Metric("Brier score", "", False, brier_score),
    "roc_auc": Metric("ROC AUC", "", True, roc_auc),
    "average_precision": Metric("Average precision", "", True, average_precision),
    "balanced_accuracy": Metric("Balanced accuracy of the decisions", "", True, balanced_accuracy),
    "f1_macro": Metric("F1 of the decisions, mean of the classes", "", True, f1_macro),
    "f1": Metric("F1 of the decisions, positive class", "", True, f1, two_classes),
    "precision": Metric(
        "Precision of the decisions, positive class",
        "",
        True,
        precision,
        two_classes,
        comparable=False,
    ),
    "recall": Metric(
        "Recall of the decisions, positive class", "", True, recall, two_classes, comparable=False
    ),
    "precision_macro": Metric(
        "Precision of the decisions, mean of the classes",
        "",
        True,
        precision_macro,
        several_classes,
        comparable=False,
    ),
    "value_per_decision": Metric("Value per decision", "currency", True, value_per_decision),
}


# Means of outcome and prediction


def level_labels(target: Column) -> tuple[str, str]:
    """Name the two numbers of ``levels``."""
    if len(target.allowed) == TWO:
        return f"Share with {target.name} = {target.allowed[1]}", "Mean probability"
    return "Most probable class is right", "Mean probability of that class"


def assured(target: Array, scores: Array) -> tuple[Array, Array]:
    """Return what happened (1 or 0) and its probability, each of shape (n,).

    Of two classes it is the positive one that happens or not, else the most probable one.
    """
    if scores.shape[1] == TWO:
        return target, scores[:, 1]
    return (np.argmax(scores, axis=1) == target).astype(np.float64), scores.max(axis=1)


def levels(target: Array, scores: Array, weights: Array) -> tuple[float, float]:
    """Return the mean of what happened and of its probability; equal for a calibrated model."""
    happened, probability = assured(target, scores)
    return (
        float(np.average(happened, weights=weights)),
        float(np.average(probability, weights=weights)),
    )


# Decisions


def decision_rates(
    target: Array, scores: Array, weights: Array, decision: Decision
) -> dict[str, float]:
    """Return how well some rows are decided, by name."""
    right = decide(scores, decision.worth) == target
    return {"Decided rightly": float(np.average(right, weights=weights))}


class ClassResult(msgspec.Struct, frozen=True):
    """How well one class is decided; ``rows`` and ``decided`` are sums of weights."""

    label: str
    rows: float
    decided: float
    precision: float | None
    recall: float | None
    f1: float | None


class ValueCurve(msgspec.Struct, frozen=True):
    """Value per decision when the positive class is decided for from each threshold on.

    ``break_even`` is the probability at which both decisions are worth the same; ``always`` and
    ``never`` are what deciding alike for all rows is worth.
    """

    thresholds: list[float]
    value_per_decision: list[float]
    break_even: float
    at_break_even: float
    always: float
    never: float


class DecisionReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the decisions led to; counts are sums of weights, and those of two classes named."""

    share_right: float
    calibration_error: float
    classes: list[ClassResult]
    confusion: list[list[float]]
    words: list[str]
    calibration_error_before: float | None = None
    threshold: float | None = None
    true_positives: float | None = None
    false_positives: float | None = None
    false_negatives: float | None = None
    true_negatives: float | None = None
    value_curve: ValueCurve | None = None


def calibration_error(target: Array, scores: Array, weights: Array) -> float:
    """Return the expected calibration error: gap between share and probability, averaged.

    Over bins of about equal weight. Source: Naeini et al. (2015), Obtaining Well Calibrated
    Probabilities Using Bayesian Binning.
    """
    happened, probability = assured(target, scores)
    order = np.argsort(probability, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]
    bins = np.minimum(before * RELIABILITY_BINS / weights.sum(), RELIABILITY_BINS - 1).astype(int)
    gaps = np.bincount(bins, (weights * (happened - probability))[order])
    return float(np.abs(gaps).sum() / weights.sum())


def value_curve(target: Array, scores: Array, weights: Array, value: Value) -> ValueCurve:
    """Return the value per decision over the threshold of the second of two classes."""
    if_first, if_second = (
        worth_of(target, np.full(target.size, code), value) for code in range(TWO)
    )

    def worth_from(threshold: float) -> float:
        gained = np.where(scores[:, 1] >= threshold, if_second, if_first)
        return float(np.average(gained, weights=weights))

    thresholds = np.linspace(0, 1, CURVE_POINTS).tolist()
    break_even = decision_threshold(value.worth)
    return ValueCurve(
        thresholds=thresholds,
        value_per_decision=[worth_from(threshold) for threshold in thresholds],
        break_even=break_even,
        at_break_even=worth_from(break_even),
        always=float(np.average(if_second, weights=weights)),
        never=float(np.average(if_first, weights=weights)),
    )


def _calibration_words(calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return []
    change = (
        f"the log loss on out-of-fold rows went from {calibration.log_loss_before:.4g} to "
        f"{calibration.log_loss_after:.4g} (improvement {calibration.improvement:.2g}, standard "
        f"error {calibration.standard_error:.2g})"
    )
    done = "are calibrated" if calibration.applied else "are served as the model gives them"
    return [f"Probabilities {done}: with calibration, {change}."]


def _rates_words(positive: ClassResult) -> str:
    """Say what precision, recall and F1 of the positive class are, as far as they are defined."""
    said = ""
    if positive.precision is not None:
        said += f", a precision of {positive.precision:.1%}"
    if positive.recall is not None:
        said += (
            f"; they are {positive.recall:.1%} of the rows that are {positive.label}, the recall"
        )
    return said + ("" if positive.f1 is None else f", and F1 is {positive.f1:.3f}")


# Why a comparison lacks an improvement.
NOT_COMPARED = (
    "Precision and recall have no improvement over the baseline: each can be had at the cost of "
    "the other, as a recall of 100% by deciding alike for all rows."
)


def decision_summary(
    target: Array, scores: Array, weights: Array, value: Value, decision: Decision
) -> DecisionReport:
    """Measure the decisions: confusion matrix, each class, calibration and, for two, the value."""
    classes = decision.classes
    decided = decide(scores, value.worth)
    counts = confusion(target, decided, weights, len(classes))
    rows, columns, found = counts.sum(axis=1), counts.sum(axis=0), rates(counts)
    results = [
        ClassResult(
            str(label),
            float(rows[code]),
            float(columns[code]),
            *(float(side[code]) if np.isfinite(side[code]) else None for side in found),
        )
        for code, label in enumerate(classes)
    ]
    share = float(np.trace(counts) / counts.sum())
    balanced, mean_f1 = mean_of_known(found.recall), mean_of_known(found.f1)
    applied = decision.calibration is not None and decision.calibration.applied
    before = (
        uncalibrated(scores, decision.calibration) if applied and decision.calibration else None
    )
    report = DecisionReport(
        share_right=share,
        calibration_error=calibration_error(target, scores, weights),
        classes=results,
        confusion=counts.tolist(),
        words=[
            "The decision is the class with the highest expected worth, given the amounts in "
            f"params.yaml; it is the actual class in {share:.1%} of the held-out rows. With each "
            f"class counting alike, however rare, the balanced accuracy (mean recall) is "
            f"{balanced:.3f} and the mean F1 {mean_f1:.3f}.",
            NOT_COMPARED,
            *_calibration_words(decision.calibration),
        ],
        calibration_error_before=(
            None if before is None else calibration_error(target, before, weights)
        ),
    )
    if len(classes) != TWO:
        return report
    curve = value_curve(target, scores, weights, value)
    acted = f"{counts[:, 1].sum():,.0f} of {counts.sum():,.0f} held-out rows"
    return msgspec.structs.replace(
        report,
        threshold=decision.threshold,
        true_positives=float(counts[1, 1]),
        false_positives=float(counts[0, 1]),
        false_negatives=float(counts[1, 0]),
        true_negatives=float(counts[0, 0]),
        value_curve=curve,
        words=[
            f"Deciding for {classes[1]} pays from a probability of {curve.break_even:.3g} on, the "
            f"break-even. That is so in {acted}, {counts[1, 1]:,.0f} of them rightly"
            f"{_rates_words(results[1])}. The balanced accuracy, which is the mean recall of both "
            f"classes, is {balanced:.3f}.",
            NOT_COMPARED,
            *_calibration_words(decision.calibration),
        ],
    )

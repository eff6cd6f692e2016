"""Metrics of anomaly detection, with and without known anomalies.

Every metric is a function of ``target`` (1 for a known anomaly, else 0, shape (n,); NaN where
nothing is known), ``scores`` (the share of random rows that stand out less, and the anomaly score,
shape (n, 2)), ``weights`` (how many rows each row stands for, shape (n,)) and ``value`` (how many
rows can be looked at, and what that is worth).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column, Contract, ProjectError, convert
from utils.metric import MetricOf
from utils.outcome import SCORE, SHARE, Decision, alarms

Array = npt.NDArray[np.float64]

PER_MANY = 1000


class Amounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``value`` section of ``params.yaml``.

    ``contamination`` is the share of rows that can be looked at. The others are worths, in
    ``currency``: of an alarm for an anomaly, of one for a usual row, and of an anomaly without one.
    """

    contamination: float
    currency: str
    right_alarm: float
    false_alarm: float
    missed_anomaly: float = 0.0


class Value(NamedTuple):
    """How many rows can be looked at, and what comes of it, as in ``Amounts``."""

    contamination: float
    currency: str
    right_alarm: float
    false_alarm: float
    missed_anomaly: float


Metric = MetricOf[Value]


def with_target(contract: Contract) -> bool:
    """Say whether records come with a target, for metrics that need one."""
    return contract.has_target


def load_value(values: Mapping[str, Any], target: Column) -> Value:
    """Read the ``value`` section of ``params.yaml``.

    Raises:
        ProjectError: a key is missing or unknown, the share is not between 0 and a half, or alarms
            can't be worth anything.
    """
    del target
    source = "params.yaml, section value"
    amounts = convert(dict(values), Amounts, source)
    if not 0 < amounts.contamination <= 0.5:  # noqa: PLR2004
        raise ProjectError(
            f"{source}: contamination is {amounts.contamination}, but is the share of rows that "
            "can be looked at, above 0 and at most 0.5."
        )
    if amounts.right_alarm <= amounts.missed_anomaly or amounts.false_alarm >= 0:
        raise ProjectError(
            f"{source}: right_alarm must be worth more than missed_anomaly, and false_alarm less "
            "than nothing; else every row should raise an alarm, or none."
        )
    return Value(**msgspec.structs.asdict(amounts))


def highest(values: Array, weights: Array, share: float) -> Array:
    """Return how much of each row is among the highest, from 0 to 1, shape (n,).

    Of rows with equal values each counts with the same part, so that their order does not matter.

    Args:
        values: what rows are ordered by, shape (n,).
        weights: how many rows each stands for, shape (n,).
        share: of the rows that are taken.
    """
    _, group = np.unique(-values, return_inverse=True)
    size = np.bincount(group, weights)
    before = np.cumsum(size) - size
    taken = np.clip(share * weights.sum() - before, 0, size)
    part = np.divide(taken, size, out=np.zeros_like(size), where=size > 0)
    found: Array = part[group]
    return found


def mass_volume_area(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean share of random rows that stand out less than a row; 0.5 for a blind detector.

    Source: Goix (2016), How to Evaluate the Quality of Unsupervised Anomaly Detection Algorithms?
    """
    del target, value
    return float(np.average(scores[:, SHARE], weights=weights))


def _ranked(target: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """Return the weight of anomalies and of all rows from each distinct score on, descending."""
    order = np.argsort(-scores[:, SCORE], kind="stable")
    ranked = scores[order, SCORE]
    last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
    found = np.cumsum(np.where(target[order] == 1, weights[order], 0.0))[last]
    return found, np.cumsum(weights[order])[last]


def average_precision(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Precision averaged over the recall steps; NaN without a known anomaly."""
    del value
    found, looked_at = _ranked(target, scores, weights)
    if found[-1] <= 0:
        return float("nan")
    precision = np.divide(found, looked_at, out=np.zeros_like(found), where=looked_at > 0)
    return float(np.sum(np.diff(found, prepend=0.0) * precision) / found[-1])


def roc_auc(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Share of (anomaly, usual row) pairs ranked rightly, ties counted half; NaN without both.

    Source: Hanley and McNeil (1982).
    """
    del value
    found, looked_at = _ranked(target, scores, weights)
    usual = looked_at - found
    if found[-1] <= 0 or usual[-1] <= 0:
        return float("nan")
    area = np.trapezoid(np.append(0.0, found), np.append(0.0, usual))
    return float(area / found[-1] / usual[-1])


def precision_at_k(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Share of anomalies among the k rows with the highest scores; NaN without a known anomaly.

    k is ``contamination`` times the number of rows.
    """
    if not np.sum(weights[target == 1]) > 0:
        return float("nan")
    looked_at = weights * highest(scores[:, SCORE], weights, value.contamination)
    return float(np.sum(looked_at * target) / np.sum(looked_at))


def recall_at_k(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Share of the anomalies that are among the k rows; NaN without a known anomaly."""
    every = np.sum(weights[target == 1])
    if not every > 0:
        return float("nan")
    looked_at = weights * highest(scores[:, SCORE], weights, value.contamination)
    return float(np.sum(looked_at * target) / every)


def worth_of(target: Array, looked_at: Array, value: Value) -> Array:
    """Return what looking at rows is worth, shape (n,), NaN where the target is.

    Args:
        target: known anomalies, shape (n,).
        looked_at: how much of each row raises an alarm, from 0 to 1, shape (n,).
        value: what that is worth.
    """
    if_alarm = np.where(target == 1, value.right_alarm, value.false_alarm)
    if_none = np.where(target == 1, value.missed_anomaly, 0.0)
    worth = looked_at * if_alarm + (1 - looked_at) * if_none
    return np.where(np.isnan(target), np.nan, worth)


def value_per_decision(target: Array, scores: Array, weights: Array, value: Value) -> float:
    """Mean worth of a row if the k rows with the highest scores are looked at."""
    looked_at = highest(scores[:, SCORE], weights, value.contamination)
    return float(np.average(worth_of(target, looked_at, value), weights=weights))


METRICS: dict[str, Metric] = {
    "mass_volume_area": Metric("Area under the mass-volume curve", "", False, mass_volume_area),
    "average_precision": Metric("Average precision", "", True, average_precision, with_target),
    "precision_at_k": Metric("Precision at k", "", True, precision_at_k, with_target),
    "recall_at_k": Metric("Recall at k", "", True, recall_at_k, with_target),
    "roc_auc": Metric("ROC AUC", "", True, roc_auc, with_target),
    "value_per_decision": Metric(
        "Value per row at k", "currency", True, value_per_decision, with_target
    ),
}


# Means of outcome and score


def level_labels(target: Column) -> tuple[str, str]:
    """Name the two numbers of ``levels``."""
    known = f"Share with {target.name} = {target.allowed[1]}" if target.name else "Known anomalies"
    return known, "Mean anomaly score"


def levels(target: Array, scores: Array, weights: Array) -> tuple[float, float]:
    """Return the share of known anomalies, NaN where nothing is known, and the mean score."""
    return (
        float(np.average(target, weights=weights)),
        float(np.average(scores[:, SCORE], weights=weights)),
    )


# Decisions


def decision_rates(
    target: Array, scores: Array, weights: Array, decision: Decision
) -> dict[str, float]:
    """Return how often some rows raise an alarm, by name."""
    del target
    raised = float(np.average(alarms(scores, decision), weights=weights))
    return {f"Alarms per {PER_MANY:,} rows": PER_MANY * raised}


class DecisionReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the alarms led to; counts are sums of weights, those of anomalies need a target."""

    threshold: float
    alarms_per_1000_rows: float
    words: list[str]
    true_alarms: float | None = None
    false_alarms: float | None = None
    missed_anomalies: float | None = None
    precision: float | None = None
    recall: float | None = None
    value_per_row: float | None = None


def decision_summary(
    target: Array, scores: Array, weights: Array, value: Value, decision: Decision
) -> DecisionReport:
    """Count the alarms and, where anomalies are known, say how many are right."""
    raised = alarms(scores, decision)
    total, count = float(weights.sum()), float(weights[raised].sum())
    report = DecisionReport(
        threshold=decision.threshold,
        alarms_per_1000_rows=PER_MANY * count / total,
        words=[
            f"A score of {decision.threshold:.4g} or more raises an alarm; among the training rows "
            f"that would have been the {value.contamination:.2%} that can be looked at. It is so "
            f"in {count:,.0f} of {total:,.0f} held-out rows, {PER_MANY * count / total:.1f} of "
            f"{PER_MANY:,}. How many of them are right is not known, as no row says so."
        ],
    )
    if np.isnan(target).any():
        return report
    right = float(weights[raised & (target == 1)].sum())
    anomalies = float(weights[target == 1].sum())
    return msgspec.structs.replace(
        report,
        true_alarms=right,
        false_alarms=count - right,
        missed_anomalies=anomalies - right,
        precision=right / count if count else None,
        recall=right / anomalies if anomalies else None,
        value_per_row=float(
            np.average(worth_of(target, raised.astype(np.float64), value), weights=weights)
        ),
        words=[
            f"A score of {decision.threshold:.4g} or more raises an alarm: the threshold that was "
            "worth the most on out-of-fold rows, given the amounts in params.yaml. On the "
            f"held-out rows there are {PER_MANY * count / total:.1f} alarms per {PER_MANY:,} rows: "
            f"{count:,.0f}, {right:,.0f} of them right, and {anomalies - right:,.0f} of "
            f"{anomalies:,.0f} anomalies raise none."
        ],
    )

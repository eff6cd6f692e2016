"""Amounts of money in words, and the report of what a model is worth."""

from typing import Any

import msgspec

from model_training.results import Estimate
from utils.config import ProjectError, convert
from utils.paths import EVALUATION, REPORTS

VALUE = REPORTS / "value.json"

# Decisions or predictions that an amount is stated for, so that it is neither tiny nor huge.
MANY = 1000
CHANGES = (0.8, 1.2)


class Table(msgspec.Struct, frozen=True):
    """A table of texts."""

    header: list[str]
    rows: list[list[str]]


class ValueReport(msgspec.Struct, frozen=True):
    """What the model is worth: in sentences, in one table, and in numbers by name.

    The last sentence introduces the table.
    """

    currency: str
    findings: list[str]
    table: Table
    numbers: dict[str, float]


def amount(value: float, currency: str) -> str:
    """Return what many decisions or predictions are worth, in whole units of the currency."""
    return f"{round(MANY * value) + 0:,} {currency}".rstrip()


def between(estimate: Estimate, currency: str, confidence: float) -> str:
    """Return an amount for many with its interval, for one given with its own."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "not defined"
    return (
        f"{amount(estimate.value, currency)} ({amount(estimate.low, '')} to "
        f"{amount(estimate.high, '')} with {confidence:.0%} confidence)"
    )


def surely_more(estimate: Estimate) -> bool:
    """Whether the whole interval lies above 0."""
    return estimate.low is not None and estimate.low > 0


def measured(evaluation: dict[str, Any], metric: str, side: str) -> Estimate:
    """Return a metric of the evaluation.

    Args:
        evaluation: the report of the evaluation.
        metric: name of the metric.
        side: ``model``, ``baseline`` or ``improvement``.

    Raises:
        ProjectError: the evaluation does not have it.
    """
    for item in evaluation["metrics"]:
        if item["name"] == metric:
            return convert(item[side], Estimate, str(EVALUATION))
    raise ProjectError(f"{EVALUATION} has no metric {metric}. `make run` measures it.")

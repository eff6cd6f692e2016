"""What deciding with the model is worth, in words, a table and a figure.

Usage: ``python -m model_training.business_value``.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_prep.storage import read_table
from data_viz.plot_utils import save_figures
from data_viz.value_plots import Labels, value_figure
from model_training.worth import (
    CHANGES,
    MANY,
    Interval,
    Table,
    ValueReport,
    amount,
    between,
    measured,
    surely_more,
)
from utils.config import Evaluation, load_contract, load_params
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import Value, load_value
from utils.paths import EVALUATION, PREDICTIONS, SELECTION, VALUE

FIGURES = Path("reports/figures/value")
METRIC = "value_per_decision"
THRESHOLDS = np.linspace(0, 1, 201)

Array = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class Worth(NamedTuple):
    """What each kind of decision is worth, by whether it acts and by the outcome."""

    act_1: float
    act_0: float
    leave_1: float
    leave_0: float


def worth(value: Value) -> Worth:
    """Return the amounts of the settings."""
    return Worth(
        act_1=value.true_positive,
        act_0=value.false_positive,
        leave_1=value.false_negative,
        leave_0=value.true_negative,
    )


def probabilities(predictions: pa.Table) -> Array:
    """Return the predicted probability of the outcome 1, shape (n,)."""
    predicted: Array = predictions["score"].to_numpy()
    return predicted


def gained(outcome: Array, acted: npt.NDArray[np.bool_], amounts: Worth) -> Array:
    """Return what each decision brought, shape (n,)."""
    positive = outcome == 1
    return np.where(
        acted,
        np.where(positive, amounts.act_1, amounts.act_0),
        np.where(positive, amounts.leave_1, amounts.leave_0),
    )


def break_even(amounts: Worth) -> float:
    """Return the probability from which acting is worth at least as much as not acting.

    1 if it never is. Source: Elkan (2001), The Foundations of Cost-Sensitive Learning, equation 2.
    """
    if_0 = amounts.leave_0 - amounts.act_0
    total = if_0 + amounts.act_1 - amounts.leave_1
    return float(np.clip(if_0 / total, 0.0, 1.0)) if total > 0 else 1.0


def value_curve(outcome: Array, probability: Array, amounts: Worth) -> Array:
    """Return the mean worth of a decision at each of ``THRESHOLDS``."""
    return np.array([gained(outcome, probability >= level, amounts).mean() for level in THRESHOLDS])


def promised(probability: Array, acted: npt.NDArray[np.bool_], amounts: Worth) -> float:
    """Return the mean worth of a decision if the probabilities are right."""
    act = probability * amounts.act_1 + (1 - probability) * amounts.act_0
    leave = probability * amounts.leave_1 + (1 - probability) * amounts.leave_0
    return float(np.where(acted, act, leave).mean())


def mean_difference(differences: Array, settings: Evaluation, seed: int) -> Interval:
    """Return the mean of what one way is worth more than another, with a bootstrap interval.

    Args:
        differences: per row, shape (n,).
        settings: number of resamples and confidence.
        seed: makes the interval repeatable.
    """
    generator = np.random.default_rng(seed)
    count = differences.size
    means = [
        float(differences[generator.integers(0, count, count)].mean())
        for _ in range(settings.bootstrap_samples)
    ]
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(differences.mean()) + 0.0, float(low) + 0.0, float(high) + 0.0)


def sensitivity(
    outcome: Array,
    probability: Array,
    amounts: Worth,
    *,
    threshold: float,
    currency: str,
    name: str,
) -> tuple[Table, float]:
    """Return what happens when one amount is 20 % off, and the most that keeping on loses.

    ``name`` is what is predicted. Amounts of 0 are left out, as a fifth of nothing is nothing.
    """
    words = {
        "act_1": f"acting where {name} = 1",
        "act_0": f"acting where {name} = 0",
        "leave_1": f"not acting where {name} = 1",
        "leave_0": f"not acting where {name} = 0",
    }
    rows, most = [], 0.0
    for field, current in amounts._asdict().items():
        for factor in CHANGES if current else ():
            changed = amounts._replace(**{field: current * factor})
            level = break_even(changed)
            kept = gained(outcome, probability >= threshold, changed).mean()
            moved = gained(outcome, probability >= level, changed).mean()
            most = max(most, float(moved - kept))
            rows.append(
                [
                    f"{words[field]}: {current * factor:,.4g} instead of {current:,.4g} {currency}",
                    f"{level:.1%}",
                    amount(float(kept), currency),
                    amount(float(moved), currency),
                ]
            )
    header = [
        "If an amount is 20% off",
        "Break-even",
        f"Worth per {MANY:,} at the threshold in use",
        f"Worth per {MANY:,} at the new break-even",
    ]
    return Table(header, rows), most


def _against(other: str, difference: Interval, currency: str, confidence: float) -> str:
    told = f"Against {other} that is {between(difference, currency, confidence)} per {MANY:,}"
    if surely_more(difference):
        return f"{told} more."
    return f"{told}, an interval that includes 0: no certain gain."


def findings(
    numbers: dict[str, float],
    estimates: dict[str, Interval],
    currency: str,
    confidence: float,
) -> Iterable[str]:
    """Say what the numbers mean, a sentence or two each."""
    yield (
        f"Deciding with the model brought {between(estimates['model'], currency, confidence)} "
        f"per {MANY:,} decisions on the held-out rows; it acts in {numbers['acted_share']:.1%} of "
        "them."
    )
    for name in ("the naive baseline", "acting for everybody", "acting for nobody"):
        yield _against(name, estimates[name], currency, confidence)
    yield (
        f"Acting breaks even at a probability of {numbers['break_even']:.1%}: below it, acting "
        f"costs more than it brings. The threshold in use is {numbers['threshold']:.1%}. Looking "
        f"back, {numbers['best_threshold']:.1%} would have brought the most, "
        f"{amount(numbers['best'] - numbers['model'], currency)} more per {MANY:,}; that number "
        "flatters, as it was chosen and measured on the same rows."
    )
    yield (
        f"The probabilities promised {amount(numbers['promised'], currency)} per {MANY:,} "
        f"decisions, and {amount(numbers['model'], currency)} came of it."
    )
    yield (
        "If one amount were a fifth higher or lower and the threshold stayed, at most "
        f"{amount(numbers['lost_if_off'], currency)} per {MANY:,} decisions would be lost against "
        "moving it:"
    )


def main() -> None:
    """Measure what deciding with the model is worth on the held-out rows."""
    params, contract = load_params(), load_contract()
    evaluation = read_json(EVALUATION)
    value = load_value(params.value)
    amounts, currency = worth(value), value.currency
    predictions = read_table(PREDICTIONS)
    outcome = predictions[contract.target.name].to_numpy().astype(np.float64)
    probability = probabilities(predictions)
    threshold = read_json(SELECTION)["decision"]["threshold"]
    acted = probability >= threshold
    everybody = np.ones(outcome.size, dtype=np.bool_)
    decided, always, never = (
        gained(outcome, choice, amounts) for choice in (acted, everybody, ~everybody)
    )
    curve = value_curve(outcome, probability, amounts)
    settings, seed = params.evaluation, params.split.seed
    table, most = sensitivity(
        outcome,
        probability,
        amounts,
        threshold=threshold,
        currency=currency,
        name=contract.target.name,
    )
    numbers = {
        "model": float(decided.mean()),
        "everybody": float(always.mean()),
        "nobody": float(never.mean()),
        "acted_share": float(acted.mean()),
        "threshold": threshold,
        "break_even": break_even(amounts),
        "best": float(curve.max()),
        "best_threshold": float(THRESHOLDS[curve.argmax()]),
        "promised": promised(probability, acted, amounts),
        "lost_if_off": most,
    }
    estimates = {
        "model": measured(evaluation, METRIC, "model"),
        "the naive baseline": measured(evaluation, METRIC, "improvement"),
        "acting for everybody": mean_difference(decided - always, settings, seed),
        "acting for nobody": mean_difference(decided - never, settings, seed),
    }
    report = ValueReport(
        currency=currency,
        findings=list(findings(numbers, estimates, currency, settings.confidence)),
        table=table,
        numbers=numbers,
        curve={"threshold": THRESHOLDS.tolist(), "value": curve.tolist()},
    )
    write_json(VALUE, report)
    marks = {f"threshold in use, {threshold:.1%}": threshold}
    if abs(numbers["break_even"] - threshold) > THRESHOLDS[1]:
        marks[f"break-even, {numbers['break_even']:.1%}"] = numbers["break_even"]
    figure = value_figure(
        THRESHOLDS,
        MANY * curve,
        levels={
            "acting for everybody": MANY * numbers["everybody"],
            "acting for nobody": MANY * numbers["nobody"],
        },
        marks=marks,
        labels=Labels(
            f"Worth of {MANY:,} decisions over the threshold",
            f"probability of {contract.target.name} = 1 from which to act",
            f"{currency} per {MANY:,} decisions",
            shares=True,
        ),
    )
    save_figures({"value_curve": figure}, FIGURES)
    log.info("valued", extra={"value_per_decision": numbers["model"]})


if __name__ == "__main__":
    run(main)

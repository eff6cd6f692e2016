"""What deciding with the model is worth, in words, a table and a figure.

Usage: ``python -m model_training.business_value``.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from data_prep.storage import read_parquet, read_table
from data_viz.plot_utils import save_figures
from data_viz.value_plots import Labels, value_figure
from data_viz.ways_plots import ways_figure
from model_training.data_preprocessing import row_weights, target
from model_training.resampling import resamples, units_of
from model_training.results import Estimate, scores_of
from model_training.worth import (
    CHANGES,
    MANY,
    VALUE,
    Table,
    ValueReport,
    amount,
    between,
    measured,
    surely_more,
)
from utils.config import Column, Evaluation, convert, load_contract, load_params
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import Value, ValueCurve, load_value, worth_of
from utils.outcome import TWO, decide, decision_threshold
from utils.paths import EVALUATION, PREDICTIONS, TEST

FIGURES = Path("reports/figures/value")
METRIC = "value_per_decision"
BASELINE = "the naive baseline"
# Of more classes, the most frequent are listed.
SHOWN_CLASSES = 12

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


class Cases(NamedTuple):
    """Rows to decide: class (n,), probability of each class (n, k) and weight (n,)."""

    outcome: Array
    scores: Array
    weights: Array

    def mean(self, gained: Array) -> float:
        """Return the mean over the rows, by their weights."""
        return float(np.average(gained, weights=self.weights))


def constant(cases: Cases, code: int, value: Value) -> Array:
    """Return what deciding for one class in every row brings, shape (n,)."""
    return worth_of(cases.outcome, np.full(cases.outcome.size, code), value)


def promised(cases: Cases, value: Value) -> float:
    """Return the mean worth of a decision if the probabilities are right."""
    return cases.mean((cases.scores @ value.worth).max(axis=1))


def mean_difference(
    differences: Array, weights: Array, units: Rows, settings: Evaluation, seed: int
) -> Estimate:
    """Return the mean of what one way is worth more than another, with a bootstrap interval.

    Args:
        differences: per row, shape (n,).
        weights: of the rows, shape (n,).
        units: what each row stays together with, numbered from 0, shape (n,).
        settings: number of resamples and confidence.
        seed: makes the interval repeatable.
    """
    generator = np.random.default_rng(seed)
    means = [
        float(np.average(differences[rows], weights=weights[rows]))
        for rows in resamples(units, settings.bootstrap_samples, generator)
    ]
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = float(np.average(differences, weights=weights))
    return Estimate(mean + 0.0, float(low) + 0.0, float(high) + 0.0)


def sensitivity(cases: Cases, value: Value, column: Column) -> tuple[Table, float]:
    """Return what happens when one amount is 20 % off, and the most that keeping on loses.

    Amounts of 0 are left out, as a fifth of nothing is nothing.
    """
    classes, currency = column.allowed, value.currency
    current = decide(cases.scores, value.worth)
    rows, most = [], 0.0
    for (actual, decided), known in np.ndenumerate(value.worth):
        for factor in CHANGES if known else ():
            changed = Value(currency, value.worth.copy())
            changed.worth[actual, decided] = known * factor
            kept, moved = (
                cases.mean(worth_of(cases.outcome, choice, changed))
                for choice in (current, decide(cases.scores, changed.worth))
            )
            most = max(most, moved - kept)
            rows.append(
                [
                    f"deciding for {classes[decided]} where {column.name} = {classes[actual]}: "
                    f"{known * factor:,.4g} instead of {known:,.4g} {currency}",
                    f"{decision_threshold(changed.worth):.1%}",
                    amount(kept, currency),
                    amount(moved, currency),
                ]
            )
    header = [
        "If an amount is 20% off",
        "Break-even",
        f"Worth per {MANY:,} at the threshold in use",
        f"Worth per {MANY:,} at the new break-even",
    ]
    return Table(header, rows), most


def frequent_classes(cases: Cases) -> Codes:
    """Return the most frequent classes, at most ``SHOWN_CLASSES``."""
    counts = np.bincount(cases.outcome.astype(np.int64), cases.weights, cases.scores.shape[1])
    order: Codes = np.argsort(-counts, kind="stable")[:SHOWN_CLASSES]
    return order


def by_class(cases: Cases, best: int, value: Value, column: Column) -> Table:
    """Return what decisions are worth where each class is the actual one.

    Args:
        cases: the rows.
        best: position of the class that is best to decide for in every row.
        value: what decisions are worth.
        column: the target.
    """
    gained = worth_of(cases.outcome, decide(cases.scores, value.worth), value)
    total, rows = cases.weights.sum(), []
    for code in frequent_classes(cases):
        chosen = (cases.outcome == code) & (cases.weights > 0)
        if not chosen.any():
            continue
        share = cases.weights[chosen].sum() / total
        mean = float(np.average(gained[chosen], weights=cases.weights[chosen]))
        alike, highest = float(value.worth[code, best]), float(value.worth[code].max())
        rows.append(
            [
                str(column.allowed[code]),
                f"{share:.1%}",
                *(amount(number, value.currency) for number in (mean, alike, highest)),
            ]
        )
    header = [
        f"Actual {column.name}",
        "Share of the rows",
        f"Worth per {MANY:,} with the model",
        f"Deciding for {column.allowed[best]} always",
        "Best possible",
    ]
    return Table(header, rows)


def _against(other: str, difference: Estimate, currency: str, confidence: float) -> str:
    told = f"Against {other} that is {between(difference, currency, confidence)} per {MANY:,}"
    if surely_more(difference):
        return f"{told} more."
    return f"{told}, an interval that includes 0: no certain gain."


def general_findings(
    numbers: Mapping[str, float],
    estimates: Mapping[str, Estimate],
    currency: str,
    confidence: float,
) -> Iterable[str]:
    """Say what the model is worth, alone and against other ways, a sentence or two each."""
    yield (
        f"Deciding with the model brought {between(estimates['model'], currency, confidence)} "
        f"per {MANY:,} decisions on the held-out rows."
    )
    for name, estimate in estimates.items():
        if name != "model":
            yield _against(name, estimate, currency, confidence)
    yield (
        f"The probabilities promised {amount(numbers['promised'], currency)} per {MANY:,} "
        f"decisions, and {amount(numbers['model'], currency)} came of it."
    )


def threshold_findings(
    numbers: Mapping[str, float], label: str | int, currency: str
) -> Iterable[str]:
    """Say where deciding for the second of two classes pays, and what depends on the amounts."""
    yield (
        f"Deciding for {label} breaks even at a probability of {numbers['break_even']:.1%}, the "
        f"threshold in use: below it, that costs more than it brings. The model decides so in "
        f"{numbers['decided_share']:.1%} of the rows. Looking back, "
        f"{numbers['best_threshold']:.1%} would have brought the most, "
        f"{amount(numbers['best'] - numbers['model'], currency)} more per {MANY:,}; that number "
        "flatters, as it was chosen and measured on the same rows."
    )
    yield (
        "If one amount were a fifth higher or lower and the threshold stayed, at most "
        f"{amount(numbers['lost_if_off'], currency)} per {MANY:,} decisions would be lost against "
        "moving it:"
    )


def curve_figure(curve: ValueCurve, currency: str, column: Column) -> Figure:
    """Show the worth over the probability from which it is decided for the second class."""
    first, second = column.allowed
    return value_figure(
        np.array(curve.thresholds),
        MANY * np.array(curve.value_per_decision),
        levels={
            f"deciding for {second} always": MANY * curve.always,
            f"deciding for {first} always": MANY * curve.never,
        },
        marks={f"break-even, {curve.break_even:.1%}": curve.break_even},
        labels=Labels(
            f"Worth of {MANY:,} decisions over the threshold",
            f"probability of {column.name} = {second} from which to decide for it",
            f"{currency} per {MANY:,} decisions",
            shares=True,
        ),
    )


class Stated(NamedTuple):
    """What is particular to two or to more classes."""

    numbers: dict[str, float]
    findings: list[str]
    table: Table
    figures: dict[str, Figure]


def of_two(cases: Cases, value: Value, column: Column, evaluation: dict[str, Any]) -> Stated:
    """State where deciding for the second class pays and how much depends on the amounts."""
    curve = convert(evaluation["decision"]["value_curve"], ValueCurve, str(EVALUATION))
    table, most = sensitivity(cases, value, column)
    decided = decide(cases.scores, value.worth)
    best = int(np.argmax(curve.value_per_decision))
    numbers = {
        "model": cases.mean(worth_of(cases.outcome, decided, value)),
        "decided_share": cases.mean(decided.astype(np.float64)),
        "break_even": curve.break_even,
        "best": curve.value_per_decision[best],
        "best_threshold": curve.thresholds[best],
        "lost_if_off": most,
    }
    said = list(threshold_findings(numbers, column.allowed[1], value.currency))
    return Stated(
        numbers, said, table, {"value_curve": curve_figure(curve, value.currency, column)}
    )


def of_more(cases: Cases, value: Value, column: Column, evaluation: dict[str, Any]) -> Stated:
    """State what deciding alike brings, and what the model brings for each actual class."""
    alike = [cases.mean(constant(cases, code, value)) for code in range(len(column.allowed))]
    best = int(np.argmax(alike))
    baseline = measured(evaluation, METRIC, "baseline").value
    model = cases.mean(worth_of(cases.outcome, decide(cases.scores, value.worth), value))
    ways = {"model": model} | ({} if baseline is None else {"naive baseline": baseline})
    listed = dict.fromkeys([best, *frequent_classes(cases).tolist()])
    ways |= {f"always {column.allowed[code]}": alike[code] for code in listed}
    shown = min(len(column.allowed), SHOWN_CLASSES)
    few = f" (the {shown} most frequent)" if shown < len(column.allowed) else ""
    figure = ways_figure(
        {name: MANY * mean for name, mean in ways.items()},
        f"Worth of {MANY:,} decisions",
        f"{value.currency} per {MANY:,} decisions",
    )
    return Stated(
        {"model": model, "best_alike": alike[best]},
        [f"By actual {column.name}{few}, the decisions are worth:"],
        by_class(cases, best, value, column),
        {"ways_to_decide": figure},
    )


def main() -> None:
    """Measure what deciding with the model is worth on the held-out rows."""
    params, contract = load_params(), load_contract()
    column, settings = contract.target, params.evaluation
    evaluation, test = read_json(EVALUATION), read_parquet(TEST)
    value = load_value(params.value, column)
    predicted = scores_of(read_table(PREDICTIONS))
    cases = Cases(target(test, contract), predicted, row_weights(test, contract))
    units = units_of(test, contract, params.split)
    two = len(column.allowed) == TWO
    stated = (of_two if two else of_more)(cases, value, column, evaluation)
    decided = worth_of(cases.outcome, decide(cases.scores, value.worth), value)
    ways = {
        f"deciding for {label} always": constant(cases, code, value)
        for code, label in enumerate(column.allowed)
    }
    if not two:
        name = max(ways, key=lambda way: cases.mean(ways[way]))
        ways = {f"{name}, the best that is the same for all": ways[name]}
    estimates = {
        "model": measured(evaluation, METRIC, "model"),
        BASELINE: measured(evaluation, METRIC, "improvement"),
        **{
            name: mean_difference(
                decided - gained, cases.weights, units, settings, params.split.seed
            )
            for name, gained in ways.items()
        },
    }
    numbers = {**stated.numbers, "promised": promised(cases, value)}
    said = general_findings(numbers, estimates, value.currency, settings.confidence)
    report = ValueReport(
        currency=value.currency,
        findings=[*said, *stated.findings],
        table=stated.table,
        numbers=numbers,
    )
    write_json(VALUE, report)
    save_figures(stated.figures, FIGURES)
    log.info("valued", extra={"value_per_decision": numbers["model"]})


if __name__ == "__main__":
    run(main)

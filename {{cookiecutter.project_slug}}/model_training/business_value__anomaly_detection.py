"""What raising alarms with the model is worth, in words, a table and a figure.

Usage: ``python -m model_training.business_value``. Where no anomaly is known, it says from which
precision on alarms pay, and what looking at them costs, but not what comes of it.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from data_prep.storage import read_parquet, read_table
from data_viz.plot_utils import save_figures
from data_viz.value_plots import Labels, value_figure
from model_training.data_preprocessing import row_weights, target
from model_training.judged import Judged
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
from utils.config import Evaluation, Params, load_contract, load_params
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import Value, highest, load_value, worth_of
from utils.outcome import SCORE
from utils.paths import EVALUATION, PREDICTIONS, TEST

FIGURES = Path("reports/figures/value")
METRIC = "value_per_decision"
AT_K = "the naive baseline at k"
# The curve ends at this share of the rows, beyond which few would look.
LOOKED_AT = 0.2
POINTS = 201
# Shares of right alarms for which their worth is told where nobody knows the share.
SUPPOSED = (0.1, 0.25, 0.5, 0.75)
AMOUNTS = ("right_alarm", "false_alarm", "missed_anomaly")

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


def break_even(value: Value) -> float:
    """Return the share of alarms that has to be right for alarms to pay."""
    gained = value.right_alarm - value.missed_anomaly
    return -value.false_alarm / (gained - value.false_alarm)


def looked_at(cases: Judged, share: float) -> Array:
    """Return how much of each row is among a share of the rows with the highest scores, (n,)."""
    return highest(cases.predicted[:, SCORE], cases.weights, share)


def mean_worth(cases: Judged, raised: Array, value: Value) -> float:
    """Return the mean worth of rows of which some raise an alarm, shape (n,)."""
    return float(np.average(worth_of(cases.outcome, raised, value), weights=cases.weights))


def worth_curve(cases: Judged, shares: Array, value: Value) -> Array:
    """Return the mean worth of a row for each share of the rows that is looked at, shape (k,)."""
    return np.array([mean_worth(cases, looked_at(cases, share), value) for share in shares])


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


def sensitivity(cases: Judged, raised: Array, value: Value) -> Table:
    """Return what happens when one amount is 20 % off; amounts of 0 are left out."""
    rows = []
    for name in AMOUNTS:
        known = float(getattr(value, name))
        for factor in CHANGES if known else ():
            amounts: dict[str, Any] = {name: known * factor}
            changed = value._replace(**amounts)
            rows.append(
                [
                    f"{name.replace('_', ' ')}: {known * factor:,.4g} instead of {known:,.4g} "
                    f"{value.currency}",
                    f"{break_even(changed):.1%}",
                    amount(mean_worth(cases, raised, changed), value.currency),
                ]
            )
    header = [
        "If an amount is 20% off",
        "Precision from which alarms pay",
        f"Worth per {MANY:,} rows at the threshold in use",
    ]
    return Table(header, rows)


def _against(other: str, difference: Estimate, currency: str, confidence: float) -> str:
    told = f"Against {other} that is {between(difference, currency, confidence)} per {MANY:,}"
    if surely_more(difference):
        return f"{told} more."
    return f"{told}, an interval that includes 0: no certain gain."


def findings(
    numbers: Mapping[str, float], estimates: Mapping[str, Estimate], value: Value, confidence: float
) -> Iterable[str]:
    """Say what the alarms are worth, alone and against other ways, a sentence or two each."""
    currency = value.currency
    yield (
        f"The alarms of the model brought {between(estimates['model'], currency, confidence)} per "
        f"{MANY:,} held-out rows, at the threshold in use."
    )
    if value.missed_anomaly:
        yield _against("raising no alarm", estimates["raising no alarm"], currency, confidence)
    told = (
        f"If only the {value.contamination:.1%} of the rows with the highest scores can be looked "
        f"at, the model brings {between(estimates[AT_K], currency, confidence)} per {MANY:,} rows "
        "more than the naive baseline"
    )
    certain = "" if surely_more(estimates[AT_K]) else ", an interval that includes 0"
    yield f"{told}{certain}."
    yield (
        f"An alarm pays if at least {numbers['break_even']:.1%} of the alarms are right; "
        f"{numbers['precision']:.1%} of them are, and they concern {numbers['alarm_share']:.1%} of "
        f"the rows. Looking back, the {numbers['best_share']:.1%} of the rows with the highest "
        f"scores would have brought the most, "
        f"{amount(numbers['best'] - numbers['model'], currency)} more per {MANY:,}; that number "
        "flatters, as it was chosen and measured on the same rows."
    )
    yield "If one amount were a fifth higher or lower, the same alarms would be worth:"


def unknown_findings(numbers: Mapping[str, float], value: Value) -> Iterable[str]:
    """Say what is known about the worth of alarms where no anomaly is."""
    yield (
        f"The model raises {MANY * numbers['alarm_share']:,.1f} alarms per {MANY:,} rows. What "
        "they are worth can't be measured, as no row says whether it is an anomaly."
    )
    yield (
        f"With the amounts of params.yaml they pay if at least {numbers['break_even']:.1%} of them "
        f"are right. If none is, looking at them costs "
        f"{amount(-numbers['alarm_share'] * value.false_alarm, value.currency)} per {MANY:,} rows. "
        "What the first inspections find tells which it is."
    )
    yield "By how many of the alarms are right, they would be worth:"


def curve_figure(
    shares: Array, curve: Array, baseline: float | None, marks: Mapping[str, float], currency: str
) -> Figure:
    """Show the worth over the share of the rows that is looked at."""
    levels = {} if baseline is None else {"naive baseline at k": MANY * baseline}
    return value_figure(
        shares,
        MANY * curve,
        levels=levels,
        marks=marks,
        labels=Labels(
            f"Worth of {MANY:,} rows over the share that is looked at",
            "share of the rows with the highest scores that raises an alarm",
            f"{currency} per {MANY:,} rows",
            shares=True,
        ),
    )


def of_known(
    cases: Judged,
    raised: Array,
    value: Value,
    *,
    units: Rows,
    evaluation: dict[str, Any],
    params: Params,
) -> tuple[ValueReport, dict[str, Figure]]:
    """Measure the worth of alarms with known anomalies: report and figures."""
    settings, seed = params.evaluation, params.split.seed
    shares = np.linspace(0, LOOKED_AT, POINTS)
    curve = worth_curve(cases, shares, value)
    best = int(np.argmax(curve))
    alarm_share = float(np.average(raised, weights=cases.weights))
    right = float(np.average(raised * cases.outcome, weights=cases.weights))
    worth = worth_of(cases.outcome, raised, value)
    nothing = worth_of(cases.outcome, np.zeros(raised.size), value)
    numbers = {
        "model": mean_worth(cases, raised, value),
        "break_even": break_even(value),
        "alarm_share": alarm_share,
        "precision": right / alarm_share if alarm_share else 0.0,
        "best": float(curve[best]),
        "best_share": float(shares[best]),
    }
    estimates = {
        "model": mean_difference(worth, cases.weights, units, settings, seed),
        "raising no alarm": mean_difference(worth - nothing, cases.weights, units, settings, seed),
        AT_K: measured(evaluation, METRIC, "improvement"),
    }
    report = ValueReport(
        currency=value.currency,
        findings=list(findings(numbers, estimates, value, settings.confidence)),
        table=sensitivity(cases, raised, value),
        numbers=numbers,
    )
    marks = {
        f"threshold in use, {alarm_share:.1%}": alarm_share,
        f"share that can be looked at, {value.contamination:.1%}": value.contamination,
    }
    baseline = measured(evaluation, METRIC, "baseline").value
    figure = curve_figure(shares, curve, baseline, marks, value.currency)
    return report, {"value_curve": figure}


def of_unknown(cases: Judged, raised: Array, value: Value) -> ValueReport:
    """Say what is known about the worth of alarms without known anomalies."""
    numbers = {
        "break_even": break_even(value),
        "alarm_share": float(np.average(raised, weights=cases.weights)),
    }
    rows = []
    for share in SUPPOSED:
        worth = share * (value.right_alarm - value.missed_anomaly) + (1 - share) * value.false_alarm
        rows.append([f"{share:.0%}", amount(numbers["alarm_share"] * worth, value.currency)])
    header = ["If so many alarms are right", f"Worth per {MANY:,} rows, against raising none"]
    said = list(unknown_findings(numbers, value))
    return ValueReport(value.currency, said, Table(header, rows), numbers)


def main() -> None:
    """Measure what the alarms of the model are worth on the held-out rows."""
    params, contract = load_params(), load_contract()
    evaluation, test = read_json(EVALUATION), read_parquet(TEST)
    value = load_value(params.value, contract.target)
    cases = Judged(
        target(test, contract), scores_of(read_table(PREDICTIONS)), row_weights(test, contract)
    )
    threshold = float(evaluation["decision"]["threshold"])
    raised = (cases.predicted[:, SCORE] >= threshold).astype(np.float64)
    figures: dict[str, Figure] = {}
    if contract.has_target:
        units = units_of(test, contract, params.split)
        report, figures = of_known(
            cases, raised, value, units=units, evaluation=evaluation, params=params
        )
    else:
        report = of_unknown(cases, raised, value)
    write_json(VALUE, report)
    save_figures(figures, FIGURES)
    log.info("valued", extra={"alarms_per_1000_rows": MANY * report.numbers["alarm_share"]})


if __name__ == "__main__":
    run(main)

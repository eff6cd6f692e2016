"""What the errors of the model cost, in words, a table and a figure.

Usage: ``python -m model_training.business_value``.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.storage import read_parquet, read_table
from data_viz.plot_utils import column_label, save_figures
from data_viz.value_plots import Labels, value_figure
from model_training.data_preprocessing import row_weights
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
from utils.config import load_contract, load_params
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import Value, load_value
from utils.outcome import point
from utils.paths import EVALUATION, PREDICTIONS, TEST

FIGURES = Path("reports/figures/value")
METRIC = "value_per_prediction"
POINTS = 201
# The curve spans the shifts that would be right for all but a tenth of the rows on either side.
SPAN = (0.1, 0.9)

Array = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class Worth(NamedTuple):
    """What one unit of error costs."""

    too_high: float
    too_low: float


def worth(value: Value) -> Worth:
    """Return the amounts of the settings."""
    return Worth(too_high=value.cost_per_unit_too_high, too_low=value.cost_per_unit_too_low)


def costs(errors: Array, amounts: Worth) -> Array:
    """Return what each error, prediction minus outcome, costs, shape (n,)."""
    return np.where(errors > 0, errors * amounts.too_high, -errors * amounts.too_low)


def cheapest_shift(errors: Array, weights: Array, amounts: Worth) -> float:
    """Return what, added to every prediction, makes the errors cost least in all.

    It brings the share of predictions that are too high to ``too_low / (too_low + too_high)``.
    Source: Koenker and Bassett (1978), Regression Quantiles.
    """
    total = amounts.too_low + amounts.too_high
    level = amounts.too_low / total if total > 0 else 0.5
    return float(np.quantile(-errors, level, weights=weights, method="inverted_cdf"))


def negated(estimate: Estimate) -> Estimate:
    """Return a loss as what it costs, or the other way round."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(-estimate.value, -estimate.high, -estimate.low)


def mean_cost(errors: Array, weights: Array, amounts: Worth) -> float:
    """Return the mean cost of an error."""
    return float(np.average(costs(errors, amounts), weights=weights))


def cost_curve(errors: Array, weights: Array, shifts: Array, amounts: Worth) -> Array:
    """Return the mean cost of an error after each shift of the predictions."""
    return np.array([mean_cost(errors + shift, weights, amounts) for shift in shifts])


def sensitivity(
    errors: Array, weights: Array, amounts: Worth, currency: str, unit: str
) -> tuple[Table, float]:
    """Return what happens when one amount is 20 % off, and the most that keeping on loses.

    Amounts of 0 are left out, as a fifth of nothing is nothing.
    """
    current_shift = cheapest_shift(errors, weights, amounts)
    rows, most = [], 0.0
    for field, current in amounts._asdict().items():
        for factor in CHANGES if current else ():
            changed = amounts._replace(**{field: current * factor})
            shift = cheapest_shift(errors, weights, changed)
            kept, before, after = (
                mean_cost(errors + by, weights, changed) for by in (0.0, current_shift, shift)
            )
            most = max(most, before - after)
            rows.append(
                [
                    f"{field.replace('_', ' ')}: {current * factor:,.4g} instead of "
                    f"{current:,.4g} {currency}",
                    amount(kept, currency),
                    f"{shift:+.3g} {unit}".rstrip(),
                    amount(after, currency),
                ]
            )
    header = [
        "If an amount is 20% off",
        f"Cost per {MANY:,} as predicted",
        "Cheapest shift",
        f"Cost per {MANY:,} after it",
    ]
    return Table(header, rows), most


def findings(
    numbers: dict[str, float],
    cost: Estimate,
    saved: Estimate,
    currency: str,
    *,
    confidence: float,
    unit: str,
) -> Iterable[str]:
    """Say what the numbers mean, a sentence or two each."""
    yield (
        f"The errors of the model cost {between(cost, currency, confidence)} per {MANY:,} "
        "predictions on the held-out rows."
    )
    told = f"Against the naive baseline it saves {between(saved, currency, confidence)}"
    certain = "" if surely_more(saved) else ", an interval that includes 0: no certain gain"
    yield f"{told} per {MANY:,}{certain}."
    yield (
        f"{numbers['high_share_of_cost']:.0%} of the cost comes from predictions that are too "
        f"high, which are {numbers['high_share']:.0%} of all, and "
        f"{1 - numbers['high_share_of_cost']:.0%} from those that are too low."
    )
    shift = f"{numbers['shift']:+.3g} {unit}".rstrip()
    yield (
        f"Looking back, adding {shift} to every prediction would have cost the least, "
        f"{amount(numbers['model'] - numbers['shifted'], currency)} less per {MANY:,}; that number "
        "flatters, as the shift was chosen and measured on the same rows."
    )
    yield (
        "If one amount were a fifth higher or lower, the shift that is cheapest today would "
        f"cost at most {amount(numbers['lost_if_off'], currency)} per {MANY:,} more than the best "
        "one:"
    )


def main() -> None:
    """Measure what the errors of the model cost on the held-out rows."""
    params, contract = load_params(), load_contract()
    evaluation = read_json(EVALUATION)
    value = load_value(params.value, contract.target)
    amounts, currency, unit = worth(value), value.currency, contract.target.unit
    predictions = read_table(PREDICTIONS)
    outcome = predictions[contract.target.name].to_numpy().astype(np.float64)
    weights = row_weights(read_parquet(TEST), contract)
    errors = point(scores_of(predictions)) - outcome
    cost, shift = weights * costs(errors, amounts), cheapest_shift(errors, weights, amounts)
    low, high = np.quantile(-errors, SPAN, weights=weights, method="inverted_cdf")
    shifts = np.linspace(min(low, 0.0), max(high, 0.0), POINTS)
    curve = cost_curve(errors, weights, shifts, amounts)
    table, most = sensitivity(errors, weights, amounts, currency, unit)
    total = float(cost.sum())
    numbers = {
        "model": total / float(weights.sum()),
        "high_share": float(np.average(errors > 0, weights=weights)),
        "high_share_of_cost": float(cost[errors > 0].sum()) / total if total > 0 else 0.0,
        "shift": shift,
        "shifted": mean_cost(errors + shift, weights, amounts),
        "lost_if_off": most,
    }
    baseline = measured(evaluation, METRIC, "baseline").value
    report = ValueReport(
        currency=currency,
        findings=list(
            findings(
                numbers,
                negated(measured(evaluation, METRIC, "model")),
                measured(evaluation, METRIC, "improvement"),
                currency,
                confidence=params.evaluation.confidence,
                unit=unit,
            )
        ),
        table=table,
        numbers=numbers,
    )
    write_json(VALUE, report)
    figure = value_figure(
        shifts,
        MANY * curve,
        levels={} if baseline is None else {"naive baseline": -MANY * baseline},
        marks={"as predicted": 0.0, f"cheapest, {shift:+.3g}": shift},
        labels=Labels(
            f"Cost of the errors of {MANY:,} predictions when all are shifted",
            f"added to every predicted {column_label(contract.target)}",
            f"{currency} per {MANY:,} predictions",
            shares=False,
        ),
    )
    save_figures({"cost_curve": figure}, FIGURES)
    log.info("valued", extra={"cost_per_prediction": numbers["model"]})


if __name__ == "__main__":
    run(main)

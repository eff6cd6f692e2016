"""The selected model judged by the gold set: what programmatic labels hide.

Usage: ``python -m model_training.gold_evaluation``. The evaluation measures the model on labels
that functions assigned, errors included. On the held-out rows of the gold set both kinds of labels
are known, so the metric can be measured on either.
"""

import logging
from pathlib import Path

import msgspec
import narwhals as nw
import numpy as np
import polars as pl

from data_prep.feature_engineering import feature_names
from data_prep.labelled import read_decisions
from data_prep.storage import Frame, read_parquet
from model_training.candidates import scores
from model_training.data_preprocessing import model_inputs, row_weights, target
from model_training.model_file import load_model
from model_training.resampling import resamples, units_of
from model_training.results import Estimate, Selection
from utils.config import Contract, Params, ProjectError, convert, load_contract, load_params, recipe
from utils.files import read_json, write_json, write_text
from utils.logging import run
from utils.markdown import number
from utils.metrics import METRICS, load_value
from utils.paths import REPORTS, SELECTED, SELECTION, TEST

GOLD_REPORT = REPORTS / "gold_evaluation.json"
GOLD_TEXT = REPORTS / "labels_gold.md"
# Below this many rows an interval says so little that none is given.
FEWEST_ROWS = 20

log = logging.getLogger(__name__)


class Judgement(msgspec.Struct, frozen=True):
    """A metric by the assigned labels, by the gold labels, and the second minus the first."""

    assigned: Estimate
    gold: Estimate
    difference: Estimate


class GoldEvaluation(msgspec.Struct, frozen=True):
    """The chosen metric on the held-out rows of the gold set; None for too few of them."""

    metric: str
    rows: int
    judgement: Judgement | None


def with_gold(test: Frame, contract: Contract, params: Params) -> tuple[Frame, Frame]:
    """Return the held-out rows of the gold set, with the assigned and with the gold target."""
    given = Path((params.labels or {})["gold"])
    records = pl.DataFrame(test.select(contract.identifiers).to_arrow())
    rows, labels = read_decisions(given, records)
    kind = pl.Series(test[contract.target.name].to_arrow()).dtype
    gold = pl.Series(contract.target.name, labels, pl.String).cast(kind, strict=False)
    if gold.null_count():
        raise ProjectError(
            f"{given} has a label that {contract.target.name} cannot be. Correct it."
        )
    assigned = test[rows]
    column = nw.new_series(gold.name, gold.to_arrow(), backend=assigned.implementation)
    return assigned, assigned.with_columns(column)


def judge(params: Params, contract: Contract) -> GoldEvaluation:
    """Measure the selected model on both kinds of labels, with bootstrap intervals."""
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    metric, value = METRICS[selection.metric], load_value(params.value, contract.target)
    assigned, gold = with_gold(read_parquet(TEST), contract, params)
    rows = assigned.shape[0]
    if rows < FEWEST_ROWS:
        return GoldEvaluation(selection.metric, rows, None)
    names = feature_names(recipe(params, contract))
    predicted = scores(load_model(SELECTED), model_inputs(assigned, names))
    outcomes = target(assigned, contract), target(gold, contract)
    weights = row_weights(assigned, contract)
    generator = np.random.default_rng(params.split.seed)
    units = units_of(assigned, contract, params.split)
    resampled = np.array(
        [
            [metric.function(one[some], predicted[some], weights[some], value) for one in outcomes]
            for some in resamples(units, params.evaluation.bootstrap_samples, generator)
        ]
    )
    exact = np.array([metric.function(one, predicted, weights, value) for one in outcomes])
    tail = (1 - params.evaluation.confidence) / 2

    def estimate(measured: float, samples: np.typing.NDArray[np.float64]) -> Estimate:
        low, high = np.nanquantile(samples, [tail, 1 - tail])
        return Estimate(float(measured), float(low), float(high))

    judgement = Judgement(
        estimate(exact[0], resampled[:, 0]),
        estimate(exact[1], resampled[:, 1]),
        estimate(exact[1] - exact[0], resampled[:, 1] - resampled[:, 0]),
    )
    return GoldEvaluation(selection.metric, rows, judgement)


def _interval(item: Estimate) -> str:
    return f"{number(item.value)} ({number(item.low)} to {number(item.high)})"


def _differs(item: Estimate) -> bool:
    """Whether 0 lies outside the interval."""
    return item.low is not None and item.high is not None and (item.low > 0 or item.high < 0)


def to_markdown(report: GoldEvaluation) -> str:
    """Say how far the metric on assigned labels can be trusted, for the README."""
    label = METRICS[report.metric].label
    found = report.judgement
    if found is None:
        return (
            f"*Judged by the gold set.* Only {report.rows} held-out records are in the gold set, "
            f"too few to tell {label} by it. Label more of the newest records by hand."
        )
    verdict = (
        "The two differ beyond chance: believe the one by the gold set"
        if _differs(found.difference)
        else "The two do not differ beyond chance"
    )
    return (
        f"*Judged by the gold set.* On the {report.rows:,} held-out records of the gold set, "
        f"{label} is {_interval(found.gold)} by the gold labels and {_interval(found.assigned)} by "
        f"the assigned ones, a difference of {_interval(found.difference)}. {verdict}."
    )


def main() -> None:
    """Judge the selected model by the gold set."""
    params, contract = load_params(), load_contract()
    report = judge(params, contract)
    write_json(GOLD_REPORT, report)
    write_text(GOLD_TEXT, to_markdown(report) + "\n")
    log.info("judged by the gold set", extra={"rows": report.rows})


if __name__ == "__main__":
    run(main)

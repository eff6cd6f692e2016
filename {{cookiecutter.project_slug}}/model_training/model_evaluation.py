"""Evaluation on the held-out rows: metrics with confidence intervals, baseline and segments.

Usage: ``python -m model_training.model_evaluation``.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt

from data_prep.feature_engineering import feature_names
from data_prep.storage import Frame, read_parquet, write_parquet
from data_viz.performance_plots import performance_figures
from data_viz.plot_utils import candidates_figure, learning_curve_figure, save_figures
from model_training.candidates import candidates, scores
from model_training.data_preprocessing import model_inputs, row_weights
from model_training.hyperparameters import starting_points
from model_training.judged import Judged
from model_training.model_file import load_model
from model_training.model_selection import BASELINE, fit, pipeline
from model_training.outcomes import measured_on, outcomes
from model_training.resampling import resamples, units_of
from model_training.results import (
    Estimate,
    EvaluationReport,
    MetricResult,
    Segment,
    Selection,
    score_columns,
)
from model_training.updating import up_to_date
from utils.config import (
    Contract,
    Evaluation,
    convert,
    load_contract,
    load_params,
    recipe,
)
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import (
    METRICS,
    Metric,
    Value,
    decision_rates,
    decision_summary,
    level_labels,
    levels,
    load_value,
)
from utils.outcome import Decision
from utils.paths import EVALUATION, PREDICTIONS, SELECTED, SELECTION, TEST, TRAIN

FIGURES = Path("reports/figures/performance")
SUMMARY = Path("reports/metrics.json")

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


class Measured(NamedTuple):
    """Rows to measure on: outcomes, weights (n,), and scores of model and baseline, by row.

    ``units`` numbers what each row stays together with, shape (n,).
    """

    outcome: Array
    weights: Array
    model: Array
    baseline: Array
    units: Rows


def bootstrap(
    metric: Metric, value: Value, data: Measured, settings: Evaluation, seed: int
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimate a metric of the model, of the baseline and the improvement between them.

    Rows are drawn with replacement, the same for model and baseline, those that stay together
    together, and the percentile interval is taken. Source: Efron and Tibshirani (1993), An
    Introduction to the Bootstrap, chapter 13.

    Args:
        metric: the metric.
        value: what each decision or error is worth.
        data: the rows.
        settings: number of resamples and confidence.
        seed: makes the intervals repeatable.

    Returns:
        Model, baseline and improvement; a positive improvement means the model is better, and of
        a metric that is not comparable there is none.
    """
    outcome, weights = data.outcome, data.weights
    sign = 1.0 if metric.greater_is_better else -1.0
    generator = np.random.default_rng(seed)
    resampled = np.array(
        [
            [
                metric.function(outcome[rows], side[rows], weights[rows], value)
                for side in (data.model, data.baseline)
            ]
            for rows in resamples(data.units, settings.bootstrap_samples, generator)
        ]
    )
    exact = np.array(
        [metric.function(outcome, side, weights, value) for side in (data.model, data.baseline)]
    )
    tail = (1 - settings.confidence) / 2

    def estimate(point: float, samples: Array) -> Estimate:
        # A metric that needs both classes is undefined where rows of one class were drawn.
        if not np.isfinite(point):
            return Estimate(None, None, None)
        low, high = np.nanquantile(samples, [tail, 1 - tail])
        return Estimate(float(point), float(low), float(high))

    improved = sign * (resampled[:, 0] - resampled[:, 1]) + 0.0
    return (
        estimate(exact[0], resampled[:, 0]),
        estimate(exact[1], resampled[:, 1]),
        estimate(sign * (exact[0] - exact[1]) + 0.0, improved)
        if metric.comparable
        else Estimate(None, None, None),
    )


def segment_results(
    frame: Frame,
    data: Measured,
    columns: tuple[str, ...],
    metric: Metric,
    value: Value,
    *,
    decision: Decision,
) -> list[Segment]:
    """Measure metric and decisions for every category of ``columns``, largest segments first."""
    results = []
    judged = Judged(data.outcome, data.model, data.weights)
    for column in columns:
        categories = np.array(frame[column].to_list(), dtype=object)
        found = []
        for category in np.unique(categories.astype(str)):
            rows = np.flatnonzero(categories == category)
            part = judged.at(rows)
            if not part.weights.any():
                continue
            measured = measured_on(metric, judged, rows, value)
            mean_outcome, mean_score = levels(*part)
            found.append(
                Segment(
                    column=column,
                    category=str(category),
                    rows=rows.size,
                    mean_outcome=mean_outcome if np.isfinite(mean_outcome) else None,
                    mean_score=mean_score,
                    metric=float(measured) if np.isfinite(measured) else None,
                    decisions=decision_rates(*part, decision),
                )
            )
        results.extend(sorted(found, key=lambda segment: -segment.rows))
    return results


def _baseline_scores(train: Frame, test: Frame, contract: Contract) -> Array:
    params = load_params()
    steps = recipe(params, contract)
    names = feature_names(steps)
    points = starting_points(params.selection.candidates)
    competing = candidates(points, params.selection.metric, params.split.seed)
    model = pipeline(competing[BASELINE], names, contract)
    fit(model, model_inputs(train, names), outcomes(train, steps), row_weights(train, contract))
    held_out = model_inputs(test, names)
    return scores(up_to_date(model, held_out, outcomes(test, steps)), held_out)


def main() -> None:
    """Measure the selected model once on rows that no earlier step has used."""
    params, contract = load_params(), load_contract()
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    value = load_value(params.value, contract.target)
    train, test = read_parquet(TRAIN), read_parquet(TEST)
    steps = recipe(params, contract)
    names, outcome = feature_names(steps), outcomes(test, steps)
    held_out = model_inputs(test, names)
    predicted = scores(up_to_date(load_model(SELECTED), held_out, outcome), held_out)
    weights = row_weights(test, contract)
    baseline = _baseline_scores(train, test, contract)
    units = units_of(test, contract, params.split)
    data = Measured(outcome, weights, predicted, baseline, units)
    named = {"currency": value.currency, "target": contract.target.unit}
    results = [
        MetricResult(
            name,
            metric.label,
            named.get(metric.unit, metric.unit),
            metric.greater_is_better,
            *bootstrap(metric, value, data, params.evaluation, params.split.seed),
        )
        for name, metric in METRICS.items()
        if metric.applies(contract)
    ]
    report = EvaluationReport(
        model=selection.winner,
        rows=len(outcome),
        confidence=params.evaluation.confidence,
        metrics=results,
        decision=decision_summary(outcome, predicted, weights, value, selection.decision),
        level_labels=level_labels(contract.target),
        segments=segment_results(
            test,
            data,
            params.evaluation.segments,
            METRICS[selection.metric],
            value,
            decision=selection.decision,
        ),
    )
    keys = test.select(
        *contract.identifiers, *(column.name for column in contract.with_role("target"))
    )
    columns = [
        nw.new_series(name, values, nw.Float64, backend=keys.implementation)
        for name, values in score_columns(predicted).items()
    ]
    write_parquet(keys.with_columns(columns), PREDICTIONS)
    write_json(EVALUATION, report)
    write_json(SUMMARY, {result.name: result.model.value for result in results})
    chosen_metric = METRICS[selection.metric]
    better = "higher" if chosen_metric.greater_is_better else "lower"
    curve = [(point.rows, point.train, point.validation) for point in selection.learning_curve]
    save_figures(
        {
            **performance_figures(outcome, predicted, selection.decision, contract.target),
            "candidates": candidates_figure(
                selection.candidates, f"{chosen_metric.label} ({better} is better)"
            ),
            "learning_curve": learning_curve_figure(curve, chosen_metric.label),
        },
        FIGURES,
    )
    chosen = next(result for result in results if result.name == selection.metric)
    if not chosen.beats_baseline:
        log.warning("the model does not beat the naive baseline", extra={"metric": chosen.name})
    log.info("evaluated", extra={chosen.name: chosen.model.value, "rows": report.rows})


if __name__ == "__main__":
    run(main)

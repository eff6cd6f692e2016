"""Prediction intervals: they hold new rows, and follow the row where its errors do."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from data_prep.storage import read_parquet
from model_deployment.artefact import open_graph
from model_training.candidates import scores
from model_training.finished import Unseen
from model_training.finishing import finish
from model_training.model_export import check_parity, generated_inputs
from model_training.onnx_graph import build_graph
from model_training.spread import (
    FEWEST_ROWS,
    SpreadRegressor,
    adaptation,
    interval_scores,
    prediction_interval,
    unseen_spreads,
)
from tests.training import Trained, competing
from utils.files import read_json
from utils.metrics import Value, decision_summary
from utils.outcome import Array, Decision, interval, widths
from utils.paths import EVALUATION, SELECTION

VALUE = Value(currency="EUR", cost_per_unit_too_high=0.5, cost_per_unit_too_low=1.0)


def alike(predicted: Array) -> Array:
    """Return scores in which errors spread alike on all rows."""
    return np.column_stack([np.ones(predicted.size), predicted])


def uneven(rows: int, seed: int, growth: float = 3.0) -> tuple[Array, Array, Array]:
    """Return inputs, predictions and outcomes with errors that grow along the first input."""
    generator = np.random.default_rng(seed)
    inputs = generator.uniform(0, 1, (rows, 3))
    predicted = 10 * inputs[:, 1]
    errors = (0.5 + growth * inputs[:, 0]) * generator.normal(size=rows)
    return inputs, predicted, predicted + errors


def test_the_interval_covers_new_rows() -> None:
    generator = np.random.default_rng(2)
    seen, new = generator.exponential(1.0, 4000), generator.exponential(1.0, 4000)
    zeros, ones = alike(np.zeros(4000)), np.ones(4000)
    decision = prediction_interval(seen, zeros, ones, 0.9)
    summary = decision_summary(new, zeros, ones, VALUE, decision)
    assert summary.interval_coverage == pytest.approx(0.9, abs=0.02)
    assert summary.interval_width == pytest.approx(math.log(20) - math.log(20 / 19), rel=0.1)
    assert "too few to tell more" in summary.words[1]


def test_weights_widen_the_interval_as_rows_given_twice_would() -> None:
    seen, zeros = np.arange(100.0), alike(np.zeros(100))
    weights = np.where(seen >= 90, 5.0, 1.0)
    rows = np.repeat(np.arange(100), weights.astype(int))
    weighted = prediction_interval(seen, zeros, weights, 0.9)
    repeated = np.quantile(seen[rows], [0.05, 0.95], method="inverted_cdf")
    assert [weighted.lower, weighted.upper] == repeated.tolist()


def test_the_interval_score_is_least_at_the_true_quantiles() -> None:
    outcome = np.random.default_rng(3).normal(size=20_000)
    scores = alike(np.zeros(outcome.size))
    means = [
        interval_scores(outcome, scores, Decision(-end, end, 0.9)).mean()
        for end in (1.3, 1.645, 2.1)
    ]
    assert means[1] == min(means)
    single = interval_scores(np.array([3.0]), scores[:1], Decision(-1, 1, 0.9))
    assert single == pytest.approx(2 + 2 / 0.1 * 2), "width, and 2 outside at 20 each"


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_that_follows_the_row_holds_everywhere(confidence: float) -> None:
    inputs, predicted, outcome = uneven(4000, 4)
    ones = np.ones(4000)
    spreads = unseen_spreads(inputs, predicted, outcome - predicted, ones, 1)
    adapted = np.column_stack([spreads, predicted])
    found = adaptation(outcome, alike(predicted), adapted, ones, confidence)
    assert found.applied
    assert found.interval_score_adapted < 0.9 * found.interval_score_single
    decision = prediction_interval(outcome, adapted, ones, confidence)
    model = SpreadRegressor(Ridge()).fit(inputs, predicted)
    model.tell(inputs, predicted, outcome - predicted, ones, 1)
    new, told, happened = uneven(4000, 5)
    scored = np.column_stack([model.spreads(new, told), told])
    low, high = interval(scored, decision)
    inside = (happened >= low) & (happened <= high)
    for part in (new[:, 0] < 0.25, new[:, 0] > 0.75):
        assert inside[part].mean() == pytest.approx(confidence, abs=0.05)
    fixed = prediction_interval(outcome, alike(predicted), ones, confidence)
    low, high = interval(alike(told), fixed)
    inside = (happened >= low) & (happened <= high)
    assert inside[new[:, 0] > 0.75].mean() < confidence - 0.08, "one width fails where errors grow"
    wide = widths(scored, decision)
    assert wide[new[:, 0] > 0.75].mean() > 2 * wide[new[:, 0] < 0.25].mean()


def test_the_width_stays_where_errors_are_the_same_everywhere() -> None:
    for seed in range(5):
        inputs, predicted, outcome = uneven(1000, seed, growth=0.0)
        ones = np.ones(1000)
        spreads = unseen_spreads(inputs, predicted, outcome - predicted, ones, 1)
        adapted = np.column_stack([spreads, predicted])
        assert not adaptation(outcome, alike(predicted), adapted, ones, 0.9).applied


@pytest.mark.parametrize("name", competing())
def test_spreads_are_served_exactly(trained: Trained, tmp_path: Path, name: str) -> None:
    model = trained.fitted(name, rows=800)
    inputs, outcome = trained.inputs.tail(800), trained.outcome[-800:]
    rows = np.random.default_rng(6).normal(size=800) * (1 + inputs.notna().sum(axis=1).to_numpy())
    encoded = model.named_steps["encode"].transform(inputs)
    predicted = scores(model, inputs)[:, 1]
    model.named_steps["estimate"].tell(
        encoded, predicted, outcome - predicted + rows, np.ones(800), 1
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(build_graph(model, trained.names).SerializeToString())
    drawn = generated_inputs(model, trained.inputs, trained.names, 10_000, seed=3)
    assert np.ptp(scores(model, drawn)[:, 0]) > 0
    found = check_parity(model, open_graph(path, trained.recipe), {"generated rows": drawn})
    assert found < 1e-9


def test_few_rows_get_one_width(trained: Trained) -> None:
    model = trained.fitted(competing()[0])
    rows = FEWEST_ROWS - 1
    inputs, outcome = trained.inputs.tail(rows), trained.outcome[-rows:]
    unseen = Unseen(inputs, outcome, scores(model, inputs), np.ones(rows))
    finished = finish(model, unseen, trained.value, trained.params, trained.contract)
    assert finished.decision.adaptation is None
    assert (scores(finished.model, inputs)[:, 0] == 1).all()


def test_the_project_measures_its_intervals(project: Path) -> None:
    report = read_json(project / EVALUATION)
    low, middle, high = report["decision"]["width_quartiles"]
    assert low <= middle <= high
    inside = [segment["decisions"]["Inside the interval"] for segment in report["segments"]]
    assert all(0 <= share <= 1 for share in inside)
    decision = msgspec.convert(read_json(project / SELECTION)["decision"], Decision)
    assert decision.adaptation is not None
    predicted = read_parquet(project / "data/test_predictions.parquet")["score_0"].to_numpy()
    assert decision.adaptation.applied == (np.ptp(predicted) > 0)

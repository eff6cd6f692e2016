"""Metrics and intervals of forecasts against known values."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from model_training.finishing import NEIGHBOURS, prediction_interval, spread_per_step
from model_training.results import scores_of
from utils.config import Column, ProjectError
from utils.files import read_json
from utils.metrics import METRICS, Value, decision_summary, load_value
from utils.outcome import interval, point

VALUE = Value(currency="EUR", cost_per_unit_too_high=0.5, cost_per_unit_too_low=1.0)
NUMBERS = st.integers(-1000, 1000).map(float)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40)


def scored(forecasts: np.ndarray, unit: float = 1.0, ahead: np.ndarray | None = None) -> np.ndarray:
    """Return forecasts as scores."""
    steps = np.ones(forecasts.size) if ahead is None else ahead
    size = forecasts.size
    return np.column_stack([steps, np.full(size, unit), np.zeros(size), forecasts])


@settings(deadline=None)
@given(pairs=PAIRS)
def test_metrics_agree_with_the_standard_library(pairs: list[tuple[float, float]]) -> None:
    target, forecasts = (np.array(side) for side in zip(*pairs, strict=True))
    ones, scores = np.ones(target.size), scored(forecasts, 4.0)
    expected = {
        "mean_absolute_error": mean_absolute_error(target, forecasts),
        "root_mean_squared_error": root_mean_squared_error(target, forecasts),
        "mean_absolute_scaled_error": mean_absolute_error(target, forecasts) / 4,
    }
    if np.abs(target).sum() > 0:
        size = np.abs(target).sum()
        expected["weighted_absolute_percentage_error"] = np.abs(target - forecasts).sum() / size
        expected["absolute_bias"] = abs((forecasts - target).sum()) / size
    for name, value in expected.items():
        assert METRICS[name].function(target, scores, ones, VALUE) == pytest.approx(value, abs=1e-9)


def test_shares_of_nothing_are_undefined() -> None:
    zeros, ones = np.zeros(3), np.ones(3)
    for name in ("weighted_absolute_percentage_error", "absolute_bias"):
        assert math.isnan(METRICS[name].function(zeros, scored(ones), ones, VALUE))


def test_errors_that_cancel_are_no_bias() -> None:
    target, scores = np.array([10.0, 10.0]), scored(np.array([12.0, 8.0]))
    assert METRICS["absolute_bias"].function(target, scores, np.ones(2), VALUE) == 0
    assert METRICS["mean_absolute_error"].function(target, scores, np.ones(2), VALUE) == 2


def test_value_weighs_both_directions() -> None:
    target, scores = np.array([10.0, 10.0]), scored(np.array([12.0, 7.0]))
    measured = METRICS["value_per_prediction"].function(target, scores, np.ones(2), VALUE)
    assert measured == pytest.approx(-(2 * 0.5 + 3 * 1.0) / 2)


def growing(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values and scores of a series in units of 5 whose errors grow with the days ahead."""
    generator = np.random.default_rng(seed)
    ahead = generator.integers(1, 15, rows).astype(np.float64)
    target = 100 + 5 * (1 + ahead / 7) * generator.normal(0, 1, rows)
    return target, scored(np.full(rows, 100.0), 5.0, ahead)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_the_interval_holds_the_value_of_new_rows_at_every_day_ahead(confidence: float) -> None:
    seen, new = growing(1, 20_000), growing(2, 20_000)
    decision = prediction_interval(*seen, np.ones(20_000), confidence, 14)
    summary = decision_summary(*new, np.ones(20_000), VALUE, decision)
    assert summary.interval_coverage == pytest.approx(confidence, abs=0.02)
    assert [step.days_ahead for step in summary.steps] == list(range(1, 15))
    assert sum(step.rows for step in summary.steps) == 20_000
    for step in summary.steps[NEIGHBOURS:-NEIGHBOURS]:
        assert step.coverage == pytest.approx(confidence, abs=0.05)
    assert summary.steps[-1].width > 1.5 * summary.steps[0].width
    assert summary.steps[-1].mean_absolute_error > summary.steps[0].mean_absolute_error


def test_intervals_are_in_units_of_the_series() -> None:
    target, scores = growing(1, 5000)
    decision = prediction_interval(target, scores, np.ones(5000), 0.9, 14)
    low, high = interval(scores, decision)
    twice = scores * [1, 2, 1, 1]
    lower, higher = interval(twice, decision)
    assert (point(twice) - lower).tolist() == pytest.approx((2 * (point(scores) - low)).tolist())
    assert (higher - point(twice)).tolist() == pytest.approx((2 * (high - point(scores))).tolist())


def test_a_day_ahead_without_errors_takes_those_of_all() -> None:
    steps = np.array([1, 1, 2, 2])
    spreads = spread_per_step(np.array([3.0, -3.0, 3.0, 3.0]), steps, np.ones(4), 14)
    assert spreads.tolist() == [3.0] * 14
    assert spread_per_step(np.zeros(4), steps, np.ones(4), 2).tolist() == [1, 1]


def test_weights_widen_the_interval_as_rows_given_twice_would() -> None:
    target, zeros = np.arange(100.0), scored(np.zeros(100))
    weights = np.where(target >= 90, 5.0, 1.0)
    rows = np.repeat(np.arange(100), weights.astype(int))
    weighted = prediction_interval(target, zeros, weights, 0.9, 1)
    repeated = np.quantile(target[rows], [0.05, 0.95], method="inverted_cdf")
    assert [*weighted.lower, *weighted.upper] == pytest.approx(repeated.tolist())


def test_the_held_out_values_lie_in_the_interval_about_as_often_as_promised(
    in_project: Path,
) -> None:
    report = read_json(in_project / "reports/evaluation.json")
    rows = pl.read_parquet(in_project / "data/test_predictions.parquet")
    scores = scores_of(rows.to_arrow())
    assert scores.shape == (report["rows"], 4)
    # Rows of one window share what the season and the level do, so few of them tell little.
    assert report["confidence"] - 0.1 < report["decision"]["interval_coverage"] <= 1


def test_values_with_an_unknown_key_are_refused() -> None:
    with pytest.raises(ProjectError, match="unknown field `profit`"):
        load_value({"profit": 1.0}, Column("units", "target", "float", ""))

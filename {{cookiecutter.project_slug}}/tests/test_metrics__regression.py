"""Metrics of the regression against known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from utils.config import Column, ProjectError
from utils.metrics import METRICS, Value, load_value

VALUE = Value(currency="EUR", cost_per_unit_too_high=0.5, cost_per_unit_too_low=1.0)
NUMBERS = st.integers(-1000, 1000).map(float)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40)


def scored(predicted: np.ndarray) -> np.ndarray:
    """Return scores with these predictions."""
    return np.column_stack([np.ones(predicted.size), predicted])


@settings(deadline=None)
@given(pairs=PAIRS)
def test_metrics_agree_with_the_standard_libraries(pairs: list[tuple[float, float]]) -> None:
    target, scores = (np.array(side) for side in zip(*pairs, strict=True))
    ones = np.ones(target.size)
    expected = {
        "mean_absolute_error": mean_absolute_error(target, scores),
        "root_mean_squared_error": root_mean_squared_error(target, scores),
    }
    if np.ptp(target) > 0:
        expected["r_squared"] = r2_score(target, scores)
        if np.ptp(scores) > 0:
            expected["spearman"] = stats.spearmanr(target, scores).statistic
    for name, value in expected.items():
        assert METRICS[name].function(target, scored(scores), ones, VALUE) == pytest.approx(
            value, abs=1e-9
        )


def test_metrics_survive_constants() -> None:
    constant, varied = np.ones(3), np.array([1.0, 2.0, 3.0])
    assert METRICS["spearman"].function(varied, scored(constant), constant, VALUE) == 0.0
    assert math.isnan(METRICS["r_squared"].function(constant, scored(varied), constant, VALUE))


def test_value_weighs_both_directions() -> None:
    target, scores = np.array([10.0, 10.0]), np.array([12.0, 7.0])
    measured = METRICS["value_per_prediction"].function(target, scored(scores), np.ones(2), VALUE)
    assert measured == pytest.approx(-(2 * 0.5 + 3 * 1.0) / 2)


def test_values_with_an_unknown_key_are_refused() -> None:
    with pytest.raises(ProjectError, match="unknown field `profit`"):
        load_value({"profit": 1.0}, Column("hours", "target", "float", ""))

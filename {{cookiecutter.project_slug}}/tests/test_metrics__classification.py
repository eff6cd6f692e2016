"""Metrics of the classification against known values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as reference_log_loss

from utils.config import ProjectError
from utils.metrics import (
    METRICS,
    Value,
    decision_summary,
    decision_threshold,
    fit_decision,
    load_value,
)

VALUE = Value(
    currency="EUR", true_positive=40, false_positive=-10, false_negative=0, true_negative=0
)
PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0.01, 0.99)), min_size=2, max_size=40
)


@given(pairs=PAIRS)
def test_metrics_agree_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    target, scores = (np.array(side) for side in zip(*pairs, strict=True))
    assert METRICS["log_loss"].function(target, scores, VALUE) == pytest.approx(
        reference_log_loss(target, scores, labels=[0, 1])
    )
    assert METRICS["brier_score"].function(target, scores, VALUE) == pytest.approx(
        brier_score_loss(target, scores)
    )
    if 0 < target.mean() < 1:
        assert METRICS["roc_auc"].function(target, scores, VALUE) == pytest.approx(
            roc_auc_score(target, scores)
        )


def test_metrics_survive_certainty_and_a_single_class() -> None:
    wrong = METRICS["log_loss"].function(np.array([1.0]), np.array([0.0]), VALUE)
    assert math.isfinite(wrong)
    ones = np.ones(3)
    assert math.isnan(METRICS["roc_auc"].function(ones, ones / 2, VALUE))
    assert math.isnan(METRICS["average_precision"].function(ones * 0, ones / 2, VALUE))


def test_the_threshold_is_where_acting_breaks_even() -> None:
    threshold = decision_threshold(VALUE)
    assert threshold == pytest.approx(0.2)
    acting = threshold * VALUE.true_positive + (1 - threshold) * VALUE.false_positive
    assert acting == pytest.approx(0)
    assert decision_threshold(Value("EUR", 0, -10, 0, 0)) == 1.0, "acting never pays"
    assert fit_decision(np.ones(1), np.ones(1), VALUE, 0.9) == {"threshold": threshold}


def test_value_counts_each_outcome() -> None:
    target, scores = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.9, 0.1, 0.1])
    measured = METRICS["value_per_decision"].function(target, scores, VALUE)
    assert measured == pytest.approx((40 - 10 + 0 + 0) / 4)
    assert decision_summary(target, scores, {"threshold": 0.2}) == {
        "true_positives": 1,
        "false_positives": 1,
        "false_negatives": 1,
        "true_negatives": 1,
    }


def test_values_with_an_unknown_key_are_refused() -> None:
    with pytest.raises(ProjectError, match="unknown field `profit`"):
        load_value({"profit": 1.0})

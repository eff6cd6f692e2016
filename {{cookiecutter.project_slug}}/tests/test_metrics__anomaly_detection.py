"""Metrics of anomaly detection against known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from model_deployment.postprocessing import output_columns, predictions
from utils.config import NO_TARGET, Column, ProjectError
from utils.metrics import (
    METRICS,
    Value,
    decision_summary,
    highest,
    level_labels,
    levels,
    load_value,
    with_target,
)
from utils.outcome import Decision, encode, percentiles

TARGET = Column("broken", "target", "string", "", allowed=("fine", "broken"))
AMOUNTS = {"contamination": 0.25, "currency": "EUR", "right_alarm": 100.0, "false_alarm": -20.0}
VALUE = Value(0.25, "EUR", 100.0, -20.0, -5.0)
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12), st.integers(1, 3)), min_size=2, max_size=40
)


def both(scores: np.ndarray) -> np.ndarray:
    """Return scores with a place among random rows, which no metric of labels looks at."""
    return np.stack([np.full(scores.size, 0.5), scores], axis=1)


@settings(deadline=None)
@given(rows=ROWS)
def test_metrics_agree_with_the_standard_libraries(rows: list[tuple[int, int, int]]) -> None:
    target, scores, weights = (np.array(side, dtype=np.float64) for side in zip(*rows, strict=True))
    measured = {
        name: metric.function(target, both(scores), weights, VALUE)
        for name, metric in METRICS.items()
    }
    if 0 < target.mean() < 1:
        area = roc_auc_score(target, scores, sample_weight=weights)
        assert measured["roc_auc"] == pytest.approx(area)
        precision = average_precision_score(target, scores, sample_weight=weights)
        assert measured["average_precision"] == pytest.approx(precision)
    else:
        assert math.isnan(measured["roc_auc"])


def test_k_rows_are_looked_at() -> None:
    target = np.array([1, 0, 1, 0, 0, 0, 0, 1.0])
    scores = both(np.array([9, 8, 7, 6, 5, 4, 3, 2.0]))
    ones = np.ones(8)
    measured = {
        name: metric.function(target, scores, ones, VALUE) for name, metric in METRICS.items()
    }
    assert measured["precision_at_k"] == 1 / 2, "k is 2"
    assert measured["recall_at_k"] == 1 / 3
    assert measured["value_per_decision"] == (100 - 20 - 5 - 5) / 8
    assert measured["mass_volume_area"] == 0.5


def test_equal_scores_share_what_is_looked_at() -> None:
    ones = np.ones(4)
    assert highest(np.array([1, 1, 1, 0.0]), ones, 0.25) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert highest(np.array([3, 2, 1, 0.0]), ones, 0.625) == pytest.approx([1, 1, 0.5, 0])
    weights = np.array([1, 2, 1, 4.0])
    assert highest(np.array([3, 2, 1, 0.0]), weights, 0.25) == pytest.approx([1, 0.5, 0, 0])


def test_nothing_is_claimed_where_nothing_is_known() -> None:
    unknown, scores = np.full(8, np.nan), both(np.arange(8.0))
    for metric in METRICS.values():
        found = metric.function(unknown, scores, np.ones(8), VALUE)
        assert math.isnan(found) == (metric.applies is with_target)
    decision = Decision(threshold=6.0, quantiles=(0.0, 7.0))
    report = decision_summary(unknown, scores, np.ones(8), VALUE, decision)
    assert report.alarms_per_1000_rows == 250
    assert report.precision is None
    assert report.value_per_row is None
    assert "How many of them are right is not known" in report.words[0]
    assert math.isnan(levels(unknown, scores, np.ones(8))[0])
    assert level_labels(NO_TARGET) == ("Known anomalies", "Mean anomaly score")


def test_alarms_are_counted_against_what_is_known() -> None:
    target = np.array([1, 0, 1, 0.0])
    scores, weights = both(np.array([4, 3, 2, 1.0])), np.array([1, 2, 1, 1.0])
    report = decision_summary(target, scores, weights, VALUE, Decision(3.0, (1.0, 4.0)))
    assert (report.true_alarms, report.false_alarms, report.missed_anomalies) == (1, 2, 1)
    assert report.precision == pytest.approx(1 / 3)
    assert report.recall == 1 / 2
    assert report.value_per_row == pytest.approx((100 - 2 * 20 - 5) / 5)
    assert report.alarms_per_1000_rows == 600
    assert level_labels(TARGET)[0] == "Share with broken = broken"


def test_answers_tell_score_percentile_and_alarm() -> None:
    decision = Decision(threshold=3.0, quantiles=(1.0, 2.0, 5.0))
    scores = both(np.array([0.5, 2.0, 3.0, 9.0]))
    answer = predictions(scores, decision)
    assert answer["anomaly_score"].tolist() == [0.5, 2.0, 3.0, 9.0]
    assert answer["percentile"] == pytest.approx([0, 50, 50 + 50 / 3, 100])
    assert answer["is_anomaly"].tolist() == [0, 0, 1, 1]
    assert [column.name for column in output_columns(TARGET)] == list(answer)
    assert percentiles(scores, decision).max() <= 100


def test_classes_of_the_target_become_numbers() -> None:
    assert encode(["fine", "broken"], TARGET).tolist() == [0, 1]
    with pytest.raises(ProjectError, match=r"'odd', which schema\.yaml does not list"):
        encode(["fine", "odd"], TARGET)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contamination": 0.0}, "contamination is 0.0"),
        ({"contamination": 0.7}, "at most 0.5"),
        ({"right_alarm": 0.0}, "right_alarm must be worth more"),
        ({"false_alarm": 1.0}, "false_alarm less"),
        ({"profit": 1.0}, "unknown field `profit`"),
    ],
)
def test_amounts_that_make_no_sense_are_refused(change: dict[str, float], message: str) -> None:
    assert load_value(AMOUNTS, TARGET).missed_anomaly == 0
    with pytest.raises(ProjectError, match=message):
        load_value({**AMOUNTS, **change}, TARGET)

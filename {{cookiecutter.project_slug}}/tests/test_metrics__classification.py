"""Metrics of the classification against known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from sklearn.metrics import log_loss as reference_log_loss

from utils.config import Column, Contract, ProjectError
from utils.metrics import (
    METRICS,
    Value,
    calibration_error,
    decision_summary,
    levels,
    load_value,
    value_curve,
)
from utils.outcome import Array, Codes, Decision, decide, decision_threshold

TARGET = Column("churned", "target", "integer", "", allowed=(0, 1))
LISTED = [
    {"actual": 1, "decided": 1, "worth": 40.0},
    {"actual": 0, "decided": 1, "worth": -10.0},
]
VALUE = load_value({"currency": "EUR", "listed": LISTED}, TARGET)
DECISION = Decision(
    classes=(0, 1), currency="EUR", worth=((0.0, -10.0), (0.0, 40.0)), threshold=0.2
)
ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0.01, 0.99), st.floats(0.1, 5)),
    min_size=2,
    max_size=40,
)


def both(probability: Array) -> Array:
    """Return the probabilities of two classes, given those of the second."""
    return np.stack([1 - probability, probability], axis=1)


def at_decision(target: Array, decided: Codes, weights: Array) -> dict[str, float]:
    """Return what scikit-learn says of decisions with each class that occurs counting alike."""
    either = np.union1d(target, decided)
    return {
        "balanced_accuracy": recall_score(
            target,
            decided,
            labels=np.unique(target),
            average="macro",
            sample_weight=weights,
            zero_division=0,
        ),
        "f1_macro": f1_score(
            target, decided, labels=either, average="macro", sample_weight=weights, zero_division=0
        ),
        "precision_macro": precision_score(
            target, decided, labels=np.unique(decided), average="macro", sample_weight=weights
        ),
    }


@settings(deadline=None)
@given(rows=ROWS)
def test_metrics_agree_with_scikit_learn(rows: list[tuple[float, float, float]]) -> None:
    target, second, weights = (np.array(side) for side in zip(*rows, strict=True))
    measured = {
        name: metric.function(target, both(second), weights, VALUE)
        for name, metric in METRICS.items()
    }
    expected = {
        "log_loss": reference_log_loss(target, second, labels=[0, 1], sample_weight=weights),
        "brier_score": brier_score_loss(target, second, sample_weight=weights, pos_label=1),
    }
    if 0 < target.mean() < 1:
        expected |= {
            "roc_auc": roc_auc_score(target, second, sample_weight=weights),
            "average_precision": average_precision_score(target, second, sample_weight=weights),
        }
    decided = decide(both(second), VALUE.worth)
    expected |= at_decision(target, decided, weights)
    if decided.any():
        expected["precision"] = precision_score(target, decided, sample_weight=weights)
    if target.any():
        expected["recall"] = recall_score(target, decided, sample_weight=weights)
    for name, number in expected.items():
        assert measured[name] == pytest.approx(number)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_metrics_of_several_classes_agree_with_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.dirichlet(np.ones(4), 30).round(2) + 0.01
    scores /= scores.sum(axis=1, keepdims=True)
    target, weights = np.arange(30.0) % 4, generator.uniform(0.5, 2, 30)
    one_hot = np.eye(4)[target.astype(int)]
    expected = {
        "log_loss": reference_log_loss(target, scores, sample_weight=weights),
        "brier_score": np.average(((scores - one_hot) ** 2).sum(axis=1), weights=weights) / 2,
        "roc_auc": np.mean(
            [roc_auc_score(one_hot[:, i], scores[:, i], sample_weight=weights) for i in range(4)]
        ),
        "average_precision": np.mean(
            [
                average_precision_score(one_hot[:, i], scores[:, i], sample_weight=weights)
                for i in range(4)
            ]
        ),
    }
    # Deciding for the last class when it is not the actual one costs the most.
    value = Value("EUR", np.eye(4) - 0.5 * np.eye(4)[3])
    expected |= at_decision(target, decide(scores, value.worth), weights)
    for name, number in expected.items():
        assert METRICS[name].function(target, scores, weights, value) == pytest.approx(number)
    value = Value("EUR", np.eye(4))
    right = np.average(np.argmax(scores, axis=1) == target, weights=weights)
    accuracy = METRICS["value_per_decision"].function(
        target, scores + 1e-9 * one_hot, weights, value
    )
    assert accuracy >= right - 1e-12, "being right is worth 1, so ties apart this is the accuracy"


def test_metrics_survive_certainty_and_a_single_class() -> None:
    one = np.ones(1)
    wrong = METRICS["log_loss"].function(one, both(np.zeros(1)), one, VALUE)
    assert math.isfinite(wrong)
    ones = np.ones(3)
    assert math.isnan(METRICS["roc_auc"].function(ones, both(ones / 2), ones, VALUE))
    assert math.isnan(METRICS["average_precision"].function(ones * 0, both(ones / 2), ones, VALUE))
    assert math.isnan(METRICS["recall"].function(ones * 0, both(ones / 2), ones, VALUE))
    assert math.isnan(METRICS["precision"].function(ones, both(ones / 10), ones, VALUE))
    assert METRICS["f1"].function(ones, both(ones / 10), ones, VALUE) == 0


def test_decisions_are_measured_at_the_threshold_of_the_project() -> None:
    target, weights = np.array([1, 1, 0, 0, 0.0]), np.array([1, 1, 1, 1, 2.0])
    scores = both(np.array([0.9, 0.3, 0.3, 0.1, 0.1]))
    measured = {
        name: METRICS[name].function(target, scores, weights, VALUE)
        for name in ("precision", "recall", "f1", "balanced_accuracy")
    }
    assert measured["precision"] == pytest.approx(2 / 3), "0.3 is above the break-even of 0.2"
    assert measured["recall"] == 1
    assert measured["f1"] == pytest.approx(4 / 5)
    assert measured["balanced_accuracy"] == pytest.approx((1 + 3 / 4) / 2)
    dear = load_value({"currency": "EUR", "right": 1, "wrong": -1}, TARGET)
    assert METRICS["recall"].function(target, scores, weights, dear) == 1 / 2


def test_metrics_apply_to_the_classes_there_are() -> None:
    grades = Column("grade", "target", "string", "", allowed=("a", "b", "c"))
    two, three = (Contract("t", "", "", (column,)) for column in (TARGET, grades))
    of_two, of_three = (
        {name for name, metric in METRICS.items() if metric.applies(contract)}
        for contract in (two, three)
    )
    assert of_two - of_three == {"f1", "precision", "recall"}
    assert of_three - of_two == {"precision_macro"}
    single = {name for name, metric in METRICS.items() if not metric.comparable}
    assert single == {"precision", "recall", "precision_macro"}


@settings(deadline=None)
@given(
    second=st.lists(st.floats(0, 1), min_size=1),
    worth=st.lists(st.integers(-50, 50), min_size=4, max_size=4),
)
def test_the_highest_expected_worth_of_two_classes_is_a_threshold(
    second: list[float], worth: list[int]
) -> None:
    matrix = np.array(worth, dtype=np.float64).reshape(2, 2)
    gains = (matrix[0, 0] - matrix[0, 1], matrix[1, 1] - matrix[1, 0])
    if min(gains) <= 0:
        return
    probability = np.array(second)
    threshold = decision_threshold(matrix)
    clear = np.abs(probability - threshold) > 1e-9
    decided = decide(both(probability), matrix)
    assert (decided == (probability >= threshold))[clear].all()


def test_the_threshold_is_where_acting_breaks_even() -> None:
    threshold = decision_threshold(VALUE.worth)
    assert threshold == pytest.approx(0.2)
    assert threshold * 40 + (1 - threshold) * -10 == pytest.approx(0)
    never = np.array([[0.0, -10.0], [0.0, 0.0]])
    assert decision_threshold(never) == 1.0, "acting never pays"


def test_value_counts_each_outcome() -> None:
    target, scores = np.array([1.0, 0.0, 1.0, 0.0]), both(np.array([0.9, 0.9, 0.1, 0.1]))
    weights = np.ones(4)
    measured = METRICS["value_per_decision"].function(target, scores, weights, VALUE)
    assert measured == pytest.approx((40 - 10 + 0 + 0) / 4)
    summary = decision_summary(target, scores, weights, VALUE, DECISION)
    assert summary.confusion == [[1, 1], [1, 1]]
    assert (summary.true_positives, summary.false_positives) == (1, 1)
    assert summary.share_right == 0.5
    assert [item.recall for item in summary.classes] == [0.5, 0.5]
    assert "from a probability of 0.2 on" in summary.words[0]
    assert "a precision of 50.0%; they are 50.0% of the rows that are 1" in summary.words[0]
    assert "F1 is 0.500. The balanced accuracy" in summary.words[0]


def test_the_value_curve_goes_from_always_to_never() -> None:
    target, scores = np.array([1.0, 0.0, 0.0]), both(np.array([0.9, 0.5, 0.1]))
    curve = value_curve(target, scores, np.array([1.0, 1.0, 2.0]), VALUE)
    assert curve.value_per_decision[0] == curve.always == pytest.approx((40 - 10 - 20) / 4)
    assert curve.value_per_decision[-1] == curve.never == 0
    assert curve.at_break_even == pytest.approx((40 - 10) / 4)
    assert max(curve.value_per_decision) == pytest.approx(10)
    assert len(curve.thresholds) == len(curve.value_per_decision)


def test_the_calibration_error_is_the_gap() -> None:
    target = np.tile([1.0, 0.0], 50)
    weights = np.ones(100)
    assert calibration_error(target, both(np.full(100, 0.5)), weights) == pytest.approx(0)
    assert calibration_error(target, both(np.full(100, 0.7)), weights) == pytest.approx(0.2)
    sure = np.full((100, 3), 0.1) + 0.7 * np.eye(3)[[0] * 100]
    assert np.allclose(levels(np.zeros(100), sure, weights), (1.0, 0.8))
    assert calibration_error(np.zeros(100), sure, weights) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"profit": 1.0}, "unknown field `profit`"),
        ({"currency": "EUR"}, "every decision is worth the same"),
        ({"currency": "EUR", "listed": LISTED[:1] * 2}, "is listed twice"),
        (
            {"currency": "EUR", "listed": [{"actual": 1, "decided": 2, "worth": 1.0}]},
            "2 is not one of the classes of 'churned': 0, 1",
        ),
    ],
)
def test_values_that_can_not_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        load_value(values, TARGET)


def test_a_compact_value_fills_the_matrix() -> None:
    grades = Column("grade", "target", "string", "", allowed=("a", "b", "c"))
    listed = [{"actual": "c", "decided": "a", "worth": -9.0}]
    value = load_value({"currency": "EUR", "right": 2, "wrong": -1, "listed": listed}, grades)
    assert value.worth.tolist() == [[2, -1, -1], [-1, 2, -1], [-9, -1, 2]]

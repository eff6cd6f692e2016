"""The worth of decisions: hand-computed cases, and what the words say about them."""

from pathlib import Path

import numpy as np
import pytest

from model_training import business_value
from model_training.business_value import (
    Cases,
    by_class,
    constant,
    general_findings,
    mean_difference,
    promised,
    sensitivity,
)
from model_training.judged import Judged
from model_training.results import Estimate
from model_training.row_losses import answers, drawn_answers, row_answers, row_losses
from model_training.worth import amount, between, measured, surely_more
from utils.config import Column, Evaluation, ProjectError
from utils.files import read_json
from utils.metrics import Value, worth_of
from utils.outcome import decide

VALUE = Value("EUR", np.array([[0.0, -10.0], [0.0, 40.0]]))
TWO = Column("bought", "target", "integer", "", allowed=(0, 1))
OUTCOME = np.array([1.0, 0.0, 1.0, 0.0])
THREE = Column("kind", "target", "string", "", allowed=("a", "b", "c"))
OF_THREE = Value("EUR", np.array([[1.0, -2.0, 0.0], [-1.0, 3.0, 0.0], [-4.0, 0.0, 2.0]]))


def cases(second: list[float], weights: list[float] | None = None) -> Cases:
    """Return rows of two classes, given the probabilities of the second."""
    probability = np.array(second)
    scores = np.stack([1 - probability, probability], axis=1)
    return Cases(OUTCOME, scores, np.ones(4) if weights is None else np.array(weights))


def test_deciding_alike_brings_the_amounts_of_one_column() -> None:
    rows = cases([0.9, 0.6, 0.3, 0.1], [1, 1, 2, 0])
    assert constant(rows, 1, VALUE).tolist() == [40, -10, 40, -10]
    assert rows.mean(constant(rows, 1, VALUE)) == pytest.approx((40 - 10 + 2 * 40) / 4)
    assert rows.mean(constant(rows, 0, VALUE)) == 0


def test_what_right_probabilities_promise_comes_true() -> None:
    generator = np.random.default_rng(3)
    probability = generator.uniform(0, 1, 200_000)
    outcome = (generator.uniform(0, 1, 200_000) < probability).astype(float)
    scores = np.stack([1 - probability, probability], axis=1)
    rows = Cases(outcome, scores, np.ones(200_000))
    came = worth_of(outcome, decide(scores, VALUE.worth), VALUE).mean()
    assert promised(rows, VALUE) == pytest.approx(came, rel=0.02)


def test_a_fifth_more_moves_the_break_even() -> None:
    table, most = sensitivity(cases([0.9, 0.6, 0.3, 0.1]), VALUE, TWO)
    assert len(table.rows) == 4, "nothing changes for amounts of 0"
    assert table.rows[0][0] == "deciding for 1 where bought = 0: -8 instead of -10 EUR"
    assert [row[1] for row in table.rows] == ["16.7%", "23.1%", "23.8%", "17.2%"]
    assert most == 0, "no row lies between the thresholds"
    _, lost = sensitivity(cases([0.9, 0.22, 0.3, 0.1]), VALUE, TWO)
    assert lost == pytest.approx(12 / 4), "one row is decided for that costs 12 now"
    _, lost = sensitivity(cases([0.9, 0.22, 0.3, 0.1], [1, 5, 1, 1]), VALUE, TWO)
    assert lost == pytest.approx(5 * 12 / 8)
    assert VALUE.worth[0, 1] == -10, "the settings stay as they are"


def test_intervals_of_a_difference_hold_it() -> None:
    differences, ones = np.random.default_rng(1).normal(2, 1, 400), np.ones(400)
    settings, rows = Evaluation(300, 0.95, ()), np.arange(400)
    found = mean_difference(differences, ones, rows, settings, seed=1)
    assert found.low is not None
    assert found.high is not None
    assert found.low < differences.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert surely_more(found)
    assert found == mean_difference(differences, ones, rows, settings, seed=1)
    weights = np.where(differences > 2, 3.0, 1.0)
    heavy = mean_difference(differences, weights, rows, settings, seed=1)
    assert heavy.value is not None
    assert heavy.value > found.high


def test_words_say_when_a_gain_is_not_certain() -> None:
    numbers = {"model": 0.5, "promised": 0.5}
    sure, unsure = Estimate(2, 1, 3), Estimate(1, -1, 2)
    estimates = {
        "model": sure,
        "the naive baseline": sure,
        "deciding for 1 always": unsure,
        "deciding for 0 always": Estimate(None, None, None),
    }
    said = list(general_findings(numbers, estimates, "EUR", 0.95))
    assert "2,000 EUR (1,000 to 3,000 with 95% confidence) per 1,000 more." in said[1]
    assert "includes 0: no certain gain" in said[2]
    assert "not defined" in said[3]
    assert amount(-0.0001, "EUR") == "0 EUR"
    assert between(Estimate(None, None, None), "EUR", 0.9) == "not defined"


def test_decisions_of_three_classes_are_worth_what_the_matrix_says() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.1, 0.9, 0.0], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    rows = Cases(np.array([0.0, 1.0, 2.0, 2.0]), scores, np.array([1.0, 1.0, 1.0, 3.0]))
    assert decide(scores, OF_THREE.worth).tolist() == [0, 1, 1, 2]
    table = by_class(rows, 2, OF_THREE, THREE)
    assert table.rows == [
        ["c", "66.7%", "1,500 EUR", "2,000 EUR", "2,000 EUR"],
        ["a", "16.7%", "1,000 EUR", "0 EUR", "1,000 EUR"],
        ["b", "16.7%", "3,000 EUR", "0 EUR", "3,000 EUR"],
    ]


def test_a_row_of_three_classes_loses_by_its_actual_class() -> None:
    scores = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    judged = Judged(np.array([0.0, 1.0, 2.0]), scores, np.array([1.0, 0.0, 2.0]))
    found = row_losses("log_loss", judged, OF_THREE)
    assert found.rows == pytest.approx([np.log(2), np.log(4), 0], abs=1e-12)
    assert found.mean(np.ones(3, dtype=np.bool_)) == pytest.approx(np.log(2) / 3)
    lost = row_losses("value_per_decision", judged, OF_THREE).rows
    assert lost.tolist() == [1, 3, 0], "the third class is decided for in every row"
    assert list(answers(scores, THREE)) == [f"probability of kind = {label}" for label in "abc"]
    assert drawn_answers(judged.outcome, judged.weights, THREE)[0] == "probability of kind = c"
    assert row_answers(judged, THREE) == {
        "most probable": ["a", "a", "c"],
        "its probability": [0.5, 0.5, 1.0],
        "probability of the outcome": [0.5, 0.25, 1.0],
    }
    assert list(answers(scores[:, :2], TWO)) == ["probability of bought = 1"]


def test_the_report_repeats_the_evaluation(in_project: Path) -> None:
    report = read_json(in_project / "reports/value.json")
    evaluation = read_json(in_project / "reports/evaluation.json")
    whole = measured(evaluation, "value_per_decision", "model")
    assert report["numbers"]["model"] == pytest.approx(whole.value)
    curve = evaluation["decision"]["value_curve"]
    assert report["numbers"]["best"] == max(curve["value_per_decision"])
    assert report["numbers"]["break_even"] == curve["break_even"]
    with pytest.raises(ProjectError, match="no metric glory"):
        measured(evaluation, "glory", "model")


def test_measuring_again_gives_the_same_bytes(in_project: Path) -> None:
    paths = [in_project / "reports/value.json", *in_project.glob("reports/figures/value/*.png")]
    before = [path.read_bytes() for path in paths]
    business_value.main()
    assert len(paths) == 2
    assert [path.read_bytes() for path in paths] == before

"""The worth of decisions: hand-computed cases, and what the words say about them."""

from pathlib import Path

import numpy as np
import pytest

from model_training import business_value
from model_training.business_value import (
    Worth,
    break_even,
    findings,
    gained,
    mean_difference,
    promised,
    sensitivity,
    value_curve,
)
from model_training.worth import Interval, amount, between, measured, surely_more
from utils.config import Evaluation, ProjectError
from utils.files import read_json

AMOUNTS = Worth(act_1=40, act_0=-10, leave_1=0, leave_0=0)
OUTCOME = np.array([1.0, 0.0, 1.0, 0.0])
PROBABILITY = np.array([0.9, 0.6, 0.3, 0.1])


def test_each_kind_of_decision_brings_its_amount() -> None:
    acted = np.array([True, True, False, False])
    assert gained(OUTCOME, acted, AMOUNTS).tolist() == [40, -10, 0, 0]
    other = Worth(act_1=1, act_0=2, leave_1=3, leave_0=4)
    assert gained(OUTCOME, acted, other).tolist() == [1, 2, 3, 4]


def test_acting_breaks_even_where_both_are_worth_the_same() -> None:
    level = break_even(AMOUNTS)
    assert level == pytest.approx(0.2)
    assert level * AMOUNTS.act_1 + (1 - level) * AMOUNTS.act_0 == pytest.approx(0)
    assert break_even(Worth(0, -10, 0, 0)) == 1.0, "acting never pays"
    assert break_even(Worth(40, 0, 0, 0)) == 0.0, "acting costs nothing"


def test_the_curve_starts_with_everybody_and_ends_with_nobody() -> None:
    curve = value_curve(OUTCOME, PROBABILITY, AMOUNTS)
    everybody = gained(OUTCOME, np.ones(4, dtype=np.bool_), AMOUNTS).mean()
    assert curve[0] == everybody == 15
    assert curve[-1] == 0
    assert curve.max() == pytest.approx((40 - 10 + 40) / 4)


def test_what_right_probabilities_promise_comes_true() -> None:
    generator = np.random.default_rng(3)
    probability = generator.uniform(0, 1, 200_000)
    outcome = (generator.uniform(0, 1, 200_000) < probability).astype(float)
    acted = probability >= 0.2
    said = promised(probability, acted, AMOUNTS)
    assert said == pytest.approx(gained(outcome, acted, AMOUNTS).mean(), rel=0.02)


def test_a_fifth_more_moves_the_break_even() -> None:
    table, most = sensitivity(
        OUTCOME, PROBABILITY, AMOUNTS, threshold=0.2, currency="EUR", name="bought"
    )
    assert len(table.rows) == 4, "nothing changes for amounts of 0"
    assert table.rows[0][0] == "acting where bought = 1: 32 instead of 40 EUR"
    assert [row[1] for row in table.rows] == ["23.8%", "17.2%", "16.7%", "23.1%"]
    assert most == 0, "no row lies between the thresholds"
    _, lost = sensitivity(
        OUTCOME, np.array([0.9, 0.22, 0.3, 0.1]), AMOUNTS, threshold=0.2, currency="", name="y"
    )
    assert lost == pytest.approx(12 / 4), "one row is acted on that costs 12 now"


def test_intervals_of_a_difference_hold_it() -> None:
    differences = np.random.default_rng(1).normal(2, 1, 400)
    found = mean_difference(differences, Evaluation(300, 0.95, ()), seed=1)
    assert found.low is not None
    assert found.high is not None
    assert found.low < differences.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert surely_more(found)
    assert found == mean_difference(differences, Evaluation(300, 0.95, ()), seed=1)


def test_words_say_when_a_gain_is_not_certain() -> None:
    numbers = dict.fromkeys(
        ("model", "best", "promised", "lost_if_off", "acted_share", "threshold", "break_even"), 0.5
    ) | {"best_threshold": 0.4}
    sure, unsure = Interval(2, 1, 3), Interval(1, -1, 2)
    estimates = {
        "model": sure,
        "the naive baseline": sure,
        "acting for everybody": unsure,
        "acting for nobody": Interval(None, None, None),
    }
    said = list(findings(numbers, estimates, "EUR", 0.95))
    assert "2,000 EUR (1,000 to 3,000 with 95% confidence) per 1,000 more." in said[1]
    assert "includes 0: no certain gain" in said[2]
    assert "not defined" in said[3]
    assert amount(-0.0001, "EUR") == "0 EUR"
    assert between(Interval(None, None, None), "EUR", 0.9) == "not defined"


def test_the_report_repeats_the_evaluation(in_project: Path) -> None:
    report = read_json(in_project / "reports/value.json")
    evaluation = read_json(in_project / "reports/evaluation.json")
    whole = measured(evaluation, "value_per_decision", "model")
    assert report["numbers"]["model"] == pytest.approx(whole.value)
    assert min(report["curve"]["value"]) <= report["numbers"]["model"]
    with pytest.raises(ProjectError, match="no metric glory"):
        measured(evaluation, "glory", "model")


def test_measuring_again_gives_the_same_bytes(in_project: Path) -> None:
    paths = [in_project / "reports/value.json", *in_project.glob("reports/figures/value/*.png")]
    before = [path.read_bytes() for path in paths]
    business_value.main()
    assert len(paths) == 2
    assert [path.read_bytes() for path in paths] == before

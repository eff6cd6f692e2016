"""The cost of errors: hand-computed cases, and what the words say about them."""

from pathlib import Path

import numpy as np
import pytest

from model_training import business_value
from model_training.business_value import (
    Worth,
    cheapest_shift,
    cost_curve,
    costs,
    findings,
    negated,
    sensitivity,
)
from model_training.results import Estimate
from model_training.worth import amount, between, measured
from utils.config import ProjectError
from utils.files import read_json

AMOUNTS = Worth(too_high=0.5, too_low=1.0)


def test_errors_cost_by_their_direction() -> None:
    assert costs(np.array([2.0, -2.0, 0.0]), AMOUNTS).tolist() == [1, 2, 0]


def test_the_cheapest_shift_cannot_be_beaten() -> None:
    errors = np.random.default_rng(4).normal(1, 3, 501)
    ones = np.ones(501)
    shift = cheapest_shift(errors, ones, AMOUNTS)
    tried = np.append(np.linspace(-8, 8, 3001), shift)
    curve = cost_curve(errors, ones, tried, AMOUNTS)
    assert curve[-1] <= curve.min() + 1e-12
    high = float(np.mean(errors + shift > 0))
    assert high == pytest.approx(1.0 / 1.5, abs=0.01), "too low costs twice as much as too high"
    assert cheapest_shift(errors, ones, Worth(0, 0)) == pytest.approx(float(np.median(-errors)))


def test_a_weight_of_two_is_a_row_given_twice() -> None:
    errors = np.random.default_rng(4).normal(1, 3, 201)
    weights = np.where(errors > 1, 2.0, 1.0)
    twice = np.repeat(errors, weights.astype(int))
    ones = np.ones(twice.size)
    assert cheapest_shift(errors, weights, AMOUNTS) == cheapest_shift(twice, ones, AMOUNTS)
    shifts = np.linspace(-2, 2, 5)
    assert cost_curve(errors, weights, shifts, AMOUNTS) == pytest.approx(
        cost_curve(twice, ones, shifts, AMOUNTS)
    )
    assert (
        sensitivity(errors, weights, AMOUNTS, "EUR", "")[0]
        == (sensitivity(twice, ones, AMOUNTS, "EUR", "")[0])
    )


def test_a_fifth_more_moves_the_cheapest_shift() -> None:
    errors = np.random.default_rng(4).normal(0, 3, 2001)
    table, most = sensitivity(errors, np.ones(2001), AMOUNTS, "EUR", "km")
    assert len(table.rows) == 4
    assert table.rows[0][0] == "too high: 0.4 instead of 0.5 EUR"
    assert [row[2].endswith(" km") for row in table.rows] == [True] * 4
    assert 0 < most < costs(errors, AMOUNTS).mean() / 20, "the cost is flat around its least"
    assert sensitivity(errors, np.ones(2001), Worth(0, 0), "EUR", "km")[0].rows == []


def test_words_say_when_a_gain_is_not_certain() -> None:
    numbers = dict.fromkeys(
        ("model", "high_share", "high_share_of_cost", "shift", "shifted", "lost_if_off"), 0.25
    )
    sure, unsure = Estimate(2, 1, 3), Estimate(1, -1, 2)
    said = list(findings(numbers, sure, unsure, "EUR", confidence=0.9, unit="km"))
    assert said[0].startswith("The errors of the model cost 2,000 EUR (1,000 to 3,000 with 90%")
    assert "includes 0: no certain gain" in said[1]
    assert said[2].startswith("25% of the cost comes from predictions that are too high")
    assert "adding +0.25 km" in said[3]
    said = list(findings(numbers, sure, sure, "EUR", confidence=0.9, unit=""))
    assert "certain gain" not in said[1]
    assert negated(Estimate(2, 1, 3)) == Estimate(-2, -3, -1)
    assert negated(Estimate(None, None, None)) == Estimate(None, None, None)
    assert amount(-0.0001, "EUR") == "0 EUR"
    assert between(Estimate(None, None, None), "EUR", 0.9) == "not defined"


def test_the_report_repeats_the_evaluation(in_project: Path) -> None:
    report = read_json(in_project / "reports/value.json")
    evaluation = read_json(in_project / "reports/evaluation.json")
    whole = measured(evaluation, "value_per_prediction", "model")
    assert whole.value is not None
    assert report["numbers"]["model"] == pytest.approx(-whole.value)
    assert report["numbers"]["shifted"] <= report["numbers"]["model"]
    with pytest.raises(ProjectError, match="no metric glory"):
        measured(evaluation, "glory", "model")


def test_measuring_again_gives_the_same_bytes(in_project: Path) -> None:
    paths = [in_project / "reports/value.json", *in_project.glob("reports/figures/value/*.png")]
    before = [path.read_bytes() for path in paths]
    business_value.main()
    assert len(paths) == 2
    assert [path.read_bytes() for path in paths] == before

"""What alarms are worth: hand-computed cases, and what the words say about them."""

from pathlib import Path

import numpy as np
import pytest

from model_training import business_value
from model_training.business_value import (
    AT_K,
    break_even,
    findings,
    looked_at,
    mean_difference,
    mean_worth,
    of_unknown,
    sensitivity,
    worth_curve,
)
from model_training.judged import Judged
from model_training.results import Estimate
from utils.config import Evaluation, load_contract, load_params
from utils.files import read_json
from utils.metrics import METRICS, Value, load_value

VALUE = Value(0.25, "EUR", 100.0, -20.0, 0.0)


def cases() -> Judged:
    """Return eight rows, the two anomalies among the three with the highest scores."""
    outcome = np.array([1, 0, 1, 0, 0, 0, 0, 0.0])
    scores = np.arange(8.0)[::-1]
    return Judged(outcome, np.stack([scores, scores], axis=1), np.ones(8))


def test_alarms_pay_from_the_break_even_on() -> None:
    share = break_even(VALUE)
    assert share * VALUE.right_alarm + (1 - share) * VALUE.false_alarm == pytest.approx(0)
    missed = VALUE._replace(missed_anomaly=-50.0)
    assert break_even(missed) < share, "dearer misses make more alarms pay"


def test_the_curve_is_what_looking_at_a_share_brings() -> None:
    shares = np.array([0, 1 / 8, 2 / 8, 3 / 8, 1])
    curve = worth_curve(cases(), shares, VALUE)
    assert curve == pytest.approx(np.array([0, 100, 80, 180, 80]) / 8)
    at_k = METRICS["value_per_decision"].function(*cases(), VALUE)
    assert mean_worth(cases(), looked_at(cases(), VALUE.contamination), VALUE) == at_k


def test_a_fifth_more_changes_the_worth() -> None:
    raised = looked_at(cases(), 0.25)
    table = sensitivity(cases(), raised, VALUE)
    assert len(table.rows) == 4, "an amount of 0 is left out"
    assert table.rows[0][0] == "right alarm: 80 instead of 100 EUR"
    assert table.rows[0][2] == "7,500 EUR"


def test_the_interval_holds_the_mean() -> None:
    settings = Evaluation(200, 0.9, ())
    differences = np.random.default_rng(3).normal(2, 1, 300)
    found = mean_difference(differences, np.ones(300), np.arange(300), settings, 1)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 2 < found.high
    assert found.value == pytest.approx(differences.mean())


def test_words_say_when_a_gain_is_not_certain() -> None:
    numbers = dict.fromkeys(
        ("model", "break_even", "precision", "alarm_share", "best", "best_share"), 0.25
    )
    unsure = Estimate(1, -0.5, 2)
    estimates = {"model": Estimate(1, 0.5, 2), "raising no alarm": unsure, AT_K: unsure}
    said = list(findings(numbers, estimates, VALUE._replace(missed_anomaly=-1.0), 0.9))
    assert said[0].startswith("The alarms of the model brought 1,000 EUR (500 to 2,000 with 90%")
    assert "includes 0: no certain gain" in said[1]
    assert said[2].endswith("more than the naive baseline, an interval that includes 0.")
    assert "at least 25.0% of the alarms are right" in said[3]
    sure = {**estimates, AT_K: Estimate(1, 0.5, 2)}
    assert len(list(findings(numbers, sure, VALUE, 0.9))) == len(said) - 1
    assert "includes 0" not in " ".join(findings(numbers, sure, VALUE, 0.9))


def test_without_known_anomalies_no_worth_is_claimed() -> None:
    report = of_unknown(cases(), looked_at(cases(), 0.25), VALUE)
    assert set(report.numbers) == {"break_even", "alarm_share"}
    assert "can't be measured" in report.findings[0]
    assert "looking at them costs 5,000 EUR per 1,000 rows" in report.findings[1]
    assert report.table.rows[2] == ["50%", "10,000 EUR"], "a quarter of the rows, 40 EUR each"


def test_the_report_repeats_the_evaluation(in_project: Path) -> None:
    report = read_json(in_project / "reports/value.json")
    decision = read_json(in_project / "reports/evaluation.json")["decision"]
    value = load_value(load_params().value, load_contract().target)
    assert report["numbers"]["model"] == pytest.approx(decision["value_per_row"])
    assert 1000 * report["numbers"]["alarm_share"] == pytest.approx(
        decision["alarms_per_1000_rows"]
    )
    assert report["numbers"]["break_even"] == break_even(value)


def test_measuring_again_gives_the_same_bytes(in_project: Path) -> None:
    paths = [in_project / "reports/value.json", *in_project.glob("reports/figures/value/*.png")]
    before = [path.read_bytes() for path in paths]
    business_value.main()
    assert len(paths) == 2
    assert [path.read_bytes() for path in paths] == before

"""What is proposed for a table with and without known anomalies, and which tables are refused."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_prep.leakage import predictive_power
from data_prep.proposal import Proposal, propose
from data_prep.wishes import Wishes
from tests.conftest import MARKERS
from utils import adopted
from utils.config import ProjectError

ROWS = 400


def table(**columns: object) -> pl.DataFrame:
    """Payments of which one in twenty is a fraud, often a large one."""
    generator = np.random.default_rng(7)
    fraud = np.arange(ROWS) % 20 == 3
    base: dict[str, object] = {
        "payment": [f"P{number}" for number in range(ROWS)],
        "paid": [datetime(2024, 1, 1) + timedelta(hours=number) for number in range(ROWS)],
        "Amount": (generator.lognormal(3, 1, ROWS) * np.where(fraud, 3, 1)).round(2),
        "country": generator.choice(["DE", "FR"], ROWS),
        "fraud": fraud.astype(int),
    }
    return pl.DataFrame({**base, **columns}, strict=False)


def proposed(records: pl.DataFrame, target: str = "", **more: Any) -> Proposal:
    wishes = Wishes(target, "anomaly_detection", **more)
    return propose(records, wishes, "payments", "payments.csv", MARKERS)


def test_a_contract_is_proposed_for_known_anomalies() -> None:
    made = proposed(table(), "fraud")
    assert {column.name: column.role for column in made.contract.columns} == {
        "payment": "identifier",
        "paid": "timestamp",
        "Amount": "numeric",
        "country": "categorical",
        "fraud": "target",
    }
    assert made.contract.target.allowed == (0, 1)
    assert made.transformation.logarithm == ()
    assert made.settings["value"] == {
        "contamination": 0.05,
        "right_alarm": 1,
        "false_alarm": -1,
        "missed_anomaly": 0,
    }
    assert "anomalies are the rows with 1 in fraud, 5.00%" in made.notes
    words = adopted.descriptions(made.contract)
    assert words["description"] == "Which records of payments are unusual enough to look at"
    assert words["model_input"] == "One record of payments: Amount, country"


def test_a_contract_is_proposed_without_any() -> None:
    made = proposed(table(), ignored=("fraud",))
    assert not made.contract.has_target
    assert "fraud" not in {column.name for column in made.contract.columns}
    assert made.settings["value"]["contamination"] == 0.02
    assert made.split == "time"
    assert any(note.startswith("no anomaly is known, so the 2% of the rows") for note in made.notes)


def test_the_rarer_value_is_the_anomaly() -> None:
    good = ["good" if row % 8 else "bad" for row in range(ROWS)]
    assert proposed(table(state=good), "state").contract.target.allowed == ("good", "bad")
    usual = [1 if row % 10 else 0 for row in range(ROWS)]
    assert proposed(table(usual=usual), "usual").contract.target.allowed == (1, 0)
    even = [row % 2 for row in range(ROWS)]
    made = proposed(table(even=even).drop("fraud"), "even")
    assert made.contract.target.allowed == (0, 1)
    assert any(note.startswith("50% are hardly unusual") for note in made.notes)
    assert made.settings["value"]["contamination"] == 0.5


def test_what_tells_the_known_anomalies_alone_is_left_out_unless_it_is_kept() -> None:
    reasons = table().select(
        pl.when(pl.col("fraud") == 1).then(pl.lit("stolen")).otherwise(pl.lit("none of it"))
    )
    records = table(reason=reasons.to_series())
    assert "reason" not in {column.name for column in proposed(records, "fraud").contract.columns}
    kept = proposed(records, "fraud", options={"keep": "reason"})
    assert "reason" in {column.name for column in kept.contract.columns}


def test_predictive_power_ignores_how_frequent_a_class_is() -> None:
    outcome = np.repeat([0.0, 1.0], [990, 10])
    noise = np.random.default_rng(1).normal(size=1000)
    assert predictive_power(noise, outcome, classes=True) < 0.7
    assert predictive_power(outcome * 3, outcome, classes=True) == 1.0


@pytest.mark.parametrize(
    ("records", "target", "message"),
    [
        (table(), "country_2", "no column 'country_2' for TARGET. Did you mean country"),
        (
            table(kind=[row % 3 for row in range(ROWS)]),
            "kind",
            r"has 3 different values such as 0, 1, 2, .*or leave TARGET out and say IGNORE=kind",
        ),
        (
            table(rare=[int(row < 4) for row in range(ROWS)]),
            "rare",
            "tells 4 anomalies; 10 are needed to measure by them",
        ),
        (table(), "paid", "The target paid can't be predicted"),
        (table().head(40), "", "40 rows are there; 50 are needed"),
        (table().select("payment"), "", "No column is left that a model could learn from"),
    ],
)
def test_tables_in_which_nothing_can_stand_out_are_refused(
    records: pl.DataFrame, target: str, message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        proposed(records, target)

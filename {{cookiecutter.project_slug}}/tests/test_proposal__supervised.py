"""What is proposed for a table with a target, and which tables are refused."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data_prep.drafting import ROW_NUMBER
from data_prep.leakage import predictive_power
from data_prep.proposal import Proposal, propose
from data_prep.wishes import Wishes
from tests.conftest import MARKERS
from utils.config import ProjectError

ROWS = 200


def table(**columns: object) -> pl.DataFrame:
    """A table of a few inputs that say something of both targets."""
    generator = np.random.default_rng(3)
    size = generator.normal(10, 3, ROWS).round(2)
    kinds = generator.choice(["Red", "Green", "Blue"], ROWS)
    bought = np.where(size + generator.normal(0, 3, ROWS) > 10, "yes", "no")
    base: dict[str, object] = {
        "Customer Id": [f"C{number}" for number in range(ROWS)],
        "Size (cm)": size,
        "kind": kinds,
        "constant": ["x"] * ROWS,
        "price": (size * 3 + generator.normal(0, 2, ROWS)).round(2),
        "bought": bought,
    }
    return pl.DataFrame({**base, **columns}, strict=False)


def proposed(records: pl.DataFrame, target: str, task: str = "", **more: object) -> Proposal:
    chosen = task or ("regression" if target == "price" else "classification")
    wishes = Wishes(target, chosen, **more)  # type: ignore[arg-type]
    return propose(records, wishes, "orders", "orders.csv", MARKERS)


def roles(proposal: Proposal) -> dict[str, str]:
    return {column.name: column.role for column in proposal.contract.columns}


def test_a_contract_is_proposed_for_classes() -> None:
    made = proposed(table(), "bought")
    assert roles(made) == {
        "customer_id": "identifier",
        "size_cm": "numeric",
        "kind": "categorical",
        "price": "numeric",
        "bought": "target",
    }
    target = made.contract.target
    assert target.allowed == ("no", "yes")
    columns = {column.name: column for column in made.contract.columns}
    assert columns["size_cm"].source == "Size (cm)"
    assert columns["kind"].allowed == ("blue", "green", "red")
    assert made.segments == ("kind",)
    assert made.split == "random"
    assert "constant is left out: it is constant (x)" in made.notes
    assert "constant (it is constant" in made.contract.provenance


def test_a_contract_is_proposed_for_numbers() -> None:
    missing = [None if row % 10 == 0 else row for row in range(ROWS)]
    made = proposed(table(gaps=missing).drop("Customer Id"), "price")
    assert made.contract.identifiers == [ROW_NUMBER]
    gaps = next(column for column in made.contract.columns if column.name == "gaps")
    assert gaps.nullable
    assert 0.1 < gaps.maximum_missing_share < 0.3
    assert (gaps.minimum, gaps.maximum) == (0, 400)
    assert made.contract.target.minimum in {0, None}
    assert made.contract.target.allowed == ()


def test_rows_are_held_out_by_the_moment_they_were_complete() -> None:
    starts = [
        datetime(2020 + row // 70, 1 + row % 12, 1 + row % 28, row % 24) for row in range(ROWS)
    ]
    ends = [start.replace(day=28) for start in starts]
    made = proposed(table(start=starts, end=ends), "price")
    assert made.split == "time"
    assert [column.name for column in made.contract.with_role("timestamp")] == ["end", "start"]
    assert list(made.transformation.elapsed_days) == ["days_from_start_to_end"]
    assert made.transformation.calendar["start"] == ("hour", "weekday", "month")
    assert proposed(table(start=starts, end=ends), "price", time="none").split == "random"
    assert proposed(table(start=starts), "bought", time="start").split == "time"
    with pytest.raises(ProjectError, match="TIME=kind can't order the rows"):
        proposed(table(), "price", time="kind")


def test_what_predicts_the_target_alone_is_left_out_unless_it_is_kept() -> None:
    records = table()
    records = records.with_columns(copy=pl.col("price") ** 3, answer=pl.col("bought") + "!")
    made = proposed(records, "price")
    assert "copy" not in roles(made)
    assert any(note.startswith("copy is left out: it predicts the target") for note in made.notes)
    assert "copy" in roles(proposed(records, "price", options={"keep": "copy"}))
    assert "answer" not in roles(proposed(records, "bought"))


def test_predictive_power_ignores_how_frequent_a_class_is() -> None:
    outcome = np.repeat([0.0, 1.0], [990, 10])
    noise = np.random.default_rng(1).normal(size=1000)
    assert predictive_power(noise, outcome, classes=True) < 0.7
    assert predictive_power(outcome * 3, outcome, classes=True) == 1.0
    assert predictive_power(noise, outcome[:1000] * 0 + noise, classes=False) > 0.99


def test_texts_and_numbers_that_name_rows_are_no_inputs() -> None:
    repeated = [f"H{number % 90}" for number in range(ROWS)]
    texts = [f"a text of its own, number {number}" * 3 for number in range(ROWS)]
    counted = list(range(1, ROWS + 1))
    sentinel = [-999 if row % 9 == 0 else row % 50 for row in range(ROWS)]
    records = table(household_id=repeated, remark=texts, rownames=counted, income=sentinel)
    made = proposed(records, "price")
    found_roles = roles(made)
    assert found_roles["household_id"] == "group"
    assert found_roles["remark"] == "text"
    assert "rownames" not in found_roles or found_roles["rownames"] == "identifier"
    assert any(note.startswith("income: -999 stands in") for note in made.notes)


def test_rows_of_one_group_are_held_out_together() -> None:
    patients = [1000 + row % 50 for row in range(ROWS)]
    made = proposed(table(patientId=patients, region_id=[row % 8 for row in range(ROWS)]), "price")
    assert roles(made)["patientId"] == "group"
    assert roles(made)["region_id"] == "numeric", "few values are rather a category"
    assert made.split == "group"
    assert "rows of one patientId are held out together or not" in made.notes
    moments = [datetime(2026, 1, 1) + timedelta(days=row) for row in range(ROWS)]
    later = table(patientId=patients, seen_at=moments)
    assert proposed(later, "price").split == "time"
    assert proposed(later, "price", time="none").split == "group"


def test_a_name_that_nearly_every_row_has_of_its_own_is_no_input() -> None:
    orders = [row if row % 10 else row + 1 for row in range(ROWS)]
    assert roles(proposed(table(order_id=orders), "price"))["order_id"] == "group"


def test_rows_are_drawn_where_groups_would_leave_a_class_out() -> None:
    ill = ["sick" if row % 50 < 5 else "fine" for row in range(ROWS)]
    made = proposed(table(patient_id=[row % 50 for row in range(ROWS)], state=ill), "state")
    assert roles(made)["patient_id"] == "group"
    assert made.split == "random"


def test_an_identifier_may_be_named() -> None:
    records = table(number=[row // 2 for row in range(ROWS)])
    made = proposed(records, "price", identifiers=("number",))
    assert made.contract.identifiers == ["number"]
    assert any("100 rows have the identifier of another row" in note for note in made.notes)
    with pytest.raises(ProjectError, match="price can't identify rows"):
        proposed(records, "price", identifiers=("price",))


def test_rare_and_missing_targets() -> None:
    rare = ["sick" if row % 10 == 0 else "fine" for row in range(ROWS)]
    assert proposed(table(state=rare), "state").contract.target.allowed == ("fine", "sick")
    gaps = [None if row < 20 else row % 3 for row in range(ROWS)]
    made = proposed(table(grade=gaps), "grade")
    assert made.contract.target.allowed == (0, 1, 2)
    assert "20 rows without the target are dropped" in made.notes


@pytest.mark.parametrize(
    ("records", "target", "task", "message"),
    [
        (table(), "prize", "regression", "no column 'prize' for TARGET. Did you mean price?"),
        (table(), "zzz", "regression", "They have Customer Id, Size"),
        (table(), "", "regression", "Say which column is predicted: make adopt"),
        (table(), "price", "classification", "its task is regression, and this project is for"),
        (table(), "bought", "regression", "its task is classification"),
        (table(), "constant", "classification", "has the single value 'x'"),
        (table().head(40), "price", "regression", "40 rows have a value in the target price; 50"),
        (table(), "Customer Id", "classification", "more than the 100 classes"),
        (
            table(rare=["a"] * 3 + ["b"] * (ROWS - 3)),
            "rare",
            "classification",
            r"fewer than 10 rows, too few to learn from and to be tested on: a \(3\)",
        ),
        (
            table().select("Customer Id", "bought"),
            "bought",
            "classification",
            "No column is left that a model could learn from",
        ),
        (
            table(when=[datetime(2024, 1, 1)] * ROWS),
            "when",
            "regression",
            "The target when can't be predicted",
        ),
    ],
)
def test_tables_that_teach_nothing_are_refused(
    records: pl.DataFrame, target: str, task: str, message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        proposed(records, target, task)

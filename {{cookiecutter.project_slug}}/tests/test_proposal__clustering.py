"""What is proposed for a table whose rows are divided, and which tables are refused."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from data_prep.proposal import Proposal, propose
from data_prep.task_proposal import most_clusters
from data_prep.wishes import Wishes
from tests.conftest import BUNDLED, MARKERS
from utils import adopted
from utils.config import ProjectError, load_params

ROWS = 120


def table(**columns: object) -> pl.DataFrame:
    """Plants of two kinds, which a column names."""
    generator = np.random.default_rng(2)
    kind = np.arange(ROWS) % 2
    base: dict[str, object] = {
        "plant": [f"P{number}" for number in range(ROWS)],
        "seen": [datetime(2024, 1, 1) + timedelta(days=number) for number in range(ROWS)],
        "Height (cm)": generator.normal(20 + 30 * kind, 3).round(1),
        "leaves": generator.lognormal(1, 1.5, ROWS).round(),
        "soil": generator.choice(["Clay", "Sand"], ROWS),
        "kind": np.where(kind, "tree", "herb"),
    }
    return pl.DataFrame({**base, **columns}, strict=False)


def proposed(records: pl.DataFrame, target: str = "", **more: Any) -> Proposal:
    wishes = Wishes(target, "clustering", **more)
    return propose(records, wishes, "plants", "plants.csv", MARKERS)


def test_a_contract_is_proposed_for_clusters() -> None:
    made = proposed(table(), ignored=("kind",))
    assert {column.name: column.role for column in made.contract.columns} == {
        "plant": "identifier",
        "seen": "timestamp",
        "height_cm": "numeric",
        "leaves": "numeric",
        "soil": "categorical",
    }
    assert not made.contract.has_target
    # a derived column would count twice
    assert made.transformation.logarithm == ()
    assert made.transformation.calendar == {}
    assert made.split == "time"
    assert "kind (as IGNORE says)" in made.contract.provenance
    assert any("rows are divided by Height (cm), leaves, soil;" in note for note in made.notes)
    words = adopted.descriptions(made.contract)
    assert words["description"] == (
        "Which kinds of records plants has, and which kind each record is"
    )
    assert words["model_input"] == "One record of plants: height_cm, leaves, soil"


def test_rows_without_a_moment_are_drawn() -> None:
    assert proposed(table().drop("seen")).split == "random"
    assert proposed(table(), time="none").split == "random"
    few = [datetime(2024, 1, 1 + row % 3) for row in range(ROWS)]
    made = proposed(table(seen=few))
    assert made.split == "random"
    assert any("ordered by seen, its moments are too few" in note for note in made.notes)


@pytest.mark.parametrize(("rows", "most"), [(50, 3), (75, 5), (135, 9), (10_000, 9)])
def test_numbers_of_clusters_fit_the_table(rows: int, most: int) -> None:
    assert most_clusters(rows) == most


def test_settings_try_as_many_clusters_as_the_table_may_have() -> None:
    text = (BUNDLED / "params.yaml").read_text(encoding="utf-8")
    params = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml")
    made = proposed(table().head(60).drop("kind"))
    assert made.settings == {"clusters": {"most": 4}}
    changed = adopted.settings_text(text, params, made)
    candidates = yaml.safe_load(changed)["selection"]["candidates"]
    assert candidates["baseline"]["n_clusters"] == 4
    assert candidates["k_means"]["n_clusters"] == {"low": 2, "high": 4}
    assert candidates["gaussian_mixture"]["n_components"] == {"low": 2, "high": 4}
    small = adopted.settings_text(changed, params, proposed(table().head(50).drop("kind")))
    assert yaml.safe_load(small)["selection"]["candidates"]["baseline"]["n_clusters"] == 3


@pytest.mark.parametrize(
    ("records", "target", "message"),
    [
        (table(), "kind", r"A clustering has no target.*IGNORE=kind keeps the column from"),
        (table().head(40), "", "40 rows are there; 50 are needed"),
        (table().select("plant", "seen"), "", "No column is left that a model could learn from"),
    ],
)
def test_tables_that_can_not_be_divided_are_refused(
    records: pl.DataFrame, target: str, message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        proposed(records, target)

"""The selected model judged by labels of an expert."""

from pathlib import Path

import msgspec
import polars as pl
import pytest

from data_prep.storage import read_parquet
from model_training.gold_evaluation import (
    GoldEvaluation,
    Judgement,
    judge,
    to_markdown,
    with_gold,
)
from model_training.results import Estimate
from utils.config import Params, ProjectError, load_contract, load_params
from utils.files import read_json


def with_labels(folder: Path, rows: pl.DataFrame) -> Params:
    """Return the settings with another gold set."""
    rows.write_csv(folder / "gold.csv")
    params = load_params()
    labels = {**(params.labels or {}), "gold": str(folder / "gold.csv")}
    return msgspec.structs.replace(params, labels=labels)


def held_out(project: Path) -> pl.DataFrame:
    """Return identifiers and assigned labels of the held-out rows, as a gold set."""
    contract = load_contract()
    test = pl.read_parquet(project / "data/test.parquet")
    return test.select(*contract.identifiers, pl.col(contract.target.name).alias("label"))


def test_gold_labels_that_equal_the_assigned_ones_make_no_difference(
    in_project: Path, tmp_path: Path
) -> None:
    everything = held_out(in_project)
    report = judge(with_labels(tmp_path, everything), load_contract())
    assert report.rows == everything.height
    assert report.judgement is not None
    assert report.judgement.gold == report.judgement.assigned
    assert report.judgement.difference == Estimate(0, 0, 0)
    measured = read_json(in_project / "reports/evaluation.json")["metrics"]
    [chosen] = [item for item in measured if item["name"] == report.metric]
    assert report.judgement.assigned.value == pytest.approx(chosen["model"]["value"])
    assert "do not differ beyond chance" in to_markdown(report)


def test_gold_labels_replace_the_assigned_ones_row_by_row(in_project: Path, tmp_path: Path) -> None:
    contract = load_contract()
    mixed = held_out(in_project).sample(30, seed=1, shuffle=True)
    other = mixed.with_columns((1 - pl.col("label")).alias("label"))
    test = read_parquet(in_project / "data/test.parquet")
    assigned, gold = with_gold(test, contract, with_labels(tmp_path, other))
    target = contract.target.name
    assert assigned.shape[0] == gold.shape[0] == 30
    both = zip(assigned[target].to_list(), gold[target].to_list(), strict=True)
    assert all(one == 1 - another for one, another in both)


def test_too_few_rows_are_told_instead_of_measured(in_project: Path, tmp_path: Path) -> None:
    report = judge(with_labels(tmp_path, held_out(in_project).head(5)), load_contract())
    assert report == GoldEvaluation(report.metric, 5, None)
    assert "Only 5 held-out records" in to_markdown(report)


def test_a_gold_label_must_be_valid(in_project: Path, tmp_path: Path) -> None:
    wrong = held_out(in_project).head(1).with_columns(pl.lit("perhaps").alias("label"))
    with pytest.raises(ProjectError, match="cannot be"):
        judge(with_labels(tmp_path, wrong), load_contract())


def test_a_difference_beyond_chance_is_called_one() -> None:
    name = load_params().selection.metric
    apart = Judgement(Estimate(0.1, 0.1, 0.2), Estimate(0.3, 0.2, 0.4), Estimate(0.2, 0.1, 0.3))
    assert "differ beyond chance: believe" in to_markdown(GoldEvaluation(name, 100, apart))

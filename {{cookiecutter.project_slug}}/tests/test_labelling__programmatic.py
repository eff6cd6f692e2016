"""From the votes of labelling functions to one label per record."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from data_prep import label_model
from data_prep.agreement import Alpha
from data_prep.engine import Engine
from data_prep.labelling import (
    LabelReport,
    Measured,
    against_gold,
    load_settings,
    measured,
    to_markdown,
    vote,
)
from data_prep.labelling_functions import LABELLING_FUNCTIONS
from utils.config import load_contract, load_params
from utils.files import read_json


@pytest.fixture
def report(in_project: Path) -> LabelReport:
    """The report of the ``project`` fixture."""
    return msgspec.convert(read_json(in_project / "reports/labels.json"), LabelReport)


def test_functions_vote_or_are_silent_whatever_the_engine(in_project: Path) -> None:
    contract, params = load_contract(), load_params()
    with Engine(params.engine) as engine:
        records, votes = vote(engine.scan(in_project / "data/records.parquet"), engine, contract)
    assert records.equals(records.sort(contract.identifiers))
    assert votes.shape == (records.height, len(LABELLING_FUNCTIONS))
    frame = pl.read_parquet(in_project / "data/records.parquet").sort(contract.identifiers)
    text = next(column.name for column in contract.with_role("text"))
    silent = frame[text].is_null().to_numpy()
    told = ~np.isnan(votes)
    assert told.any(axis=0).all()
    assert not told.all(axis=0).any()
    # of what nobody wrote down, a function that reads it says nothing
    assert told[silent].sum() < 0.05 * silent.sum() * len(LABELLING_FUNCTIONS)


def test_the_report_counts_what_the_functions_said(report: LabelReport) -> None:
    assert report.labelled + report.without_label == report.records
    assert 0.8 * report.records < report.labelled < report.records
    assert {one.name for one in report.functions} == {f.__name__ for f in LABELLING_FUNCTIONS}
    for one in report.functions:
        assert 0 <= one.conflict <= one.overlap <= one.coverage <= 1
        assert one.rule.endswith(".")


def test_the_labels_of_the_sample_are_good_but_not_perfect(report: LabelReport) -> None:
    assert report.gold.rows > 100
    assert report.gold.low is not None
    assert report.gold.value is not None
    assert report.gold.low < report.gold.value
    assert 0 < report.expected_wrong < 0.1
    certain = max(report.functions, key=lambda one: one.coverage)
    assert certain.gold.rows > 50


def test_a_comparison_needs_rows_in_both() -> None:
    none = np.full(3, np.nan)
    assert against_gold(none, np.zeros(3), 0.95) == Measured(0)
    assert measured(Measured(0)) == "–"
    some = against_gold(np.array([0.0, 1.0, np.nan]), np.array([0.0, 1.0, 1.0]), 0.95)
    assert some.rows == 2
    assert "2 rows" in measured(some)


def test_the_text_names_every_function(report: LabelReport) -> None:
    text = to_markdown(report, load_settings(load_params()))
    for function in LABELLING_FUNCTIONS:
        assert f"`{function.__name__}`" in text
    assert f"{report.labelled:,} of {report.records:,} records" in text
    nothing = float("nan")
    alone = msgspec.structs.replace(report, alpha=Alpha(nothing, nothing, nothing))
    assert "No two functions label the same record." in to_markdown(
        alone, load_settings(load_params())
    )


def test_what_is_disputed_is_exported_with_every_vote(
    in_project: Path, report: LabelReport
) -> None:
    disputed = pl.read_csv(in_project / "reports/disputed_labels.csv")
    assert disputed.height == report.disputed > 0
    assert {f.__name__ for f in LABELLING_FUNCTIONS} <= set(disputed.columns)
    assert disputed["confidence"].is_sorted()
    target = load_contract().target
    assert not np.isnan(label_model.encode(disputed["label"].to_list(), target)).any()

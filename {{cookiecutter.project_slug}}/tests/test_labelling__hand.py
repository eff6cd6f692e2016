"""From the annotations of several people to one label per record."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from data_prep import label_model
from data_prep.agreement import Alpha
from data_prep.labelling import (
    LabelReport,
    adjudicate,
    label,
    load_settings,
    pairs,
    read_votes,
    to_markdown,
)
from utils.config import Column, Params, ProjectError, load_params
from utils.files import read_json

TARGET = Column("target", "target", "integer", "", allowed=(0, 1))
RECORDS = pl.DataFrame({"key": ["a", "b", "c", "d"]})
ANNOTATIONS = """key,annotator,label,annotated_at
a,mia,1,2026-08-03T10:00:00
a,lee,1,2026-08-03T11:00:00
b,mia,0,2026-08-03T12:00:00
b,lee,1,2026-08-04T10:00:00
b,lee,0,2026-08-05T10:00:00
c,mia,?,2026-08-03T10:00:00
c,lee,1,2026-08-03T10:00:00
x,lee,1,2026-08-03T10:00:00
"""


@pytest.fixture
def params(in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The settings of the project with annotations of four records."""
    params = load_params(in_project / "params.yaml", in_project / "schema.yaml")
    model = msgspec.to_builtins(load_settings(params).model)
    (tmp_path / "annotations.csv").write_text(ANNOTATIONS, encoding="utf-8")
    (tmp_path / "adjudicated.csv").write_text("key,label\nd,1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    labels = {
        "annotations": "annotations.csv",
        "adjudicated": "adjudicated.csv",
        "minimum_annotators": 2,
        "dispute_threshold": 0.9,
        "model": model,
    }
    return msgspec.structs.replace(params, labels=labels)


def test_the_latest_valid_annotation_of_each_annotator_counts(params: Params) -> None:
    votes = read_votes(Path(load_settings(params).annotations), RECORDS, TARGET)
    assert votes.annotators == ["lee", "mia"]
    said = [label_model.decode(votes.codes[:, source], TARGET) for source in (0, 1)]
    assert said == [[1, 0, 1, None], [1, 0, None, None]]
    assert (votes.superseded, votes.undecided, votes.unknown_records) == (1, 1, 1)
    [pair] = pairs(votes)
    assert (pair.first, pair.second, pair.records) == ("lee", "mia", 2)
    assert pair.agreement == pytest.approx(1)


def test_too_few_annotators_give_no_label_and_adjudication_wins(params: Params) -> None:
    labels, confidence, report = label(RECORDS, TARGET, params)
    assert label_model.decode(labels, TARGET) == [1, 0, None, 1]
    assert confidence[3] == 1
    assert (report.labelled, report.without_label, report.too_few_annotators) == (3, 1, 1)
    assert (report.annotations, report.adjudicated) == (5, 1)
    text = to_markdown(report, load_settings(params))
    assert "3 of 4 records have a label, from 5 annotations by 2 annotators" in text
    assert "| lee | 3 |" in text


def test_an_adjudicated_label_must_be_valid(params: Params) -> None:
    Path("adjudicated.csv").write_text("key,label\nd,perhaps\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="label 'perhaps', which target cannot be"):
        label(RECORDS, TARGET, params)


def test_an_adjudicated_label_takes_the_place_of_a_certain_one(params: Params) -> None:
    path = Path(load_settings(params).adjudicated)
    path.write_text("key,label\nb,0\n", encoding="utf-8")
    certain = label_model.Combined(np.ones(4), np.full(4, 0.99), [])
    labels, confidence, count = adjudicate(certain, path, RECORDS, TARGET)
    assert label_model.decode(labels, TARGET) == [1, 0, 1, 1]
    assert (confidence.tolist(), count) == ([0.99, 1, 0.99, 0.99], 1)


@pytest.mark.parametrize(
    ("alpha", "words"), [(0.9, "called reliable"), (0.7, "tentative"), (0.2, "unreliable")]
)
def test_agreement_is_told_in_words(in_project: Path, alpha: float, words: str) -> None:
    report = msgspec.convert(read_json(in_project / "reports/labels.json"), LabelReport)
    changed = msgspec.structs.replace(report, alpha=Alpha(alpha, alpha, alpha))
    assert words in to_markdown(changed, load_settings(load_params()))


def test_the_sample_is_labelled_well(in_project: Path) -> None:
    report = msgspec.convert(read_json(in_project / "reports/labels.json"), LabelReport)
    assert report.labelled > 0.85 * report.records
    assert report.labelled + report.without_label == report.records
    assert report.alpha.low < report.alpha.value < report.alpha.high
    assert len(report.pairs) == 15
    assert report.expected_wrong < 0.2
    by_name = {one.name: one.quality for one in report.annotators}
    best, worst = by_name["amir"], by_name["fay"]
    if "Right" in best:
        assert best["Right"] > worst["Right"] + 0.1
    else:
        assert best["Spread"] < 0.5 * worst["Spread"]

"""Labels that people gave, brought together with records."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from data_prep import label_model
from data_prep.engine import Engine
from data_prep.labelled import (
    LABEL_CONFIDENCE,
    positions,
    read_decisions,
    read_given,
    write_labelled,
    write_uncertain,
)
from data_prep.labelling import main
from utils.config import ProjectError, load_contract, load_params

RECORDS = pl.DataFrame({"number": [1, 2, 3], "part": ["a", "b", "c"]})


def written(folder: Path, text: str) -> Path:
    path = folder / "given.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"given\.csv was not found"):
        read_given(tmp_path / "given.csv", ["label"])
    with pytest.raises(ProjectError, match=r"lacks the column\(s\) label. It has number, part"):
        read_given(written(tmp_path, "number,part\n1,a\n"), ["number", "label"])
    with pytest.raises(ProjectError, match="not readable as CSV"):
        read_given(written(tmp_path, ""), ["label"])


def test_given_rows_find_their_records_by_all_identifiers() -> None:
    given = pl.DataFrame(
        {"part": ["b", "b", "a"], "number": ["2", "1", "1"], "label": ["", "", ""]}
    )
    assert positions(RECORDS, given).tolist() == [1, -1, 0]


def test_the_last_decision_about_a_record_counts(tmp_path: Path) -> None:
    path = written(tmp_path, "number,part,label\n3,c, 0 \n9,x,1\n3,c,1\n1,a,0\n")
    rows, labels = read_decisions(path, RECORDS)
    assert dict(zip(rows.tolist(), labels, strict=True)) == {2: "1", 0: "0"}


def test_uncertain_labels_are_exported_least_certain_first(tmp_path: Path) -> None:
    confidence = np.array([0.8, 0.95, np.nan, 0.6])
    path = tmp_path / "uncertain.csv"
    assert write_uncertain(path, {"key": ["a", "b", "c", "d"]}, confidence, 0.9) == 2
    assert path.read_text() == "key,confidence\nd,0.6\na,0.8\n"


def test_records_get_their_target_and_those_without_a_label_go_no_further(
    in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, settings = load_contract(), load_params().engine
    (tmp_path / "data").mkdir()
    shutil.copy(in_project / "data/records.parquet", tmp_path / "data/records.parquet")
    monkeypatch.chdir(tmp_path)
    everything = pl.read_parquet("data/records.parquet")
    keys = everything.select(contract.identifiers)
    labels = label_model.encode([1] * keys.height, contract.target)
    labels[::3] = np.nan
    with Engine(settings) as engine:
        rows = write_labelled(engine, keys, contract, labels, np.full(keys.height, 0.75))
    clean = pl.read_parquet("data/clean.parquet")
    assert rows == clean.height == int((~np.isnan(labels)).sum())
    assert clean.columns == [*(column.name for column in contract.columns), LABEL_CONFIDENCE]
    assert (clean[contract.target.name] == 1).all()
    assert (clean[LABEL_CONFIDENCE] == 0.75).all()
    recorded = [column.name for column in contract.recorded]
    assert clean.select(recorded).equals(everything.select(recorded).filter(~np.isnan(labels)))
    with Engine(settings) as engine, pytest.raises(ProjectError, match="No record has a label"):
        write_labelled(engine, keys, contract, labels * np.nan, labels)


def test_the_stage_writes_the_same_bytes_again(in_project: Path) -> None:
    names = (
        "data/clean.parquet",
        "data/labels.parquet",
        "reports/labels.json",
        "reports/labels.md",
        "reports/disputed_labels.csv",
    )
    before = {name: (in_project / name).read_bytes() for name in names}
    main()
    assert {name: (in_project / name).read_bytes() for name in names} == before


def test_the_target_of_the_records_is_assigned_by_the_labels_alone(in_project: Path) -> None:
    contract = load_contract()
    records = pl.read_parquet(in_project / "data/records.parquet")
    assert records[contract.target.name].is_null().all()
    clean = pl.read_parquet(in_project / "data/clean.parquet")
    assert clean[contract.target.name].null_count() == 0
    assert pa.types.is_float64(pl.read_parquet("data/labels.parquet").to_arrow()[-1].type)

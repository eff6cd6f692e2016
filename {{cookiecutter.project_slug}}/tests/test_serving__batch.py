"""Batch scoring of files."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from model_deployment.artefact import Artefact, load_artefact
from model_deployment.postprocessing import SCORE, predictions
from model_deployment.preprocessing import model_inputs, standardise_records
from model_deployment.serving import as_contract, main, score_file
from utils.config import Column, ProjectError, Recipe


@pytest.fixture(scope="session")
def live(models: Path) -> Artefact:
    """The live model of the project."""
    return load_artefact(models)


@pytest.fixture
def table(records: pl.DataFrame, tmp_path: Path) -> Path:
    """The records as a CSV file."""
    path = tmp_path / "records.csv"
    records.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S")
    return path


def test_records_may_have_the_names_of_their_source_and_no_number(recipe: Recipe) -> None:
    number = Column("row", "identifier", "integer", "", generated=True)
    price = Column("price", "numeric", "float", "", source="Price (EUR)")
    changed = msgspec.structs.replace(recipe.contract, columns=(number, price))
    own = msgspec.structs.replace(recipe, contract=changed)
    found = as_contract(pl.DataFrame({"Price (EUR)": [1.5, 2.5]}), own, 10)
    assert found.to_dict(as_series=False) == {"price": [1.5, 2.5], "row": [11, 12]}
    assert as_contract(found, own, 0).equals(found)


@pytest.mark.parametrize("chunk_rows", [7, 100_000])
@pytest.mark.parametrize("output", ["out.parquet", "out.csv"])
def test_scores_are_those_of_the_model(
    live: Artefact, records: pl.DataFrame, tmp_path: Path, chunk_rows: int, output: str
) -> None:
    records.write_parquet(tmp_path / "records.parquet")
    rows = score_file(tmp_path / "records.parquet", tmp_path / output, live, chunk_rows)
    scored = (pl.read_parquet if output.endswith("parquet") else pl.read_csv)(tmp_path / output)
    recipe = live.metadata.recipe
    expected = live.scorer.score(*model_inputs(standardise_records(records, recipe), recipe))
    assert rows == scored.height == records.height
    answer = predictions(expected, live.metadata.decision)
    np.testing.assert_allclose(scored[SCORE].to_numpy(), answer[SCORE], rtol=1e-12)
    assert set(scored["model_version"]) == {live.metadata.version}


def test_csv_and_parquet_give_the_same(
    live: Artefact, records: pl.DataFrame, table: Path, tmp_path: Path
) -> None:
    records.write_parquet(tmp_path / "records.parquet")
    score_file(table, tmp_path / "a.parquet", live, 100)
    score_file(tmp_path / "records.parquet", tmp_path / "b.parquet", live, 100)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.read_parquet(tmp_path / "b.parquet"))


def test_values_that_cannot_be_used_count_as_missing(
    live: Artefact, table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number = live.metadata.recipe.contract.with_role("numeric")[0].name
    records = pl.read_csv(table, infer_schema=False).head(5)
    other = live.metadata.recipe.contract.with_role("numeric")[1].name
    blank = pl.lit(" N/A ").alias(other)
    records.with_columns(pl.lit("much").alias(number), blank).write_csv(table)
    with caplog.at_level("WARNING"):
        score_file(table, tmp_path / "out.parquet", live, 100)
    scored = pl.read_parquet(tmp_path / "out.parquet")
    assert scored[number].null_count() == 5
    assert scored[SCORE].is_finite().all()
    warning = vars(caplog.records[-1])
    assert warning[number] == 5
    assert other not in warning, "a value that was missing is not unusable"


def test_records_without_an_identifier_are_numbered(
    live: Artefact, numbering: Path, records: pl.DataFrame, tmp_path: Path
) -> None:
    identifiers = live.metadata.recipe.contract.identifiers
    records.drop(identifiers).write_parquet(tmp_path / "records.parquet")
    rows = score_file(tmp_path / "records.parquet", tmp_path / "o.csv", load_artefact(numbering), 7)
    records.write_parquet(tmp_path / "whole.parquet")
    score_file(tmp_path / "whole.parquet", tmp_path / "whole.csv", live, 100_000)
    scored, whole = pl.read_csv(tmp_path / "o.csv"), pl.read_csv(tmp_path / "whole.csv")
    assert scored["row_number"].to_list() == list(range(1, rows + 1))
    np.testing.assert_allclose(scored[SCORE].to_numpy(), whole[SCORE].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "was not found"),
        ("", "is empty"),
        ("HEADER\n", "no rows to score"),
        ("a,b\n1,2\n", "lack the column"),
        ("a,b\n1,2,3\n", "not a readable csv"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    live: Artefact, table: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    header = table.read_text(encoding="utf-8").splitlines()[0]
    table.unlink()
    if content is not None:
        table.write_text(content.replace("HEADER", header), encoding="utf-8")
    output = tmp_path / "out.parquet"
    output.write_bytes(b"an earlier result")
    with pytest.raises(ProjectError, match=message):
        score_file(table, output, live, 100)
    assert output.read_bytes() == b"an earlier result"
    assert {path.name for path in tmp_path.iterdir()} <= {"out.parquet", "records.csv"}


def test_a_file_that_breaks_in_the_middle_leaves_nothing(
    live: Artefact, records: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "records.csv"
    # More than one block of the reader, so that some rows are scored before the damage is met.
    many = pl.concat([records] * (30_000 // records.height))
    many.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S")
    with path.open("a", encoding="utf-8") as stream:
        stream.write("too,short\n")
    with pytest.raises(ProjectError, match="not a readable csv"):
        score_file(path, tmp_path / "out.parquet", live, 100)
    assert [item.name for item in tmp_path.iterdir()] == ["records.csv"]


@pytest.mark.parametrize("name", ["records.pkl", "records.json"])
def test_unknown_formats_are_refused(live: Artefact, table: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="unknown format"):
        score_file(table.with_name(name), table.with_name("out.csv"), live, 100)
    with pytest.raises(ProjectError, match="unknown format"):
        score_file(table, table.with_name(name), live, 100)


def test_the_command_scores_a_file(
    in_project: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "predictions.csv"
    arguments = ["serving", "--input", str(table), "--output", str(output)]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    assert pl.read_csv(output).height == pl.read_csv(table).height
    assert (in_project / "models/live.json").is_file()

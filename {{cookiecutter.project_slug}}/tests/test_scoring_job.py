"""Batch scoring as a Spark job gives what scoring in this process gives."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data_prep.engine import Engine
from data_prep.storage import plain_schema
from model_deployment.artefact import load_artefact
from model_deployment.scoring_job import main, score, score_batches
from model_deployment.serving import as_contract, score_chunk, score_file
from utils.config import ProjectError, load_params


@pytest.fixture
def engine(in_project: Path) -> Iterator[Engine]:
    """The engine of the project."""
    with Engine(load_params(in_project / "params.yaml").engine) as opened:
        yield opened


def test_the_job_scores_like_this_process(
    engine: Engine, models: Path, records: pl.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    half = records.height // 2
    records.head(half).write_parquet(folder / "part-1.parquet")
    records.tail(records.height - half).write_parquet(folder / "part-2.parquet")
    records.write_parquet(tmp_path / "records.parquet")
    rows = score(folder, tmp_path / "job.parquet", models, engine)
    score_file(tmp_path / "records.parquet", tmp_path / "here.parquet", load_artefact(models), 100)
    here = pl.read_parquet(tmp_path / "here.parquet")
    contract = load_artefact(models).metadata.recipe.contract
    assert rows == records.height
    assert_frame_equal(
        pl.read_parquet(tmp_path / "job.parquet"),
        here.sort(contract.identifiers),
        rel_tol=1e-12,
        abs_tol=0,
    )


def test_records_without_an_identifier_are_numbered(
    engine: Engine, models: Path, numbering: Path, records: pl.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    artefact = load_artefact(numbering)
    recipe = artefact.metadata.recipe
    sent = records.drop(load_artefact(models).metadata.recipe.contract.identifiers).head(100)
    sent.head(50).write_parquet(folder / "part-1.parquet")
    sent.tail(50).write_parquet(folder / "part-2.parquet")
    assert score(folder, tmp_path / "job.parquet", numbering, engine) == 100
    scored = pl.read_parquet(tmp_path / "job.parquet")
    assert scored["row_number"].n_unique() == 100
    here = score_chunk(as_contract(sent, recipe, 0), artefact)
    rest = [name for name in here.columns if name != "row_number"]
    assert_frame_equal(
        scored.select(rest).sort(rest), here.select(rest).sort(rest), rel_tol=1e-12, abs_tol=0
    )


def test_what_runs_in_the_workers(models: Path, records: pl.DataFrame) -> None:
    artefact = load_artefact(models)
    batches = records.head(7).to_arrow().to_batches()
    schema = plain_schema(score_chunk(records.head(1), artefact).to_arrow().schema)
    scored = list(score_batches(batches, models, artefact.metadata.version, schema))
    assert sum(batch.num_rows for batch in scored) == 7
    assert all(batch.schema == schema for batch in scored)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("absent.parquet", "out.parquet"), "was not found"),
        (("empty.parquet", "out.parquet"), "no rows to score"),
        (("other.parquet", "out.parquet"), "lack the column"),
        (("other.parquet", "out.csv"), "another format"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    engine: Engine, models: Path, tmp_path: Path, paths: tuple[str, str], message: str
) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    pl.DataFrame({"a": [1]}).head(0).write_parquet(tmp_path / "empty.parquet")
    source, destination = (tmp_path / name for name in paths)
    with pytest.raises(ProjectError, match=message):
        score(source, destination, models, engine)
    assert not destination.exists()


def test_the_command_scores_a_table(
    engine: Engine, records: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del engine
    records.write_parquet(tmp_path / "records.parquet")
    arguments = ["--input", tmp_path / "records.parquet", "--output", tmp_path / "out.parquet"]
    monkeypatch.setattr("sys.argv", ["scoring_job", *map(str, arguments)])
    main()
    assert pl.read_parquet(tmp_path / "out.parquet").height == records.height

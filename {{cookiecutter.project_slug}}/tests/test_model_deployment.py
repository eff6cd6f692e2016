"""Artefact, preprocessing for serving, and monitoring."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from model_deployment import artefact as artefacts
from model_deployment.artefact import REFERENCE, load_artefact, publish, read_pointer
from model_deployment.monitoring import (
    compare,
    describe,
    main,
    numeric_drift,
    read_recent,
    stability_index,
)
from model_deployment.postprocessing import SCORE, output_columns, predictions
from model_deployment.preprocessing import (
    check_columns,
    model_inputs,
    standardise_records,
)
from model_training.data_preprocessing import model_inputs as training_inputs
from tests.predictions import perfect
from utils.config import Monitoring, ProjectError, load_params
from utils.files import read_json

SETTINGS = Monitoring(50, 0.1, 0.25, 0.01, 0.05)


@pytest.fixture
def own_models(models: Path, tmp_path: Path) -> Path:
    """A copy of the artefacts that a test may damage."""
    return Path(shutil.copytree(models, tmp_path / "models"))


def test_the_live_version_loads_and_scores(models: Path, records: pl.DataFrame) -> None:
    live = load_artefact(models)
    recipe = live.metadata.recipe
    scores = live.scorer.score(*model_inputs(standardise_records(records, recipe), recipe))
    assert scores.shape[0] == records.height
    assert np.isfinite(scores).all()
    assert live.metadata.version == read_pointer(models).version


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.skops", "reference.parquet", "metadata.json", "MODEL_CARD.md"]
)
def test_a_changed_file_is_refused(own_models: Path, name: str) -> None:
    path = own_models / read_pointer(own_models).version / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ProjectError, match=f"{name} was changed after export"):
        load_artefact(own_models)
    path.unlink()
    with pytest.raises(ProjectError, match=f"{name}.* is missing"):
        load_artefact(own_models)


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        (None, "was not found"),
        ("nonsense", "can't be read"),
        ('{"version": "../other", "metadata_sha256": ""}', "not a version"),
        ('{"version": "v000000000000", "metadata_sha256": ""}', "missing"),
    ],
)
def test_a_damaged_pointer_is_refused(own_models: Path, pointer: str | None, message: str) -> None:
    path = own_models / "live.json"
    path.unlink()
    if pointer is not None:
        path.write_text(pointer, encoding="utf-8")
    with pytest.raises(ProjectError, match=message):
        load_artefact(own_models)


def test_an_earlier_version_goes_live_again(
    own_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = read_pointer(own_models).version
    publish(own_models, version)
    (own_models / "live.json").write_text('{"version": "x", "metadata_sha256": "y"}')
    monkeypatch.setattr("sys.argv", ["artefact", version, "--models", str(own_models)])
    artefacts.main()
    assert read_pointer(own_models).version == version
    assert load_artefact(own_models).metadata.version == version
    monkeypatch.setattr("sys.argv", ["artefact", "absent", "--models", str(own_models)])
    with pytest.raises(ProjectError, match="was not found"):
        artefacts.main()
    assert read_pointer(own_models).version == version


def test_serving_prepares_records_as_training_did(project: Path, records: pl.DataFrame) -> None:
    recipe = load_artefact(project / "models").metadata.recipe
    names = feature_names(recipe)
    served = model_inputs(standardise_records(records, recipe), recipe)
    keys = recipe.contract.identifiers
    trained = training_inputs(read_parquet(project / "data/test.parquet").sort(keys), names)
    np.testing.assert_allclose(
        served.numeric, trained[names.numeric].to_numpy(), rtol=1e-12, atol=0, equal_nan=True
    )
    assert (served.categorical == trained[names.categorical].to_numpy(object)).all()


def test_records_that_lack_columns_are_refused_by_name(models: Path, records: pl.DataFrame) -> None:
    recipe = load_artefact(models).metadata.recipe
    missing = recipe.contract.with_role("numeric")[0].name
    with pytest.raises(ProjectError, match=missing):
        check_columns(records.drop(missing).columns, recipe)


def test_answers_have_the_described_columns(models: Path) -> None:
    live = load_artefact(models)
    _, predicted, *_ = perfect(10)
    answer = predictions(predicted, live.metadata.decision)
    described = output_columns(live.metadata.recipe.contract.target)
    assert list(answer) == [column.name for column in described]


def test_stability_index_has_its_known_value() -> None:
    same = np.array([0.5, 0.5])
    assert stability_index(same, same) == 0
    moved = np.array([0.25, 0.75])
    expected = 0.25 * np.log(2) + 0.25 * np.log(1.5)
    assert stability_index(same, moved) == pytest.approx(expected)
    assert np.isfinite(stability_index(same, np.array([0.0, 1.0])))


def test_numeric_drift_sees_a_shift_and_not_a_resample() -> None:
    generator = np.random.default_rng(1)
    reference = generator.normal(0, 1, 4000)
    index, p_value, _ = numeric_drift(reference, generator.normal(0, 1, 1000))
    assert index < 0.1
    assert p_value > 0.001
    index, p_value, change = numeric_drift(reference, generator.normal(1, 1, 1000))
    assert index > 0.25
    assert p_value < 1e-6
    assert change.startswith("median ")


def test_monitoring_names_the_drifted_columns_and_what_to_do(models: Path) -> None:
    live = load_artefact(models)
    contract = live.metadata.recipe.contract
    reference = pl.read_parquet(live.directory / REFERENCE)
    half = reference.height // 2
    before, after = reference.head(half), reference.tail(half)
    calm = compare(before, after.sample(half, seed=1), contract, "v", SETTINGS)
    number = contract.with_role("numeric")[0].name
    category = contract.with_role("categorical")[0]
    gap = contract.with_role("numeric")[1].name
    shifted = after.with_columns(
        (pl.col(number) * 3 + 10).alias(number),
        pl.lit(str(category.allowed[0])).alias(category.name),
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col(gap)).alias(gap),
    )
    report = compare(before, shifted, contract, "v", SETTINGS)
    found = {column.column: column for column in report.columns if column.status != "stable"}
    quiet = {column.column for column in calm.columns if column.status != "stable"}
    assert {number, category.name, gap} <= set(found)
    assert not {number, category.name, gap} & quiet
    assert found[number].status == "alarm"
    assert "retrain" in found[number].advice
    assert "missing" in found[gap].change
    assert report.status == "alarm"
    assert report.columns[0].status == "alarm", "the worst column comes first"
    text = describe(report)
    assert number in text
    assert "stability index" in text


def test_monitoring_refuses_what_it_cannot_compare(models: Path, tmp_path: Path) -> None:
    live = load_artefact(models)
    contract = live.metadata.recipe.contract
    reference = pl.read_parquet(live.directory / REFERENCE)
    with pytest.raises(ProjectError, match="too few"):
        compare(reference, reference.head(3), contract, "v", SETTINGS)
    with pytest.raises(ProjectError, match=SCORE):
        compare(reference, reference.drop(SCORE), contract, "v", SETTINGS)
    with pytest.raises(ProjectError, match="holds no predictions"):
        read_recent(tmp_path)
    (tmp_path / "part.parquet").write_text("nonsense", encoding="utf-8")
    with pytest.raises(ProjectError, match="can't be read as predictions"):
        read_recent(tmp_path)


def test_columns_without_values_do_not_stop_monitoring(models: Path) -> None:
    live = load_artefact(models)
    contract = live.metadata.recipe.contract
    reference = pl.read_parquet(live.directory / REFERENCE)
    number = contract.with_role("numeric")[0].name
    emptied = reference.with_columns(pl.lit(None, reference[number].dtype).alias(number))
    report = compare(reference, emptied, contract, "v", SETTINGS)
    column = next(item for item in report.columns if item.column == number)
    assert column.status == "warning"
    assert column.missing_share_recent == 1.0


def test_the_pipeline_reports_on_the_served_records(
    in_project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = load_params()
    recent = next(path for path in in_project.glob("data/predictions*"))
    monkeypatch.setattr("sys.argv", ["monitoring", "--recent", str(recent)])
    main()
    report = read_json(in_project / "reports/monitoring.json")
    assert report["rows_recent"] >= served.monitoring.minimum_rows
    assert f"Model {report['model_version']}" in capsys.readouterr().out

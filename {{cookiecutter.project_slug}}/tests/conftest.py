"""Fixtures shared by all tests: a small data contract, and one run of the whole pipeline."""

import importlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from data_prep.storage import Frame, read_table
from model_deployment.artefact import METADATA, load_artefact, publish
from utils.config import (
    Column,
    Contract,
    Features,
    Interval,
    Ratio,
    Recipe,
    Transformation,
    load_contract,
)
from utils.files import write_json
from utils.paths import RAW

if TYPE_CHECKING:
    from tests.training import Trained

ROOT = Path(__file__).resolve().parent.parent
# The tests run on the table that the project came with. Its files move to this folder when the
# project takes over another table.
SAMPLE = ROOT / "tests/sample"
BUNDLED = SAMPLE if SAMPLE.exists() else ROOT
SAMPLE_ROWS = 1500
# Few trees are served as exactly as many, in a fraction of the time.
FEWER_TREES = {"random_forest": {"n_estimators": 20}, "hist_gradient_boosting": {"max_iter": 30}}
MARKERS = ("", "-", "?", "n/a", "unknown")


def run_stage(command: str) -> None:
    """Run ``python -m MODULE ARGUMENTS`` of ``dvc.yaml`` in this process."""
    _, _, module, *arguments = shlex.split(command)
    before = sys.argv
    sys.argv = [module, *arguments]
    try:
        importlib.import_module(module).main()
    finally:
        sys.argv = before


def keep_records(folder: Path, rows: int) -> None:
    """Leave only part of a raw store, with all versions of the records in it.

    Which part it is does not depend on the order in which records have arrived: series are cut off
    after a day, other records after an identifier.
    """
    contract = load_contract(BUNDLED / "schema.yaml")
    table = read_table(folder)
    columns = [table[column.source_name].to_pylist() for column in contract.with_role("identifier")]
    written = [tuple(str(value).strip() for value in key) for key in zip(*columns, strict=True)]
    days = [""] * len(written)
    if contract.series:
        source = next(c.source_name for c in contract.columns if c.name == contract.series.time)
        days = [str(moment)[: len("2026-01-31")] for moment in table[source].to_pylist()]
    order = sorted(range(len(written)), key=lambda row: (days[row], written[row]))
    kept = {written[row] for row in order[:rows]}
    table = table.filter(pa.array([key in kept for key in written]))
    for part in folder.iterdir():
        part.unlink()
    pq.write_table(table, folder / "part-00000001.parquet")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project in which every stage of ``dvc.yaml`` ran on part of the data."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("README.md", "dvc.yaml"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("params.yaml", "schema.yaml"):
        shutil.copy(BUNDLED / name, copy / name)
    for name in ("data/source", "data/labels"):
        if (BUNDLED / name).exists():
            shutil.copytree(BUNDLED / name, copy / name)
    params = yaml.safe_load((copy / "params.yaml").read_text(encoding="utf-8"))
    params["evaluation"]["bootstrap_samples"] = 40
    params["explanation"] |= {"rows": 200, "repeats": 2, "resamples": 20}
    params["selection"]["search"] |= {"trials": 3, "batch": 2}
    for name, candidate in params["selection"]["candidates"].items():
        candidate.update(FEWER_TREES.get(name, {}))
    (copy / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    before = Path.cwd()
    os.chdir(copy)
    try:
        stages = yaml.safe_load((copy / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
        for name, stage in stages.items():
            run_stage(stage["cmd"])
            if name == "retrieve":
                keep_records(RAW, SAMPLE_ROWS)
    finally:
        os.chdir(before)
    return copy


@pytest.fixture
def in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of the ``project`` fixture as the current folder."""
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="session")
def models(project: Path) -> Path:
    """The folder of model artefacts of the ``project`` fixture."""
    return project / "models"


@pytest.fixture(scope="session")
def numbering(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same artefacts, as if no column of the records identified a row."""
    copy = Path(shutil.copytree(models, tmp_path_factory.mktemp("numbering") / "models"))
    metadata = load_artefact(copy).metadata
    row = Column("row_number", "identifier", "integer", "Number of the row.", generated=True)
    others = [item for item in metadata.recipe.contract.columns if item.role != "identifier"]
    contract = msgspec.structs.replace(metadata.recipe.contract, columns=(row, *others))
    recipe = msgspec.structs.replace(metadata.recipe, contract=contract)
    changed = msgspec.structs.replace(metadata, recipe=recipe)
    write_json(copy / metadata.version / METADATA, changed)
    publish(copy, metadata.version)
    return copy


@pytest.fixture(scope="session")
def trained(project: Path) -> "Trained":
    """The settings and training rows of the ``project`` fixture."""
    # it needs what stands in this module
    from tests.training import Trained as Loaded  # noqa: PLC0415

    return Loaded(project)


@pytest.fixture(scope="session")
def records(project: Path) -> pl.DataFrame:
    """Records as a caller sends them: the inputs of the contract, without the target."""
    return pl.read_parquet(project / "data/recent.parquet")


@pytest.fixture
def contract() -> Contract:
    """A small contract with one column of every kind."""
    return Contract(
        table="orders",
        description="One row per order.",
        provenance="Made for the tests.",
        columns=(
            Column("order_id", "identifier", "string", "Order number."),
            Column("ordered_at", "timestamp", "timestamp", "Moment of the order."),
            Column("paid_at", "timestamp", "timestamp", "Moment of the payment.", nullable=True),
            Column(
                "colour",
                "categorical",
                "string",
                "Colour.",
                nullable=True,
                maximum_missing_share=0.5,
                allowed=("red", "dark blue"),
                aliases={"navy": "dark blue", "blue": "dark blue"},
            ),
            Column(
                "price",
                "numeric",
                "float",
                "Price.",
                unit="EUR",
                nullable=True,
                maximum_missing_share=0.5,
                minimum=0,
                maximum=10_000,
            ),
            Column(
                "pieces",
                "numeric",
                "integer",
                "Number of pieces.",
                nullable=True,
                maximum_missing_share=0.5,
                minimum=0,
            ),
            Column("returned", "target", "integer", "1 if returned.", allowed=(0, 1)),
        ),
    )


@pytest.fixture
def recipe(contract: Contract) -> Recipe:
    """A recipe over the small contract that uses every kind of derivation."""
    return Recipe(
        contract=contract,
        missing_markers=MARKERS,
        transformation=Transformation(
            elapsed_days={"days_to_pay": Interval("ordered_at", "paid_at")},
            calendar={"ordered_at": ("hour", "weekday", "month")},
            logarithm=("price", "days_to_pay"),
        ),
        features=Features(ratios={"price_per_piece": Ratio("price", "pieces")}),
    )


def values(frame: Frame, column: str) -> list[Any]:
    """Return a column as plain Python values, missing as None."""
    result: list[Any] = frame.to_arrow()[column].to_pylist()
    return result

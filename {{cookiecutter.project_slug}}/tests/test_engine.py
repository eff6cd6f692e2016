"""The engine of this project: what it reads and writes, and that it agrees with serving."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.cleaning import clean, standardise
from data_prep.engine import Engine
from data_prep.feature_engineering import derive
from data_prep.storage import ROW_GROUP_ROWS
from tests.conftest import BUNDLED, MARKERS
from utils.config import ProjectError, Recipe, load_params

ROWS = ROW_GROUP_ROWS + 1


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The engine with the settings of the project, in a folder of its own."""
    settings = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").engine
    monkeypatch.chdir(tmp_path)
    with Engine(settings) as opened:
        yield opened


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder of two parts with more rows than a row group, in no order."""
    numbers = np.random.default_rng(1).permutation(ROWS)
    whole = pa.table({"key": [f"K{number:06}" for number in numbers], "number": numbers})
    (tmp_path / "parts").mkdir()
    pq.write_table(whole.slice(0, 40_000), tmp_path / "parts/part-1.parquet")
    pq.write_table(whole.slice(40_000), tmp_path / "parts/part-2.parquet")
    return tmp_path / "parts"


def test_a_table_is_written_in_order_with_the_same_bytes_each_time(
    engine: Engine, table: Path
) -> None:
    first, again = table.with_name("a.parquet"), table.with_name("b.parquet")
    assert engine.write(engine.scan(table), first, ["key"]) == ROWS
    engine.write(engine.scan(first), again, ["key"])
    assert first.read_bytes() == again.read_bytes()
    file = pq.ParquetFile(first)
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [ROW_GROUP_ROWS, 1]
    assert file.read()["number"].to_pylist() == list(range(ROWS))
    assert file.schema_arrow == pa.schema({"key": pa.string(), "number": pa.int64()})


def test_rows_are_ordered_by_all_columns_of_the_order(engine: Engine, tmp_path: Path) -> None:
    pairs = [(2, "a"), (1, "b"), (1, "a"), (2, "B")]
    raw, ordered = tmp_path / "raw.parquet", tmp_path / "ordered.parquet"
    pq.write_table(pa.table({"first": [a for a, _ in pairs], "second": [b for _, b in pairs]}), raw)
    engine.write(engine.scan(raw), ordered, ["first", "second"])
    found = pq.read_table(ordered).to_pydict()
    assert list(zip(*found.values(), strict=True)) == [(1, "a"), (1, "b"), (2, "B"), (2, "a")]


def test_a_failure_leaves_the_older_table(engine: Engine, table: Path) -> None:
    path = table.with_name("a.parquet")
    path.write_bytes(b"older")
    with pytest.raises(Exception, match="K0"):
        engine.write(engine.scan(table).select(nw.col("key").cast(nw.Int64)), path, ["key"])
    assert path.read_bytes() == b"older"
    assert {entry.name for entry in table.parent.iterdir()} <= {"parts", "a.parquet", "data"}


def test_small_results_have_the_types_of_files(engine: Engine, table: Path) -> None:
    frame = engine.scan(table).select(
        rows=nw.len(), total=nw.col("number").sum(), mean=nw.col("number").mean()
    )
    result = engine.collect(frame)
    assert result.schema.types == [pa.int64(), pa.int64(), pa.float64()]
    total = ROWS * (ROWS - 1) // 2
    assert result.to_pylist() == [{"rows": ROWS, "total": total, "mean": total / ROWS}]


def test_what_is_not_there_is_said(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"absent.parquet was not found"):
        engine.scan(tmp_path / "absent.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError, match="empty was not found"):
        engine.scan(tmp_path / "empty")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ProjectError, match=r"params.yaml: engine"):
        Engine({"speed": "high"})


def test_the_engine_gives_what_serving_computes(
    engine: Engine, tmp_path: Path, recipe: Recipe
) -> None:
    raw: dict[str, list[Any]] = {
        "order_id": [" A1", "A2", "A2", "A2", "n/a", "A3"],
        "ordered_at": [
            "2024-12-29",
            *["2026-03-29T02:30:00"] * 2,
            *["2026-01-01"] * 2,
            "2026-11-22",
        ],
        "paid_at": ["2025-01-01", "2026-03-30", "2026-03-31", "2026-02-02", "", "2026-11-21"],
        "colour": ["NAVY", "red", "red", "red", "red", "İ"],
        "price": ["€ 1,204.50", "3", "4", "9", "9", "-0"],
        "pieces": ["0", "9007199254740993", "2", "1", "1", "3.0"],
        "returned": ["0", "1", "0", "0", "0", "1"],
    }
    pq.write_table(pa.table(raw), tmp_path / "raw.parquet")
    cleaned = clean(engine.scan(tmp_path / "raw.parquet"), recipe.contract, MARKERS)
    engine.write(derive(cleaned, recipe), tmp_path / "features.parquet", ["order_id"])
    found = pq.read_table(tmp_path / "features.parquet").to_pydict()
    # of two records of one moment the one paid later counts
    kept = pl.DataFrame(raw)[[0, 2, 5]]
    records = standardise(nw.from_native(kept, eager_only=True), recipe.contract.columns, MARKERS)
    expected = derive(records, recipe).to_native().to_dict(as_series=False)
    assert list(found) == list(expected)
    for name, values in expected.items():
        for left, right in zip(found[name], values, strict=True):
            assert left == right or math.isclose(left, right, rel_tol=1e-12), name

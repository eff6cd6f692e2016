"""A table of awkward values, the steps of a project over it, and the comparison of two results.

Run by `test_engines.py` with the interpreter and in the folder of a rendered project:

    python awkward.py make FOLDER            writes the raw tables
    python awkward.py run FOLDER RESULTS     all steps over each of them, on the project's engine
    python awkward.py compare RESULTS OTHER  fails unless both hold the same
"""

import math
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data_prep.cleaning import clean
from data_prep.engine import Engine
from data_prep.feature_engineering import engineer
from data_prep.transformation import transform
from utils.config import (
    Column,
    Contract,
    Features,
    Interval,
    Ratio,
    Recipe,
    Transformation,
    load_params,
)

ROWS = 2000
TOLERANCE = 1e-12
MARKERS = ("", "-", "n/a", "nan", "unknown")
TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "timestamp": pa.timestamp("us"),
}


def column(name: str, role: str, kind: str, **rest: Any) -> Column:
    """A column of the contract that may be missing."""
    return Column(name=name, role=role, type=kind, description="Any.", nullable=True, **rest)  # type: ignore[arg-type]


CONTRACT = Contract(
    table="awkward",
    description="Awkward values.",
    provenance="Made for the tests.",
    columns=(
        column("key", "identifier", "string"),
        column("number", "identifier", "integer"),
        column("seen_at", "timestamp", "timestamp"),
        column("due_at", "timestamp", "timestamp"),
        column("colour", "categorical", "string", aliases={"navy": "dark blue", "": "empty"}),
        column("note", "categorical", "string"),
        column("amount", "numeric", "float"),
        column("share", "numeric", "float", minimum=0.0, maximum=1.0),
        column("count", "numeric", "integer"),
        column("small", "numeric", "integer", minimum=-2.5, maximum=100),
        column("constant", "numeric", "float"),
        column("nothing", "numeric", "float"),
        column("no_text", "categorical", "string"),
        column("target", "target", "integer"),
    ),
)
RECIPE = Recipe(
    contract=CONTRACT,
    missing_markers=MARKERS,
    transformation=Transformation(
        elapsed_days={"wait": Interval("seen_at", "due_at")},
        calendar={"seen_at": ("hour", "weekday", "month", "day"), "due_at": ("weekday",)},
        logarithm=("amount", "count", "small", "wait", "nothing"),
    ),
    features=Features(
        ratios={
            "amount_by_count": Ratio("amount", "count"),
            "count_by_share": Ratio("count", "share"),
        }
    ),
)
MOMENTS = [
    datetime(2023, 12, 31, 23, 59, 59, 999_999),
    datetime(2024, 1, 1),
    datetime(2024, 2, 29, 12),
    datetime(2024, 12, 30),
    datetime(2026, 3, 29, 1, 59, 59),  # clocks change in Berlin
    datetime(2026, 3, 29, 2, 30),
    datetime(2026, 3, 8, 2, 30),  # and in New York
    datetime(2026, 10, 25, 0, 30),
    datetime(2026, 10, 25, 1, 30, 0, 1),
    datetime(2026, 11, 21),  # Saturday
    datetime(2026, 11, 22, 23, 59, 30),  # Sunday
    datetime(2026, 11, 23),
    datetime(1969, 12, 31, 23, 59, 59, 500_000),
    datetime(1900, 1, 1),
    datetime(2199, 12, 31, 23, 0, 1),
]
BIG = [2**53, 2**53 + 1, -(2**53) - 1, 2**62 + 1, -(2**62) - 1]
FLOATS = [0.0, -0.0, 0.1, -1.5, 1e-300, 5e-324, 1.7e308, -1.0, 1e16, math.nan, math.inf, -math.inf]
TEXTS = [
    "",
    " ",
    "n/a",
    "N/A",
    "RED",
    " red ",
    "navy",
    "Navy",
    "dark\t blue",
    "grün",
    "GRÜN",
    "Straße",
]
TEXTS += [
    "日本",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "e\u0301",
    "é",
    "\u2003x\u00a0y\u2003",
    "😀",
    "a'b\"c",
    "a\\b",
]
WRITTEN_NUMBERS = [
    "12.5",
    " € 1,204.50 ",
    "1e400",
    "-1e-400",
    "1e3",
    ".5",
    "5.",
    "-0",
    "0x1f",
    "٣",
    "inf",
]
WRITTEN_NUMBERS += [
    "nan",
    "1.2.3",
    "12 km",
    "+7",
    "9007199254740993",
    "3.0",
    "3.5",
    "",
    "1e30",
    "--1",
]
WRITTEN_MOMENTS = [
    "2026-03-29T02:30:00Z",
    "2024-02-29",
    "2026-02-29",
    "2026-13-01",
    "yesterday",
    "",
]
WRITTEN_MOMENTS += [
    "2026-03-01T10:30:00.123",
    "2024-12-31 23:59:59",
    "0000-01-01",
    "2026-03-01T10:30",
]


def pools(kind: str) -> dict[str, list[Any]]:
    """For each column the values it is drawn from, each as often as any other."""
    typed: dict[str, list[Any]] = {
        "key": [*TEXTS, *(f"K-{number}" for number in range(80)), None],
        "number": [*range(6), *BIG, None],
        "seen_at": [*MOMENTS, None],
        "due_at": [*MOMENTS, None],
        "colour": [*TEXTS, None],
        "note": [*TEXTS, None],
        "amount": [*FLOATS, None],
        "share": [*FLOATS, 0.25, 1.0, None],
        "count": [0, 1, -1, 7, *BIG, None],
        "small": [-3, -2, 0, 1, 100, 101, None],
        "constant": [4.25],
        "nothing": [None],
        "no_text": [None],
        "target": [0, 1, 1, 0, 1, None],
    }
    if kind == "text":
        numbers, moments = [*WRITTEN_NUMBERS, None], [*WRITTEN_MOMENTS, None]
        moments += [moment.isoformat() for moment in MOMENTS]
        typed |= dict.fromkeys(("number", "amount", "share", "count", "small"), numbers)
        typed |= {"seen_at": moments, "due_at": moments, "target": ["0", "1", "1.0", "x", None]}
        typed |= {"constant": ["4.25"]}
    if kind == "crossed":
        # Columns whose type is not that of the contract.
        typed |= {
            "key": [*FLOATS, 12345.678, 7.0, None],
            "number": [1.0, 2.0, 2.5, 2.0**53, math.nan],
        }
        typed |= {"colour": [*BIG, 0, None], "note": [*MOMENTS, None], "amount": [*BIG, 1, None]}
        typed |= {"small": [1.0, 1.5, -0.0, 100.5, math.inf, None], "share": [*MOMENTS]}
        typed |= {"count": ["1", "7 km", "9007199254740993", "x", None]}
    return typed


def make(folder: Path) -> None:
    """Write each raw table as a folder of two parts, and once more in another order."""
    for kind in ("typed", "text", "crossed"):
        generator = np.random.default_rng(11)
        data = {
            name: [pool[i] for i in generator.integers(0, len(pool), ROWS)]
            for name, pool in pools(kind).items()
        }
        types = {column.name: TYPES[column.type] for column in CONTRACT.columns}
        if kind == "text":
            types = dict.fromkeys(types, pa.string())
        arrays = {
            name: pa.array(values, types[name] if kind != "crossed" else None)
            for name, values in data.items()
        }
        for name in ("nothing", "no_text"):
            arrays[name] = arrays[name].cast(types[name])
        table = pa.table(arrays)
        # Rows that differ from others in one value only, so that only the last rule decides.
        table = pa.concat_tables([table, table.slice(0, 300), retouched(table.slice(100, 300))])
        shuffled = table.take(generator.permutation(table.num_rows))
        for name, rows in {kind: table, f"{kind}-shuffled": shuffled}.items():
            part = folder / name
            part.mkdir(parents=True)
            pq.write_table(rows.slice(0, 700), part / "part-00000001.parquet")
            pq.write_table(rows.slice(700), part / "part-00000002.parquet")


def retouched(table: pa.Table) -> pa.Table:
    """The same rows with the values of some columns handed on to the next row."""
    for name in ("amount", "note"):
        values = table[name].combine_chunks()
        moved = pa.concat_arrays([values.slice(1), values.slice(0, 1)])
        table = table.set_column(table.schema.get_field_index(name), name, moved)
    return table


def run(folder: Path, results: Path) -> None:
    """All steps over each raw table, once file by file and once as a single query."""
    keys = CONTRACT.identifiers
    with Engine(load_params().engine) as engine:
        for raw in sorted(folder.iterdir()):
            place = results / raw.name
            rows = engine.write(
                clean(engine.scan(raw), CONTRACT, MARKERS), place / "clean.parquet", keys
            )
            assert rows > 0, raw
            derived = transform(engine.scan(place / "clean.parquet"), RECIPE.transformation)
            engine.write(derived, place / "transformed.parquet", keys)
            features = engineer(engine.scan(place / "transformed.parquet"), RECIPE)
            engine.write(features, place / "features.parquet", keys)
            cleaned = clean(engine.scan(raw), CONTRACT, MARKERS)
            at_once = engineer(transform(cleaned, RECIPE.transformation), RECIPE)
            engine.write(at_once, place / "at_once.parquet", keys)


def differences(left: pa.Table, right: pa.Table) -> Iterator[str]:
    """What differs between two tables, a line per column."""
    if left.schema != right.schema or left.num_rows != right.num_rows:
        yield f"{left.num_rows} rows of {left.schema} against {right.num_rows} of {right.schema}"
        return
    for name in left.column_names:
        pairs = zip(left[name].to_pylist(), right[name].to_pylist(), strict=True)
        wrong = [pair for pair in pairs if not alike(*pair)]
        if wrong:
            yield f"{name}: {len(wrong)} values, for example {wrong[:3]}"


def alike(a: Any, b: Any) -> bool:
    """Whether two values are the same, numbers up to the tolerance."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or math.isclose(a, b, rel_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)


def compare(results: Path, other: Path) -> None:
    """Fail with every difference between the results of two runs."""
    paths = sorted(path.relative_to(results) for path in results.rglob("*.parquet"))
    assert paths == sorted(path.relative_to(other) for path in other.rglob("*.parquet"))
    found = [
        f"{path}: {difference}"
        for path in paths
        for difference in differences(pq.read_table(results / path), pq.read_table(other / path))
    ]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    {"make": make, "run": run, "compare": compare}[sys.argv[1]](*map(Path, sys.argv[2:]))

"""Work on tables: preparing raw data and scoring files, each in a process of its own."""

import shutil
from pathlib import Path

from benchmarks.measuring import Bystanders, Case, Measurement, Sample, Scale, interleaved
from benchmarks.places import Places, render_engine, workload

CONTENDERS = {
    "this template": "ours",
    "pandas by hand": "by_hand",
    "limit: read and write": "limit",
}

# Contender of the growing table: the engine whose project runs it, the way, and the largest table.
ENGINES = {
    "duckdb": ("duckdb", "ours", 20_000_000),
    "duckdb, rows in any order": ("duckdb", "unordered", 20_000_000),
    "polars": ("polars", "ours", 5_000_000),
    "pandas": ("pandas", "ours", 5_000_000),
    "pandas by hand": ("pandas", "by_hand", 20_000_000),
    "limit: read and write": ("pandas", "limit", 20_000_000),
}


def _measure(where: Places, scale: Scale, script: str, kind: str) -> Measurement:
    folder = where.scratch(kind)
    cases = []
    differences = []
    for rows in scale.table_rows:
        source = folder / f"{rows}.parquet"
        workload(where.batch, "make_table.py", kind, str(rows), str(source))
        results: dict[str, Path] = {
            way: folder / f"{rows}-{way}.parquet" for way in CONTENDERS.values()
        }
        for contender, way in CONTENDERS.items():
            arguments = (way, str(source), str(results[way]))

            def run(arguments: tuple[str, ...] = arguments) -> Sample:
                return workload(where.batch, script, *arguments)

            cases.append(Case(contender, f"{rows:,} rows", run))
        if rows == scale.table_rows[0]:
            # Whoever computes something else is not a contender.
            for way in ("ours", "by_hand"):
                workload(where.batch, script, way, str(source), str(results[way]))
            pair = (str(results["ours"]), str(results["by_hand"]))
            compared = workload(where.batch, "compare_tables.py", *pair)
            differences.append(compared["largest_difference"])
    bystanders = Bystanders()
    series = interleaved(cases, scale.rounds)
    notes: dict[str, str | float] = {"largest_difference": max(differences)}
    return Measurement(series=series, others=bystanders.cores(), notes=notes)


def measure_preparation(where: Places, scale: Scale) -> Measurement:
    """Raw text table to model inputs."""
    return _measure(where, scale, "prepare.py", "raw")


def measure_scoring(where: Places, scale: Scale) -> Measurement:
    """Typed records to records with predictions."""
    return _measure(where, scale, "score.py", "records")


def measure_engines(where: Places, scale: Scale) -> Measurement:
    """Typed table of growing size to model inputs, on every engine of a single machine."""
    folder = where.scratch("orders")
    projects = {
        engine: render_engine(where, engine) for engine, _, _ in dict.fromkeys(ENGINES.values())
    }
    cases = []
    differences = []
    for rows in scale.order_rows:
        source = folder / f"{rows}.parquet"
        workload(where.batch, "make_orders.py", str(rows), str(source))
        for contender, (engine, way, most) in ENGINES.items():
            destination = folder / f"{engine}-{way}.parquet"
            arguments = (way, str(source), str(destination))

            def run(
                project: Path = projects[engine], arguments: tuple[str, ...] = arguments
            ) -> Sample:
                return workload(project, "orders.py", *arguments)

            if rows <= most:
                cases.append(Case(contender, f"{rows:,} rows", run))
            if rows == scale.order_rows[0]:
                run()
        if rows == scale.order_rows[0]:
            theirs = str(folder / "pandas-by_hand.parquet")
            for engine in projects:
                pair = (str(folder / f"{engine}-ours.parquet"), theirs)
                compared = workload(where.batch, "compare_tables.py", *pair)
                differences.append(compared["largest_difference"])
    bystanders = Bystanders()
    series = interleaved(cases, scale.rounds)
    notes: dict[str, str | float] = {"largest_difference": max(differences)}
    shutil.rmtree(folder)
    return Measurement(series=series, others=bystanders.cores(), notes=notes)

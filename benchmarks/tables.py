"""Work on tables: preparing raw data and scoring files, each in a process of its own."""

from pathlib import Path

from benchmarks.measuring import Bystanders, Case, Measurement, Sample, Scale, interleaved
from benchmarks.places import Places, workload

CONTENDERS = {
    "this template": "ours",
    "pandas by hand": "by_hand",
    "limit: read and write": "limit",
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

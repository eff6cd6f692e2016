"""Measure everything and write the results and the document: `python -m benchmarks`.

With `--document-only` the document is written again from the results that are there.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.document import Results, document
from benchmarks.measuring import FULL, QUICK, Measurement, Scale, machine, rounded
from benchmarks.places import (
    ROOT,
    SLUG,
    Places,
    install_peers,
    places,
    render_service,
    versions,
)
from benchmarks.rendering import measure_render, measure_training
from benchmarks.service import measure_service
from benchmarks.tables import measure_engines, measure_preparation, measure_scoring

RESULTS = Path(__file__).parent / "results.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
BUILD = ROOT / "build" / "benchmarks"
SHOWN = {
    *(
        "create-ml-stack",
        "duckdb",
        "fastapi",
        "kedro",
        "msgspec",
        "narwhals",
        "numpy",
        "onnxruntime",
    ),
    *("pandas", "polars", "pyarrow", "pydantic", "scikit-learn", "starlette", "uvicorn"),
}
MEASUREMENTS: dict[str, Callable[[Places, Scale], Measurement]] = {
    "render": measure_render,
    # Leaves the project that the following ones use.
    "training": measure_training,
    "preparation": measure_preparation,
    "engines": measure_engines,
    "scoring": measure_scoring,
    "service": measure_service,
}


def measure(where: Places, scale: Scale) -> Results:
    """Run all measurements."""
    shutil.rmtree(where.build, ignore_errors=True)
    where.build.mkdir(parents=True)
    described = machine()
    install_peers(where.peers)
    measured = {}
    for name, action in MEASUREMENTS.items():
        print(f"{name}:", flush=True)
        if name == "service":
            render_service(where)
        measured[name] = action(where, scale)
    environments = [where.peers, where.api / ".venv", *where.build.glob(f"engine-*/{SLUG}/.venv")]
    installed = {name: version for item in environments for name, version in versions(item).items()}
    return Results(
        machine=described,
        versions={name: installed[name] for name in sorted(SHOWN & set(installed))},
        measurements=measured,
    )


def main() -> None:
    """Measure, or only write the document again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything work?")
    parser.add_argument("--document-only", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--build", type=Path, default=BUILD, help="emptied first")
    arguments = parser.parse_args()
    if not arguments.document_only:
        results = measure(places(arguments.build.resolve()), QUICK if arguments.quick else FULL)
        text = json.dumps(rounded(results), indent=1) + "\n"
        arguments.results.write_text(text, encoding="utf-8")
    written: Results = json.loads(arguments.results.read_text(encoding="utf-8"))
    arguments.document.write_text(document(written), encoding="utf-8")
    print(f"wrote {arguments.document}")


if __name__ == "__main__":
    main()

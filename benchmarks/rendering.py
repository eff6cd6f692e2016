"""From nothing to a project, and from nothing to a trained and evaluated model."""

import json
import shutil
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from benchmarks.measuring import Bystanders, Case, Measurement, Sample, Scale, interleaved, timed
from benchmarks.places import SLUG, Places, call, program, render, uv

STACK = "create-ml-stack"
STACK_ANSWERS = [
    *("--framework", "sklearn", "--tracking", "none", "--data", "none", "--config", "none"),
    *("--serving", "none", "--testing", "pytest", "--pm", "uv", "--layout", "single"),
    *("-y", "--no-smoke-test", "--out", "."),
]
IGNORED = {".git", ".venv", ".dvc"}


def _files(folder: Path) -> int:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sum(not IGNORED & set(path.parts) for path in paths)


def _kedro(where: Places) -> Callable[[Path], None]:
    command = [program(where.peers, "kedro"), "new", "--name", "demo", "--tools", "none"]
    options = ["--example", "n", "--telemetry", "no"]
    return lambda folder: void(call([*command, *options], folder))


def _stack(where: Places) -> Callable[[Path], None]:
    command = [program(where.peers, STACK), "demo", *STACK_ANSWERS]
    return lambda folder: void(call(command, folder))


def void(_: object) -> None:
    """Drop a result."""


def _phases(**actions: Callable[[], None]) -> Sample:
    """Time actions one after another, and all together."""
    sample = {name: timed(action)["seconds"] for name, action in actions.items()}
    return {**sample, "seconds": sum(sample.values())}


def measure_render(where: Places, scale: Scale) -> Measurement:
    """Time the command that renders a project, each in a fresh folder and process."""
    numbers = count()
    parent = where.scratch("render")
    tree = parent / "tree"
    tree.mkdir()
    render(tree)

    def copy(folder: Path) -> None:
        code = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
        call([sys.executable, "-c", code, str(tree / SLUG), str(folder / SLUG)], folder)

    def case(contender: str, action: Callable[[Path], None]) -> Case:
        def run() -> Sample:
            folder = parent / str(next(numbers))
            folder.mkdir()
            sample = timed(lambda: action(folder))
            sample["files"] = _files(folder)
            shutil.rmtree(folder)
            return sample

        return Case(contender, "", run)

    cases = [
        case("this template", render),
        case("kedro new", _kedro(where)),
        case(STACK, _stack(where)),
        case("limit: copy our files", copy),
    ]
    # The first start of each tool compiles it.
    interleaved(cases, 1)
    bystanders = Bystanders()
    series = interleaved(cases, 2 * scale.rounds - 1)
    return Measurement(series=series, others=bystanders.cores(), notes={})


def measure_training(where: Places, scale: Scale) -> Measurement:
    """Time the way from nothing to a trained and evaluated model, packages already downloaded.

    The project that the last round leaves behind serves the other measurements.
    """
    make_stack = _stack(where)

    def ours() -> Sample:
        folder = where.scratch("batch")
        return _phases(
            render=lambda: render(folder),
            install=lambda: void(call(["make", "setup"], where.batch)),
            run=lambda: void(call(["make", "run"], where.batch)),
        )

    def stack() -> Sample:
        folder = where.scratch("stack")
        return _phases(
            render=lambda: make_stack(folder),
            install=lambda: void(call([uv(), "sync", "--quiet"], folder)),
            run=lambda: void(call([uv(), "run", "--no-sync", "train", "--fast"], folder)),
        )

    cases = [Case("this template", "", ours), Case(STACK, "", stack)]
    bystanders = Bystanders()
    series = interleaved(cases, scale.train_rounds)
    report = json.loads((where.batch / "reports" / "evaluation.json").read_text(encoding="utf-8"))
    chosen = report["metrics"][0]
    notes: dict[str, str | float] = {
        "model": report["model"],
        "metric": chosen["label"],
        "value": chosen["model"]["value"],
        "low": chosen["model"]["low"],
        "high": chosen["model"]["high"],
        "baseline": chosen["baseline"]["value"],
        "rows": report["rows"],
    }
    return Measurement(series=series, others=bystanders.cores(), notes=notes)

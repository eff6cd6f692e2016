"""Render a project, run its pipeline and make one real prediction: `python -m tools.demo`.

Answers are given as on cookiecutter's own command line: `python -m tools.demo serving=api`.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "demo"
# Set by the tool that runs this script, for this repository and not for the rendered one.
INHERITED = ("VIRTUAL_ENV", "UV_PYTHON", "PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL")
READY_SECONDS = 60


def environment() -> dict[str, str]:
    """The environment for commands of the rendered project."""
    kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
    own = str(Path(sys.prefix) / "bin")
    path = [part for part in kept["PATH"].split(os.pathsep) if part != own]
    return {**kept, "PATH": os.pathsep.join(path)}


def run(project: Path, *command: str) -> None:
    """Run a command in the project and show it."""
    print(f"\n$ {' '.join(command)}", flush=True)
    subprocess.run(command, cwd=project, env=environment(), check=True)


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def first_record(project: Path) -> tuple[list[str], list[str]]:
    """Header and first row of the project's raw data, as a caller has them."""
    source = next((project / "data" / "source").glob("*.csv"))
    with source.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        return next(rows), next(rows)


def predict_batch(project: Path) -> str:
    """Score a file with one raw record; returns the line of the answer."""
    record, answer = project / "data" / "record.csv", project / "data" / "record_scored.csv"
    with record.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(first_record(project))
    try:
        run(project, "make", "score", f"INPUT={record}", f"OUTPUT={answer}")
        with answer.open(encoding="utf-8", newline="") as stream:
            return json.dumps(next(csv.DictReader(stream)), ensure_ascii=False)
    finally:
        record.unlink()
        answer.unlink(missing_ok=True)


def _wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/ready", timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(f"{address} did not become ready")


def predict_api(project: Path) -> str:
    """Start the service, send the example record of its documentation; returns the answer."""
    address = "http://127.0.0.1:8000"
    print("\n$ make serve", flush=True)
    server = subprocess.Popen(
        ["make", "serve"], cwd=project, env=environment(), start_new_session=True
    )
    try:
        _wait_until_ready(address, server)
        with urllib.request.urlopen(f"{address}/openapi.json", timeout=5) as reply:  # noqa: S310
            path = json.load(reply)["paths"]["/v1/predictions"]["post"]
        content = path["requestBody"]["content"]["application/json"]
        record = content.get("example") or next(iter(content["examples"].values()))["value"]
        request = urllib.request.Request(  # noqa: S310
            f"{address}/v1/predictions",
            json.dumps(record).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
            return str(reply.read().decode())
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def summary(project: Path) -> str:
    """What the pipeline measured, in a few lines."""
    report = read_json(project / "reports" / "evaluation.json")
    lines = [f"{report['model'].replace('_', ' ')} on {report['rows']:,} held-out rows:"]
    for metric in report["metrics"]:
        model, baseline = metric["model"], metric["baseline"]
        lines.append(
            f"  {metric['label']:<26} {model['value']:>9.4g}"
            f"  ({model['low']:.4g} to {model['high']:.4g})"
            f"   naive baseline {baseline['value']:.4g}"
        )
    monitoring = read_json(project / "reports" / "monitoring.json")
    drifted = [item["column"] for item in monitoring["columns"] if item["status"] != "stable"]
    lines.append(f"  monitoring: {monitoring['status']} ({', '.join(drifted) or 'no drift'})")
    return "\n".join(lines)


def main() -> None:
    """Render, run, predict and say where to look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answers", nargs="*", metavar="QUESTION=ANSWER")
    answers = dict(answer.split("=", 1) for answer in parser.parse_args().answers)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    started = time.monotonic()
    project = Path(
        cookiecutter(str(ROOT), no_input=True, extra_context=answers, output_dir=str(OUTPUT))
    )
    run(project, "make", "run")
    predict = predict_api if answers.get("serving") == "api" else predict_batch
    prediction = predict(project)
    place = project.relative_to(ROOT)
    print(
        f"\n{summary(project)}\n\nOne prediction:\n  {prediction}\n\n"
        f"From answers to here in {time.monotonic() - started:.0f} s. Now look at\n"
        f"  {place}/README.md           what was measured, with figures\n"
        f"  make -C {place} dashboard   data, model and drift in the browser\n"
        f"  make -C {place} test        the tests of the rendered project"
    )


if __name__ == "__main__":
    main()

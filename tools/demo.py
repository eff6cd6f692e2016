"""Render a project, run its pipeline and make one real prediction: `python -m tools.demo`.

Answers are given as on cookiecutter's own command line: `python -m tools.demo serving=api`.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import socket
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
TEMPLATE = ROOT / "build" / "template"
# What tools leave in a working copy and no project should be rendered with.
CACHES = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", ".venv")
# Set by make and uv for this repository and not for the rendered one. How packages are reached
# (UV_INDEX, SSL_CERT_FILE and the like) is the same for both and stays.
INHERITED = frozenset(
    {"VIRTUAL_ENV", "UV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_RUN_RECURSION_DEPTH"}
    | {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTHONDONTWRITEBYTECODE"}
)
READY_SECONDS = 60


def environment() -> dict[str, str]:
    """The environment for commands of the rendered project, as in a terminal of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
    own = str(Path(sys.prefix) / "bin")
    path = [part for part in kept["PATH"].split(os.pathsep) if part != own]
    return {**kept, "PATH": os.pathsep.join(path)}


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(project: Path, *command: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in the project, as a group that can be stopped as a whole."""
    return subprocess.Popen(command, cwd=project, env=env, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a started command and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a started service answers a request.

    Raises:
        RuntimeError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"{address} did not answer")


def copy_template() -> Path:
    """A copy of what renders projects, without the caches of a working copy."""
    shutil.rmtree(TEMPLATE, ignore_errors=True)
    for name in ("hooks", "templates", "{{cookiecutter.project_slug}}"):
        shutil.copytree(ROOT / name, TEMPLATE / name, ignore=CACHES)
    shutil.copy(ROOT / "cookiecutter.json", TEMPLATE)
    return TEMPLATE


def run(project: Path, *command: str) -> None:
    """Run a command in the project and show it."""
    print(f"\n$ {' '.join(command)}", flush=True)
    subprocess.run(command, cwd=project, env=environment(), check=True)


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def first_record(project: Path) -> list[list[str]]:
    """Header and first row of the project's raw store, as a caller has them."""
    code = (
        "import csv, pathlib, sys, pyarrow.parquet as pq\n"
        "part = pq.ParquetFile(min(pathlib.Path('data/raw').glob('*.parquet')))\n"
        "first = next(part.iter_batches(1)).to_pylist()[0]\n"
        "csv.writer(sys.stdout).writerows([first, first.values()])"
    )
    python = project / ".venv" / "bin" / "python"
    run = subprocess.run(
        [python, "-c", code], cwd=project, capture_output=True, encoding="utf-8", check=True
    )
    return list(csv.reader(run.stdout.splitlines()))


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


def predict_api(project: Path) -> str:
    """Start the service, send the example record of its documentation; returns the answer."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    print(f"\n$ PORT={port} make serve", flush=True)
    server = started(project, "make", "serve", env={**environment(), "PORT": str(port)})
    try:
        wait_until_ready(f"{address}/ready", server)
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
        stop(server)


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
    begin = time.monotonic()
    template = str(copy_template())
    project = Path(
        cookiecutter(template, no_input=True, extra_context=answers, output_dir=str(OUTPUT))
    )
    run(project, "make", "run")
    predict = predict_api if answers.get("serving") == "api" else predict_batch
    prediction = predict(project)
    place = project.relative_to(ROOT)
    print(
        f"\n{summary(project)}\n\nOne prediction:\n  {prediction}\n\n"
        f"From answers to here in {time.monotonic() - begin:.0f} s. Now look at\n"
        f"  {place}/README.md           what was measured, with figures\n"
        f"  make -C {place} dashboard   data, model and drift in the browser\n"
        f"  make -C {place} test        the tests of the rendered project"
    )


if __name__ == "__main__":
    main()

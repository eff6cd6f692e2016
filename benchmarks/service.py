"""Predictions over HTTP, each service in one process of its own, one after another under load."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import generator, put_load
from benchmarks.measuring import Bystanders, Case, Measurement, Sample, Scale, interleaved
from benchmarks.places import WORKLOADS, Places, program, variables, workload

ONE, MANY = "/v1/predictions", "/v1/predictions/batch"
# Records in a request, requests at the same time.
SETTINGS = [(1, 1), (1, 16), (1, 64), (100, 16)]
BODIES = {1: 100, 100: 10}
READY_SECONDS = 60
TOLERANCE = 1e-6


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _post(url: str, body: bytes) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
        answer: dict[str, Any] = json.load(reply)
        return answer


@contextmanager
def _running(
    command: list[str], folder: Path, extra: Mapping[str, str], address: str, body: bytes
) -> Iterator[str]:
    server = subprocess.Popen(
        command,
        cwd=folder,
        env=variables(extra),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                _post(address + ONE, body)
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{' '.join(command)} does not answer: {error}") from error
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def _services(where: Places, scratch: Path) -> dict[str, tuple[list[str], Path, dict[str, str]]]:
    """Command, folder and environment by contender; the port is put in place of PORT."""
    version = json.loads((where.api / "models" / "live.json").read_text(encoding="utf-8"))
    model = scratch / "model"
    trained = where.batch / "models" / version["version"]
    workload(where.batch, "plain_model.py", str(trained), str(model))
    own = program(where.api / ".venv", "python")
    options = ["--host", "127.0.0.1", "--port", "PORT"]
    uvicorn = ["-m", "uvicorn", "--no-access-log", "--app-dir", str(WORKLOADS), *options]
    # One thread for linear algebra: more of them make the tutorial slower.
    tutorial = {"MODEL": str(model), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {
        "this template": (
            [own, "-m", "model_deployment.serving", *options, "--log", str(scratch / "log")],
            where.api,
            {},
        ),
        "FastAPI, pandas, scikit-learn": (
            [program(where.peers, "python"), *uvicorn, "tutorial_service:app"],
            scratch,
            tutorial,
        ),
        "limit: a constant answer": ([own, *uvicorn, "constant_service:app"], scratch, {}),
    }


def _largest_difference(addresses: Mapping[str, str], bodies: Path) -> float:
    """How far the probabilities of the services, not of the limit, are apart.

    Raises:
        RuntimeError: They are not the same.
    """
    both = [address for name, address in addresses.items() if not name.startswith("limit")]
    largest = 0.0
    for body in bodies.read_bytes().splitlines():
        answers = [_post(address + MANY, body)["predictions"] for address in both]
        for ours, theirs in zip(*answers, strict=True):
            largest = max(largest, abs(ours["probability"] - theirs["probability"]))
    if not largest <= TOLERANCE:
        raise RuntimeError(f"the services answer differently, by up to {largest}")
    return largest


def measure_service(where: Places, scale: Scale) -> Measurement:
    """Requests per second and time to an answer, one contender under load at a time."""
    scratch = where.scratch("service")
    bodies = {size: scratch / f"{size}.jsonl" for size in BODIES}
    for size, number in BODIES.items():
        arguments = (str(size), str(number), str(bodies[size]))
        workload(where.batch, "make_requests.py", *arguments)
    first = bodies[1].read_bytes().splitlines()[0]
    bystanders = Bystanders()
    with ExitStack() as stack:
        addresses = {}
        for contender, (command, folder, extra) in _services(where, scratch).items():
            port = str(_free_port())
            address = f"http://127.0.0.1:{port}"
            placed = [port if part == "PORT" else part for part in command]
            addresses[contender] = stack.enter_context(
                _running(placed, folder, extra, address, first)
            )
        difference = _largest_difference(addresses, bodies[100])
        cases = []
        for size, connections in SETTINGS:
            for contender, address in addresses.items():

                def run(
                    url: str = address + (ONE if size == 1 else MANY),
                    size: int = size,
                    connections: int = connections,
                ) -> Sample:
                    return put_load(url, bodies[size], connections, scale.load_seconds)

                noun = "record" if size == 1 else "records"
                cases.append(Case(contender, f"{size} {noun}, {connections} at once", run))
        series = interleaved(cases, scale.rounds)
    notes: dict[str, str | float] = {
        "largest_difference": difference,
        "generator": generator(),
        "seconds": scale.load_seconds,
    }
    # The servers have ended, so their work counts as the benchmark's.
    return Measurement(series=series, others=bystanders.cores(), notes=notes)

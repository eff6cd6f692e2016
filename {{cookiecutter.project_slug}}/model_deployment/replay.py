"""Replay: held-out records sent through the real service, and every answer checked.

Usage: ``python -m model_deployment.replay --records RECORDS --log FOLDER``. The folder then holds
the log of exactly these records, the same bytes each time, for monitoring to read.
"""

import argparse
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import polars as pl
from tqdm import tqdm

from model_deployment.artefact import MODELS, Artefact, load_artefact
from model_deployment.postprocessing import predictions
from model_deployment.prediction_log import PATTERN
from model_deployment.preprocessing import check_columns, model_inputs, standardise_records
from utils.config import ProjectError, load_params
from utils.logging import run

HOST = "127.0.0.1"
SINGLE_RECORDS = 3
START_SECONDS = 60
STOP_SECONDS = 60
REQUEST_SECONDS = 60
TOLERANCE = 1e-9
ROOT = Path(__file__).resolve().parent.parent

log = logging.getLogger(__name__)


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def request(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send one request to the service and return the status and the decoded answer.

    Raises:
        OSError: nobody listens.
        ProjectError: the answer is not JSON.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=REQUEST_SECONDS)
    with closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, msgspec.json.encode(body), headers)
        response = connection.getresponse()
        content = response.read()
    try:
        return response.status, msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ProjectError(f"{method} {path} answered with something else than JSON.") from error


def _is_ready(port: int) -> bool:
    try:
        return request(port, "GET", "/ready")[0] == http.HTTPStatus.OK
    except OSError:
        return False


def _wait(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(port):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            last = output.read_text(encoding="utf-8", errors="replace").strip()[-1000:]
            what = "ended" if ended else f"was not ready within {START_SECONDS} s"
            raise ProjectError(f"The service {what}. Its last output:\n{last}")
        time.sleep(0.05)


@contextmanager
def service(models: Path, folder: Path, output: Path) -> Iterator[int]:
    """Run the service as a process of its own and yield its port once it is ready.

    Leaving the block stops the service the way an orchestrator does: it answers what is under way
    and writes its log.

    Args:
        models: folder of the artefacts.
        folder: folder of the prediction log.
        output: file for what the service prints.

    Raises:
        ProjectError: the service doesn't become ready, or doesn't stop when told to.
    """
    port = free_port()
    command = [sys.executable, "-m", "model_deployment.serving", "--host", HOST]
    command += ["--port", str(port), "--models", str(models), "--log", str(folder)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    # Windows has no SIGTERM to catch; there a break reaches a process group of its own.
    stop = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with (
        output.open("wb") as stream,
        subprocess.Popen(  # noqa: S603
            command, stdout=stream, stderr=stream, env=environment, creationflags=group
        ) as process,
    ):
        try:
            _wait(process, port, output)
            yield port
            process.send_signal(stop)
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ProjectError(f"The service did not stop within {STOP_SECONDS} s.") from error
        finally:
            process.kill()


def _rows(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Return records as JSON objects; what is not a number in JSON is missing there."""
    return records.fill_nan(None).to_dicts()


def send(port: int, records: pl.DataFrame, batch_size: int) -> list[dict[str, Any]]:
    """Send records to the service: the first few one by one, the others in batches.

    Returns:
        The predictions, in the order of the records.

    Raises:
        ProjectError: the service refused a record.
    """
    rows = _rows(records)
    singles = rows[:SINGLE_RECORDS]
    rest = range(len(singles), len(rows), batch_size)
    requests: list[tuple[str, Any, int]] = [("/v1/predictions", row, 1) for row in singles]
    for start in rest:
        batch = rows[start : start + batch_size]
        requests.append(("/v1/predictions/batch", {"records": batch}, len(batch)))
    answers: list[dict[str, Any]] = []
    with tqdm(total=len(rows), desc="sent", unit=" records") as progress:
        for path, body, count in requests:
            status, answer = request(port, "POST", path, body)
            if status != http.HTTPStatus.OK:
                raise ProjectError(
                    f"The service refused a request for {path} with status {status}: "
                    f"{answer.get('error', {}).get('message', answer)}"
                )
            answers += answer.get("predictions", [answer])
            progress.update(count)
    return answers


def expected_log(records: pl.DataFrame, artefact: Artefact) -> pl.DataFrame:
    """Return what the log has to hold for ``records``, computed without the service."""
    metadata = artefact.metadata
    standardised = standardise_records(records, metadata.recipe)
    scores = artefact.scorer.score(*model_inputs(standardised, metadata.recipe))
    return standardised.with_columns(
        *(pl.Series(name, v) for name, v in predictions(scores, metadata.decision).items()),
        pl.lit(metadata.version).alias("model_version"),
    )


def check_same(found: pl.DataFrame, expected: pl.DataFrame, what: str) -> None:
    """Check that two tables agree: numbers within ``TOLERANCE``, everything else exactly.

    Raises:
        ProjectError: they differ; the message names the first column that does.
    """
    if found.height != expected.height:
        raise ProjectError(f"{what} has {found.height} records instead of {expected.height}.")
    if found.columns != expected.columns:
        raise ProjectError(f"{what} has the columns {found.columns}, not {expected.columns}.")
    for name in expected.columns:
        ours, theirs = found[name], expected[name]
        if theirs.dtype.is_float():
            pair = (ours.cast(pl.Float64).to_numpy(), theirs.to_numpy())
            same = bool(np.isclose(*pair, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).all())
        else:
            same = ours.equals(theirs)
        if not same:
            raise ProjectError(f"{what} differs from the model itself in column {name!r}.")


def read_log(folder: Path, keys: list[str]) -> pl.DataFrame:
    """Return all parts of a prediction log, ordered by identifier.

    Raises:
        ProjectError: the log is empty.
    """
    parts = sorted(folder.glob(PATTERN))
    if not parts:
        raise ProjectError("The service wrote no prediction log.")
    return pl.concat([pl.read_parquet(part) for part in parts]).sort(keys)


def check_folder(folder: Path) -> None:
    """Check that ``folder`` is a prediction log or absent, because its content is replaced.

    Raises:
        ProjectError: it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file; give the folder of a prediction log as --log.")
    others = {path.name for path in folder.glob("*")} - {p.name for p in folder.glob(PATTERN)}
    if others:
        raise ProjectError(
            f"{folder} holds {sorted(others)[0]!r}, so it is not a prediction log and is left "
            "alone. Give another folder as --log."
        )


def replay(records: pl.DataFrame, models: Path, folder: Path, batch_size: int) -> dict[str, Any]:
    """Send records through the service, check every answer, and keep the log.

    Args:
        records: records as callers send them, one per identifier.
        models: folder of the artefacts.
        folder: folder of the prediction log; replaced as a whole when everything is right.
        batch_size: records in one request.

    Returns:
        The first prediction.

    Raises:
        ProjectError: the service fails, refuses a record or answers differently from the model.
    """
    check_folder(folder)
    artefact = load_artefact(models)
    contract = artefact.metadata.recipe.contract
    check_columns(records.columns, artefact.metadata.recipe)
    if records.is_empty():
        raise ProjectError("There are no records to send.")
    inputs = records.select(column.name for column in contract.inputs).sort(contract.identifiers)
    expected = expected_log(inputs, artefact)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
        parts, merged = Path(temporary) / "parts", Path(temporary) / "merged"
        with service(models, parts, Path(temporary) / "output.log") as port:
            answers = send(port, inputs, batch_size)
        answered = [*contract.identifiers, *expected.columns[inputs.width :]]
        check_same(
            pl.DataFrame(answers, schema=expected.select(answered).schema),
            expected.select(answered),
            "What the service answered",
        )
        logged = read_log(parts, contract.identifiers)
        check_same(logged, expected, "The prediction log")
        merged.mkdir()
        logged.write_parquet(merged / "part-000000.parquet")
        if folder.exists():
            folder.rename(Path(temporary) / "replaced")
        merged.rename(folder)
    return answers[0]


def main() -> None:
    """Replay the records named on the command line and show one prediction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, required=True, help="records, Parquet")
    parser.add_argument("--log", type=Path, required=True, help="folder of the prediction log")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the artefacts")
    arguments = parser.parse_args()
    try:
        records = pl.read_parquet(arguments.records)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ProjectError(
            f"{arguments.records} is not a readable Parquet file: {error}"
        ) from error
    batch_size = int(load_params().serving["maximum_records"])
    example = replay(records, arguments.models, arguments.log, batch_size)
    sys.stdout.write(f"Example: {msgspec.json.encode(example).decode()}\n")
    log.info("replayed", extra={"records": records.height, "log": str(arguments.log)})


if __name__ == "__main__":
    run(main)

"""Run by the Python of a rendered project: a Spark worker is killed while it writes a table.

Usage: ``python spark_kill.py FOLDER`` in the root of the project, with ``SPARK_MASTER`` set to a
cluster of several processes. Prints one line of JSON about the undisturbed and the disturbed run.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path.cwd()))

from data_prep.engine import Engine

FILES = 8
ROWS = 100_000


def make_table(folder: Path) -> None:
    """Write shuffled rows in several files."""
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(1)
    identifiers = drawn.permutation(FILES * ROWS)
    for number in range(FILES):
        part = identifiers[number * ROWS : (number + 1) * ROWS]
        columns = {f"value_{i}": drawn.normal(size=ROWS) for i in range(4)}
        table = pa.table({"identifier": part, "name": [f"n{i}" for i in part], **columns})
        pq.write_table(table, folder / f"part-{number:08d}.parquet")


def workers(port: str) -> list[int]:
    """Process numbers of the executors that belong to the driver at a port."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        driver = [word for word in command if word.startswith("spark://CoarseGrainedScheduler@")]
        backend = any(word.endswith("CoarseGrainedExecutorBackend") for word in command)
        if backend and driver and driver[0].endswith(f":{port}"):
            found.append(int(process.name))
    return sorted(found)


def kill_one(temporary: Path, port: str, told: dict[str, Any], done: threading.Event) -> None:
    """Kill a worker as soon as a part of the table is being written."""
    while not done.is_set():
        if any(temporary.glob("parts-*/table/_temporary/0/_temporary/*/part-*")):
            told["before"] = workers(port)
            os.kill(told["before"][0], signal.SIGKILL)
            told["killed"] = told["before"][0]
            told["running"] = not done.is_set()
            told["at"] = time.monotonic()
            return
        time.sleep(0.005)


def main() -> None:
    """Write the same table twice, the second time with a worker that dies."""
    folder = Path(sys.argv[1])
    make_table(folder / "source")
    settings: dict[str, Any] = {
        "threads": 2,
        "memory": "1g",
        "partitions": 12,
        "temporary_folder": str(folder / "temporary"),
        # without this, small tables become one part
        "options": {"spark.sql.adaptive.enabled": False},
    }
    told: dict[str, Any] = {"killed": None, "running": False}
    with Engine(settings) as engine:
        frame = engine.scan(folder / "source")
        begin = time.monotonic()
        engine.write(frame, folder / "calm.parquet", ["identifier"])
        told["calm_seconds"] = time.monotonic() - begin
        port = str(engine.session.conf.get("spark.driver.port"))
        done = threading.Event()
        killer = threading.Thread(
            target=kill_one, args=(folder / "temporary", port, told, done), daemon=True
        )
        killer.start()
        begin = time.monotonic()
        told["rows"] = engine.write(frame, folder / "disturbed.parquet", ["identifier"])
        end = time.monotonic()
        done.set()
        killer.join()
        told["disturbed_seconds"] = end - begin
        told["seconds_after_the_kill"] = end - told.pop("at", end)
        told["after"] = workers(port)
    log = (folder / "temporary" / "spark.log").read_text(errors="replace")
    told["lost"] = [line for line in log.splitlines() if "Lost executor" in line]
    print(json.dumps(told))


if __name__ == "__main__":
    main()

"""The log of what was predicted: Parquet parts that monitoring reads.

A part holds the standardised records with the answer and the version of the model. A thread of its
own writes, so that no request waits for the disk or fails with it.
"""

import logging
import secrets
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import NamedTuple

import polars as pl
from prometheus_client import CollectorRegistry, Counter

from model_deployment.artefact import Metadata
from model_deployment.preprocessing import standardise_records
from model_deployment.request_plan import Answer
from utils.files import atomic_path

# Rows kept in memory while the disk doesn't take them; further ones are given up.
ROWS_KEPT = 200_000
PATTERN = "part-*.parquet"

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One scored batch: records as they were decoded, and the answer."""

    metadata: Metadata
    batch: pl.DataFrame
    answer: Answer


def to_table(entries: list[Entry]) -> pl.DataFrame:
    """Return entries of one model as a table, one row per record in the order of arrival."""
    metadata = entries[0].metadata
    records = standardise_records(pl.concat([entry.batch for entry in entries]), metadata.recipe)
    answers = pl.concat([pl.DataFrame(entry.answer) for entry in entries])
    version = pl.lit(metadata.version).alias("model_version")
    return records.hstack(answers).with_columns(version)


class PredictionLog:
    """Collects scored batches and writes them every so many rows or seconds."""

    def __init__(
        self, folder: Path, rows: int, seconds: float, registry: CollectorRegistry
    ) -> None:
        """Start the writing thread.

        Args:
            folder: where the parts go; made when the first one is written.
            rows: rows from which a part is written at once.
            seconds: longest time a row waits in memory.
            registry: where the counters are registered.
        """
        self._folder = folder
        self._rows = rows
        self._seconds = seconds
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._pending: list[Entry] = []
        self._due = 0.0
        self._failed = False
        # Each is changed by one thread only; their difference is what memory holds.
        self._accepted = 0
        self._settled = 0
        # Replicas may share a folder; the token keeps their names apart.
        self._token = secrets.token_hex(4)
        self._parts = 0
        self._written = Counter(
            "prediction_log_rows", "Predictions written to the log.", registry=registry
        )
        self._failures = Counter(
            "prediction_log_failures", "Failed attempts to write the log.", registry=registry
        )
        self._dropped = Counter(
            "prediction_log_dropped_rows", "Predictions given up unwritten.", registry=registry
        )
        self._thread = Thread(target=self._work, name="prediction-log")
        self._thread.start()

    def add(self, metadata: Metadata, batch: pl.DataFrame, answer: Answer) -> None:
        """Hand over one scored batch; returns at once."""
        if self._accepted - self._settled + batch.height > ROWS_KEPT:
            self._dropped.inc(batch.height)
            return
        self._accepted += batch.height
        self._queue.put(Entry(metadata, batch, answer))

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        rows = 0
        while True:
            timeout = max(0.0, self._due - monotonic()) if self._pending else None
            try:
                entry = self._queue.get(timeout=timeout)
            except Empty:
                pass
            else:
                if entry is None:
                    break
                if not self._pending:
                    self._due = monotonic() + self._seconds
                self._pending.append(entry)
                rows += entry.batch.height
            # After a failure the next attempt waits its time, however many rows arrive.
            full = rows >= self._rows and not self._failed
            if full or monotonic() >= self._due:
                rows -= self._flush()
        self._flush()

    def _flush(self) -> int:
        """Write every pending row and return their number; after a failure the rows stay."""
        written = 0
        try:
            while self._pending:
                metadata = self._pending[0].metadata
                table = to_table([e for e in self._pending if e.metadata is metadata])
                self._write(table)
                self._pending = [e for e in self._pending if e.metadata is not metadata]
                written += table.height
            self._failed = False
        # Whatever goes wrong here, the service goes on answering.
        except Exception:
            self._failed = True
            self._failures.inc()
            self._due = monotonic() + self._seconds
            log.exception("prediction log not written", extra={"folder": str(self._folder)})
        self._settled += written
        self._written.inc(written)
        return written

    def _write(self, table: pl.DataFrame) -> None:
        now = datetime.now(UTC)
        name = f"part-{now:%Y%m%dT%H%M%S.%fZ}-{self._token}-{self._parts:06d}.parquet"
        with atomic_path(self._folder / name) as temporary:
            table.write_parquet(temporary)
        self._parts += 1

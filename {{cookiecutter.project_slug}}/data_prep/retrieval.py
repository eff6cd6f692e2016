"""Retrieval: what is new in the source of ``params.yaml`` goes into the raw store, as it is.

Usage: ``python -m data_prep.retrieval``. Ended at any moment and started again, it goes on where it
was.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tqdm import tqdm

from data_prep import raw_store
from data_prep.source import FORMAT, Settings, batches, describe
from utils.config import Contract, ProjectError, convert, load_contract, load_params
from utils.files import read_json, write_json
from utils.logging import run
from utils.paths import RAW, RETRIEVAL

log = logging.getLogger(__name__)


class Manifest(msgspec.Struct, frozen=True):
    """What was retrieved: for the lineage of the model and for whoever asks where rows came from.

    Attributes:
        retrieved_at: when the newest records arrived, UTC.
        source: where they came from.
        format: how the source wrote them.
        rows: records in the raw store.
        rows_new: how many of them arrived last.
        columns: columns in the raw store.
        parts: files of the raw store.
        sha256: fingerprint of all records in their order, however they are cut into parts.
    """

    retrieved_at: str
    source: str
    format: str
    rows: int
    rows_new: int
    columns: int
    parts: int
    sha256: str


def retrieve(settings: Settings, contract: Contract, folder: Path) -> int:
    """Add what is new in the source to the raw store.

    Args:
        settings: section ``source`` of ``params.yaml``.
        contract: names the columns to keep.
        folder: the raw store.

    Returns:
        The number of rows that arrived.

    Raises:
        ProjectError: the source can't be read, has no records or lacks columns.
    """
    source = describe(settings)
    raw_store.recover(folder)
    position = raw_store.position(folder, contract, source)
    arrived, any_batch = 0, False
    with tqdm(desc="retrieved", unit=" rows", unit_scale=True) as progress:
        for batch in batches(settings, contract, position):
            rows = raw_store.append(folder, batch, contract, source)
            # a store that begins anew during the run starts with this batch
            arrived = rows if batch.restart else arrived + rows
            any_batch = True
            progress.update(rows)
    if (position is None and not any_batch) or not raw_store.rows(folder):
        raise ProjectError(f"{source} has no records.")
    raw_store.finish(folder)
    return arrived


def update_manifest(path: Path, folder: Path, source: str, arrived: int) -> Manifest:
    """Describe the raw store in the manifest, which stays untouched if it holds no other records.

    Args:
        path: the manifest.
        folder: the raw store.
        source: where the records came from.
        arrived: how many of them arrived now.

    Returns:
        The manifest as it is now.
    """
    store = raw_store.describe(folder)
    if path.exists():
        earlier = read_json(path)
        held = {"source": source, "format": FORMAT, "sha256": store.sha256}
        if held.items() <= earlier.items():
            return convert(earlier, Manifest, str(path))
    manifest = Manifest(
        retrieved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        format=FORMAT,
        rows=store.rows,
        rows_new=arrived,
        columns=store.columns,
        parts=store.parts,
        sha256=store.sha256,
    )
    write_json(path, manifest)
    return manifest


def main() -> None:
    """Retrieve what is new in the source named in ``params.yaml``."""
    params, contract = load_params(), load_contract()
    settings = convert(params.source, Settings, "params.yaml: source")
    arrived = retrieve(settings, contract, RAW)
    manifest = update_manifest(RETRIEVAL, RAW, describe(settings), arrived)
    log.info(
        "retrieved",
        extra={"rows": manifest.rows, "rows_new": arrived, "source": manifest.source},
    )


if __name__ == "__main__":
    run(main)

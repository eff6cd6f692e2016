"""The raw store: records as they came, in Parquet parts that also say where the source goes on.

A part and the position after its records are one file, which appears whole or not at all. So a
process killed at any moment loses no record and reads none twice.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from utils.config import Contract

Position = dict[str, Any]


class Batch(NamedTuple):
    """Records of a source with the position from which the source continues after them.

    Attributes:
        records: any Arrow types; columns may be more than those of the contract.
        position: JSON-able; what it holds is the source's own business.
        restart: earlier records no longer hold: the raw store begins anew with this batch.
    """

    records: pa.Table
    position: Position
    restart: bool = False


def position(folder: Path) -> Position | None:
    """Return where the source continues, None if the store is empty."""
    raise NotImplementedError


def append(folder: Path, batch: Batch, contract: Contract, source: str) -> int:
    """Add the records of a batch and remember its position in one step; returns its rows."""
    raise NotImplementedError

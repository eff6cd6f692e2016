"""Source of the raw records: files of one format in a folder, behind a pattern or a URL."""

from collections.abc import Iterator

import msgspec

from data_prep.raw_store import Batch, Position
from utils.config import Contract


FORMAT = "csv"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``source`` of ``params.yaml``."""

    path: str


def describe(settings: Settings) -> str:
    """Return where the records come from, never a credential."""
    raise NotImplementedError


def batches(settings: Settings, contract: Contract, position: Position | None) -> Iterator[Batch]:
    """Yield the records after ``position`` in bounded batches."""
    raise NotImplementedError

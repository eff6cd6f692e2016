"""Retrieval: raw records from the source named in ``params.yaml``, as they are."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from data_prep.storage import Frame, read_csv, read_parquet
from utils.config import Contract, ProjectError
from utils.files import sha256

READERS: dict[str, Callable[[Path], Frame]] = {
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".parquet": read_parquet,
}


class Retrieval(msgspec.Struct, frozen=True):
    """What was read, for the lineage of the model."""

    source: str
    sha256: str
    rows: int
    columns: int


def _suffix(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def retrieve(source: Path, contract: Contract) -> tuple[Frame, Retrieval]:
    """Read the source file and check that it holds every column of the contract.

    Args:
        source: a CSV file (optionally gzip-compressed) or a Parquet file.
        contract: names the columns that must be there; others are dropped.

    Returns:
        The records with the contract's columns, and a description of what was read.

    Raises:
        ProjectError: the file is missing, unreadable, empty, of an unknown format, or lacks
            columns.
    """
    suffix = _suffix(source)
    if suffix in {".pkl", ".pickle", ".joblib"}:
        raise ProjectError(
            f"{source} is a pickle file. Loading one can run any code hidden in it: save the table "
            "as Parquet or CSV instead."
        )
    if suffix not in READERS:
        raise ProjectError(
            f"{source} has the unknown format {suffix!r}. Use one of {', '.join(READERS)}."
        )
    frame = READERS[suffix](source)
    missing = [column.name for column in contract.columns if column.name not in frame.columns]
    if missing:
        raise ProjectError(
            f"{source} lacks the column(s) {', '.join(missing)} that schema.yaml declares. "
            f"It has {', '.join(frame.columns)}."
        )
    if frame.is_empty():
        raise ProjectError(f"{source} has a header but no rows.")
    description = Retrieval(
        source=source.as_posix(),
        sha256=sha256(source),
        rows=frame.shape[0],
        columns=frame.shape[1],
    )
    return frame.select([column.name for column in contract.columns]), description

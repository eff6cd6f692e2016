"""Storage: the one place that opens a dataframe engine and touches table files."""

import csv
import gzip
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from utils.config import ProjectError
from utils.files import atomic_path

Frame = nw.DataFrame[Any]

ROW_GROUP_ROWS = 100_000


def read_parquet(path: Path) -> Frame:
    """Read a Parquet table.

    Raises:
        ProjectError: the file is missing or is not Parquet.
    """
    try:
        native = pd.read_parquet(path, dtype_backend="pyarrow")
    except FileNotFoundError as error:
        raise ProjectError(f"{path} was not found. `make run` writes it.") from error
    except pa.ArrowInvalid as error:
        raise ProjectError(f"{path} is not a readable Parquet file: {error}.") from error
    return nw.from_native(native, eager_only=True)


def read_csv(path: Path) -> Frame:
    """Read a comma-separated table with every column as text.

    Types come from the data contract during cleaning, not from guesses of a parser.

    Raises:
        ProjectError: the file is missing, is not UTF-8, or its rows differ in length.
    """
    try:
        native = pd.read_csv(
            path, dtype=pd.ArrowDtype(pa.string()), keep_default_na=False, encoding="utf-8-sig"
        )
        header = _header(path)
    except FileNotFoundError as error:
        raise ProjectError(f"{path} was not found. Check data.source in params.yaml.") from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not UTF-8 text ({error}). Convert it first.") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        detail = " ".join(str(error).split())
        raise ProjectError(f"{path} is not a readable CSV file: {detail}") from error
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ProjectError(f"{path} has more than one column named {', '.join(repeated)}.")
    if len(header) != native.shape[1] or not isinstance(native.index, pd.RangeIndex):
        raise ProjectError(f"{path} has rows with more values than its header has names.")
    return nw.from_native(native, eager_only=True)


def _header(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
        return next(csv.reader(stream), [])


def write_parquet(frame: Frame, path: Path) -> None:
    """Write a table atomically; equal tables give equal bytes."""
    with atomic_path(path) as temporary:
        # pandas would add its row labels, which depend on the steps before, as one more column
        table = frame.to_arrow().select(frame.columns).replace_schema_metadata(None)
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            row_group_size=ROW_GROUP_ROWS,
        )

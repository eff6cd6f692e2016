"""The engine that runs data preparation: Polars, on all cores, from whole optimised queries.

The only module of data preparation that names an engine.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
import narwhals as nw
import polars as pl
import pyarrow as pa

from data_prep.storage import ROW_GROUP_ROWS, OutOfOrderError, conform, parquet_files, write_tables
from utils.config import convert


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``engine`` of ``params.yaml``.

    ``streaming``: work in pieces where the query allows it, for less memory.
    """

    streaming: bool = True


class Engine:
    """Opens tables, writes them and returns small results; a context manager."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Check the settings.

        Raises:
            ProjectError: a setting is unknown or has a value of the wrong type.
        """
        chosen = convert(settings, Settings, "params.yaml: engine")
        self._mode: Literal["streaming", "in-memory"] = (
            "streaming" if chosen.streaming else "in-memory"
        )

    def __enter__(self) -> Self:
        """Return the engine; there is nothing to start."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: nothing was started."""

    def scan(self, path: Path) -> nw.LazyFrame[Any]:
        """Return the table in a Parquet file, or in all parts of a folder.

        Raises:
            ProjectError: there is none, or it is not readable.
        """
        return nw.from_native(pl.scan_parquet(parquet_files(path), glob=False))

    def write(self, frame: nw.LazyFrame[Any], path: Path, order: Sequence[str]) -> int:
        """Write a table atomically; equal rows give equal bytes.

        Args:
            frame: what to write; it is sorted only if it is not in order yet.
            path: the Parquet file to replace.
            order: columns that identify a row; rows are ordered by them.

        Returns:
            The number of rows.
        """
        try:
            return self._write(frame, path, order)
        except OutOfOrderError:
            return self._write(frame.sort(*order), path)

    def collect(self, frame: nw.LazyFrame[Any]) -> pa.Table:
        """Return a small result as an Arrow table, with the types that Parquet files get."""
        return conform(frame.to_native().collect(engine=self._mode).to_arrow())

    def _write(self, frame: nw.LazyFrame[Any], path: Path, order: Sequence[str] = ()) -> int:
        table = frame.to_native().collect(engine=self._mode)
        pieces = (piece.to_arrow() for piece in table.iter_slices(ROW_GROUP_ROWS))
        return write_tables(pieces, table.head(0).to_arrow().schema, path, order)

"""The engine that runs data preparation: pandas, with columns as Arrow keeps them.

The only module of data preparation that names an engine. Tables have to fit into memory several
times over.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import narwhals as nw
import pandas as pd
import pyarrow as pa

from data_prep.storage import OutOfOrderError, conform, read_table, write_tables
from utils.config import convert


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``engine`` of ``params.yaml``: this engine has no settings."""


class Engine:
    """Opens tables, writes them and returns small results; a context manager."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Check the settings.

        Raises:
            ProjectError: a setting is unknown or has a value of the wrong type.
        """
        convert(settings, Settings, "params.yaml: engine")

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
        native = read_table(path).to_pandas(types_mapper=pd.ArrowDtype)
        frame: nw.LazyFrame[Any] = nw.from_native(native, eager_only=True).lazy()
        return frame

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
        table: pa.Table = frame.collect("pyarrow").to_native()
        return conform(table.select(frame.collect_schema().names()))

    def _write(self, frame: nw.LazyFrame[Any], path: Path, order: Sequence[str] = ()) -> int:
        table = self.collect(frame)
        return write_tables([table], table.schema, path, order)

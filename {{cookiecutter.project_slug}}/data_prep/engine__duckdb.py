"""The engine that runs data preparation: DuckDB, on all cores and within a limit of memory.

The only module of data preparation that names an engine. What exceeds the limit goes to a temporary
folder, so tables may be larger than memory.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import duckdb
import msgspec
import narwhals as nw
import pyarrow as pa

from data_prep.storage import ROW_GROUP_ROWS, OutOfOrderError, conform, parquet_files, write_tables
from utils.config import ProjectError, convert


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``engine`` of ``params.yaml``.

    ``memory_limit``: what the engine may use, such as ``1GB``. ``temporary_folder``: where the rest
    goes. ``threads``: how many cores it uses.
    """

    memory_limit: str
    temporary_folder: str
    threads: Annotated[int, msgspec.Meta(ge=1)]


class Engine:
    """Opens tables, writes them and returns small results; a context manager."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Check the settings.

        Raises:
            ProjectError: a setting is unknown or has a value of the wrong type.
        """
        chosen = convert(settings, Settings, "params.yaml: engine")
        try:
            self._connection = duckdb.connect(
                config={
                    "memory_limit": chosen.memory_limit,
                    "temp_directory": chosen.temporary_folder,
                    "threads": chosen.threads,
                    # A pushed filter computes again what it compares, here texts of every row.
                    "disabled_optimizers": "filter_pushdown",
                    # nothing may be fetched behind the back of a reviewed environment
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                }
            )
        except duckdb.Error as error:
            raise ProjectError(f"params.yaml: engine: {error}") from error

    def __enter__(self) -> Self:
        """Return the engine; its connection is open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection, which removes its temporary files."""
        self._connection.close()

    def scan(self, path: Path) -> nw.LazyFrame[Any]:
        """Return the table in a Parquet file, or in all parts of a folder.

        Raises:
            ProjectError: there is none, or it is not readable.
        """
        files = [file.as_posix() for file in parquet_files(path)]
        return nw.from_native(self._connection.read_parquet(files))

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
        return conform(frame.to_native().to_arrow_table())

    def _write(self, frame: nw.LazyFrame[Any], path: Path, order: Sequence[str] = ()) -> int:
        with frame.to_native().to_arrow_reader(ROW_GROUP_ROWS) as reader:
            tables = (pa.Table.from_batches([batch]) for batch in reader)
            return write_tables(tables, reader.schema, path, order)

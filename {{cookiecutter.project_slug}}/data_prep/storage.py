"""Storage: the one place that touches table files, whatever computed the tables.

Every engine writes through ``write_tables``, so equal tables give equal bytes on all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from utils.config import ProjectError
from utils.files import atomic_path

Frame = nw.DataFrame[Any]

ROW_GROUP_ROWS = 100_000


def plain_type(dtype: pa.DataType) -> pa.DataType:
    """Return the type that stands for ``dtype`` in files: engines differ in width and layout."""
    if pa.types.is_integer(dtype) or (pa.types.is_decimal(dtype) and dtype.scale == 0):
        return pa.int64()
    if pa.types.is_floating(dtype):
        return pa.float64()
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us")
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return pa.string()
    return dtype


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema that stands for ``schema`` in files, without metadata of an engine."""
    return pa.schema([(field.name, plain_type(field.type)) for field in schema])


def conform(table: pa.Table) -> pa.Table:
    """Return a table with the types that files have."""
    return table.cast(plain_schema(table.schema))


def parquet_files(path: Path) -> list[Path]:
    """Return a Parquet file, or the parts of a folder in their order.

    Raises:
        ProjectError: there is no such file, or the folder has no parts.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path] * path.is_file()
    if not files:
        raise ProjectError(f"{path} was not found. `make run` writes it.")
    return files


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file, or all parts of a folder one after the other.

    Raises:
        ProjectError: the file is missing or is not Parquet.
    """
    try:
        tables = [pq.read_table(file, partitioning=None) for file in parquet_files(path)]
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise ProjectError(f"{path} is not a readable Parquet file: {error}.") from error


def read_parquet(path: Path) -> Frame:
    """Read a Parquet table into pandas, where training needs it.

    Raises:
        ProjectError: the file is missing or is not Parquet.
    """
    native = read_table(path).to_pandas(types_mapper=pd.ArrowDtype)
    return nw.from_native(native, eager_only=True)


def _in_row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut a stream of tables anew, into pieces of ``ROW_GROUP_ROWS`` and a rest."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        if rows >= ROW_GROUP_ROWS:
            joined = pa.concat_tables(waiting)
            whole = rows - rows % ROW_GROUP_ROWS
            for start in range(0, whole, ROW_GROUP_ROWS):
                yield joined.slice(start, ROW_GROUP_ROWS)
            waiting, rows = [joined.slice(whole)], rows - whole
    if rows:
        yield pa.concat_tables(waiting)


class OutOfOrderError(Exception):
    """Rows are not in the order in which they should be written."""


def _in_order(table: pa.Table, order: Sequence[str]) -> bool:
    """Whether each row comes after the one before or equals it; no if a value is missing."""
    later: pa.ChunkedArray | bool = True
    for name in reversed(order):
        before, after = table[name].slice(0, table.num_rows - 1), table[name].slice(1)
        later = pc.or_(pc.less(before, after), pc.and_(pc.equal(before, after), later))
    return table.num_rows == 0 or (later is not True and pc.all(pc.fill_null(later, False)).as_py())


def _checked(tables: Iterable[pa.Table], order: Sequence[str]) -> Iterator[pa.Table]:
    """Pass tables on as long as their rows are in order."""
    last: list[pa.Table] = []
    for table in tables:
        if table.num_rows:
            if not _in_order(pa.concat_tables([*last, table]).select(order), order):
                raise OutOfOrderError
            last = [table.slice(table.num_rows - 1)]
        yield table


def write_tables(
    tables: Iterable[pa.Table], schema: pa.Schema, path: Path, order: Sequence[str] = ()
) -> int:
    """Write tables one after the other into one Parquet file, atomically, in bounded memory.

    Args:
        tables: parts of the whole in their order; how it is cut does not show in the file.
        schema: names and types of all of them, as an engine has them.
        path: the file to replace.
        order: columns by which the rows have to be ordered.

    Returns:
        The number of rows.

    Raises:
        OutOfOrderError: they are not; nothing is written.
    """
    plain = plain_schema(schema)
    rows = 0
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, plain, compression="zstd") as writer,
    ):
        cast = (table.cast(plain) for table in tables)
        for group in _in_row_groups(_checked(cast, order) if order else cast):
            # pages end where chunks end, so the chunks of an engine would show in the file
            writer.write_table(group.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
            rows += group.num_rows
    return rows


def write_parquet(frame: Frame, path: Path) -> None:
    """Write a table atomically; equal tables give equal bytes."""
    # pandas would add its row labels, which depend on the steps before, as one more column
    table = frame.to_arrow().select(frame.columns)
    write_tables([table], table.schema, path)

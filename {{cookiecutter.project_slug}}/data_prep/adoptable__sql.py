"""What a project that reads databases can adopt: a table of SQLite or of a PostgreSQL server."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from data_prep.preview import SOURCE_FOLDER, Preview, gather
from data_prep.source import Settings, describe, opened, relation_of
from utils.config import ProjectError

TABLES = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
)


def _only_table(path: Path) -> str:
    """Return the table of an SQLite file that has a single one.

    Raises:
        ProjectError: it has none or several, or is no such file.
    """
    if not path.is_file():
        raise ProjectError(f"The database {path} was not found. Check DATA.")
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            names = [row[0] for row in connection.execute(TABLES)]
    except sqlite3.Error as error:
        raise ProjectError(f"{path} is not an SQLite file: {error}. Check DATA.") from error
    if len(names) != 1:
        raise ProjectError(
            f"{path} has {len(names)} tables ({', '.join(names)}). Say which one: TABLE=name."
        )
    return str(names[0])


def _first_records(settings: Settings) -> Iterator[pa.Table]:
    """Yield records from the first on, with all their columns.

    Raises:
        ProjectError: the database can't be reached, opened or read, or has no such table.
    """
    relation = relation_of(settings)
    with opened(settings) as database:
        kinds = database.columns(relation)
        columns = ", ".join(database.selected(name, kind) for name, kind in kinds.items())
        sql = f"SELECT {columns} FROM {relation.sql}"  # noqa: S608 - names are quoted
        for rows in database.read(sql, relation.parameters, settings.batch_rows, False):
            yield rows.table


def preview(data: str, table: str) -> Preview:
    """Look at a table.

    Args:
        data: an SQLite file, or ``postgresql://USER@HOST:5432/DATABASE``.
        table: its name, empty for the only one of an SQLite file.

    Raises:
        ProjectError: it can't be read.
    """
    server = "://" in data
    if server and not table:
        raise ProjectError("A database server has many tables. Say which one: TABLE=schema.table.")
    name = table or _only_table(Path(data))
    settings = Settings(database=data, table=name)
    records = gather(_first_records(settings), describe(settings))
    source = {"database": data, "table": name, "watermark": None, "query": None, "parameters": None}
    called = name.rpartition(".")[2]
    inside = not server and Path(data).resolve().is_relative_to(SOURCE_FOLDER.resolve())
    if server or inside:
        return Preview(records, called, source, {}, data)
    place = SOURCE_FOLDER / Path(data).name
    source |= {"database": place.as_posix()}
    return Preview(records, called, source, {place: Path(data)}, place.as_posix())

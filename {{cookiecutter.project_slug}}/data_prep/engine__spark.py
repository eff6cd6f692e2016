"""The engine that runs data preparation: Spark, on this machine or on a cluster.

``SPARK_REMOTE`` (``sc://host:15002``) connects to a Spark Connect server, ``SPARK_MASTER``
(``spark://host:7077``, ``yarn``, ``k8s://...``) to a cluster manager. Every machine of a cluster
has to see the folder of this project, with its ``.venv``, at the same path: that is where tables,
code and libraries are.

The only module of data preparation that names an engine. Tables are never gathered in the memory of
this process: Spark writes them as sorted parts, and these are joined into one file as a stream.
"""

import atexit
import contextlib
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec
import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import SparkConf, SparkContext, __version__
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, Observation, SparkSession, functions
from pyspark.sql.types import StructType

from data_prep.storage import ROW_GROUP_ROWS, conform, parquet_files, write_tables
from utils.config import ProjectError, convert

OLDEST_JAVA = 17
CONNECT_PORT = 15002
MASTER_PORT = 7077
ANSWER_SECONDS = 5.0
STOP_SECONDS = 60.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``engine`` of ``params.yaml``.

    ``threads``: tasks at the same time on this machine. ``memory``: what this machine's process may
    use, such as ``1g``. ``partitions``: parts of a table after it was shuffled. ``options``: more
    settings of Spark by their own names. ``temporary_folder``: where parts and the log are.
    """

    threads: Annotated[int, msgspec.Meta(ge=1)]
    memory: str
    partitions: Annotated[int, msgspec.Meta(ge=1)]
    temporary_folder: str
    options: dict[str, str | int | float | bool] = {}


def java_version() -> int:
    """Return the major version of the Java that Spark would start, 0 if it does not say.

    Raises:
        ProjectError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None:
        where = f"JAVA_HOME is {home}, where there is none" if home else "`java` was not found"
        raise ProjectError(
            f"Spark needs Java {OLDEST_JAVA} or newer, and {where}. Install it or set JAVA_HOME."
        )
    described = Path(java).resolve().parent.parent / "release"
    text = described.read_text(encoding="utf-8") if described.is_file() else ""
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, flags=re.MULTILINE)
    version = int(found[1]) if found else 0
    if found and version < OLDEST_JAVA:
        raise ProjectError(
            f"Spark needs Java {OLDEST_JAVA} or newer, but {java} is version {version}. "
            "Install a newer one and set JAVA_HOME to it."
        )
    return version


def check_reachable(address: str, variable: str, port: int) -> None:
    """Check that something listens where a cluster is said to be.

    Args:
        address: such as ``spark://host:7077``; a cluster manager without an address passes.
        variable: the environment variable that holds it.
        port: what is meant if it names none.

    Raises:
        ProjectError: nothing answers within seconds, where Spark would try for minutes.
    """
    if not address.startswith(("spark://", "sc://")):
        return
    try:
        # several masters are separated by commas; one that answers is enough to begin
        parts = urlsplit(address.split(",", 1)[0])
        with socket.create_connection((parts.hostname, parts.port or port), ANSWER_SECONDS):
            return
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"The Spark cluster {address} does not answer ({error}). Check {variable}, or unset it "
            "to run on this machine."
        ) from error


def configuration(settings: Settings, master: str, folder: Path) -> dict[str, str]:
    """Return the settings of a session that this process starts.

    Args:
        settings: section ``engine`` of ``params.yaml``.
        master: the cluster manager, or empty for this machine.
        folder: the temporary folder.
    """
    chosen: dict[str, str | int | float | bool] = {
        "spark.app.name": "data_prep",
        "spark.master": master or f"local[{settings.threads}]",
        "spark.driver.memory": settings.memory,
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": False,
    }
    if not master:
        chosen |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder),
        }
    return _texts({**chosen, **session_settings(settings), **settings.options})


def session_settings(settings: Settings) -> dict[str, str | int | float | bool]:
    """Return the settings that decide results and speed, which a running server takes as well."""
    return {
        # naive timestamps are UTC
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        # a value that can't be cast is an error, never silently missing
        "spark.sql.ansi.enabled": True,
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.shuffle.partitions": settings.partitions,
    }


def _texts(options: Mapping[str, str | float]) -> dict[str, str]:
    """Return settings the way Spark reads them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
    }


class ClassArchive(NamedTuple):
    """Where Java keeps the classes it has parsed: with it, Spark starts in half the time.

    The first process writes it when it ends; it belongs to the environment and is deleted with it.
    """

    path: Path

    @property
    def unfinished(self) -> Path:
        """What this process writes until it is complete."""
        return self.path.with_suffix(f".{os.getpid()}")

    def options(self) -> str:
        """Return what Java is started with."""
        if self.path.is_file():
            return f"-XX:SharedArchiveFile={self.path} -Xlog:disable"
        if os.access(self.path.parent, os.W_OK):
            return f"-XX:ArchiveClassesAtExit={self.unfinished} -Xlog:disable"
        return ""

    def keep(self) -> None:
        """Keep what this process wrote, once Java has ended."""
        if self.unfinished.is_file():
            self.unfinished.replace(self.path)


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if "ERROR" in line or "Exception" in line] or lines
    return " | ".join(said[-3:]) or "nothing was logged"


def _start(settings: Settings, master: str, folder: Path) -> SparkSession:
    """Start Java and Spark in it; what they print goes to a log instead of the terminal."""
    archive = ClassArchive(Path(sys.prefix, f"spark-{__version__}-java-{java_version()}.jsa"))
    options = configuration(settings, master, folder)
    name = "spark.driver.extraJavaOptions"
    options[name] = f"{archive.options()} {options.get(name, '')}".strip()
    conf = SparkConf(loadDefaults=False).setAll(list(options.items()))
    log = folder / "spark.log"
    launch: Callable[..., Any] = launch_gateway
    # every command to Java would be reported otherwise
    logging.getLogger("py4j").setLevel(logging.ERROR)
    # workers run this Python, with the libraries of this project
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        with log.open("wb") as stream, warnings.catch_warnings():
            # pandas serves training only, but Spark judges its version
            warnings.simplefilter("ignore", FutureWarning)
            gateway = launch(conf, {"stdout": stream, "stderr": stream})
            session = SparkSession(SparkContext(conf=conf, gateway=gateway))
    except Exception as error:  # from Java, from Python or from between
        raise ProjectError(f"Spark did not start: {_last_lines(log)} (see {log}).") from error
    atexit.register(_stop, session, gateway.proc, archive)
    return session


def _stop(session: SparkSession, java: "subprocess.Popen[bytes]", archive: ClassArchive) -> None:
    """Stop Spark at the end of the process, and wait for Java, which may be writing its archive."""
    # Java may be gone already, and nobody waits for an answer
    logging.disable()
    with contextlib.suppress(Exception):
        session.stop()
    if java.stdin:
        java.stdin.close()
    try:
        java.wait(STOP_SECONDS)
        archive.keep()
    except subprocess.TimeoutExpired:
        java.kill()
    finally:
        archive.unfinished.unlink(missing_ok=True)


def _connect(settings: Settings, address: str) -> SparkSession:
    """Connect to a Spark Connect server."""
    check_reachable(address, "SPARK_REMOTE", CONNECT_PORT)
    try:
        session = SparkSession.builder.remote(address).getOrCreate()
        options = {**session_settings(settings), **settings.options}
        for name, value in _texts(options).items():
            session.conf.set(name, value)
    except Exception as error:  # gRPC has errors of its own
        detail = " ".join(str(error).split())[:300]
        raise ProjectError(f"The Spark server {address} refused: {detail}") from error
    return session


def open_session(settings: Settings) -> SparkSession:
    """Return the session of this process; the first call starts it, the end of the process ends it.

    Raises:
        ProjectError: Java is missing or too old, or the cluster can't be reached or refuses.
    """
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    remote, master = os.environ.get("SPARK_REMOTE", ""), os.environ.get("SPARK_MASTER", "")
    if remote:
        return _connect(settings, remote)
    check_reachable(master, "SPARK_MASTER", MASTER_PORT)
    folder = Path(settings.temporary_folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return _start(settings, master, folder)


def _part_number(part: Path) -> tuple[int, int]:
    """Return the position of a part in the order of the table: ``part-NUMBER-JOB-cFILE...``."""
    words = part.name.split("-")
    return int(words[1]), int(words[-1].split(".")[0].removeprefix("c"))


def _batches(parts: Sequence[Path]) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(ROW_GROUP_ROWS):
                yield pa.Table.from_batches([batch])


class Engine:
    """Opens tables, writes them and returns small results; a context manager."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Check the settings.

        Raises:
            ProjectError: a setting is unknown or has a value of the wrong type.
        """
        self._settings = convert(settings, Settings, "params.yaml: engine")

    def __enter__(self) -> Self:
        """Start Spark, or take the session that this process has.

        Raises:
            ProjectError: Java is missing or too old, or the cluster can't be reached or refuses.
        """
        self.session: SparkSession = open_session(self._settings)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the session to the next engine: starting one takes seconds."""

    def scan(self, path: Path) -> nw.LazyFrame[Any]:
        """Return the table in a Parquet file, or in all parts of a folder.

        Raises:
            ProjectError: there is none, or it is not readable.
        """
        files = [file.absolute().as_uri() for file in parquet_files(path)]
        return nw.from_native(self.session.read.parquet(*files))

    def write(self, frame: nw.LazyFrame[Any], path: Path, order: Sequence[str]) -> int:
        """Write a table atomically; equal rows give equal bytes.

        Args:
            frame: what to write.
            path: the Parquet file to replace.
            order: columns that identify a row; rows are ordered by them.

        Returns:
            The number of rows.

        Raises:
            ProjectError: not every row arrived, because the workers write somewhere else.
        """
        ordered: DataFrame = (frame.sort(*order) if order else frame).to_native()
        # counted where the rows are written: parts on the disk of a worker would go unnoticed
        written = Observation()
        counted = ordered.observe(written, functions.count(functions.lit(1)).alias("rows"))
        temporary = Path(self._settings.temporary_folder).absolute()
        temporary.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=temporary, prefix="parts-"))
        try:
            # on a cluster, workers run as other users
            folder.chmod(0o777)
            counted.write.parquet((folder / "table").as_uri())
            parts = sorted((folder / "table").glob("part-*"), key=_part_number)
            expected = written.get["rows"]
            arrived = sum(pq.read_metadata(part).num_rows for part in parts)
            if not parts or arrived != expected:
                raise ProjectError(
                    f"Spark wrote {expected} rows, but {arrived} are in {folder}. Every worker has "
                    "to see the folder of this project at the same path."
                )
            return write_tables(_batches(parts), pq.read_schema(parts[0]), path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def in_workers(
        self,
        frame: DataFrame,
        work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        columns: StructType | str,
    ) -> DataFrame:
        """Return what the workers make of each part of a table, batch by batch.

        Args:
            frame: a table of Spark.
            work: gets the batches of a part and yields those of the result.
            columns: names and types of the result.
        """
        with warnings.catch_warnings():
            # pandas serves training only, but Spark judges its version
            warnings.simplefilter("ignore", FutureWarning)
            return frame.mapInArrow(work, columns)

    def collect(self, frame: nw.LazyFrame[Any]) -> pa.Table:
        """Return a small result as an Arrow table, with the types that Parquet files get."""
        return conform(frame.to_native().toArrow())

"""Every engine gives the same tables, byte for byte the same on a second run.

A new engine takes part by being a choice of the question.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import template
from tests.test_run import LIMIT_SECONDS
from tools import demo

SCRIPT = Path(__file__).parent / "awkward.py"
ENGINES = [
    engine
    for engine in template.OPTIONS["engine"]
    # Spark needs Java, which a machine may lack.
    if engine != "spark" or shutil.which("java")
]
# Moments have no time zone, so where the machine stands must not matter.
ZONES = ["America/New_York", "Europe/Berlin"]
# How long Spark may take to listen.
START_SECONDS = 120

pytestmark = pytest.mark.run


def run(
    project: Path, *command: str | Path, zone: str = "UTC", remote: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command in a rendered project, with Spark at an address if there is one."""
    variables = {"PYTHONPATH": str(project), "TZ": zone}
    if remote:
        variables["SPARK_REMOTE"] = remote
    return subprocess.run(
        [*map(str, command)],
        cwd=project,
        env={**demo.environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def projects(bake: Callable[..., Path]) -> dict[str, Path]:
    """A project per engine, with what it needs to prepare data."""
    uv = shutil.which("uv")
    assert uv is not None
    rendered = {engine: bake(engine=engine) for engine in ENGINES}
    for project in rendered.values():
        done = run(project, uv, "sync", "--quiet", "--no-default-groups", "--group", "train")
        assert done.returncode == 0, done.stdout
    return rendered


def awkward(project: Path, *arguments: str | Path, zone: str = "UTC", remote: str = "") -> str:
    """Run the script with the interpreter of a project; returns what it printed when it failed."""
    python = project / ".venv/bin/python"
    done = run(project, python, SCRIPT, *arguments, zone=zone, remote=remote)
    return done.stdout[-4000:] if done.returncode else ""


@pytest.fixture(scope="module")
def raw(projects: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw tables."""
    folder = tmp_path_factory.mktemp("raw")
    assert awkward(projects[ENGINES[0]], "make", folder) == ""
    return folder


@pytest.fixture(scope="module")
def results(
    projects: dict[str, Path], raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path]]:
    """Two runs of every engine, in two time zones."""
    made = {}
    for engine, project in projects.items():
        first, second = (tmp_path_factory.mktemp(engine) for _ in ZONES)
        for folder, zone in zip((first, second), ZONES, strict=True):
            assert awkward(project, "run", raw, folder, zone=zone) == "", engine
        made[engine] = (first, second)
    return made


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_engines_give_the_same_values(
    engine: str, projects: dict[str, Path], results: dict[str, tuple[Path, Path]]
) -> None:
    """Same rows, same types, numbers up to 1e-12."""
    project = projects[ENGINES[0]]
    assert awkward(project, "compare", results[ENGINES[0]][0], results[engine][0]) == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_cleaned_tables_have_the_same_bytes_on_every_engine(
    engine: str, results: dict[str, tuple[Path, Path]]
) -> None:
    """Nothing is computed before, so nothing may differ."""
    expected, found = results[ENGINES[0]][0], results[engine][0]
    for path in expected.glob("*/clean.parquet"):
        assert (found / path.relative_to(expected)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_run_gives_the_same_bytes(
    engine: str, results: dict[str, tuple[Path, Path]]
) -> None:
    """Neither a time zone nor chance shows in a file."""
    first, second = results[engine]
    files = sorted(first.rglob("*.parquet"))
    assert len(files) == 24
    for path in files:
        assert (second / path.relative_to(first)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_of_raw_rows_does_not_matter(
    engine: str, results: dict[str, tuple[Path, Path]]
) -> None:
    """A shuffled source gives the same bytes, and so does one query instead of three."""
    first, _ = results[engine]
    for path in first.glob("*-shuffled/*.parquet"):
        plain = first / path.parent.name.removesuffix("-shuffled") / path.name
        assert path.read_bytes() == plain.read_bytes(), path
    for path in first.glob("*/at_once.parquet"):
        assert path.read_bytes() == path.with_name("features.parquet").read_bytes(), path


@pytest.fixture
def spark_server(projects: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """The address of a Spark Connect server, a process of its own."""
    python = projects["spark"] / ".venv/bin/python"
    [home] = (projects["spark"] / ".venv").glob("lib/python3*/site-packages/pyspark")
    port = demo.free_port()
    settings = {"spark.connect.grpc.binding.port": port, "spark.driver.memory": "1g"}
    options = [f"--conf={name}={value}" for name, value in settings.items()]
    process = demo.started(
        tmp_path,
        *("bash", str(home / "sbin" / "start-connect-server.sh"), "--wait", "--master", "local[2]"),
        *options,
        env={**demo.environment(), "SPARK_HOME": str(home), "PYSPARK_PYTHON": str(python)},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield f"sc://127.0.0.1:{port}"
    finally:
        demo.stop(process)


def listens(port: int) -> bool:
    """Whether something answers at a port of this machine."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif("spark" not in ENGINES, reason="Spark needs Java")
def test_spark_connect_gives_the_same_bytes(
    projects: dict[str, Path],
    raw: Path,
    results: dict[str, tuple[Path, Path]],
    spark_server: str,
    tmp_path: Path,
) -> None:
    """Through a server, Spark gives what it gives in the process itself."""
    made = tmp_path / "made"
    assert awkward(projects["spark"], "run", raw, made, remote=spark_server) == ""
    first, _ = results["spark"]
    for path in first.rglob("*.parquet"):
        assert (made / path.relative_to(first)).read_bytes() == path.read_bytes(), path


def test_the_comparison_finds_a_difference(
    projects: dict[str, Path], results: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """A swapped table does not pass."""
    first, _ = results[ENGINES[0]]
    changed = shutil.copytree(first, tmp_path / "changed")
    shutil.copy(changed / "text/clean.parquet", changed / "typed/clean.parquet")
    assert "typed/clean.parquet" in awkward(projects[ENGINES[0]], "compare", first, changed)


@pytest.mark.parametrize(
    ("task", "label_source"),
    [("classification", "programmatic"), ("regression", "programmatic"), ("regression", "hand")],
)
def test_labels_are_the_same_on_every_engine(
    task: str, label_source: str, projects: dict[str, Path], bake: Callable[..., Path]
) -> None:
    """Functions vote alike, so labels, labelled records and reports have the same bytes."""
    made = []
    for engine, project in projects.items():
        labelled = bake(task=task, label_source=label_source, engine=engine)
        python = project / ".venv/bin/python"
        for command in ("retrieval", "pipeline clean", "labelling"):
            done = run(labelled, python, "-m", *f"data_prep.{command}".split())
            assert done.returncode == 0, done.stdout
        names = ("data/clean.parquet", "data/labels.parquet", "reports/labels.json")
        made.append({name: (labelled / name).read_bytes() for name in names})
    assert all(files == made[0] for files in made[1:])

"""Spark: where it runs, and what it says when it can't."""

import socket
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest

from data_prep.engine import (
    Engine,
    Settings,
    check_reachable,
    configuration,
    java_version,
    open_session,
)
from model_training.parallel import each
from utils.config import ProjectError, load_params

SETTINGS = Settings(
    threads=3,
    memory="1g",
    partitions=2,
    temporary_folder="unused",
    options={"spark.executor.memory": "8g", "spark.ui.enabled": True},
)


def java_home(folder: Path, version: str) -> Path:
    """Make a folder that looks like an installed Java."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="Any"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(("version", "number"), [("17.0.15", 17), ("25", 25)])
def test_java_that_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, number: int
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path, version)))
    assert java_version() == number


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2"])
def test_java_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path, version)))
    with pytest.raises(ProjectError, match=r"is version (8|11)"):
        java_version()


def test_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ProjectError, match="JAVA_HOME is"):
        java_version()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProjectError, match="`java` was not found"):
        java_version()


def test_a_cluster_that_does_not_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        # bound but not listening: refused at once
        with pytest.raises(ProjectError, match=r"does not answer.*Check SPARK_MASTER"):
            check_reachable(f"spark://127.0.0.1:{port}", "SPARK_MASTER", 7077)
        taken.listen()
        check_reachable(f"spark://127.0.0.1:{port}", "SPARK_MASTER", 7077)
    check_reachable("yarn", "SPARK_MASTER", 7077)


def test_where_it_runs(tmp_path: Path) -> None:
    here = configuration(SETTINGS, "", tmp_path)
    assert here["spark.master"] == "local[3]"
    assert here["spark.executor.memory"] == "8g"
    assert here["spark.ui.enabled"] == "true"
    there = configuration(SETTINGS, "spark://host:7077", tmp_path)
    assert there["spark.master"] == "spark://host:7077"
    assert "spark.driver.host" not in there


def test_one_session_serves_the_whole_process(in_project: Path) -> None:
    settings = load_params(in_project / "params.yaml").engine
    with Engine(settings) as first, Engine(settings) as second:
        assert first.session is second.session
        assert open_session(SETTINGS) is first.session


def test_bytes_do_not_depend_on_partitions(in_project: Path, tmp_path: Path) -> None:
    numbers = pl.Series("number", range(250), pl.Int64)
    table = pl.DataFrame({"key": [3, 1, 2, 5, 4] * 50}).with_columns(numbers)
    table.write_parquet(tmp_path / "table.parquet")
    with Engine(load_params(in_project / "params.yaml").engine) as engine:
        native = engine.scan(tmp_path / "table.parquet").to_native()
        for parts in (1, 7):
            frame = nw.from_native(native.repartition(parts))
            rows = engine.write(frame, tmp_path / f"{parts}.parquet", ["key", "number"])
            assert rows == table.height
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "7.parquet").read_bytes()
    expected = table.sort("key", "number")
    assert pl.read_parquet(tmp_path / "7.parquet").equals(expected)


def double(number: int) -> int:
    """Return a number twice."""
    return 2 * number


def test_tasks_come_back_in_order(in_project: Path) -> None:
    settings = load_params(in_project / "params.yaml").engine
    assert each(double, [5, 3, 9], settings, "numbers") == [10, 6, 18]

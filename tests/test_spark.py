"""Spark in a rendered project: a cluster of processes, one of which is killed at work."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import demo

CLUSTER = "local-cluster[2,1,1024]"
LIMIT_SECONDS = 1200
SCRIPT = Path(__file__).with_name("spark_kill.py")

pytestmark = [
    pytest.mark.run,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java"),
]


@pytest.fixture(scope="module")
def told(bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script says that kills a worker, and the folder with what it wrote."""
    project = bake(engine="spark")
    folder = tmp_path_factory.mktemp("spark")
    environment = {**demo.environment(), "SPARK_MASTER": CLUSTER}
    subprocess.run(["make", "setup"], cwd=project, env=environment, check=True)
    done = subprocess.run(
        [str(project / ".venv/bin/python"), str(SCRIPT), str(folder)],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    content: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**content, "folder": folder}


def test_a_worker_was_killed_while_it_wrote(told: dict[str, Any]) -> None:
    """The test below proves something: the job was running, and Spark noticed the loss."""
    assert len(told["before"]) == 2
    assert told["killed"] in told["before"]
    assert told["killed"] not in told["after"]
    assert told["running"]
    assert told["seconds_after_the_kill"] > 0
    assert told["lost"]


def test_the_table_is_the_same(told: dict[str, Any]) -> None:
    """A table that lost a worker is, byte for byte, the one that lost none, and nothing is left."""
    folder = told["folder"]
    calm, disturbed = folder / "calm.parquet", folder / "disturbed.parquet"
    assert calm.read_bytes() == disturbed.read_bytes()
    assert told["rows"] == 8 * 100_000
    assert not list(Path(folder, "temporary").glob("parts-*"))

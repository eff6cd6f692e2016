"""Fixtures for rendering the template."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import template as rendering

# Tools that the tests start again and again begin faster with their bytecode kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
RAM_DISK = Path("/dev/shm")  # noqa: S108 - only a place that is faster when it is there


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for rendered projects, in memory where the machine has a RAM disk."""
    parent = RAM_DISK if RAM_DISK.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="template-", dir=parent))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(scratch: Path) -> Path:
    """A copy of the template without the caches that tools leave in the tree."""
    return rendering.copy_template(scratch / "template")


@pytest.fixture(scope="session")
def bake(scratch: Path, template: Path) -> Callable[..., Path]:
    """`bake(**answers)`: render a project in process and return its folder.

    Unknown questions are errors, unlike in cookiecutter, which drops them silently.
    """

    def render(**answers: str) -> Path:
        output = Path(tempfile.mkdtemp(dir=scratch))
        return rendering.bake(output, answers, template)

    return render

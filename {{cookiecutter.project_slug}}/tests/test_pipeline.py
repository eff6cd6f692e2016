"""The pipeline as declared: each stage depends on the code that it runs and on real settings."""

import ast
import shlex
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.glob("*/*.py")
}
# How a message looks changes no result.
LEFT_OUT = {"utils.logging"}


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return loaded


STAGES = load("dvc.yaml")["stages"]


def needed(module: str) -> set[str]:
    """Return the modules of the project that a module imports or, given by name, starts."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return (names & MODULES.keys()) - LEFT_OUT


def closure(module: str) -> set[str]:
    """Return a module with all that it needs, directly or through others."""
    found, waiting = set(), {module}
    while waiting:
        found |= waiting
        waiting = set().union(*map(needed, waiting)) - found
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_code_it_runs(name: str) -> None:
    _, _, module, *_ = shlex.split(STAGES[name]["cmd"])
    code = {MODULES[item].relative_to(ROOT).as_posix() for item in closure(module)}
    assert {path for path in STAGES[name]["deps"] if path.endswith(".py")} == code


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_settings_that_exist(name: str) -> None:
    for key in STAGES[name].get("params", []):
        settings = load("params.yaml")
        for part in key.split("."):
            assert part in settings
            settings = settings[part]

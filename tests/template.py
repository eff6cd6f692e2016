"""What the tests need to know about the template, and fast ways to render it.

An in-process bake goes through cookiecutter's own rendering with the two hooks' functions called
directly, and with Jinja's compilation and the detection of binary files remembered between bakes.
`test_real_paths.py` holds it equal to what the real tools write.
"""

import copy
import functools
import importlib.util
import json
import math
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from unittest import mock

import cookiecutter.generate
from cookiecutter.prompt import render_variable
from cookiecutter.utils import create_env_with_context
from jinja2 import Environment, FileSystemLoader

from tests.combinations import Row, When, covering_array, violates

ROOT = Path(__file__).parent.parent
FOLDER = "{{cookiecutter.project_slug}}"
SOURCE = ROOT / FOLDER
CACHES = ("__pycache__", "*.pyc", ".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis")
VARIABLE = re.compile(r"cookiecutter\.(\w+)")
# The sample data, which some tools can't read as text.
DATA = (
    ".db",
    ".csv",
    ".parquet",
    ".avro",
    ".avsc",
    ".pb",
    ".proto",
    "source/subscriptions.json",
    "source/deliveries.json",
    "source/sales.json",
    "source/readings.json",
    "source/subscriptions__assigned.json",
    "source/deliveries__assigned.json",
    "source/customers.json",
)
BINARY = (".db", ".parquet", ".avro", ".pb")
# So many ways in which a file can come out are all tried.
EVERY = 4000
COPIED = (".py", ".ipynb", *DATA)


def load_module(path: Path) -> ModuleType:
    """Import a Python file that lies outside any package, leaving no bytecode beside it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with mock.patch.object(sys, "dont_write_bytecode", True):
        spec.loader.exec_module(module)
    return module


PRE_GEN = load_module(ROOT / "hooks" / "pre_gen_project.py")
SELECTION = load_module(SOURCE / ".template" / "selection.py")
CONTEXT: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
MANIFEST = json.loads((SOURCE / ".template" / "manifest.json").read_text(encoding="utf-8"))
QUESTIONS = {name: value for name, value in CONTEXT.items() if not name.startswith("_")}
OPTIONS: dict[str, list[str]] = {
    name: value for name, value in QUESTIONS.items() if isinstance(value, list)
}
REFUSED: list[When] = [rule["when"] for rule in MANIFEST["refused"]]


def is_cache(path: Path) -> bool:
    """Whether a path lies in a folder or has a name that tools leave behind."""
    return any(part_of.match(pattern) for part_of in (path, *path.parents) for pattern in CACHES)


def source_files() -> list[str]:
    """Every file of the template's project folder, relative and sorted, with the machinery."""
    files = (path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if not is_cache(path))


def final_names() -> dict[str, list[tuple[When, str]]]:
    """For each file in the manifest: the conditions under which it stays, and as what."""
    owned: dict[str, list[tuple[When, str]]] = {}
    for rule in MANIFEST["owned"]:
        for source, final in rule["files"].items():
            owned.setdefault(source, []).append((rule["when"], final))
    return owned


def matches(when: When, answers: Mapping[str, str]) -> bool:
    """Whether answers meet a condition of the manifest."""
    return all(answers[option] in choices for option, choices in when.items())


def expected_tree(answers: Mapping[str, str]) -> dict[str, str]:
    """Final path -> source path of each file that these answers give, from the manifest alone."""
    owned = final_names()
    tree = {
        name: name
        for name in source_files()
        if name not in owned and not name.startswith(".template/")
    }
    for source, conditions in owned.items():
        for when, final in conditions:
            if matches(when, answers):
                tree[final] = source
    return tree


def complete(answers: Mapping[str, str]) -> dict[str, Any]:
    """All answers and private variables, with defaults for what is not given.

    Given answers are taken as they are, as if typed; only defaults are rendered.

    Raises:
        KeyError: An answer to a question that does not exist.
    """
    unknown = sorted(set(answers) - set(QUESTIONS))
    if unknown:
        raise KeyError(f"no such questions: {unknown}")
    return copy.deepcopy(_complete(frozenset(answers.items())))


@functools.lru_cache
def _complete(given: frozenset[tuple[str, str]]) -> dict[str, Any]:
    answers = dict(given)
    env = environment()
    full: dict[str, Any] = {}
    for name, value in CONTEXT.items():
        if name == "__prompts__":
            continue
        if name in answers:
            full[name] = answers[name]
        elif isinstance(value, list) and not name.startswith("_"):
            full[name] = value[0]
        elif name.startswith("_") and not name.startswith("__"):
            full[name] = value
        else:
            full[name] = render_variable(env, value, full)
    return full


@functools.cache
def environment() -> Environment:
    """Cookiecutter's Jinja environment as this template sets it up."""
    env: Environment = create_env_with_context({"cookiecutter": CONTEXT})
    env.loader = FileSystemLoader([SOURCE, ROOT / "templates"])
    return env


def render_file(name: str, answers: Mapping[str, str]) -> str:
    """The text of one file of the template for these answers."""
    return environment().get_template(name).render(cookiecutter=complete(answers))


@functools.cache
def options_named(text: str) -> frozenset[str]:
    """The options a text depends on, through computed defaults and imported macros too."""
    found: set[str] = set()
    for name in VARIABLE.findall(text):
        value = CONTEXT.get(name)
        if name in OPTIONS:
            found.add(name)
        elif isinstance(value, str):
            found |= options_named(value)
    return frozenset(found)


def variants(name: str) -> Iterator[tuple[str, Row]]:
    """Final name and answers for every way in which one file of the template can come out.

    A file that names so many options that there are more ways than `EVERY` comes out in those in
    which every four answers meet.
    """
    copied = name.endswith(COPIED)
    text = "" if copied else (SOURCE / name).read_text(encoding="utf-8")
    for when, final in final_names().get(name, [({}, name)]):
        named = sorted(set(when) | (set() if copied else options_named(text)))
        options = {option: when.get(option, OPTIONS[option]) for option in named}
        for row in rows_of(options):
            yield final, row


def rows_of(options: Mapping[str, Sequence[str]]) -> list[Row]:
    """Every valid combination of these options, or of every four answers if they are too many."""
    if math.prod(map(len, options.values())) > EVERY:
        return covering_array(options, 4, REFUSED)
    rows = [dict(zip(options, choices, strict=True)) for choices in product(*options.values())]
    return [row for row in rows if not violates(row, REFUSED)]


@functools.cache
def _is_binary(path: str) -> bool:
    return bool(ORIGINAL_IS_BINARY(path))


@functools.cache
def _compile(source: str, name: str | None, filename: str | None) -> CodeType:
    return ORIGINAL_COMPILE(environment(), source, name, filename)


def _remembered_compile(
    _: Environment, source: str, name: str | None = None, filename: str | None = None
) -> CodeType:
    # All environments of one template are alike, so code compiled by one serves the others.
    return _compile(source, name, filename)


ORIGINAL_COMPILE = Environment.compile
ORIGINAL_IS_BINARY = cookiecutter.generate.is_binary


def bake(output: Path, answers: Mapping[str, str], template: Path = ROOT) -> Path:
    """Render a project in process, as the tools and hooks would.

    Args:
        output: Folder in which the project's folder is made.
        answers: Answers that differ from the defaults.
        template: Copy of the template without caches.

    Returns:
        The project's folder.

    Raises:
        ValueError: The answers are refused.
        KeyError: An answer to a question that does not exist.
    """
    full = complete(answers)
    found = PRE_GEN.problems(full)
    if found:
        raise ValueError("\n".join(found))
    with (
        mock.patch.object(Environment, "compile", _remembered_compile),
        mock.patch.object(cookiecutter.generate, "is_binary", _is_binary),
    ):
        project = Path(
            cookiecutter.generate.generate_files(
                repo_dir=template,
                context={"cookiecutter": full},
                output_dir=output,
                accept_hooks=False,
            )
        )
    stored = json.loads((project / ".template" / "answers.json").read_text(encoding="utf-8"))
    SELECTION.apply(project, SELECTION.plan(MANIFEST, stored))
    shutil.rmtree(project / ".template")
    return project


def copy_template(target: Path) -> Path:
    """Copy what renders projects, without caches, into a new folder `target`."""
    target.mkdir(parents=True)
    ignore = shutil.ignore_patterns(*CACHES)
    for name in ("hooks", "templates", FOLDER):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    shutil.copy(ROOT / "cookiecutter.json", target)
    return target


def tree(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

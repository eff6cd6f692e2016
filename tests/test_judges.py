"""What others' tools say about rendered projects and about the template itself: nothing.

Ruff judges all projects in `test_bake.py`, strict types are part of `make check` in `test_run.py`.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from repo_review.processor import process

from tests import template
from tests.combinations import Row, covering_array

# The answers that the judged files depend on.
JUDGED = ("task", "data_source", "serving", "ci", "python_version")

# Checks of repo-review that do not apply, and why.
REMOTE_HOOKS = "hooks are local and run from the project's environment, so they work offline"
NOT_A_LIBRARY = "a project that runs and is not built into a package"
OTHER_CI = "the checks run elsewhere"
NOT_APPLICABLE = {
    "PY004": "the README is the documentation and is rewritten by the pipeline",
    "PY007": "tasks are targets of the Makefile, which this check does not know",
    "PP002": NOT_A_LIBRARY,
    "PP003": NOT_A_LIBRARY,
    "PC100": REMOTE_HOOKS,
    "PC110": REMOTE_HOOKS,
    "PC140": REMOTE_HOOKS,
    "PC160": REMOTE_HOOKS,
    "PC170": "there is no reStructuredText",
    "PC180": "parts of the README are written by the pipeline",
    "PC190": REMOTE_HOOKS,
    "PC901": "about a service for remote hooks",
    "PC902": "about a service for remote hooks",
    "PC903": "about a service for remote hooks",
    "SEC001": "zizmor judges the workflow in this file; a project changes it rarely",
}
WITHOUT_GITHUB = {"GH100": OTHER_CI}


class Judge(NamedTuple):
    """A tool, the file it judges, and the same file with a mistake that it has to see."""

    command: tuple[str, ...]
    file: str
    good: str
    bad: str


SCHEMA = ("check-jsonschema", "--builtin-schema")
WORKFLOW = ".github/workflows/ci.yml"
JUDGES = {
    "actionlint": Judge(
        ("actionlint",), WORKFLOW, "runs-on: ubuntu-latest", "runs-on: ubuntu-newest"
    ),
    "zizmor": Judge(
        ("zizmor", "--offline", "--no-progress", "--pedantic"),
        WORKFLOW,
        "@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "@main",
    ),
    "workflow schema": Judge(
        (*SCHEMA, "vendor.github-workflows"), WORKFLOW, "timeout-minutes: 15", "timeout: 15"
    ),
    "dependabot schema": Judge(
        (*SCHEMA, "vendor.dependabot"), ".github/dependabot.yml", "monthly", "now and then"
    ),
    "dependabot zizmor": Judge(
        ("zizmor", "--offline", "--no-progress", "--pedantic"),
        ".github/dependabot.yml",
        "    cooldown:\n      default-days: 7\n",
        "",
    ),
    "gitlab schema": Judge(
        (*SCHEMA, "vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
        ".gitlab-ci.yml",
        "script:",
        "scripts:",
    ),
    "compose schema": Judge((*SCHEMA, "vendor.compose-spec"), "compose.yaml", "image:", "picture:"),
    "hadolint": Judge(("hadolint",), "Dockerfile", "WORKDIR /app", "RUN cd /app"),
}


@pytest.fixture(scope="module")
def projects(bake: Callable[..., Path]) -> list[tuple[Row, Path]]:
    """Projects in which every two answers meet that the judged files depend on."""
    options = {name: template.OPTIONS[name] for name in JUDGED}
    return [(row, bake(**row)) for row in covering_array(options, 2, template.REFUSED)]


def verdict(judge: Judge, file: Path) -> str:
    """What a tool says about a file when it is not content, otherwise nothing."""
    command = [*judge.command, file.name]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("name", JUDGES)
def test_projects_pass(name: str, projects: list[tuple[Row, Path]]) -> None:
    """A judge has nothing to say about any project that has the file."""
    judge = JUDGES[name]
    files = [(row, folder / judge.file) for row, folder in projects]
    present = [(row, file) for row, file in files if file.exists()]
    assert present
    texts = {file.read_text(encoding="utf-8"): (row, file) for row, file in present}
    for row, file in texts.values():
        assert verdict(judge, file) == "", row


@pytest.mark.parametrize("name", JUDGES)
def test_judges_see_mistakes(name: str, bake: Callable[..., Path]) -> None:
    """Each judge would say something if there were something to say."""
    judge = JUDGES[name]
    ci, source = "gitlab" if "gitlab" in name else "github", "sql" if "compose" in name else "file"
    file = bake(ci=ci, data_source=source) / judge.file
    text = file.read_text(encoding="utf-8")
    assert judge.good in text
    file.write_text(text.replace(judge.good, judge.bad), encoding="utf-8")
    assert verdict(judge, file) != ""


@pytest.mark.parametrize("name", [name for name in JUDGES if ".github" in JUDGES[name].file])
def test_the_template_itself_passes(name: str) -> None:
    """The template's own workflow is held to the same."""
    assert verdict(JUDGES[name], template.ROOT / JUDGES[name].file) == ""


def review(folder: Path) -> dict[str, str]:
    """The checks of the Scientific Python guide that a project fails: name -> what it asks."""
    results = process(folder).results
    return {result.name: result.err_msg for result in results if result.result is False}


def test_scientific_python_guide(projects: list[tuple[Row, Path]]) -> None:
    """Every check that applies is passed, and no exception is listed that is not needed."""
    needed: set[str] = set()
    for row, folder in projects:
        allowed = NOT_APPLICABLE | (WITHOUT_GITHUB if row["ci"] != "github" else {})
        failed = review(folder)
        assert {name: failed[name] for name in failed if name not in allowed} == {}, row
        needed |= set(failed)
    assert needed == set(NOT_APPLICABLE | WITHOUT_GITHUB)

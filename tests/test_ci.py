"""The CI of rendered projects: what it runs, on which versions, with which rights."""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import template

GITHUB = ".github/workflows/ci.yml"
GITLAB = ".gitlab-ci.yml"
# Keys of GitLab's file that are not jobs.
GLOBAL = {"default", "workflow", "variables", "cache", "stages", "include"}
JOBS = {"check", "test", "pipeline"}
versions = pytest.mark.parametrize("version", template.OPTIONS["python_version"])


def load(path: Path) -> dict[str, Any]:
    """A CI file; GitHub's key `on` is a truth value for YAML 1.1."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def jobs_of(folder: Path) -> dict[str, list[str]]:
    """Job -> its commands, from whichever CI file the project has."""
    if (folder / GITHUB).exists():
        jobs = load(folder / GITHUB)["jobs"]
        return {
            name: [step["run"] for step in job["steps"] if "run" in step]
            for name, job in jobs.items()
        }
    if (folder / GITLAB).exists():
        content = load(folder / GITLAB)
        return {name: job["script"] for name, job in content.items() if name not in GLOBAL}
    return {}


def commands_of(folder: Path) -> list[str]:
    """Every command of a project's CI once, in the order of the file."""
    return list(dict.fromkeys(line for job in jobs_of(folder).values() for line in job))


def test_both_run_the_same(bake: Callable[..., Path]) -> None:
    """The same jobs with the same commands, all of which are targets that people have too."""
    github, gitlab = jobs_of(bake(ci="github")), jobs_of(bake(ci="gitlab"))
    assert github == gitlab
    assert set(github) == JOBS
    for command in [line for job in github.values() for line in job]:
        assert re.fullmatch(r"make [a-z]+", command)
    assert jobs_of(bake(ci="none")) == {}


@versions
def test_github_tests_every_supported_version(bake: Callable[..., Path], version: str) -> None:
    """The matrix starts at the oldest version that the project supports."""
    content = load(bake(ci="github", python_version=version) / GITHUB)
    supported = template.OPTIONS["python_version"]
    tested = content["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    assert tested == supported[supported.index(version) :]
    for name in JOBS - {"test"}:
        setup = content["jobs"][name]["steps"][1]
        assert setup["with"]["python-version"] == version


@versions
def test_gitlab_tests_every_supported_version(bake: Callable[..., Path], version: str) -> None:
    """The matrix starts at the oldest version that the project supports."""
    content = load(bake(ci="gitlab", python_version=version) / GITLAB)
    supported = template.OPTIONS["python_version"]
    [matrix] = content["test"]["parallel"]["matrix"]
    assert matrix == {"PYTHON_VERSION": supported[supported.index(version) :]}
    assert content["default"]["image"] == f"python:{version}"


def workflows() -> list[Path]:
    """The template's own workflow."""
    return sorted((template.ROOT / ".github" / "workflows").glob("*.yml"))


def test_github_gives_no_more_rights_than_needed(bake: Callable[..., Path]) -> None:
    """Read only, no stored credentials, actions pinned by hash, a limit on the time of each job."""
    for path in [*workflows(), bake(ci="github") / GITHUB]:
        content = load(path)
        assert content["permissions"] == {"contents": "read"}
        for job in content["jobs"].values():
            assert job["timeout-minutes"] <= 90
            assert "permissions" not in job
            used = [step for step in job["steps"] if "uses" in step]
            assert all(re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in used)
            [checkout] = [step for step in used if step["uses"].startswith("actions/checkout@")]
            assert checkout["with"]["persist-credentials"] is False


def test_the_template_and_its_projects_use_the_same_actions(bake: Callable[..., Path]) -> None:
    """One version of each action, so that an update can't miss one."""
    pins: dict[str, set[str]] = {}
    for path in [*workflows(), bake(ci="github") / GITHUB]:
        for name, pin in re.findall(r"uses: (\S+)@(.+)", path.read_text(encoding="utf-8")):
            pins.setdefault(name, set()).add(pin)
    assert {name: len(found) for name, found in pins.items()} == dict.fromkeys(pins, 1)


def test_own_ci_runs_the_script_that_everyone_has() -> None:
    """The workflow calls the script, and the script calls targets of the Makefile."""
    [path] = workflows()
    assert jobs_of(template.ROOT) == {"template": [".ci/run"]}
    assert path == template.ROOT / GITHUB
    script = template.ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    called = re.findall(r"^make (\w+)$", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {"check", "demo", "test"} <= set(called)


# Stands in for the action, which installs interpreters from elsewhere.
STUB = """\
name: stand-in
inputs:
  python-version: {required: true}
runs:
  using: composite
  steps:
    - run: echo "python ${{ inputs.python-version }}" >> RECORD
      shell: bash
"""
MAKE = """\
#!/bin/sh
echo "make $*" >> RECORD
"""


def committed(folder: Path) -> None:
    """Make a folder a repository with one commit."""
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=folder, check=True)
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", *who, "commit", "--quiet", "--message=all"], cwd=folder, check=True)


@versions
def test_github_workflow_executes(
    bake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """A runner executes every job, in every version: each command and interpreter is recorded.

    Commands themselves are stand-ins here; `test_run.py` runs them.
    """
    project = bake(ci="github", python_version=version)
    record, action, tools = tmp_path / "record", tmp_path / "action", tmp_path / "bin"
    action.mkdir()
    tools.mkdir()
    (action / "action.yml").write_text(STUB.replace("RECORD", str(record)), encoding="utf-8")
    (tools / "make").write_text(MAKE.replace("RECORD", str(record)), encoding="utf-8")
    (tools / "make").chmod(0o755)
    committed(action)
    committed(project)
    [used] = set(re.findall(r"actions/setup-python@\w+", (project / GITHUB).read_text("utf-8")))
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    options = ["--platform=ubuntu-latest=-self-hosted", "--action-offline-mode"]
    options += ["--no-cache-server", f"--local-repository={used}={action}"]
    command = ["act", "push", "--concurrent-jobs=1", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    supported = template.OPTIONS["python_version"]
    tested = supported[supported.index(version) :]
    jobs = jobs_of(project)
    expected = Counter(f"python {tried}" for tried in tested)
    expected[f"python {version}"] += len(jobs) - 1
    for name, commands in jobs.items():
        for line in commands:
            expected[line] += len(tested) if name == "test" else 1
    assert Counter(record.read_text(encoding="utf-8").splitlines()) == expected

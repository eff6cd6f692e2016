"""The template through the tools that people use: hooks as subprocesses, updates with git."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter
from pytest_cookies.plugin import Cookies

from tests import template as rendering
from tests.combinations import complete_row

DEFAULTS: dict[str, str] = {}
OTHERS = {
    "task": "regression",
    "project_name": "Lieferzeit & Co.",
    "project_slug": "lieferzeit",
    "author_name": 'Zoë "Z" O\'Neil \\ 🚀',
    "description": "100 % of *all* <parcels>, {and} more: $5 | `now`",
    "objective": "business_value",
    "label_source": "programmatic",
    "serving": "api",
    "ci": "gitlab",
    "python_version": "3.12",
    "license": "Apache-2.0",
}
SMALL_RULE = {"when": {"serving": ["api"], "ci": ["none"]}, "reason": "an API needs CI"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: no user's settings, and git knows who commits."""
    folder = tmp_path / "home"
    (folder / "tmp").mkdir(parents=True)
    (folder / ".gitconfig").write_text(
        "[user]\n\tname = Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    for name in [name for name in os.environ if name.startswith(("GIT_", "COOKIECUTTER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    # The tools leave rendered hooks behind in the folder for temporary files.
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The folder in which projects are made."""
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def attempt(
    name: str, *arguments: str | Path, cwd: Path, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a tool from this environment, or else from the path; never raises."""
    # Not `python -m`, which would put the current folder's modules before the tool's own.
    own = Path(sys.executable).with_name(name)
    command = [own if own.exists() else name, *arguments]
    return subprocess.run(
        command, cwd=cwd, input=typed, capture_output=True, text=True, check=False
    )


def run(name: str, *arguments: str | Path, cwd: Path, typed: str = "") -> str:
    """Run a tool; what it printed when all went well."""
    done = attempt(name, *arguments, cwd=cwd, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def quietly(template: Path, output: Path) -> list[str]:
    """Arguments for a project with defaults for whatever is not given."""
    return ["--no-input", "-o", str(output), str(template)]


def commit_all(folder: Path) -> None:
    """Record everything in a folder, made a repository where needed."""
    if not (folder / ".git").exists():
        run("git", "init", "--quiet", cwd=folder)
    run("git", "add", "--all", "--force", cwd=folder)
    run("git", "commit", "--quiet", "--message", "State", cwd=folder)


def replay(template: Path, output: Path, answers: Mapping[str, object]) -> Path:
    """Render complete answers as they are, as if they had been typed, with the real hooks."""
    file = output.parent / "answers.json"
    file.write_text(json.dumps({"cookiecutter": answers}), encoding="utf-8")
    return Path(cookiecutter(str(template), replay=str(file), output_dir=str(output)))


def contents(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Content and executable bit of each file but those of git and cruft."""
    return {
        name: (content, bool((folder / name).stat().st_mode & stat.S_IXUSR))
        for name, content in rendering.tree(folder).items()
        if name != ".cruft.json" and not name.startswith(".git/")
    }


@pytest.mark.parametrize("answers", [DEFAULTS, OTHERS], ids=["defaults", "others"])
def test_all_tools_write_the_same_bytes(
    answers: dict[str, str],
    template: Path,
    bake: Callable[..., Path],
    home: Path,
    output: Path,
    cookies: Cookies,
) -> None:
    """The command, a replay file, pytest-cookies, cruft and the tests' own bake agree."""
    before = rendering.tree(template)
    expected = contents(bake(**answers))
    name = rendering.complete(answers)["project_slug"]
    pairs = [f"{question}={answer}" for question, answer in answers.items()]

    said = run("cookiecutter", "--no-input", "-o", output, template, *pairs, cwd=home)
    assert contents(output / name) == expected
    assert f"cd {output / name}" in said
    assert "make run" in said

    run("cookiecutter", "--no-input", "-f", "-o", output, template, *pairs, cwd=home)
    assert contents(output / name) == expected

    stored = home / ".cookiecutter_replay" / "template.json"
    again = output / "again"
    run("cookiecutter", "--replay-file", stored, "-o", again, template, cwd=home)
    assert contents(again / name) == expected

    result = cookies.bake(extra_context=answers, template=str(template))
    assert result.exit_code == 0, result.exception
    assert contents(result.project_path) == expected

    repository = home / "template"
    shutil.copytree(template, repository)
    commit_all(repository)
    crufted = output / "crufted"
    extra = ["--extra-context", json.dumps(answers)]
    run("cruft", "create", "-y", *extra, "--output-dir", crufted, repository, cwd=home)
    assert contents(crufted / name) == expected

    assert rendering.tree(template) == before


def test_typed_answers_are_taken_as_they_are(template: Path, home: Path, output: Path) -> None:
    """At the prompts, nothing is rendered; an empty line takes the default."""
    lines = dict.fromkeys(rendering.QUESTIONS, "")
    lines |= {"task": "2", "project_name": "{typed} 50 %}", "project_slug": "typed", "ci": "3"}
    run(
        "cookiecutter",
        *("-o", output, template),
        cwd=home,
        typed="\n".join([*lines.values(), ""]),
    )
    project = tomllib.loads((output / "typed" / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == "typed"
    expected = {
        "task": "regression",
        "project_slug": "typed",
        "project_name": "{typed} 50 %}",
        "ci": "none",
    }
    assert set(rendering.tree(output / "typed")) == set(
        rendering.expected_tree(rendering.complete(expected))
    )


def test_jinja_on_the_command_line_is_rendered_by_cookiecutter(
    template: Path, home: Path, output: Path
) -> None:
    """What `--no-input` gets is a template to cookiecutter, before this one sees it."""
    arguments = [*quietly(template, output), "description={{ 7 * 7 }} parcels"]
    run("cookiecutter", *arguments, cwd=home)
    [project] = output.iterdir()
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert content["project"]["description"] == "49 parcels"


def test_unknown_questions_are_ignored_by_cookiecutter(
    template: Path, bake: Callable[..., Path], home: Path, output: Path
) -> None:
    """A misspelt question silently gives the default: documented, not ours to change."""
    arguments = [*quietly(template, output), "severing=api"]
    run("cookiecutter", *arguments, cwd=home)
    [project] = output.iterdir()
    assert contents(project) == contents(bake())


def test_unknown_choices_are_refused_by_cookiecutter(
    template: Path, home: Path, output: Path
) -> None:
    """On the command line a choice that does not exist ends before anything is written."""
    arguments = [*quietly(template, output), "serving=pigeon"]
    done = attempt("cookiecutter", *arguments, cwd=home)
    assert done.returncode != 0
    assert not list(output.iterdir())


BAD_ANSWERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"project_slug": "Churn Model"}, ["project_slug"]),
    ({"project_slug": "json"}, ["standard library"]),
    ({"project_slug": "class"}, ["keyword"]),
    ({"project_slug": "utils"}, ["folder of the project"]),
    ({"project_slug": "numpy"}, ["depends on"]),
    ({"project_slug": "проект"}, ["project_slug"]),
    ({"project_slug": "two\nlines"}, ["project_slug"]),
    ({"project_slug": "nested/folder/name"}, ["project_slug"]),
    ({"project_slug": "../escaped"}, ["project_slug"]),
    ({"project_slug": "../escaped/deep/name"}, ["project_slug"]),
    ({"project_slug": "in/../out/name"}, ["project_slug"]),
    ({"project_name": "x" * 81}, ["project_name", "at most 80"]),
    ({"description": ""}, ["description is empty"]),
    ({"description": "two\nlines"}, ["description", "U+000A"]),
    ({"description": "half \ud800 a pair"}, ["description", "U+D800"]),
    ({"author_name": "\u202eesrever"}, ["author_name", "U+202E"]),
    ({"description": "{{ 7 * 7 }}"}, ["description", "later update"]),
    ({"model_input": ["a", "list"]}, ["model_input is not a text"]),
    ({"serving": "pigeon"}, ["serving", "batch, api"]),
    ({"ci": ["github", "gitlab"]}, ["ci", "github, gitlab, none"]),
    ({"python_version": 3.11}, ["python_version", "3.11, 3.12, 3.13"]),
    ({"license": None}, ["license", "Proprietary"]),
    (
        {"project_slug": "9", "description": " ", "serving": "", "author_name": "a\0b"},
        ["project_slug", "description", "serving", "author_name"],
    ),
]


@pytest.mark.parametrize(("bad", "named"), BAD_ANSWERS, ids=lambda value: ascii(value)[:40])
def test_bad_answers_leave_nothing_behind(
    bad: dict[str, Any],
    named: list[str],
    template: Path,
    home: Path,
    output: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every problem is named, the way to try again too, and the disk is as before."""
    assert home.is_dir()
    with pytest.raises((CookiecutterException, FileNotFoundError)):
        replay(template, output, {**rendering.complete({}), **bad})
    said = capfd.readouterr().err
    for words in named:
        assert words in said
    assert "--replay-file" in said
    assert not list(output.iterdir())
    assert {path.name for path in output.parent.iterdir()} == {"answers.json", "home", "output"}


@pytest.mark.parametrize("slug", ["", ".", "..", "/", "a\0b", "x" * 300])
def test_slugs_that_are_no_new_folder_end_at_once(
    slug: str, template: Path, home: Path, output: Path
) -> None:
    """Cookiecutter itself cannot make such a folder; nothing is written or removed."""
    assert home.is_dir()
    with pytest.raises((CookiecutterException, OSError, ValueError)):
        replay(template, output, {**rendering.complete({}), "project_slug": slug})
    assert not list(output.iterdir())


def test_answers_can_be_corrected_after_a_refusal(template: Path, home: Path, output: Path) -> None:
    """The way out that the message names works."""
    pairs = ["project_slug=json", "author_name=Zoë", "serving=api"]
    arguments = [*quietly(template, output), *pairs]
    done = attempt("cookiecutter", *arguments, cwd=home)
    assert done.returncode != 0
    assert not list(output.iterdir())
    assert "~/.cookiecutter_replay/template.json" in done.stderr
    stored = home / ".cookiecutter_replay" / "template.json"
    stored.write_text(stored.read_text().replace('"json"', '"churn_model"'))
    run("cookiecutter", "--replay-file", stored, "-o", output, template, cwd=home)
    answers = {"project_slug": "churn_model", "serving": "api"}
    assert set(rendering.tree(output / "churn_model")) == set(
        rendering.expected_tree(rendering.complete(answers))
    )


def test_an_existing_folder_is_left_alone(template: Path, home: Path, output: Path) -> None:
    """A refusal never removes what was there before, not even when overwriting was asked for."""
    (output / "mine").mkdir()
    (output / "mine" / "notes.txt").write_text("precious")
    pairs = ["project_slug=mine", "description= x"]
    arguments = ["-f", *quietly(template, output), *pairs]
    assert attempt("cookiecutter", *arguments, cwd=home).returncode != 0
    assert rendering.tree(output) == {"mine/notes.txt": b"precious"}


def test_refused_combinations_leave_nothing_behind(
    template: Path, home: Path, output: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each rule of the manifest, and one made up, ends with its reason."""
    strict = home / "strict"
    shutil.copytree(template, strict)
    hook = strict / "hooks" / "pre_gen_project.py"
    rules = [*rendering.MANIFEST["refused"], SMALL_RULE]
    source = hook.read_text(encoding="utf-8")
    changed = source.replace("\n\nTEXT_LIMITS", f"\nREFUSED = {rules!r}\n\nTEXT_LIMITS")
    assert changed != source
    hook.write_text(changed, encoding="utf-8")
    for rule in rules:
        chosen = {option: choices[0] for option, choices in rule["when"].items()}
        row = complete_row(chosen, rendering.OPTIONS, [])
        assert row is not None
        with pytest.raises(CookiecutterException):
            replay(strict, output, rendering.complete(row))
        assert rule["reason"] in capfd.readouterr().err
        assert not list(output.iterdir())


def test_a_selection_that_fails_is_one_clear_error(
    template: Path, home: Path, output: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A manifest that does not fit the files ends with a sentence, not with half a project."""
    broken = home / "broken"
    shutil.copytree(template, broken)
    (broken / rendering.FOLDER / "LICENSE__MIT").unlink()
    with pytest.raises(CookiecutterException):
        replay(broken, output, rendering.complete({}))
    said = capfd.readouterr().err
    assert "could not be selected" in said
    assert "LICENSE__MIT" in said
    assert not list(output.iterdir())


def edit(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Rewrite one file."""
    path = folder / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def release_second_version(repository: Path) -> None:
    """Change, add and remove files of the template, chosen ones and others."""
    source = repository / rendering.FOLDER
    edit(source, "utils/files.py", lambda text: text + "\n# from the second version\n")
    edit(source, "LICENSE__MIT", lambda text: text + "\nSecond version.\n")
    edit(source, "model_deployment/serving__api.py", lambda text: text + "\n# second version\n")
    (source / "utils" / "added.py").write_text('"""Added in the second version."""\n')
    (source / ".dockerignore").unlink()
    commit_all(repository)


def test_projects_follow_the_template_and_switch_options(
    template: Path, home: Path, output: Path
) -> None:
    """Create, update to a new version, then change answers: own edits and deletions survive."""
    repository = home / "template"
    shutil.copytree(template, repository)
    commit_all(repository)
    run("cruft", "create", "-y", "--output-dir", output, repository, cwd=home)
    [project] = output.iterdir()
    commit_all(project)

    edit(project, "utils/files.py", lambda text: "# my own line\n" + text)
    (project / "LICENSE").unlink()
    (project / "utils" / "mine.py").write_text("MINE = 1\n")
    commit_all(project)
    release_second_version(repository)
    run("cruft", "update", "-y", cwd=project)
    assert updated(project) == with_own_changes(rendering.bake(home / "v2", {}, repository))
    commit_all(project)

    answers = {"serving": "api", "ci": "gitlab"}
    switch = ["--variables-to-update", json.dumps(answers)]
    run("cruft", "update", "-y", *switch, cwd=project)
    assert updated(project) == with_own_changes(rendering.bake(home / "v3", answers, repository))
    commit_all(project)

    run("cruft", "check", cwd=project)
    back = ["--variables-to-update", json.dumps({"serving": "batch", "ci": "github"})]
    run("cruft", "update", "-y", *back, cwd=project)
    assert updated(project) == with_own_changes(rendering.bake(home / "v4", {}, repository))


def test_a_bad_answer_in_an_update_changes_nothing(
    template: Path, home: Path, output: Path
) -> None:
    """The hook refuses during an update as well, and the project stays as it was."""
    repository = home / "template"
    shutil.copytree(template, repository)
    commit_all(repository)
    run("cruft", "create", "-y", "--output-dir", output, repository, cwd=home)
    [project] = output.iterdir()
    commit_all(project)
    change = ["--variables-to-update", json.dumps({"serving": "api", "description": ""})]
    done = attempt("cruft", "update", "-y", *change, cwd=project)
    assert done.returncode != 0
    assert "description is empty" in done.stderr
    assert run("git", "status", "--porcelain", cwd=project) == ""


def updated(project: Path) -> dict[str, bytes]:
    """The files of a project after an update, which must have left no conflict."""
    assert "UU" not in run("git", "status", "--porcelain", cwd=project)
    files = {name: content for name, (content, _) in contents(project).items()}
    assert not [name for name in files if name.endswith((".rej", ".orig"))]
    return files


def with_own_changes(baked: Path) -> dict[str, bytes]:
    """The files of a fresh project with the user's changes of the test above."""
    files = rendering.tree(baked)
    files["utils/files.py"] = b"# my own line\n" + files["utils/files.py"]
    files["utils/mine.py"] = b"MINE = 1\n"
    del files["LICENSE"]
    return files

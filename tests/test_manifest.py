"""The declarations fit together: questions, manifest, hooks and the files of the template."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests import template
from tests.combinations import Row, covering_array

BLOCK = re.compile(r"#? ?\{%")
COPIES = template.CONTEXT["_copy_without_render"]


def text_of(name: str) -> str:
    """The source text of one file of the template."""
    return (template.SOURCE / name).read_text(encoding="utf-8")


def every_row() -> list[Row]:
    """Combinations in which every three choices meet."""
    return covering_array(template.OPTIONS, 3, template.REFUSED)


def test_questions_have_labels_for_every_choice() -> None:
    """Each question is worded for people, each choice says its consequence."""
    prompts = template.CONTEXT["__prompts__"]
    assert list(prompts) == list(template.QUESTIONS)
    for name, choices in template.OPTIONS.items():
        assert list(prompts[name]) == ["__prompt__", *choices], name
        assert all(prompts[name][choice].startswith(choice) for choice in choices), name
    assert all(prompts[name] for name in template.QUESTIONS)


def test_hook_repeats_the_declarations() -> None:
    """Hooks cannot include files, so what they repeat is held equal here."""
    assert template.PRE_GEN.CHOICES == template.OPTIONS
    assert template.MANIFEST["refused"] == template.PRE_GEN.REFUSED
    texts = [name for name in template.QUESTIONS if name not in template.OPTIONS]
    assert [*template.PRE_GEN.TEXT_LIMITS, "project_slug"] == sorted(
        texts, key=lambda name: (name == "project_slug", texts.index(name))
    )


def test_every_choice_can_be_had() -> None:
    """No choice is refused whatever else is answered."""
    rows = covering_array(template.OPTIONS, 1, template.REFUSED)
    for name, choices in template.OPTIONS.items():
        assert {row[name] for row in rows} == set(choices)


def test_conditions_name_real_choices() -> None:
    """Every condition of the manifest is about questions and choices that exist."""
    for rule in [*template.MANIFEST["owned"], *template.MANIFEST["refused"]]:
        assert rule["when"]
        for option, choices in rule["when"].items():
            assert choices
            assert set(choices) <= set(template.OPTIONS[option]), rule


def test_listed_files_exist_and_stay_inside() -> None:
    """Each listed file is in the template; final names are plain relative paths."""
    files = set(template.source_files())
    missing = [name for name in template.final_names() if name not in files]
    assert not missing
    finals = [final for rules in template.final_names().values() for _, final in rules]
    assert not [name for name in finals if Path(name).is_absolute() or ".." in Path(name).parts]
    assert not [name for name in finals if "__" in Path(name).stem.strip("_")]


def test_variants_are_listed() -> None:
    """A file named like a variant belongs to some answers."""
    owned = template.final_names()
    variants = [
        name for name in template.source_files() if "__" in Path(name).name.replace("__init__", "")
    ]
    assert not [name for name in variants if name not in owned]


def test_final_names_are_unique() -> None:
    """No two files of one combination end under the same name."""
    for row in every_row():
        plan = template.SELECTION.plan(template.MANIFEST, row)
        core = set(template.source_files()) - set(template.final_names())
        finals = Counter([final for _, final in plan.kept] + sorted(core))
        assert not [name for name, count in finals.items() if count > 1], row


def test_every_option_changes_what_is_rendered() -> None:
    """A question is asked only if its answer matters to some file."""
    used = {option for rule in template.MANIFEST["owned"] for option in rule["when"]}
    for name in template.source_files():
        if not name.endswith(template.COPIED) and not name.startswith(".template/"):
            used |= set(template.VARIABLE.findall(text_of(name)))
    assert set(template.QUESTIONS) <= used


def test_only_known_variables_are_used() -> None:
    """A misspelt variable is found even in a branch that is hardly ever rendered."""
    for name in template.source_files():
        if not name.endswith(template.COPIED):
            unknown = set(template.VARIABLE.findall(text_of(name))) - set(template.CONTEXT)
            assert not unknown, name


def test_code_notebooks_and_data_are_copied_as_they_are() -> None:
    """The tests know what cookiecutter copies, and no such file expects an answer."""
    assert {"*" + suffix for suffix in template.COPIED} == set(COPIES)
    for name in template.source_files():
        if name.endswith(template.COPIED) and not name.endswith(template.DATA):
            assert "{%" not in text_of(name), name
            assert "cookiecutter." not in text_of(name), name


def test_file_names_hold_no_answers() -> None:
    """Conditional names break on folders and on Windows."""
    assert not [name for name in template.source_files() if "{" in name]


def test_blocks_are_few() -> None:
    """At most 2 % of the lines choose between other lines, and each does so on its own line."""
    lines = [
        (name, line)
        for name in template.source_files()
        if not name.endswith(template.DATA)
        for line in text_of(name).splitlines()
    ]
    blocks = [(name, line) for name, line in lines if "{%" in line]
    assert len(blocks) <= 0.02 * len(lines)
    assert not [entry for entry in blocks if not entry[1].strip().startswith("# {%")]
    assert not [entry for entry in blocks if not entry[1].strip().endswith("%}")]


def test_python_files_parse() -> None:
    """Every module of the template is Python before anything is rendered."""
    for name in template.source_files():
        if name.endswith(".py"):
            ast.parse(text_of(name), name)


def test_python_files_pass_the_projects_linter(tmp_path: Path) -> None:
    """The sources, chosen or not, keep the rules that the rendered project sets."""
    for name in template.source_files():
        if name.endswith(template.COPIED[:2]):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(template.SOURCE / name, tmp_path / name)
    config = tmp_path / "pyproject.toml"
    config.write_text(template.render_file("pyproject.toml", {}), encoding="utf-8")
    command = ["ruff", "check", "--no-cache", "--output-format=concise", "."]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def requirement_names(pyproject: str) -> set[str]:
    """Normalised names of all distributions that a pyproject.toml asks for."""
    content = tomllib.loads(pyproject)
    project = content["project"]
    groups = [
        project.get("dependencies", []),
        *project.get("optional-dependencies", {}).values(),
        *content.get("dependency-groups", {}).values(),
    ]
    requirements = [entry for group in groups for entry in group if isinstance(entry, str)]
    names = (re.match(r"[A-Za-z0-9._-]+", entry) for entry in requirements)
    return {re.sub(r"[-_.]+", "_", name.group()).lower() for name in names if name}


def test_slugs_cannot_take_the_name_of_a_dependency() -> None:
    """The list in the hook is what the project depends on, over all answers."""
    needed: set[str] = set()
    for _, row in template.variants("pyproject.toml"):
        needed |= requirement_names(template.render_file("pyproject.toml", row))
    slug = template.complete({})["project_slug"]
    assert needed - {slug} == template.PRE_GEN.DEPENDENCIES


@pytest.mark.parametrize("folder", sorted(template.PRE_GEN.FOLDERS))
def test_slugs_cannot_take_the_name_of_a_folder(folder: str) -> None:
    """The folders of the project are refused as its name."""
    assert template.PRE_GEN.slug_problems(folder)


def test_hook_knows_every_folder() -> None:
    """Each top-level folder of the template is in the hook's list."""
    folders = {name.split("/")[0] for name in template.source_files() if "/" in name}
    assert {name for name in folders if not name.startswith(".")} <= template.PRE_GEN.FOLDERS

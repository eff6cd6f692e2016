"""The documentation names only what exists, and its generated parts are up to date."""

import re
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests import template
from tools import build_docs

PAGES = sorted(
    [*(template.ROOT / "docs").glob("*.md"), *template.ROOT.glob("*.md")],
    key=lambda path: path.as_posix(),
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"^([a-z]+):", re.M)
NAMED_TARGET = re.compile(r"(?<![\w-])make ([a-z]+)\b")
MODULE = re.compile(r"python -m ((?:\w+\.)*\w+)")


def code_of(text: str) -> str:
    """Everything a page shows as code: blocks and inline."""
    tokens = MarkdownIt("commonmark").parse(text)
    parts = [token.content for token in tokens if token.type in {"fence", "code_block"}]
    for token in tokens:
        parts += [child.content for child in token.children or [] if child.type == "code_inline"]
    return "\n".join(parts)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def page_id(path: Path) -> str:
    """A short name for a page in the list of tests."""
    return path.relative_to(template.ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and a heading of it."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        linked = (page.parent / name) if name else page
        assert linked.exists(), link
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), link


def make_targets() -> set[str]:
    """The targets of the template's Makefile, and of the project's for every choice."""
    found = set(TARGET.findall((template.ROOT / "Makefile").read_text(encoding="utf-8")))
    for serving in template.OPTIONS["serving"]:
        found |= set(TARGET.findall(template.render_file("Makefile", {"serving": serving})))
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_exist(page: Path) -> None:
    """Every `make` command that a page shows is one of the template or of the project."""
    named = set(NAMED_TARGET.findall(code_of(page.read_text(encoding="utf-8"))))
    assert named <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_modules_exist(page: Path) -> None:
    """Every `python -m` command that a page shows has a module."""
    files = set().union(
        *(template.expected_tree(template.complete({"serving": s})) for s in ("batch", "api"))
    )
    for module in MODULE.findall(page.read_text(encoding="utf-8")):
        name = f"{module.replace('.', '/')}.py"
        assert (template.ROOT / name).is_file() or name in files, module


def test_readme_names_the_test_command() -> None:
    """The commands of the first screen are the template's own."""
    readme = (template.ROOT / "README.md").read_text(encoding="utf-8")
    own = set(TARGET.findall((template.ROOT / "Makefile").read_text(encoding="utf-8")))
    assert {"demo", "test", "quick"} <= own
    for command in ("make demo", "make test", "make quick"):
        assert command in readme


def test_readme_shows_the_tree_as_it_is() -> None:
    """Each path of the tree exists in a project, and each folder of the project is shown."""
    readme = (template.ROOT / "README.md").read_text(encoding="utf-8")
    [tree] = re.findall(r"```text\n(.+?)```", readme, re.S)
    shown = {line.split()[0] for line in tree.splitlines()}
    files = template.expected_tree(template.complete({}))
    folders = {f"{name.partition('/')[0]}/" for name in files if "/" in name}
    for path in shown:
        assert path in files or any(name.startswith(path) for name in files), path
    visible = {folder for folder in folders if not folder.startswith(".")}
    assert {f"{path.partition('/')[0]}/" for path in shown if "/" in path} == visible


def test_answers_in_examples_exist() -> None:
    """Answers given in commands name real questions and choices."""
    for page in PAGES:
        for line in code_of(page.read_text(encoding="utf-8")).splitlines():
            if not line.startswith(("cookiecutter ", "uv run cookiecutter ")):
                continue
            for name, value in re.findall(r"\b([a-z_]+)=(\w+|\"[^\"]*\")", line):
                assert name in template.QUESTIONS, line
                assert value in template.OPTIONS.get(name, [value]), line


def test_generated_parts_are_up_to_date() -> None:
    """The table of the README and the page of options follow from questions and manifest."""
    for path, text in build_docs.build().items():
        assert path.read_text(encoding="utf-8") == text, "run: uv run python -m tools.build_docs"


def test_every_choice_is_documented() -> None:
    """The page of options has each question, choice and owned file."""
    page = build_docs.OPTIONS.read_text(encoding="utf-8")
    for name, choices in template.OPTIONS.items():
        section = page.partition(f"## `{name}`")[2].partition("\n## ")[0]
        assert all(f"| `{choice}` |" in section for choice in choices), name
        for rule in template.MANIFEST["owned"]:
            if name in rule["when"]:
                assert all(f"`{final}`" in section for final in rule["files"].values()), name


def test_check_notices_what_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed table and a missing page fail the check; writing repairs both."""
    readme, options = tmp_path / "README.md", tmp_path / "docs" / "options.md"
    readme.write_text(f"Before\n\n{build_docs.START}\nstale\n{build_docs.END}\n\nAfter\n")
    monkeypatch.setattr(build_docs, "README", readme)
    monkeypatch.setattr(build_docs, "OPTIONS", options)
    monkeypatch.setattr(sys, "argv", ["build_docs", "--check"])
    assert build_docs.main() == 1
    said = capsys.readouterr().err
    assert "README.md" in said
    assert "options.md" in said
    monkeypatch.setattr(sys, "argv", ["build_docs"])
    assert build_docs.main() == 0
    monkeypatch.setattr(sys, "argv", ["build_docs", "--check"])
    assert build_docs.main() == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("Before\n\n")
    assert text.endswith("\n\nAfter\n")
    assert "stale" not in text


def test_a_readme_without_marks_is_an_error() -> None:
    """Nothing is guessed when the place of the table is gone."""
    with pytest.raises(ValueError, match="lacks the marks"):
        build_docs.with_table("# Title\n", "| a |")


def test_refused_combinations_are_listed() -> None:
    """A refused combination is shown with its reason."""
    rule = {"when": {"serving": ["api"], "ci": ["none", "gitlab"]}, "reason": "Choose github."}
    shown = build_docs.refused_section({"refused": [rule]})
    assert shown.endswith("- `serving` `api`, `ci` `none` or `gitlab`: Choose github.")

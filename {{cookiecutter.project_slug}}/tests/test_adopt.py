"""Adoption: the project takes over another table, or says why not and changes nothing."""

import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from data_prep.preview import gather
from tests.conftest import BUNDLED, ROOT, run_stage
from utils import adopt
from utils.config import ProjectError, load_contract, load_params
from utils.readme import README
from utils.rewriting import replace_line, replace_section, set_entries

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com")


def git(*arguments: str) -> str:
    """Run git in the current folder; returns what it printed."""
    done = subprocess.run([*GIT, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed copy of what adoption changes, beside a folder with another table."""
    copy = tmp_path / "project"
    copy.mkdir()
    name = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").project.name
    _, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n")
    (copy / "README.md").write_text(f"# {name}\n{rest}", encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", copy / "pyproject.toml")
    for name in ("params.yaml", "schema.yaml"):
        shutil.copy(BUNDLED / name, copy / name)
    shutil.copytree(BUNDLED / "data/source", copy / "data/source")
    (copy / ".gitignore").write_text("/data/*\n!/data/source/\n/reports/\n")
    shutil.copytree(BUNDLED / "data/source", tmp_path / "incoming")
    for path in (tmp_path / "incoming").iterdir():
        path.rename(path.with_stem("other_table"))
    monkeypatch.chdir(copy)
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Before")
    return copy


def other_table(folder: Path) -> Path:
    """The table to adopt; a smaller file beside it may say how to read it."""
    return max((folder.parent / "incoming").iterdir(), key=lambda path: path.stat().st_size)


def run_adoption(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["adopt", *map(str, arguments)])
    adopt.main()


def test_another_table_is_adopted_and_git_undoes_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = load_contract().target.name
    before = {name: (folder / name).read_text() for name in ("params.yaml", "schema.yaml")}
    table = other_table(folder)
    wanted = ["--data", table, "--target", target, "--name", "A *new* project", "--yes"]
    run_adoption(monkeypatch, *wanted)
    shown = capsys.readouterr().out
    assert "+++ b/schema.yaml" in shown
    assert "-> tests/sample/data/source/" in shown
    contract, params = load_contract(), load_params()
    assert contract.target.name == target
    assert contract.provenance.startswith(f"Read from data/source/{table.name}. ")
    assert "when the project adopted the table" in contract.provenance
    assert params.project.name == "A *new* project"
    assert list((folder / "data/source").glob("other_table*"))
    assert README.read_text(encoding="utf-8").startswith("# A \\*new\\* project\n")
    shown = README.read_text(encoding="utf-8")
    assert all(f"| `{column.name}` | {column.role} |" in shown for column in contract.columns)
    for name, text in before.items():
        assert (folder / "tests/sample" / name).read_text() == text
        assert text.splitlines()[0] in (folder / name).read_text(), "comments stay"
    for stage in ("data_prep.retrieval", "data_prep.pipeline clean", "data_prep.pipeline validate"):
        run_stage(f"python -m {stage}")
    with pytest.raises(ProjectError, match=r"not committed: README\.md"):
        run_adoption(monkeypatch, *wanted)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Adopt")
    run_adoption(monkeypatch, *wanted)
    git("reset", "--quiet", "--hard", "HEAD~1")
    assert {name: (folder / name).read_text() for name in before} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"Nothing was changed\. Run it again with YES=1"),
        (["--target", "no_such_column"], "no column 'no_such_column' for TARGET|has no target"),
        (["--ignore", "no_such_column"], "no column 'no_such_column' for IGNORE"),
        (["--data", ""], "Say which table"),
        (["--data", "absent"], "absent.*(not found|not a file)"),
        (["--task", "another"], "For TASK=another, render another one"),
        (["--format", "x"], "not written as COLUMN=PATTERN"),
    ],
)
def test_nothing_changes_without_consent_or_when_a_table_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    standard = ["--data", other_table(folder), "--target", load_contract().target.name]
    with pytest.raises(ProjectError, match=message):
        run_adoption(monkeypatch, *standard, *arguments)
    assert git("status", "--porcelain") == ""


@pytest.mark.parametrize(("answer", "changed"), [("n", False), ("y", True)])
def test_a_person_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str, changed: bool
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    target = load_contract().target.name
    run_adoption(monkeypatch, "--data", other_table(folder), "--target", target)
    assert bool(git("status", "--porcelain")) == changed


def test_what_git_can_not_undo_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ("--data", other_table(folder), "--target", "x")
    shutil.rmtree(folder / ".git")
    git("init", "--quiet")
    with pytest.raises(ProjectError, match="no commit yet"):
        run_adoption(monkeypatch, *wanted)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProjectError, match="git was not found"):
        run_adoption(monkeypatch, *wanted)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([pa.table({"a": pa.array([], pa.string())})], "t has no records"),
        ([pa.table({"a;b": ["1;2"]})], "separates its values by semicolons"),
        ([pa.table([["1"], ["2"]], names=["a", "a"])], "more than one column named a"),
    ],
)
def test_what_is_no_table_is_refused(tables: list[pa.Table], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        gather(tables, "t")


YAML = """# About everything.

# About one.
one:
  a: 1 # first
  # about b
  b:
    - 2
  c: {d: 3}

# About two.
two: {}
"""


def test_entries_change_and_comments_stay() -> None:
    text = set_entries(YAML, "one", {"a": 5, "b": None, "e": "x: y"})
    assert "  a: 5 # first\n  c: {d: 3}\n  e: 'x: y'\n\n# About two." in text
    assert text.startswith("# About everything.\n\n# About one.\none:\n")
    replaced = replace_section(text, "one", ["  f: 6"], "About f.")
    assert replaced == "# About everything.\n\n# About f.\none:\n  f: 6\n\n# About two.\ntwo: {}\n"
    assert yaml.safe_load(replaced) == {"one": {"f": 6}, "two": {}}
    with pytest.raises(ProjectError, match="no section three"):
        set_entries(YAML, "three", {})
    assert replace_line("a: 1\nb: 2\n", "^b: .*$", "b: \\1") == "a: 1\nb: \\1\n"

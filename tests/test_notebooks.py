"""The example notebooks are what their sources say, and nothing else."""

import json
import sys
from pathlib import Path

import pytest

from tests import template
from tools import build_notebooks

NAMES = ("data_prep", "data_viz", "model_training", "model_deployment", "utils")


def cells(notebook: str) -> list[dict[str, object]]:
    """The cells of a notebook given as text."""
    found: list[dict[str, object]] = json.loads(notebook)["cells"]
    return found


def test_every_project_has_the_five_notebooks() -> None:
    """Whatever is answered, there is one notebook for each folder of code."""
    for task in template.OPTIONS["task"]:
        for serving in template.OPTIONS["serving"]:
            answers = template.complete({"task": task, "serving": serving})
            tree = template.expected_tree(answers)
            notebooks = {name for name in tree if name.endswith(".ipynb")}
            assert notebooks == {f"examples/{name}_example.ipynb" for name in NAMES}


def test_notebooks_are_what_the_sources_say() -> None:
    """The committed notebooks are those that the tool writes, byte for byte."""
    assert build_notebooks.differing(build_notebooks.build(), build_notebooks.NOTEBOOKS) == []


def test_same_source_gives_same_bytes() -> None:
    """Neither the clock nor chance gets into a notebook."""
    assert build_notebooks.build() == build_notebooks.build()


def test_notebooks_hold_no_outputs_and_are_short() -> None:
    """Outputs stay out of git; a sentence of why stands before each cell of code."""
    for name, notebook in build_notebooks.build().items():
        kinds = [cell["cell_type"] for cell in cells(notebook)]
        assert kinds == ["markdown", "code"] * (len(kinds) // 2), name
        assert len(kinds) <= 18, name
        assert [cell["id"] for cell in cells(notebook)] == [str(i) for i in range(len(kinds))]
        for cell in cells(notebook):
            assert not cell.get("outputs"), name
            assert cell.get("execution_count") is None, name


def test_magic_commands_are_commands() -> None:
    """A magic is a comment in the source, so that the source is Python, but not in the notebook."""
    source = "# %% [markdown]\n# Title\n\n# %%\n# %matplotlib inline\nvalue = 1\n"
    markdown, code = cells(build_notebooks.notebook(source))
    assert markdown["source"] == ["Title"]
    assert code["source"] == ["%matplotlib inline\n", "value = 1"]


def test_check_notices_every_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed, a missing and a left-over notebook fail the check; writing repairs all three."""
    monkeypatch.setattr(build_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build_notebooks"])
    assert build_notebooks.main() == 0
    names = sorted(build_notebooks.build())
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    (tmp_path / names[0]).write_text("{}\n", encoding="utf-8")
    (tmp_path / names[1]).unlink()
    (tmp_path / "z_old.ipynb").write_text("{}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["build_notebooks", "--check"])
    assert build_notebooks.main() == 1
    said = capsys.readouterr().err
    assert all(name in said for name in [*names[:2], "z_old.ipynb"])
    assert names[2] not in said
    monkeypatch.setattr(sys, "argv", ["build_notebooks"])
    assert build_notebooks.main() == 0
    monkeypatch.setattr(sys, "argv", ["build_notebooks", "--check"])
    assert build_notebooks.main() == 0

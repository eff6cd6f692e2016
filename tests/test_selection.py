"""The selector on a manifest of its own, with every feature in use."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.template import PRE_GEN, SELECTION, tree

MANIFEST: dict[str, Any] = {
    "owned": [
        {"when": {"mode": ["batch", "all"]}, "files": {"score__batch.py": "score.py"}},
        {"when": {"mode": ["api"]}, "files": {"score__api.py": "score.py"}},
        {"when": {"mode": ["api", "all"]}, "files": {"web/routes.py": "web/routes.py"}},
        {"when": {"mode": ["api"], "ci": ["github"]}, "files": {"ci/api.yml": ".ci/main.yml"}},
        {"when": {"ci": ["github"]}, "files": {"notes.md": "notes.md"}},
        {"when": {"mode": ["all"]}, "files": {"notes.md": "notes.md"}},
    ],
    "refused": [{"when": {"mode": ["all"], "ci": ["none"]}, "reason": "all needs CI"}],
}
SOURCES = {
    "score__batch.py",
    "score__api.py",
    "web/routes.py",
    "ci/api.yml",
    "notes.md",
    "README.md",
}


def render(root: Path) -> Path:
    """Write each source with its own name as the content."""
    for name in SOURCES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


@pytest.mark.parametrize(
    ("mode", "ci", "expected"),
    [
        ("batch", "none", {"score.py": "score__batch.py"}),
        ("batch", "github", {"score.py": "score__batch.py", "notes.md": "notes.md"}),
        ("api", "none", {"score.py": "score__api.py", "web/routes.py": "web/routes.py"}),
        (
            "api",
            "github",
            {
                ".ci/main.yml": "ci/api.yml",
                "notes.md": "notes.md",
                "score.py": "score__api.py",
                "web/routes.py": "web/routes.py",
            },
        ),
        (
            "all",
            "github",
            {
                "notes.md": "notes.md",
                "score.py": "score__batch.py",
                "web/routes.py": "web/routes.py",
            },
        ),
    ],
)
def test_chosen_files_move_and_the_others_go(
    tmp_path: Path, mode: str, ci: str, expected: dict[str, str]
) -> None:
    """Exactly the chosen files remain, twice over, and no empty folder."""
    root = render(tmp_path)
    plan = SELECTION.plan(MANIFEST, {"mode": mode, "ci": ci})
    wanted = {
        name: source.encode() for name, source in {**expected, "README.md": "README.md"}.items()
    }
    for _ in range(2):
        SELECTION.apply(root, plan)
        assert tree(root) == wanted
        assert not [path for path in root.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_planning_touches_nothing() -> None:
    """The plan depends on its arguments only and leaves them as they were."""
    before = copy.deepcopy(MANIFEST)
    answers = {"mode": "api", "ci": "none"}
    assert SELECTION.plan(MANIFEST, answers) == SELECTION.plan(MANIFEST, answers)
    assert before == MANIFEST
    assert answers == {"mode": "api", "ci": "none"}


def test_a_chosen_variant_replaces_an_unchosen_file_of_its_final_name(tmp_path: Path) -> None:
    """The default may carry the final name itself, also when the selection runs twice."""
    manifest = {
        "owned": [
            {"when": {"mode": ["batch"]}, "files": {"score.py": "score.py"}},
            {"when": {"mode": ["api"]}, "files": {"score__api.py": "score.py"}},
        ],
        "refused": [],
    }
    for name in ("score.py", "score__api.py"):
        (tmp_path / name).write_text(name)
    plan = SELECTION.plan(manifest, {"mode": "api"})
    for _ in range(2):
        SELECTION.apply(tmp_path, plan)
        assert tree(tmp_path) == {"score.py": b"score__api.py"}


def test_refused_answers_have_no_plan() -> None:
    """A refused combination is an error with its reason."""
    assert SELECTION.refusals(MANIFEST, {"mode": "all", "ci": "none"}) == ["all needs CI"]
    with pytest.raises(SELECTION.SelectionError, match="all needs CI"):
        SELECTION.plan(MANIFEST, {"mode": "all", "ci": "none"})


def test_the_hook_refuses_what_the_manifest_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook's own copy of the rule names the reason beside all other problems."""
    rule = {"when": {"serving": ["api"], "ci": ["none"]}, "reason": "an API needs CI"}
    monkeypatch.setattr(PRE_GEN, "REFUSED", [rule])
    assert "an API needs CI" in PRE_GEN.problems({"serving": "api", "ci": "none"})
    assert "an API needs CI" not in PRE_GEN.problems({"serving": "api", "ci": "github"})


@pytest.mark.parametrize(
    ("owned", "message"),
    [
        ([{"when": {"speed": ["fast"]}, "files": {}}], "without an answer: .*speed"),
        (
            [
                {"when": {"mode": ["api"]}, "files": {"a": "x"}},
                {"when": {"ci": ["none"]}, "files": {"a": "y"}},
            ],
            "a has two final names: x and y",
        ),
        ([{"when": {"mode": ["api"]}, "files": {"a": "x", "b": "x"}}], "a and b both become x"),
    ],
)
def test_contradictions_are_errors(owned: list[dict[str, Any]], message: str) -> None:
    """A manifest that contradicts itself or the questions says where."""
    with pytest.raises(SELECTION.SelectionError, match=message):
        SELECTION.plan({"owned": owned, "refused": []}, {"mode": "api", "ci": "none"})


def test_a_file_that_was_not_rendered_is_an_error(tmp_path: Path) -> None:
    """Nothing is moved or removed when a chosen file is missing."""
    root = render(tmp_path)
    (root / "web/routes.py").unlink()
    before = tree(root)
    plan = SELECTION.plan(MANIFEST, {"mode": "api", "ci": "none"})
    with pytest.raises(SELECTION.SelectionError, match=r"not rendered: .*web/routes\.py"):
        SELECTION.apply(root, plan)
    assert tree(root) == before

"""Configuration, logging, files and the measured parts of the README."""

import json
import logging
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import BUNDLED
from utils import readme
from utils.config import ProjectError, load_contract, load_params
from utils.files import atomic_path, read_json, sha256, write_json
from utils.logging import JsonFormatter, TextFormatter, configure, run
from utils.markdown import escape
from utils.readme import replace_parts

ANSWER = {"name": "answer", "role": "target", "type": "float", "description": "Answer."}


def changed(tmp_path: Path, name: str, path: str, value: object) -> Path:
    """Write a copy of a configuration file with one entry changed; ``...`` deletes it."""
    content = yaml.safe_load((BUNDLED / name).read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    entry = content
    for key in parents:
        entry = entry[int(key) if key.isdigit() else key]
    if value is ...:
        del entry[last]
    else:
        entry[last] = value
    copy = tmp_path / name
    copy.write_text(yaml.safe_dump(content), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("split.test_shar", 0.3, "unknown field `test_shar`"),
        ("split.test_share", "much", r"Expected `float`, got `str` - at `\$.split.test_share`"),
        ("split.test_share", 1.5, "must lie between 0 and 1"),
        ("split.folds", 1, "at least 2"),
        ("split.method", "group", "no column has the role group"),
        ("split", ..., "missing required field `split`"),
        ("selection.candidates", {"mystery": {}}, "no 'baseline'"),
        ("selection.search.trials", -1, "selection.search.trials is -1"),
        ("selection.search.minutes", 0, "selection.search.minutes is 0"),
        ("selection.search.batch", 0, "selection.search.batch is 0"),
        ("selection.search.trials", None, "no budget: set trials, minutes or both"),
        ("selection.candidates.baseline", {"strategy": {"choices": ["a", "b"]}}, "can't be sear"),
        ("evaluation.segments", ["nowhere"], "names 'nowhere', which is not one of"),
        ("evaluation.confidence", 1.0, "evaluation.confidence is 1.0"),
        ("evaluation.bootstrap_samples", 0, "at least 1"),
        ("explanation.repeats", 0, "explanation.repeats is 0, but must be at least 1"),
        ("transformation.logarithm", ["nowhere"], "transformation.logarithm names 'nowhere'"),
        ("features.ratios", {"r": {"numerator": "a", "denominator": "b"}}, "features.ratios names"),
    ],
)
def test_bad_settings_are_refused_with_their_place(
    tmp_path: Path, path: str, value: object, message: str
) -> None:
    params = changed(tmp_path, "params.yaml", path, value)
    with pytest.raises(ProjectError, match=message):
        load_params(params, BUNDLED / "schema.yaml")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"low": 3, "high": 3}, "has low 3, which must lie below high 3"),
        ({"low": 0, "high": 3, "log": True}, "has low 0, which must be positive for log"),
        ({"low": 1}, "needs low and high, both finite numbers, or choices"),
        ({"low": 1.0, "high": float("inf")}, "needs low and high, both finite numbers"),
        ({"low": 1, "high": 9, "start": 10}, "has start 10, which must lie from 1 to 9"),
        ({"low": 1, "high": 9, "start": 1.5}, "has start 1.5, which must be an integer"),
        ({"low": 1.0, "high": 9.0, "start": "x"}, "has start 'x', which must be a number"),
        ({"choices": []}, "needs choices, at least two"),
        ({"choices": ["a", "a"]}, "needs choices, at least two and all different"),
        ({"choices": ["a", "b"], "low": 1}, "has choices and a range"),
        ({"choices": ["a", "b"], "start": "c"}, "has start 'c', which is none of its choices"),
        ({"lowest": 1, "high": 3}, "unknown field `lowest`"),
    ],
)
def test_bad_ranges_are_refused_with_their_place(
    tmp_path: Path, space: dict[str, object], message: str
) -> None:
    settings = {"min_samples_leaf": space}
    params = changed(tmp_path, "params.yaml", "selection.candidates.random_forest", settings)
    with pytest.raises(ProjectError, match=message):
        load_params(params, BUNDLED / "schema.yaml")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("columns.0.colour", "red", "unknown field `colour`"),
        ("columns.0.role", "hero", "Invalid enum value 'hero'"),
        ("columns.0.role", "numeric", "role numeric but the type string"),
        ("columns", [ANSWER, {**ANSWER, "name": "other"}], "2 columns have the role target"),
        ("columns.1.name", "twice", None),
        ("columns", [], "no column has the role identifier; at least one is needed"),
    ],
)
def test_bad_contracts_are_refused_with_their_place(
    tmp_path: Path, path: str, value: object, message: str | None
) -> None:
    schema = changed(tmp_path, "schema.yaml", path, value)
    if message is None:
        content = yaml.safe_load(schema.read_text(encoding="utf-8"))
        content["columns"].append(content["columns"][1])
        schema.write_text(yaml.safe_dump(content), encoding="utf-8")
        message = "'twice' is declared 2 times"
    with pytest.raises(ProjectError, match=message):
        load_contract(schema)


@pytest.mark.parametrize(("content", "message"), [(None, "not found"), ("a: [", "not valid YAML")])
def test_unreadable_configuration_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "schema.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ProjectError, match=message):
        load_contract(path)


def test_a_contract_with_an_empty_range_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load((BUNDLED / "schema.yaml").read_text(encoding="utf-8"))
    column = next(item for item in content["columns"] if item["role"] == "numeric")
    column.update(minimum=5, maximum=1)
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ProjectError, match="minimum above its maximum"):
        load_contract(path)


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "report.json"
    write_json(path, {"a": 1})
    fingerprint = sha256(path)

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sha256(path) == fingerprint
    assert [item.name for item in path.parent.iterdir()] == ["report.json"]


def test_reports_that_are_missing_or_damaged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="make run"):
        read_json(tmp_path / "absent.json")
    (tmp_path / "damaged.json").write_text("{")
    with pytest.raises(ProjectError, match="not valid JSON"):
        read_json(tmp_path / "damaged.json")


def record(**extra: object) -> logging.LogRecord:
    """Return a log record with extra fields."""
    made = logging.LogRecord("project", logging.INFO, "file.py", 1, "scored %d", (3,), None)
    vars(made).update(extra)
    return made


def test_json_logs_are_one_object_with_all_fields() -> None:
    line = JsonFormatter().format(record(rows=3, name_of="Ä\n"))
    fields = json.loads(line)
    assert "\n" not in line
    assert (fields["message"], fields["level"], fields["rows"]) == ("scored 3", "info", 3)
    assert fields["time"].endswith("+00:00")


def test_logs_carry_the_exception() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        failed = record()
        failed.exc_info = sys.exc_info()
    assert "ValueError: broken" in json.loads(JsonFormatter().format(failed))["exception"]
    assert "ValueError: broken" in TextFormatter().format(failed)


def test_text_logs_show_message_and_fields(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_STYLE", "text")
    configure()
    logging.getLogger("project").info("scored", extra={"rows": 3})
    assert "project: scored rows=3" in capsys.readouterr().err


def test_a_command_that_fails_says_why_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise ProjectError("the table is empty")

    with pytest.raises(SystemExit) as stopped:
        run(command)
    assert stopped.value.code == 1
    assert capsys.readouterr().err.endswith("error: the table is empty\n")


TEXT = "before\n<!-- measured: data -->\nold\n<!-- end: data -->\nafter\n"


def test_only_the_marked_part_is_replaced() -> None:
    new = replace_parts(TEXT, {"data": r"new \1", "absent": "x"})
    assert new == TEXT.replace("old", r"new \1")
    assert replace_parts(new, {"data": r"new \1"}) == new


@pytest.mark.parametrize("damage", ["<!-- measured: data -->", "<!-- end: data -->"])
def test_a_damaged_pair_of_markers_is_refused(damage: str) -> None:
    with pytest.raises(ProjectError, match="restore the pair"):
        replace_parts(TEXT.replace(damage, ""), {"data": "new"})


def test_markdown_in_texts_is_escaped() -> None:
    assert escape("a|b *c* <d>") == r"a\|b \*c\* \<d\>"


def test_the_readme_is_filled_in_from_the_reports(in_project: Path) -> None:
    text = (in_project / "README.md").read_text(encoding="utf-8")
    contract = load_contract()
    for column in contract.columns:
        assert f"| `{column.name}` | {column.role} |" in text
    for name in re.findall("<!-- measured: (.*) -->", text):
        part = text.split(f"<!-- measured: {name} -->")[1].split(f"<!-- end: {name} -->")[0]
        assert "`make run` writes" not in part
        assert len(part) > 100
    for path in in_project.glob("reports/figures/*/*.png"):
        assert f"({path.relative_to(in_project).as_posix()})" in text
    before = text
    readme.main()
    assert (in_project / "README.md").read_text(encoding="utf-8") == before

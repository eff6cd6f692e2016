"""The data card and the model card, their facts and the lineage they state."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from data_prep import data_card
from data_prep.data_card import Part, outcome_rows
from model_deployment.artefact import load_artefact
from model_training import model_card
from model_training.experiment import flatten, read_experiment
from model_training.lineage import WITHOUT_INFLUENCE, git_commit, settings, settings_fingerprint
from model_training.model_card import (
    chosen_metric,
    learning_limit,
    limitations,
    segment_part,
)
from model_training.results import (
    CandidateResult,
    Estimate,
    EvaluationReport,
    LearningPoint,
    Segment,
    Selection,
)
from tests.test_pipeline import STAGES
from utils.config import Contract, convert, load_contract, load_params
from utils.files import read_json
from utils.markdown import code
from utils.readme import segment_table

HOSTILE = "a|b\n# *c* <script>`x`</script> [l](http://e)"


def section(card: str, title: str) -> str:
    """Return the text below a heading."""
    return card.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def test_the_data_card_states_what_was_measured(in_project: Path) -> None:
    card = (in_project / "reports/data_card.md").read_text(encoding="utf-8")
    contract = load_contract()
    cleaning = read_json(in_project / "reports/cleaning.json")
    assert read_json(in_project / "reports/retrieval.json")["sha256"] in card
    assert f"{cleaning['rows_kept']:,} rows were kept" in " ".join(card.split())
    for column in contract.columns:
        assert f"| `{column.name}` | {column.role} |" in section(card, "Composition")
    train, test = (pl.read_parquet(f"data/{name}.parquet").height for name in ("train", "test"))
    assert f"| Training | {train:,} |" in section(card, "Sampling and split")
    assert f"| Held-out | {test:,} |" in section(card, "Sampling and split")
    assert section(card, "Known limitations").strip()
    data_card.main()
    assert (in_project / "reports/data_card.md").read_text(encoding="utf-8") == card


def test_the_model_card_states_what_was_measured(in_project: Path, models: Path) -> None:
    card = (in_project / "reports/model_card.md").read_text(encoding="utf-8")
    live = load_artefact(models)
    exported = (live.directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith(exported)
    drift = read_json(in_project / "reports/monitoring.json")
    assert f"status **{drift['status']}**" in section(card, "Drift")
    lineage = section(card, "Lineage")
    metadata = live.metadata
    assert metadata.settings_sha256 == settings_fingerprint(load_params())
    for fact in (
        metadata.version,
        metadata.data.sha256,
        metadata.schema_sha256,
        metadata.settings_sha256,
        metadata.environment.python,
    ):
        assert fact in lineage
    model_card.main()
    assert (in_project / "reports/model_card.md").read_text(encoding="utf-8") == card


def test_tables_of_the_cards_have_as_many_cells_in_every_row(in_project: Path) -> None:
    for name in ("data_card", "model_card"):
        text = (in_project / f"reports/{name}.md").read_text(encoding="utf-8")
        for block in text.split("\n\n"):
            rows = [line.count("|") - line.count(r"\|") for line in block.splitlines()]
            if block.startswith("|"):
                assert len(set(rows)) == 1, block


def test_texts_of_the_user_cannot_change_the_layout(in_project: Path, contract: Contract) -> None:
    params = load_params()
    hostile = msgspec.structs.replace(params.project, description=HOSTILE, label_source=HOSTILE)
    real = load_contract()
    columns = tuple(
        msgspec.structs.replace(column, description=HOSTILE, unit=HOSTILE)
        for column in real.columns
    )
    changed = msgspec.structs.replace(
        real, columns=columns, description=HOSTILE, provenance=HOSTILE, table=HOSTILE
    )
    names = ("retrieval", "cleaning", "validation", "sampling", "exploration")
    reports = {name: read_json(in_project / f"reports/{name}.json") for name in names}
    part = Part(1, "–", "–", pl.Series([1]))
    card = data_card.data_card(
        msgspec.structs.replace(params, project=hostile),
        changed,
        {"Training": part, "Held-out": part},
        reports,
        "",
    )
    assert "<script>" not in card.replace(code(HOSTILE), "")
    assert "\n# *c*" not in card
    assert r"\<script\>" in card
    assert code(contract.table) not in card


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("a\n b", "`a b`"), ("", "–")],
)
def test_any_text_can_be_set_as_code(text: str, shown: str) -> None:
    assert code(text) == shown


def test_few_values_are_counted_and_many_described() -> None:
    few = Part(4, "–", "–", pl.Series([0, 0, 0, 1]))
    many = Part(101, "–", "–", pl.Series([float(value) for value in range(101)]))
    assert outcome_rows({"Training": few}) == [
        ["share of `0`", "75.0%"],
        ["share of `1`", "25.0%"],
    ]
    assert outcome_rows({"Training": Part(3, "–", "–", pl.Series(["b|c", "a", "a"]))}) == [
        ["share of `a`", "66.7%"],
        [r"share of `b\|c`", "33.3%"],
    ]
    assert outcome_rows({"Training": many})[0] == ["mean", "50"]
    assert outcome_rows({"Training": many})[1] == ["5% quantile", "5"]


def curve(scores: list[float], *, greater_is_better: bool) -> Selection:
    """Return a selection whose winner learned like this, with a standard error of 0.1."""
    points = [LearningPoint(100 * (i + 1), 1.0, score) for i, score in enumerate(scores)]
    winner = CandidateResult("model", scores[-1] if scores else 0.0, 0.1, [])
    undecided: Any = None  # the limit of learning does not depend on decisions
    return Selection("metric", greater_is_better, "model", undecided, [winner], points)


def test_more_rows_are_asked_for_while_they_help() -> None:
    assert learning_limit(curve([], greater_is_better=True)) == []
    assert learning_limit(curve([0.5, 0.55], greater_is_better=True)) == []
    assert learning_limit(curve([0.5, 0.3], greater_is_better=True)) == []
    (sentence,) = learning_limit(curve([0.5, 0.7], greater_is_better=True))
    assert "200 instead of 100 rows" in sentence
    assert len(learning_limit(curve([0.5, 0.3], greater_is_better=False))) == 1


def test_weak_spots_become_limitations(in_project: Path, models: Path) -> None:
    path = in_project / "reports/evaluation.json"
    report = convert(read_json(path), EvaluationReport, str(path))
    path = in_project / "reports/selection.json"
    selection = convert(read_json(path), Selection, str(path))
    chosen = chosen_metric(report, selection)
    value = chosen.model.value or 0.0
    worse = value - 1 if chosen.greater_is_better else value + 1
    segments = [
        Segment("colour", "red", 5, 0.5, 0.5, worse),
        Segment("colour", "blue", 500, 0.5, 0.5, worse),
        Segment("colour", "green", 500, 0.5, 0.5, None),
    ]
    uncertain = msgspec.structs.replace(chosen, improvement=Estimate(0.1, -0.1, 0.3))
    weak = msgspec.structs.replace(report, segments=segments, metrics=[uncertain])
    metadata = msgspec.structs.replace(load_artefact(models).metadata, git_commit="1a-dirty")
    found = "\n".join(limitations(load_params(), metadata, weak, selection))
    assert f"{chosen.label} is not better than the naive baseline's for certain" in found
    assert "Too few held-out rows to judge: colour = red (5)" in found
    assert "is worst where colour = blue" in found
    assert "The code differed from its commit" in found


def test_without_segments_no_empty_table_is_shown(in_project: Path) -> None:
    path = in_project / "reports/evaluation.json"
    report = convert(read_json(path), EvaluationReport, str(path))
    none = msgspec.structs.replace(report, segments=[])
    (said,) = segment_part(none, none.metrics[0])
    assert "names none" in said
    assert "|" not in said
    assert segment_table(msgspec.to_builtins(none), "error") == []
    header, *_ = segment_table(msgspec.to_builtins(report), "error")[0].splitlines()
    assert "| error |" in header


def test_settings_without_influence_on_the_model_have_none_on_its_fingerprint(
    in_project: Path,
) -> None:
    del in_project
    params = load_params()
    same = msgspec.structs.replace(params, serving={}, engine={})
    other = msgspec.structs.replace(params, split=msgspec.structs.replace(params.split, folds=3))
    assert settings_fingerprint(same) == settings_fingerprint(params)
    assert settings_fingerprint(other) != settings_fingerprint(params)


@pytest.mark.parametrize("stage", ["export", "track"])
def test_a_stage_reruns_when_a_setting_of_the_model_changes(stage: str) -> None:
    assert set(settings(load_params())) <= set(STAGES[stage]["params"])


def test_the_commit_says_when_code_differs_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)  # noqa: S607

    git("init")
    assert git_commit() == ""
    (tmp_path / "module.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-m", "first")
    commit = git_commit()
    assert len(commit) == 40
    (tmp_path / "report.md").write_text("measured\n")
    assert git_commit() == commit
    (tmp_path / "new.py").write_text("b = 1\n")
    assert git_commit() == f"{commit}-dirty"


def test_a_run_has_a_key_for_its_model_and_settings(in_project: Path) -> None:
    experiment = read_experiment()
    assert experiment == read_experiment()
    exported = read_json(in_project / "reports/export.json")["version"]
    assert experiment.key.startswith(f"{exported}-")
    assert experiment.settings["split.folds"] == load_params().split.folds
    assert not [name for name in experiment.settings if name.split(".")[0] in WITHOUT_INFLUENCE]
    assert set(settings(load_params())).isdisjoint(WITHOUT_INFLUENCE)


def test_nested_settings_are_flattened() -> None:
    nested = {"a": {"b": 1, "c": {"d": None, "e": [1, "x"]}}, "f": True}
    assert flatten(nested) == {"a.b": 1, "a.c.d": "null", "a.c.e": '[1,"x"]', "f": True}

"""The model card: what a model is for, how good it is, where it fails, where it comes from.

Usage: ``python -m model_training.model_card`` writes ``reports/model_card.md``: the card that is
part of the artefact, and what the pipeline has measured since. Nothing in it is filled in by hand.

Source of the format: Mitchell et al. (2019), Model Cards for Model Reporting.
"""

import logging
from typing import Any

import polars as pl

from model_deployment.artefact import METADATA, MODELS, Metadata
from model_training.results import Estimate, EvaluationReport, MetricResult, Segment, Selection
from utils.config import Contract, Params, Project, convert, load_params
from utils.files import read_json, write_text
from utils.logging import run
from utils.markdown import code, escape, number, table
from utils.paths import EVALUATION, EXPORT, MODEL_CARD, REPORTS, SELECTION, TRAIN

# A segment with fewer held-out rows says little about the segment.
FEW_ROWS = 100
MUCH_MISSING = 0.05

log = logging.getLogger(__name__)


def _words(name: str) -> str:
    return escape(name.replace("_", " "))


def _sentence(text: str) -> str:
    return escape(text.rstrip().rstrip(".")) + "."


def _interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    return f"{number(estimate.value)} ({number(estimate.low)} to {number(estimate.high)})"


def chosen_metric(report: EvaluationReport, selection: Selection) -> MetricResult:
    """Return the result of the metric by which the model was chosen."""
    return next(item for item in report.metrics if item.name == selection.metric)


def is_worse(segment: Segment, chosen: MetricResult) -> bool:
    """Whether the model does worse on a segment than on all held-out rows."""
    if segment.metric is None or chosen.model.value is None:
        return False
    if chosen.greater_is_better:
        return segment.metric < chosen.model.value
    return segment.metric > chosen.model.value


def _segment_name(segment: Segment) -> str:
    return f"{escape(segment.column)} = {escape(segment.category)}"


def _segment_rows(report: EvaluationReport, chosen: MetricResult) -> list[list[str]]:
    rows = []
    for segment in report.segments:
        verdict = "worse" if is_worse(segment, chosen) else ""
        few = f"fewer than {FEW_ROWS} rows" if segment.rows < FEW_ROWS else ""
        rows.append(
            [
                _segment_name(segment),
                f"{segment.rows:,}",
                number(segment.mean_outcome),
                number(segment.mean_score),
                number(segment.metric),
                *(number(segment.decisions.get(label)) for label in report.decision_labels),
                ", ".join(filter(None, (verdict, few))),
            ]
        )
    return rows


def segment_part(report: EvaluationReport, chosen: MetricResult) -> list[str]:
    """Return what was measured per segment, or that nothing was."""
    if not report.segments:
        return ["No segments were compared: `evaluation.segments` in `params.yaml` names none."]
    header = ["Segment", "Rows", *map(escape, report.level_labels), chosen.label]
    return [
        f"{chosen.label} per segment; all held-out rows together: {number(chosen.model.value)}.",
        "",
        table([*header, *report.decision_labels, "Note"], _segment_rows(report, chosen)),
        "",
        "These are the only groups that were compared: those that `evaluation.segments` in "
        "`params.yaml` names.",
    ]


def learning_limit(selection: Selection) -> list[str]:
    """Say whether the last rows of the learning curve still helped by more than a standard error.

    Returns:
        One sentence, or none where the curve is too short to tell.
    """
    if len(selection.learning_curve) < 2:  # noqa: PLR2004
        return []
    before, last = selection.learning_curve[-2:]
    winner = next(item for item in selection.candidates if item.name == selection.winner)
    sign = 1 if selection.greater_is_better else -1
    gained = sign * (last.validation - before.validation)
    if gained <= winner.standard_error:
        return []
    return [
        f"Training on {last.rows:,} instead of {before.rows:,} rows still improved the result from "
        f"{number(before.validation)} to {number(last.validation)}: more rows would help."
    ]


def limitations(
    params: Params, metadata: Metadata, report: EvaluationReport, selection: Selection
) -> list[str]:
    """Return what the measurements say against relying on the model, one sentence each."""
    found = [
        f"{item.label} is not better than the naive baseline's for certain: the improvement is "
        f"{_interval(item.improvement)}."
        for item in report.metrics
        if item.improvement.value is not None and not item.beats_baseline
    ]
    chosen = chosen_metric(report, selection)
    small = [segment for segment in report.segments if segment.rows < FEW_ROWS]
    if small:
        named = ", ".join(f"{_segment_name(item)} ({item.rows:,})" for item in small)
        found.append(f"Too few held-out rows to judge: {named}.")
    worse = [item for item in report.segments if item.rows >= FEW_ROWS and is_worse(item, chosen)]
    if worse:
        edge = min if chosen.greater_is_better else max
        worst = edge(worse, key=lambda item: item.metric or 0.0)
        found.append(
            f"{chosen.label} is worst where {_segment_name(worst)}: {number(worst.metric)} against "
            f"{number(chosen.model.value)} on all held-out rows."
        )
    found += learning_limit(selection)
    if params.sampling.method != "none":
        found.append(
            f"The rows are a sample ({escape(params.sampling.method)}); results hold for rows "
            "drawn like it."
        )
    if metadata.git_commit.endswith("-dirty"):
        found.append("The code differed from its commit, so the commit alone does not repeat it.")
    return found


def _metric_rows(report: EvaluationReport) -> list[list[str]]:
    return [
        [
            f"{item.label} ({escape(item.unit)})" if item.unit else item.label,
            _interval(item.model),
            _interval(item.baseline),
            _interval(item.improvement),
        ]
        for item in report.metrics
    ]


def _label(contract: Contract, project: Project) -> str:
    if not contract.has_target:
        return "- **Label.** None: no record says what is right."
    return (
        f"- **Label.** {code(contract.target.name)}: {escape(contract.target.description)} Source: "
        f"{escape(project.label_source)}."
    )


def _reproduce(metadata: Metadata) -> list[str]:
    commit = metadata.git_commit.removesuffix("-dirty")
    if not commit:
        return ["The code was not committed yet; `make run` on the same files makes it again."]
    return [
        "```bash",
        f"git checkout {commit}",
        "make pull  # the data and models of that commit, from the DVC remote",
        "make run",
        "```",
    ]


def model_card(
    params: Params,
    metadata: Metadata,
    report: EvaluationReport,
    selection: Selection,
    training_rows: int,
) -> str:
    """Write what is known about a model when it is exported.

    Args:
        params: the settings that it was made with.
        metadata: what it is and what it was made from.
        report: its results on the held-out rows.
        selection: the comparison that it has won.
        training_rows: how many rows it was fitted on.

    Returns:
        The card in Markdown.
    """
    project, contract = metadata.project, metadata.recipe.contract
    chosen = chosen_metric(report, selection)
    compared = [item for item in report.metrics if item.improvement.value is not None]
    beaten = sum(item.beats_baseline for item in compared)
    inputs = [code(column.name) for column in contract.with_role("numeric", "categorical")]
    held_out = params.split.held_out
    lines = [
        f"# Model card: {escape(project.name)}, version {metadata.version}",
        "",
        f"{_words(metadata.estimator).capitalize()} for {_words(project.task)}. On "
        f"{report.rows:,} held-out rows it beats the naive baseline in {beaten} of "
        f"{len(compared)} metrics, and {chosen.label}, by which it was chosen, is "
        f"{_interval(chosen.model)}. Every number below was measured by the pipeline.",
        "",
        "## Intended use",
        "",
        f"- **Purpose.** {_sentence(project.description)}",
        f"- **Input.** {_sentence(project.model_input)}",
        f"- **Output.** {_sentence(project.model_output)}",
        f"- **Made for.** Records of the kind described by the contract of the table "
        f"{code(contract.table)}: {escape(contract.description)}",
        "- **Not made for.** Records of another origin or kind. Values outside the contract count "
        "as missing, and what the model answers then was measured on few rows or none.",
        "",
        "## Data",
        "",
        f"- **Training.** {training_rows:,} rows, of {metadata.data.rows:,} records from "
        f"{code(metadata.data.source)}. {escape(contract.provenance)}",
        f"- **Evaluation.** {held_out[0].upper()}{held_out[1:].removesuffix(',')}: {report.rows:,} "
        f"rows, used once. Candidates were compared on the training rows, in "
        f"{params.split.compared_in}.",
        _label(contract, project),
        f"- **Inputs.** {', '.join(inputs)}.",
        "",
        "The data card says more: `reports/data_card.md`.",
        "",
        "## Results",
        "",
        f"On the held-out rows, with {report.confidence:.0%} bootstrap intervals:",
        "",
        table(["Metric", "Model", "Naive baseline", "Improvement"], _metric_rows(report)),
        "",
        f"In cross-validation, {chosen.label} of each candidate:",
        "",
        table(
            ["Candidate", "Mean", "Standard error"],
            [
                [_words(item.name), number(item.mean), number(item.standard_error)]
                for item in selection.candidates
            ],
        ),
        "",
        "## Decision",
        "",
        "What makes an answer of a score, and what came of it on the held-out rows:",
        "",
        *(f"- {escape(sentence)}" for sentence in report.decision.words),
        "",
        "## Segments",
        "",
        *segment_part(report, chosen),
        "",
        "## Limitations",
        "",
        *(f"- {sentence}" for sentence in limitations(params, metadata, report, selection)),
        "- A relation that the model uses need not be a cause; acting on an input may not change "
        "the outcome.",
        "",
        "## Lineage",
        "",
        table(
            ["", ""],
            [
                ["Version", code(metadata.version)],
                ["Data, SHA-256", code(metadata.data.sha256)],
                ["Contract, SHA-256", code(metadata.schema_sha256)],
                ["Settings, SHA-256", code(metadata.settings_sha256)],
                ["Code, commit", code(metadata.git_commit) if metadata.git_commit else "none yet"],
                ["Python", f"{metadata.environment.python} on {metadata.environment.platform}"],
                [
                    "Libraries",
                    ", ".join(f"{name} {version}" for name, version in metadata.libraries.items()),
                ],
                ["Served and trained model differ by at most", f"{metadata.parity:.1e}"],
            ],
        ),
        "",
        "To make it again:",
        "",
        *_reproduce(metadata),
    ]
    return "\n".join(lines) + "\n"


def since_export(cleaning: dict[str, Any], monitoring: dict[str, Any]) -> str:
    """Write what is measured outside the export: drift, and inputs that are often missing."""
    drifted = [column for column in monitoring["columns"] if column["status"] != "stable"]
    missing = {
        name: share for name, share in cleaning["missing_share"].items() if share >= MUCH_MISSING
    }
    lines = [
        "",
        "## Drift",
        "",
        f"{monitoring['rows_recent']:,} recent records, compared with "
        f"{monitoring['rows_reference']:,} training rows: status "
        f"**{escape(monitoring['status'])}**.",
        "",
        *(
            f"- {code(column['column'])} ({escape(column['status'])}): {escape(column['change'])}. "
            f"{escape(column['advice'])}"
            for column in drifted
        ),
        *(
            f"- {code(name)} is missing in {missing[name]:.1%} of the rows."
            for name in sorted(missing, key=lambda name: -missing[name])
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def exported_metadata() -> Metadata:
    """Read the metadata of the version that the last export made.

    Raises:
        ProjectError: nothing was exported yet.
    """
    path = MODELS / read_json(EXPORT)["version"] / METADATA
    return convert(read_json(path), Metadata, str(path))


def main() -> None:
    """Write the card of the exported model."""
    metadata = exported_metadata()
    report = convert(read_json(EVALUATION), EvaluationReport, str(EVALUATION))
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    rows = pl.scan_parquet(TRAIN).select(pl.len()).collect().item()
    card = model_card(load_params(), metadata, report, selection, rows)
    cleaning, monitoring = (
        read_json(REPORTS / f"{name}.json") for name in ("cleaning", "monitoring")
    )
    write_text(MODEL_CARD, card + since_export(cleaning, monitoring))
    log.info("described", extra={"file": str(MODEL_CARD), "version": metadata.version})


if __name__ == "__main__":
    run(main)

"""The measured parts of ``README.md``, rewritten from the reports so that they can't go stale.

Usage: ``python -m utils.readme``. A part lies between ``<!-- measured: NAME -->`` and
``<!-- end: NAME -->``; text outside such parts is never touched, and a part whose markers were
deleted is left out.
"""

import logging
from pathlib import Path
from typing import Any

from PIL import Image

from utils.config import (
    Column,
    Contract,
    Params,
    ProjectError,
    Sampling,
    Space,
    load_contract,
    load_params,
)
from utils.explanation_part import explanation_part, interval
from utils.files import read_json, write_text
from utils.logging import run
from utils.markdown import escape, number, table
from utils.paths import DATA_CARD, MODEL_CARD, PARTS, REPORTS
from utils.result_part import RESULT, result_part

README = Path("README.md")
SHOWN_SEGMENTS = 12
# Reports that the parts are made of.
NAMES = (
    "retrieval",
    "cleaning",
    "validation",
    "sampling",
    "exploration",
    "search",
    "selection",
    "evaluation",
    RESULT,
    "explanation",
    "export",
    "monitoring",
)

log = logging.getLogger(__name__)


def _values(column: Column) -> str:
    if column.allowed:
        return ", ".join(f"`{value}`" for value in column.allowed)
    low, high = column.minimum, column.maximum
    if low is None and high is None:
        return ""
    if high is None:
        return f"from {number(low)}"
    return f"up to {number(high)}" if low is None else f"{number(low)} to {number(high)}"


def _missing(column: Column, share: float) -> str:
    if column.assigned:
        return "assigned"
    allowed = f" (at most {column.maximum_missing_share:.0%})" if column.nullable else ""
    return f"{share:.1%}{allowed}"


def validation_lines(report: dict[str, Any]) -> list[str]:
    """Say what validation found, and list the rules that are about more than single columns."""
    rules, apart = report["rules"], report["rows_quarantined"]
    kept = sum(rule["status"] == "kept" for rule in rules)
    held = "all hold" if kept == len(rules) else f"{kept} hold in every row"
    moved = f" {apart:,} rows that break an error rule were set apart." if apart else ""
    checked = (
        f"Validation then checked {len(rules)} rules of the contract on {report['rows']:,} rows"
    )
    lines = [f"{checked}; {held}.{moved}"]
    shown = [rule for rule in rules if len(rule["columns"]) > 1 or rule["status"] != "kept"]
    if not shown:
        return lines
    header = ["Rule", "Severity", "Tolerated", "Broken by", "Why"]
    rows = [
        [
            escape(rule["rule"]),
            rule["severity"],
            f"{rule['tolerated_share']:.1%}",
            f"{rule['count']:,} rows ({rule['share']:.1%})" if rule["count"] else "no row",
            escape(rule["description"]),
        ]
        for rule in shown
    ]
    return [*lines, "", table(header, rows)]


def data_part(contract: Contract, reports: dict[str, Any]) -> str:
    """Describe the source, what cleaning and validation did, and every column."""
    source, cleaning = reports["retrieval"], reports["cleaning"]
    emptied = {name: count for name, count in cleaning["values_set_to_missing"].items() if count}
    most = sorted(emptied, key=lambda name: -emptied[name])[:3]
    mostly = f" (most in {', '.join(f'`{name}`' for name in most)})" if most else ""
    required = "identifier or timestamp"
    if contract.has_target and not contract.target.assigned:
        required = "identifier, timestamp or target"
    header = ["Column", "Role", "Type", "Unit", "Valid values", "Missing", "Meaning"]
    lines = [
        f"Read from `{source['source']}` (SHA-256 `{source['sha256'][:12]}…`): "
        f"{source['rows']:,} rows, {source['columns']} columns; the newest {source['rows_new']:,} "
        f"arrived on {source['retrieved_at'][:10]}. {escape(contract.description)}",
        "",
        f"*Provenance.* {escape(contract.provenance)} The [data card]({DATA_CARD.as_posix()}) says "
        "more.",
        "",
        f"Cleaning kept {cleaning['rows_kept']:,} rows: {cleaning['rows_duplicate']:,} duplicates "
        f"and {cleaning['rows_unusable']:,} rows without {required} were "
        f"dropped, and {sum(emptied.values()):,} cells that were blank or held no valid value "
        f"count as missing{mostly}.",
        *validation_lines(reports["validation"]),
        "",
        table(
            header,
            [
                [
                    f"`{column.name}`",
                    column.role,
                    column.type,
                    escape(column.unit),
                    _values(column),
                    _missing(column, cleaning["missing_share"][column.name]),
                    escape(column.description),
                ]
                for column in contract.columns
            ],
        ),
    ]
    return "\n".join(lines)


def labels_part(folder: Path) -> str:
    """Return what the steps that assign and judge labels have written down, in their order."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("labels*.md")))


def backtest_part(folder: Path) -> str:
    """Return what the backtest has written down."""
    return (folder / "backtest.md").read_text(encoding="utf-8")


def written_parts(folder: Path) -> dict[str, str]:
    """Return the parts that stages have written down themselves, by name."""
    paths = sorted(folder.glob("*.md"))
    return {path.stem: path.read_text(encoding="utf-8").rstrip() for path in paths}


def sampling_text(sampling: Sampling, report: dict[str, Any]) -> str:
    """Say how the rows that everything after validation sees were drawn."""
    read, kept = f"{report['rows_read']:,}", f"{report['rows_kept']:,}"
    weight = f"`{sampling.weight}`"
    drawn = {
        "none": "all go on, without sampling",
        "random": f"each was drawn with a probability of {sampling.share or 0:.1%}, {kept} in all",
        "reservoir": f"{kept} were drawn, each with the same probability",
        "stratified": f"{kept} were drawn from {len(report['strata'])} strata by "
        + ", ".join(f"`{name}`" for name in sampling.by),
        "weighted": f"{kept} were drawn, those with a large {weight} more often; averages over "
        "them are not those of all rows",
        "importance": f"{kept} were drawn, those with a large {weight} more often; "
        "`sampling_weight` says how many rows each stands for",
        "filter": f"{kept} were kept by a filter ("
        + escape(" and ".join(condition.describe() for condition in sampling.keep))
        + "), which is no random sample: what is found holds for such rows only",
    }
    seed = "" if sampling.method in {"none", "filter"} else f" (seed {sampling.seed})"
    return f"Of {read} valid rows {drawn[sampling.method]}{seed}."


def figure_title(path: Path) -> str:
    """Return the title of a figure, which its file carries, or the name of the file in words."""
    with Image.open(path) as image:
        return str(image.info.get("Title", path.stem.replace("_", " ").capitalize()))


def figure_folders() -> list[Path]:
    """Return the folders that hold figures, from the root of the project."""
    return sorted(path for path in (REPORTS / "figures").glob("*") if path.is_dir())


def _figures(folder: str) -> str:
    paths = sorted((REPORTS / "figures" / folder).glob("*.png"))
    return "\n\n".join(f"![{escape(figure_title(path))}]({path.as_posix()})" for path in paths)


def exploration_part(sampling: Sampling, reports: dict[str, Any]) -> str:
    """Say which rows were explored, list the findings and show the figures."""
    exploration = reports["exploration"]
    findings = "\n".join(f"- {escape(finding)}" for finding in exploration["findings"])
    rows = f"{sampling_text(sampling, reports['sampling'])} The exploration saw "
    rows += f"{exploration['rows']:,} of them, the training rows."
    return f"{rows}\n\n{findings}\n\n{_figures('exploration')}"


def verdict(chosen: dict[str, Any], confidence: float) -> str:
    """Say whether the model beats the naive baseline by the chosen metric."""
    improvement = chosen["improvement"]
    if improvement["low"] is None:
        return f"{chosen['label']} is not defined on the held-out rows."
    if improvement["low"] > 0:
        return (
            f"It beats the naive baseline. {chosen['label']} improves by {interval(improvement)}, "
            f"an interval that holds with {confidence:.0%} confidence and lies above 0."
        )
    return (
        f"It does **not** beat the naive baseline for certain. {chosen['label']} improves by "
        f"{interval(improvement)}, an interval that includes 0."
    )


def _space(space: Space) -> str:
    if space.choices is not None:
        return ", ".join(f"`{choice}`" for choice in space.choices)
    return f"{space.low} to {space.high}{', logarithmic' if space.log else ''}"


def _search_line(search: dict[str, Any], label: str) -> str:
    """Say what the search of one candidate brought."""
    trials = search["trials"]
    early = sum(trial["state"] == "stopped early" for trial in trials)
    failed = sum(trial["state"] == "failed" for trial in trials)
    apart = f"{early} stopped early" + (f", {failed} failed" if failed else "")
    line = f"- **{search['name'].replace('_', ' ')}**: {len(trials)} trials ({apart}); "
    if search["best"] == 0:
        return line + f"none was better than the first, with {label} {number(trials[0]['mean'])}."
    best = trials[search["best"]]
    return (
        f"{line}trial {search['best'] + 1} was the best, with {label} {number(best['mean'])} "
        f"after {number(trials[0]['mean'])} in the first."
    )


def _hyperparameter_rows(params: Params, search: dict[str, Any]) -> list[list[str]]:
    """Return a row of the table for each hyperparameter of a candidate."""
    settings = params.selection.candidates[search["name"]]
    importance = search["importance"]
    return [
        [
            search["name"].replace("_", " "),
            f"`{name}`",
            _space(space),
            f"`{search['trials'][0]['hyperparameters'][name]}`",
            f"`{search['hyperparameters'][name]}`",
            f"{importance[name]:.0%}" if importance else "–",
        ]
        for name, space in settings.items()
        if isinstance(space, Space)
    ]


def search_part(params: Params, reports: dict[str, Any]) -> str:
    """Say what was searched, within which limits, and show the best hyperparameters."""
    searches = reports["search"]["candidates"]
    if not searches:
        return (
            "No hyperparameters were searched: `selection` in `params.yaml` fixes all of them, or "
            "allows no trials."
        )
    metrics = {item["name"]: item["label"] for item in reports["evaluation"]["metrics"]}
    label = metrics[params.selection.metric]
    ended = "time" if searches[0]["ended_by"] == "minutes" else "trials"
    return "\n".join(
        [
            "Optuna searched for the hyperparameters below on the folds by which the candidates "
            "are compared, "
            f"until the {ended} that `selection.search` in `params.yaml` allows were used up. A "
            "trial that is worse on the first folds than the median of the earlier ones is stopped "
            "there. As the best of many trials is also the luckiest, its score here is better than "
            "what it will reach on new rows; the held-out rows, which no trial has seen, judge.",
            "",
            *(_search_line(search, label) for search in searches),
            "",
            table(
                ["Candidate", "Hyperparameter", "Searched", "First", "Best", "Importance"],
                [row for search in searches for row in _hyperparameter_rows(params, search)],
            ),
            "",
            _figures("search"),
        ]
    )


def segment_table(evaluation: dict[str, Any], label: str) -> list[str]:
    """Return what was measured per segment as Markdown; nothing without segments."""
    segments = evaluation["segments"][:SHOWN_SEGMENTS]
    if not segments:
        return []
    decisions = list(segments[0]["decisions"])
    header = ["Segment", "Rows", *map(escape, evaluation["level_labels"]), label, *decisions]
    rows = [
        [
            f"{escape(item['column'])} = {escape(item['category'])}",
            f"{item['rows']:,}",
            number(item["mean_outcome"]),
            number(item["mean_score"]),
            number(item["metric"]),
            *(number(item["decisions"][name]) for name in decisions),
        ]
        for item in segments
    ]
    return [table(header, rows), ""]


def model_part(params: Params, reports: dict[str, Any]) -> str:
    """Show the comparison of the candidates and what the winner reached on held-out rows."""
    selection, evaluation = reports["selection"], reports["evaluation"]
    metrics = {item["name"]: item for item in evaluation["metrics"]}
    chosen = metrics[params.selection.metric]
    better = "higher" if chosen["greater_is_better"] else "lower"
    ranked = sorted(
        selection["candidates"],
        key=lambda item: item["mean"],
        reverse=selection["greater_is_better"],
    )
    held_out = params.split.held_out
    lines = [
        f"{held_out[0].upper()}{held_out[1:]} are held out; on the others the candidates were "
        f"compared in {params.split.compared_in}.",
        "",
        f"The winner of the comparison is **{selection['winner'].replace('_', ' ')}**. "
        + verdict(chosen, evaluation["confidence"]),
        "",
        table(
            ["Candidate", f"{chosen['label']} ({better} is better)", "Standard error"],
            [
                [
                    item["name"].replace("_", " "),
                    number(item["mean"]),
                    number(item["standard_error"]),
                ]
                for item in ranked
            ],
        ),
        "",
        f"On {evaluation['rows']:,} held-out rows, with {evaluation['confidence']:.0%} bootstrap "
        "intervals:",
        "",
        table(
            ["Metric", "Model", "Naive baseline", "Improvement"],
            [
                [
                    f"{item['label']} ({escape(item['unit'])})" if item["unit"] else item["label"],
                    interval(item["model"]),
                    interval(item["baseline"]),
                    interval(item["improvement"]),
                ]
                for item in evaluation["metrics"]
            ],
        ),
        "",
        "\n\n".join(map(escape, evaluation["decision"]["words"])),
        "",
        *segment_table(evaluation, chosen["label"]),
        _figures("performance"),
    ]
    return "\n".join(lines)


def deployment_part(reports: dict[str, Any]) -> str:
    """Name the live model and how exactly it repeats the trained one."""
    export = reports["export"]
    return (
        f"Live version `{export['version']}` ({export['bytes'] / 1024:,.0f} KiB). Before it was "
        f"published it was compared with the trained model on {export['rows_compared']:,} rows, "
        "among them missing, unseen, extreme and threshold values: the largest difference is "
        f"{export['parity']:.1e}. What it is for, how good it is and where it fails is in its "
        f"[model card]({MODEL_CARD.as_posix()})."
    )


def monitoring_part(reports: dict[str, Any]) -> str:
    """State whether recent records have drifted, where, how much and what to do."""
    report = reports["monitoring"]
    drifted = [column for column in report["columns"] if column["status"] != "stable"]
    summary = (
        f"Status **{report['status']}**: of {len(report['columns'])} columns, {len(drifted)} "
        f"drifted between {report['rows_reference']:,} reference rows and "
        f"{report['rows_recent']:,} recent ones."
    )
    if not drifted:
        return f"{summary} Nothing to do."
    rows = [
        [
            f"`{column['column']}`",
            column["status"],
            escape(column["change"]),
            f"{column['stability_index']:.2f}",
            escape(column["advice"]),
        ]
        for column in drifted
    ]
    return f"{summary}\n\n" + table(
        ["Column", "Status", "Change", "Stability index", "What to do"], rows
    )


def measured_parts(params: Params, contract: Contract) -> dict[str, str]:
    """Return the measured parts by name, in Markdown.

    Raises:
        ProjectError: a report is missing.
    """
    reports = {name: read_json(REPORTS / f"{name}.json") for name in NAMES}
    parts = {
        "data": data_part(contract, reports),
        "exploration": exploration_part(params.sampling, reports),
        "search": search_part(params, reports),
        "model": model_part(params, reports),
        RESULT: result_part(reports[RESULT], _figures(RESULT)),
        "explanation": explanation_part(reports["explanation"], _figures("explanation")),
        "deployment": deployment_part(reports),
        "monitoring": monitoring_part(reports),
        **written_parts(PARTS),
    }
    if contract.target.assigned:
        parts["labels"] = labels_part(REPORTS)
    if contract.series is not None:
        parts["backtest"] = backtest_part(REPORTS)
    return parts


def replace_parts(text: str, parts: dict[str, str]) -> str:
    """Return ``text`` with the content between the markers of each part replaced.

    Raises:
        ProjectError: a part begins but does not end, or the other way round.
    """
    for name, content in parts.items():
        start, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
        if start not in text and end not in text:
            continue
        if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
            raise ProjectError(
                f"{README} must hold one {start} followed by one {end}; restore the pair or "
                "delete both."
            )
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n{content}\n{end}{after}"
    return text


def main() -> None:
    """Rewrite the measured parts of the README."""
    params, contract = load_params(), load_contract()
    parts = measured_parts(params, contract)
    try:
        text = README.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ProjectError(f"{README} was not found: restore it from git.") from error
    write_text(README, replace_parts(text, parts))
    log.info("documented", extra={"file": str(README)})


if __name__ == "__main__":
    run(main)

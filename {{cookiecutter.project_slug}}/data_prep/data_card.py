"""The data card: what the data is, where it comes from, what was done to it and what it lacks.

Usage: ``python -m data_prep.data_card`` writes ``reports/data_card.md`` from the reports; nothing
in it is filled in by hand.

Sources of the format: Gebru et al. (2021), Datasheets for Datasets; Pushkarna, Zaldivar and
Kjartansson (2022), Data Cards: Purposeful and Transparent Dataset Documentation.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from utils.config import SCHEMA_PATH, Column, Contract, Params, load_contract, load_params
from utils.files import read_json, sha256, write_text
from utils.logging import run
from utils.markdown import code, escape, number, table
from utils.paths import DATA_CARD, REPORTS, TEST, TRAIN
from utils.readme import sampling_text, validation_lines

# Numbers with at most as many values are described by their shares, others by quantiles.
FEW_VALUES = 12
SHOWN_CATEGORIES = 3
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# From this share on, a column that is missing is worth a line among the limitations.
MUCH_MISSING = 0.05
# The rarest category of a target below this share leaves few rows to learn it from.
RARE = 0.1

log = logging.getLogger(__name__)


class Part(NamedTuple):
    """Rows on one side of the split; the period is of the first timestamp column.

    Without a target there is no ``outcome``.
    """

    rows: int
    start: str
    end: str
    outcome: pl.Series | None


def read_part(path: Path, contract: Contract) -> Part:
    """Read what the card says about training or held-out rows."""
    timestamps = [column.name for column in contract.with_role("timestamp")[:1]]
    targets = [column.name for column in contract.with_role("target")]
    frame = pl.read_parquet(path, columns=[*contract.identifiers, *targets, *timestamps])
    moments = [str(frame[name].cast(pl.Date).min()) for name in timestamps]
    latest = [str(frame[name].cast(pl.Date).max()) for name in timestamps]
    start, end = (*moments, "–")[0], (*latest, "–")[0]
    return Part(frame.height, start, end, frame[targets[0]] if targets else None)


def _value(outcome: float | str) -> str:
    return code(outcome if isinstance(outcome, str) else number(outcome))


def _counted(outcome: pl.Series) -> bool:
    """Whether a target is described by the shares of its values."""
    return outcome.dtype == pl.String or outcome.n_unique() <= FEW_VALUES


def outcome_rows(parts: Mapping[str, Part]) -> list[list[str]]:
    """Describe the target of each part: shares of classes and few values, quantiles of many."""
    outcomes = [part.outcome for part in parts.values() if part.outcome is not None]
    every = pl.concat(outcomes)
    if _counted(every):
        return [
            [
                f"share of {_value(value)}",
                *(f"{(outcome == value).mean() or 0:.1%}" for outcome in outcomes),
            ]
            for value in every.unique().sort()
        ]
    described = [
        ["mean", *(number(outcome.cast(pl.Float64).mean()) for outcome in outcomes)]  # type: ignore[arg-type]
    ]
    for share in QUANTILES:
        found = (outcome.quantile(share, "linear") for outcome in outcomes)
        described.append([f"{share:.0%} quantile", *(number(value) for value in found)])
    return described


def _distribution(name: str, exploration: dict[str, Any]) -> str:
    if name in exploration["numeric"]:
        found = exploration["numeric"][name]
        if found["median"] is None:
            return "no values"
        low, high = number(found["quantile_05"]), number(found["quantile_95"])
        return f"median {number(found['median'])}; nine in ten from {low} to {high}"
    if name in exploration["categorical"]:
        counts = exploration["categorical"][name]["counts"]
        total = sum(counts.values())
        shown = [
            f"{code(category)} {count / total:.0%}"
            for category, count in list(counts.items())[:SHOWN_CATEGORIES]
        ]
        others = len(counts) - len(shown)
        return ", ".join(shown) + (f" and {others} more" if others else "") or "no values"
    if name in exploration["text"]:
        found = exploration["text"][name]
        return f"{found['distinct']:,} different texts"
    return ""


def _column_rows(columns: tuple[Column, ...], reports: dict[str, Any]) -> list[list[str]]:
    return [
        [
            code(column.name),
            column.role,
            f"{column.type} ({escape(column.unit)})" if column.unit else column.type,
            f"{reports['cleaning']['missing_share'][column.name]:.1%}",
            "see Labels"
            if column.role == "target"
            else _distribution(column.name, reports["exploration"]),
            escape(column.description),
        ]
        for column in columns
    ]


def _emptied(cleaning: dict[str, Any]) -> list[str]:
    found = {name: count for name, count in cleaning["values_set_to_missing"].items() if count}
    if not found:
        return []
    total = sum(found.values())
    ranked = sorted(found, key=lambda name: (-found[name], name))
    rows = [[code(name), f"{found[name]:,}"] for name in ranked]
    return [
        f"{total:,} cells were blank or held no valid value and count as missing:",
        "",
        table(["Column", "Cells"], rows),
        "",
    ]


def _labels(params: Params, contract: Contract, parts: Mapping[str, Part]) -> list[str]:
    if not contract.has_target:
        return ["No column says what is right, so no result is compared with it."]
    target = contract.target
    return [
        f"The label is {code(target.name)}: {escape(target.description)} Its source is "
        f"{escape(params.project.label_source)}.",
        "",
        table(
            [code(target.name), *(f"{name} rows" for name in parts)],
            outcome_rows(parts),
        ),
    ]


def limitations(
    params: Params, contract: Contract, parts: Mapping[str, Part], reports: dict[str, Any]
) -> list[str]:
    """Return what the measurements say against trusting the data, one sentence each."""
    cleaning, validation = reports["cleaning"], reports["validation"]
    training, held_out = parts.values()
    missing = {
        name: share for name, share in cleaning["missing_share"].items() if share >= MUCH_MISSING
    }
    found = [
        f"{code(name)} is missing in {missing[name]:.1%} of the rows."
        for name in sorted(missing, key=lambda name: -missing[name])
    ]
    found += [
        f"{rule['count']:,} rows break the rule {code(rule['rule'])} and were let through, because "
        f"it is a warning or up to {rule['tolerated_share']:.1%} are tolerated."
        for rule in validation["rules"]
        if rule["status"] != "kept"
    ]
    if validation["rows_quarantined"]:
        found.append(
            f"{validation['rows_quarantined']:,} rows that break a rule are not in the sample; "
            "if they have something in common, the sample lacks it."
        )
    if params.sampling.method != "none":
        found.append(sampling_text(params.sampling, reports["sampling"]))
    found += [
        f"{code(pair['first'])} and {code(pair['second'])} say nearly the same (rank correlation "
        f"{pair['coefficient']:.2f}), so what a model attributes to one may be due to the other."
        for pair in reports["exploration"]["correlations"]
    ]
    if training.outcome is not None and _counted(training.outcome):
        shares = training.outcome.value_counts(normalize=True)
        share, value = min((share, value) for value, share in shares.iter_rows())
        if share < RARE:
            found.append(f"The outcome {_value(value)} is rare: {share:.1%} of training rows.")
    if training.start != "–":
        found.append(
            f"The rows span {training.start} to {max(training.end, held_out.end)}; nothing is "
            "known about other times."
        )
    texts = [column.name for column in contract.with_role("text")]
    if texts:
        found.append(f"Free text is kept but no model reads it: {', '.join(map(code, texts))}.")
    return found


def series_words(contract: Contract) -> list[str]:
    """Say which rows make up a series, if they do, and add an empty line."""
    series = contract.series
    if series is None:
        return []
    rows = "The rows" if series.by is None else f"The rows of one {code(series.by)}"
    return [
        f"{rows} are a series of one value per day, whose pattern repeats after {series.season} "
        f"days. Inputs have to be known up to {series.horizon} days ahead.",
        "",
    ]


def data_card(
    params: Params,
    contract: Contract,
    parts: Mapping[str, Part],
    reports: dict[str, Any],
    contract_sha256: str,
) -> str:
    """Write the data card.

    Args:
        params: the settings.
        contract: the data contract.
        parts: training and held-out rows, in this order, by what they are called.
        reports: retrieval, cleaning, validation, sampling and exploration.
        contract_sha256: fingerprint of ``schema.yaml``.

    Returns:
        The card in Markdown.
    """
    source, cleaning = reports["retrieval"], reports["cleaning"]
    checked = reports["validation"]
    required = (
        "identifier, timestamp or label" if contract.has_target else "identifier or timestamp"
    )
    names = {role: contract.with_role(role) for role in ("identifier", "timestamp")}
    inputs = contract.with_role("numeric", "categorical")
    read, kept = cleaning["rows_read"], cleaning["rows_kept"]
    split = {
        "time": "The newest rows are held out, because a model is used on what comes later.",
        "random": f"The held-out rows were drawn at random (seed {params.split.seed}).",
        "group": "Groups were drawn at random and all of their rows held out "
        f"(seed {params.split.seed}), because a model is used on groups that it has not seen.",
    }
    held_back = validation_lines(checked)
    findings = [f"- {escape(finding)}" for finding in reports["exploration"]["findings"]]
    lines = [
        f"# Data card: {escape(contract.table)}",
        "",
        escape(contract.description),
        "",
        f"{kept:,} rows and {len(contract.columns)} columns, collected for this purpose: "
        f"{escape(params.project.description)}. Every number below was measured by the pipeline.",
        "",
        "## Provenance and collection",
        "",
        escape(contract.provenance),
        "",
        table(
            ["", ""],
            [
                ["Source", code(source["source"])],
                ["Format", escape(source["format"])],
                ["Records retrieved", f"{source['rows']:,}"],
                [
                    "Newest records",
                    f"{source['rows_new']:,}, on {escape(source['retrieved_at'][:10])}",
                ],
                ["SHA-256 of the records", code(source["sha256"])],
            ],
        ),
        "",
        "## Composition",
        "",
        f"A row is named by {', '.join(code(column.name) for column in names['identifier'])}"
        + (
            f" and dated by {', '.join(code(column.name) for column in names['timestamp'])}"
            if names["timestamp"]
            else ""
        )
        + f". {len(inputs)} columns are inputs of the model. Missing values are counted after "
        "cleaning, distributions on the training rows.",
        "",
        *series_words(contract),
        table(
            ["Column", "Role", "Type", "Missing", "Distribution", "Meaning"],
            _column_rows(contract.columns, reports),
        ),
        "",
        "## Labels",
        "",
        *_labels(params, contract, parts),
        "",
        "## Cleaning",
        "",
        f"Of {read:,} records, {cleaning['rows_duplicate']:,} were duplicates and "
        f"{cleaning['rows_unusable']:,} had no {required}; {kept:,} rows were kept.",
        "",
        *_emptied(cleaning),
        "## Validation",
        "",
        *held_back,
        "",
        "`reports/validation.html` shows every rule with examples.",
        "",
        "## Sampling and split",
        "",
        f"{sampling_text(params.sampling, reports['sampling'])} {split[params.split.method]}",
        "",
        table(
            ["Part", "Rows", "From", "To"],
            [[name, f"{part.rows:,}", part.start, part.end] for name, part in parts.items()],
        ),
        "",
        "## What stands out",
        "",
        "On the training rows:",
        "",
        *findings,
        "",
        "## Known limitations",
        "",
        *(f"- {sentence}" for sentence in limitations(params, contract, parts, reports)),
        "",
        "## Lineage",
        "",
        table(
            ["Step", "Result", "Rows"],
            [
                ["retrieval", "`data/raw`", f"{source['rows']:,}"],
                ["cleaning", "`data/clean.parquet`", f"{kept:,}"],
                [
                    "validation",
                    "`data/valid.parquet`",
                    f"{checked['rows'] - checked['rows_quarantined']:,}",
                ],
                ["sampling", "`data/sample.parquet`", f"{reports['sampling']['rows_kept']:,}"],
                *(
                    ["split", code(path.as_posix()), f"{part.rows:,}"]
                    for path, part in zip((TRAIN, TEST), parts.values(), strict=True)
                ),
            ],
        ),
        "",
        f"The contract is `schema.yaml`, SHA-256 {code(contract_sha256)}. `dvc.lock` holds the "
        "fingerprint of every table, `dvc pull` fetches them.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the data card from the reports and the split."""
    params, contract = load_params(), load_contract()
    names = ("retrieval", "cleaning", "validation", "sampling", "exploration")
    reports = {name: read_json(REPORTS / f"{name}.json") for name in names}
    parts = {"Training": read_part(TRAIN, contract), "Held-out": read_part(TEST, contract)}
    write_text(DATA_CARD, data_card(params, contract, parts, reports, sha256(SCHEMA_PATH)))
    log.info("described", extra={"file": str(DATA_CARD)})


if __name__ == "__main__":
    run(main)

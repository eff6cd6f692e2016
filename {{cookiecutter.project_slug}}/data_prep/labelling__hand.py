"""Labelling by hand: one label per record from what several annotators said about it.

Usage: ``python -m data_prep.labelling``. Labels that an expert adjudicated count as they are.
"""

import logging
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from data_prep import label_model
from data_prep.agreement import Alpha, krippendorff_alpha
from data_prep.engine import Engine
from data_prep.label_model import Array
from data_prep.labelled import (
    DISPUTED,
    LABEL_REPORT,
    LABEL_TEXT,
    positions,
    read_decisions,
    read_given,
    write_labelled,
    write_uncertain,
)
from data_prep.pair_agreement import PAIR_LABEL, pair_agreement
from utils.config import Column, Params, ProjectError, convert, load_contract, load_params
from utils.files import write_json, write_text
from utils.logging import run
from utils.markdown import escape, number, table
from utils.paths import RECORDS

# How alpha is commonly read (Krippendorff 2004, Content Analysis, chapter 11).
RELIABLE, TENTATIVE = 0.8, 0.667

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``labels`` of ``params.yaml``.

    ``annotations`` and ``adjudicated`` are CSV files; records that fewer than
    ``minimum_annotators`` decided have no label; labels less certain than ``dispute_threshold`` are
    exported for adjudication.
    """

    annotations: str
    adjudicated: str
    minimum_annotators: Annotated[int, msgspec.Meta(ge=1)]
    dispute_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    model: label_model.Settings


class Votes(NamedTuple):
    """What the annotators said: codes of labels, shape (n, k), and what could not be used."""

    annotators: list[str]
    codes: Array
    superseded: int
    undecided: int
    unknown_records: int


class Annotator(msgspec.Struct, frozen=True):
    """One annotator: how many labels, and what was found out about them."""

    name: str
    labels: int
    quality: dict[str, float]


class Pair(msgspec.Struct, frozen=True):
    """How two annotators agree on the records that both labelled; None if that is undefined."""

    first: str
    second: str
    records: int
    agreement: float | None


class LabelReport(msgspec.Struct, frozen=True):
    """What became of the annotations.

    ``expected_wrong`` is the share of wrong labels that the confidence of the labels implies.
    """

    records: int
    labelled: int
    without_label: int
    too_few_annotators: int
    annotations: int
    superseded: int
    undecided: int
    unknown_records: int
    adjudicated: int
    disputed: int
    expected_wrong: float
    alpha: Alpha
    annotators: list[Annotator]
    pairs: list[Pair]


def read_votes(path: Path, records: pl.DataFrame, target: Column) -> Votes:
    """Read annotations; of several labels of one annotator for a record the latest counts.

    Args:
        path: a CSV file with the identifiers, ``annotator``, ``label`` and ``annotated_at``, which
            sorts as text.
        records: the identifiers of all records.
        target: says which labels there are; others count as undecided.

    Raises:
        ProjectError: the file is missing, is no CSV or lacks a column.
    """
    keys = records.columns
    everything = read_given(path, [*keys, "annotator", "label", "annotated_at"])
    latest = everything.sort("annotated_at", maintain_order=True).unique(
        [*keys, "annotator"], keep="last", maintain_order=True
    )
    rows = positions(records, latest)
    annotators = sorted(latest["annotator"].unique().to_list())
    columns = latest["annotator"].replace_strict(annotators, range(len(annotators))).to_numpy()
    said = label_model.encode(latest["label"].to_list(), target)
    codes = np.full((records.height, len(annotators)), np.nan)
    codes[rows[rows >= 0], columns[rows >= 0]] = said[rows >= 0]
    return Votes(
        annotators,
        codes,
        superseded=everything.height - latest.height,
        undecided=int((np.isnan(said) & (rows >= 0)).sum()),
        unknown_records=int((rows < 0).sum()),
    )


def adjudicate(
    combined: label_model.Combined, path: Path, records: pl.DataFrame, target: Column
) -> tuple[Array, Array, int]:
    """Let the labels of an expert take the place of others; returns labels, confidence, count.

    Raises:
        ProjectError: a label is none that the target can have.
    """
    rows, labels = read_decisions(path, records)
    codes = label_model.encode(labels, target)
    wrong = [label for label, code in zip(labels, codes, strict=True) if np.isnan(code)]
    if wrong:
        raise ProjectError(
            f"{path} has the label {wrong[0]!r}, which {target.name} cannot be. Correct it."
        )
    values, confidence = combined.labels.copy(), combined.confidence.copy()
    values[rows], confidence[rows] = codes, 1.0
    return values, confidence, len(rows)


def pairs(votes: Votes) -> list[Pair]:
    """Compare every two annotators on the records that both labelled."""
    found = []
    for one, other in combinations(range(len(votes.annotators)), 2):
        both = ~np.isnan(votes.codes[:, [one, other]]).any(axis=1)
        value = pair_agreement(votes.codes[both, one], votes.codes[both, other])
        names = votes.annotators[one], votes.annotators[other]
        found.append(Pair(*names, int(both.sum()), None if np.isnan(value) else value))
    return found


def _reading(alpha: float) -> str:
    if alpha >= RELIABLE:
        return "which is commonly called reliable"
    if alpha >= TENTATIVE:
        return "which commonly allows tentative conclusions only"
    return "which is commonly called unreliable: make the instructions clearer before using them"


def to_markdown(report: LabelReport, settings: Settings) -> str:
    """Tell what became of the annotations, for the README."""
    alpha = report.alpha
    known = (f"{x.agreement:.2f}" for x in report.pairs if x.agreement is not None)
    ordered = sorted(known, key=float)
    pair = f" Between two annotators, {PAIR_LABEL} runs from "
    spread = f"{pair}{ordered[0]} to {ordered[-1]}." if ordered else ""
    agreement = (
        f"*Agreement.* Krippendorff's alpha is {alpha.value:.2f} ({alpha.low:.2f} to "
        f"{alpha.high:.2f}; 1 is perfect agreement, 0 that of chance), {_reading(alpha.value)}."
        f"{spread}"
        if np.isfinite(alpha.value)
        else "*Agreement.* No record has two labels that could be compared."
    )
    unused = (
        f"Not used: {report.superseded:,} labels that their annotator revised, "
        f"{report.undecided:,} without a valid answer, {report.unknown_records:,} for records that "
        "are not there."
    )
    headings = list(report.annotators[0].quality) if report.annotators else []
    rows = [
        [escape(one.name), f"{one.labels:,}", *(number(one.quality[name]) for name in headings)]
        for one in report.annotators
    ]
    return "\n".join(
        [
            f"*Coverage.* {report.labelled:,} of {report.records:,} records have a label, from "
            f"{report.annotations:,} annotations by {len(report.annotators)} annotators; "
            f"{report.adjudicated:,} of the labels were adjudicated. {report.without_label:,} "
            f"records are left out of training and evaluation, {report.too_few_annotators:,} of "
            f"them because fewer than {settings.minimum_annotators} annotators decided. {unused}",
            "",
            agreement,
            "",
            f"*What this means.* By the confidence of the labels, {report.expected_wrong:.1%} of "
            f"them are {label_model.WRONG}. A model learns from such labels and is measured on "
            f"them, so differences of that size between models mean little. {report.disputed:,} "
            f"labels have a confidence below {settings.dispute_threshold:.0%}: they are in "
            f"`{DISPUTED}`; decisions written into `{settings.adjudicated}` win.",
            "",
            "What was found out about each annotator, from where they agree and where they don't:",
            "",
            table(["Annotator", "Labels", *headings], rows),
        ]
    )


def label(
    records: pl.DataFrame, target: Column, params: Params
) -> tuple[Array, Array, LabelReport]:
    """Combine the annotations of all records; exports those in dispute.

    Returns:
        Codes of the labels and their confidence, both of shape (n,), and the report.
    """
    settings = load_settings(params)
    votes = read_votes(Path(settings.annotations), records, target)
    decided = (~np.isnan(votes.codes)).sum(axis=1)
    combined = label_model.combine(votes.codes, target, settings.model, silence=False)
    few = decided < settings.minimum_annotators
    combined.labels[few], combined.confidence[few] = np.nan, np.nan
    labels, confidence, adjudicated = adjudicate(
        combined, Path(settings.adjudicated), records, target
    )
    said: dict[str, Any] = records.to_dict()
    for index, name in enumerate(votes.annotators):
        said[f"label of {name}"] = label_model.decode(votes.codes[:, index], target)
    said["label"] = label_model.decode(labels, target)
    disputed = write_uncertain(DISPUTED, said, confidence, settings.dispute_threshold)
    there = ~np.isnan(labels)
    alpha = krippendorff_alpha(
        label_model.coordinates(votes.codes, target),
        params.evaluation.confidence,
        params.split.seed,
    )
    counts = (~np.isnan(votes.codes)).sum(axis=0)
    return (
        labels,
        confidence,
        LabelReport(
            records=records.height,
            labelled=int(there.sum()),
            without_label=int((~there).sum()),
            too_few_annotators=int((~there & (decided > 0)).sum()),
            annotations=int(counts.sum()),
            superseded=votes.superseded,
            undecided=votes.undecided,
            unknown_records=votes.unknown_records,
            adjudicated=adjudicated,
            disputed=disputed,
            expected_wrong=float(1 - confidence[there].mean()) if there.any() else float("nan"),
            alpha=alpha,
            annotators=[
                Annotator(name, int(count), quality)
                for name, count, quality in zip(
                    votes.annotators, counts, combined.quality, strict=True
                )
            ],
            pairs=pairs(votes),
        ),
    )


def load_settings(params: Params) -> Settings:
    """Read the section ``labels`` of ``params.yaml``.

    Raises:
        ProjectError: a key is missing, unknown or has a value of the wrong type.
    """
    return convert(params.labels, Settings, "params.yaml: labels")


def main() -> None:
    """Label the cleaned records and write those that have a label."""
    params, contract = load_params(), load_contract()
    records = pl.read_parquet(RECORDS, columns=contract.identifiers)
    labels, confidence, report = label(records, contract.target, params)
    with Engine(params.engine) as engine:
        rows = write_labelled(engine, records, contract, labels, confidence)
    write_json(LABEL_REPORT, report)
    write_text(LABEL_TEXT, to_markdown(report, load_settings(params)) + "\n")
    log.info("labelled", extra={"rows": rows, "without_label": report.without_label})


if __name__ == "__main__":
    run(main)

"""Programmatic labelling: one label per record from functions that may be silent or wrong.

Usage: ``python -m data_prep.labelling``. The functions are in ``data_prep/labelling_functions.py``.
A gold set, labelled by an expert, tells how good they are; it is not used to make the labels.
"""

import logging
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any

import msgspec
import narwhals as nw
import numpy as np
import polars as pl

from data_prep import label_model
from data_prep.agreement import Alpha, krippendorff_alpha
from data_prep.engine import Engine
from data_prep.label_comparison import GOLD_LABEL, different
from data_prep.label_comparison import against_gold as compare
from data_prep.label_model import Array
from data_prep.labelled import (
    DISPUTED,
    LABEL_REPORT,
    LABEL_TEXT,
    read_decisions,
    write_labelled,
    write_uncertain,
)
from data_prep.labelling_functions import LABELLING_FUNCTIONS
from utils.config import Column, Contract, Params, convert, load_contract, load_params
from utils.files import write_json, write_text
from utils.logging import run
from utils.markdown import escape, number, table
from utils.paths import RECORDS

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``labels`` of ``params.yaml``.

    ``gold`` is a CSV file with the identifiers and ``label``; labels less certain than
    ``dispute_threshold`` are exported, to see what the functions don't know.
    """

    gold: str
    dispute_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]
    model: label_model.Settings


class Measured(msgspec.Struct, frozen=True):
    """A comparison with the gold set, on the rows where there is something to compare."""

    rows: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


class FunctionReport(msgspec.Struct, frozen=True):
    """One labelling function.

    ``coverage`` is the share of records it labels, ``overlap`` the share that another function
    labels too, ``conflict`` the share where another says something else; ``quality`` is estimated
    from the agreement of all functions, ``gold`` measured on the gold set.
    """

    name: str
    rule: str
    coverage: float
    overlap: float
    conflict: float
    quality: dict[str, float]
    gold: Measured


class LabelReport(msgspec.Struct, frozen=True):
    """What became of the functions' votes.

    ``expected_wrong`` is the share of wrong labels that the confidence of the labels implies, and
    ``gold`` compares the labels with the gold set.
    """

    records: int
    labelled: int
    without_label: int
    disputed: int
    expected_wrong: float
    alpha: Alpha
    functions: list[FunctionReport]
    gold: Measured


def _values(said: pl.Series, target: Column) -> list[Any]:
    known = said.fill_nan(None) if said.dtype.is_float() else said
    return (known.cast(pl.Int64) if target.type == "integer" else known).to_list()


def vote(
    frame: nw.LazyFrame[Any], engine: Engine, contract: Contract
) -> tuple[pl.DataFrame, Array]:
    """Run every labelling function on every record.

    Returns:
        The identifiers in their order, and codes of the labels, shape (n, k), NaN for silence.
    """
    # engines differ in how a literal beside missing values is kept; as a float it is there on all
    number_like = contract.target.type in {"integer", "float"}
    names = [f"vote {index}" for index in range(len(LABELLING_FUNCTIONS))]
    said = [
        function().cast(nw.Float64 if number_like else nw.String).alias(name)
        for name, function in zip(names, LABELLING_FUNCTIONS, strict=True)
    ]
    collected = pl.DataFrame(engine.collect(frame.select(*contract.identifiers, *said)))
    found = collected.sort(contract.identifiers)
    codes = [
        label_model.encode(_values(found[name], contract.target), contract.target) for name in names
    ]
    return found.select(contract.identifiers), np.column_stack(codes)


def against_gold(labels: Array, gold: Array, confidence: float) -> Measured:
    """Compare labels with the gold set, shape (n,) both and NaN where there is none."""
    both = ~np.isnan(labels) & ~np.isnan(gold)
    if not both.any():
        return Measured(0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return Measured(int(both.sum()), *compare(labels[both], gold[both], z))


def read_gold(path: Path, records: pl.DataFrame, target: Column) -> Array:
    """Return the code of each record's gold label, shape (n,), NaN where there is none."""
    rows, labels = read_decisions(path, records)
    gold = np.full(records.height, np.nan)
    gold[rows] = label_model.encode(labels, target)
    return gold


def describe_functions(
    votes: Array,
    gold: Array,
    quality: list[dict[str, float]],
    settings: Settings,
    confidence: float,
) -> list[FunctionReport]:
    """Count where each function speaks, together with others or against them."""
    there = ~np.isnan(votes)
    reports = []
    for index, function in enumerate(LABELLING_FUNCTIONS):
        others = [other for other in range(votes.shape[1]) if other != index]
        mine, rest = votes[:, [index]], votes[:, others]
        conflict = different(mine, rest, settings.model).any(axis=1)
        overlap = there[:, index] & there[:, others].any(axis=1)
        reports.append(
            FunctionReport(
                function.__name__,
                str(function.__doc__).strip(),
                float(there[:, index].mean()),
                float(overlap.mean()),
                float(conflict.mean()),
                quality[index],
                against_gold(votes[:, index], gold, confidence),
            )
        )
    return reports


def measured(item: Measured) -> str:
    """Return a comparison with the gold set with its interval and the number of rows."""
    if not item.rows:
        return "–"
    return f"{number(item.value)} ({number(item.low)} to {number(item.high)}; {item.rows:,} rows)"


def to_markdown(report: LabelReport, settings: Settings) -> str:
    """Tell what became of the votes, for the README."""
    alpha = report.alpha
    headings = list(report.functions[0].quality)
    agreement = (
        f"Krippendorff's alpha of the functions is {alpha.value:.2f} ({alpha.low:.2f} to "
        f"{alpha.high:.2f}; 1 is perfect agreement, 0 that of chance)."
        if np.isfinite(alpha.value)
        else "No two functions label the same record."
    )
    rows = [
        [
            f"`{one.name}`",
            escape(one.rule),
            f"{one.coverage:.1%}",
            f"{one.overlap:.1%}",
            f"{one.conflict:.1%}",
            *(number(one.quality[name]) for name in headings),
            measured(one.gold),
        ]
        for one in report.functions
    ]
    header = ["Function", "Rule", "Labels", "With another", "Against another"]
    return "\n".join(
        [
            f"*Coverage.* The {len(report.functions)} labelling functions give "
            f"{report.labelled:,} of {report.records:,} records a label. The other "
            f"{report.without_label:,}, about which no function says anything, are left out of "
            "training and evaluation.",
            "",
            f"*Agreement.* {agreement}",
            "",
            f"*What this means.* By the confidence of the labels, {report.expected_wrong:.1%} of "
            f"them are {label_model.WRONG}. On the gold set, labelled by an expert and not used to "
            f"make the labels: {GOLD_LABEL.lower()} {measured(report.gold)}. "
            f"{report.disputed:,} labels have a confidence below {settings.dispute_threshold:.0%}: "
            f"`{DISPUTED}` shows what each function said of them.",
            "",
            "What was found out about each function, from where they agree and on the gold set:",
            "",
            table([*header, *headings, f"{GOLD_LABEL} on gold"], rows),
        ]
    )


def label(
    records: pl.DataFrame, votes: Array, target: Column, params: Params
) -> tuple[Array, Array, LabelReport]:
    """Combine the votes of all functions; exports the labels that are least certain.

    Returns:
        Codes of the labels and their confidence, both of shape (n,), and the report.
    """
    settings = load_settings(params)
    gold = read_gold(Path(settings.gold), records, target)
    labels, confidence, quality = label_model.combine(votes, target, settings.model, silence=True)
    said: dict[str, Any] = records.to_dict()
    for index, function in enumerate(LABELLING_FUNCTIONS):
        said[function.__name__] = label_model.decode(votes[:, index], target)
    said["label"] = label_model.decode(labels, target)
    disputed = write_uncertain(DISPUTED, said, confidence, settings.dispute_threshold)
    there = ~np.isnan(labels)
    level = params.evaluation.confidence
    return (
        labels,
        confidence,
        LabelReport(
            records=records.height,
            labelled=int(there.sum()),
            without_label=int((~there).sum()),
            disputed=disputed,
            expected_wrong=float(1 - confidence[there].mean()) if there.any() else float("nan"),
            alpha=krippendorff_alpha(
                label_model.coordinates(votes, target), level, params.split.seed
            ),
            functions=describe_functions(votes, gold, quality, settings, level),
            gold=against_gold(labels, gold, level),
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
    with Engine(params.engine) as engine:
        records, votes = vote(engine.scan(RECORDS), engine, contract)
        labels, confidence, report = label(records, votes, contract.target, params)
        rows = write_labelled(engine, records, contract, labels, confidence)
    write_json(LABEL_REPORT, report)
    write_text(LABEL_TEXT, to_markdown(report, load_settings(params)) + "\n")
    log.info("labelled", extra={"rows": rows, "without_label": report.without_label})


if __name__ == "__main__":
    run(main)

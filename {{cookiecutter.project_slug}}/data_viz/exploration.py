"""The exploration of the training rows: what stands out, in numbers, words and figures.

Usage: ``python -m data_viz.exploration``. Only training rows are looked at: a choice made after
seeing held-out rows would make the evaluation too optimistic.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import filterfalse
from pathlib import Path

import msgspec
import numpy as np

from data_prep.storage import Frame, read_parquet
from data_viz.exploration_plots import exploration_figures
from data_viz.plot_utils import save_figures
from data_viz.summaries import (
    FEW_ROWS,
    MISSING,
    Array,
    CategoricalSummary,
    Correlation,
    NumericSummary,
    Relation,
    TextSummary,
    asked,
    is_binary,
    is_number,
    mean_interval,
    moments,
    numbers,
    rank_correlations,
    relations,
    short,
    strong_correlations,
    summarise_categories,
    summarise_numbers,
    summarise_texts,
    texts,
)
from utils.config import Column, Contract, load_contract
from utils.files import write_json
from utils.logging import run
from utils.paths import SAMPLE, TRAIN

FIGURES = Path("reports/figures/exploration")
REPORT = Path("reports/exploration.json")
SIGNIFICANCE = 0.01
SKEWED = 2.0
LISTED = 5

log = logging.getLogger(__name__)


class Period(msgspec.Struct, frozen=True):
    """The time that the rows cover."""

    column: str
    start: str
    end: str


class Exploration(msgspec.Struct, frozen=True):
    """What the training rows look like; the name of the ``target`` is empty without one."""

    rows: int
    target: str
    period: Period | None
    numeric: dict[str, NumericSummary]
    categorical: dict[str, CategoricalSummary]
    text: dict[str, TextSummary]
    relations: list[Relation]
    correlations: list[Correlation]
    findings: list[str]


def _amount(value: float, target: Column, *, binary: bool) -> str:
    if binary:
        return f"{value:.1%}"
    return f"{short(value)} {target.unit}".rstrip()


def _target_finding(outcomes: Mapping[str, Array], target: Column) -> str:
    (name, outcome), *others = outcomes.items()
    if others:
        ranked = sorted(outcomes.items(), key=lambda item: -item[1].mean())
        shares = [f"{name.split(' = ')[-1]} ({rows.mean():.1%})" for name, rows in ranked]
        return (
            f"{target.name} has {len(shares)} classes in the {outcome.size:,} training rows; the "
            f"most frequent are {', '.join(shares[:LISTED])}, the rarest is {shares[-1]}."
        )
    if is_binary(outcome):
        said = name.replace(" = ", " is ")
        return f"{said} in {outcome.mean():.1%} of the {outcome.size:,} training rows."
    low, median, high = np.quantile(outcome, [0.05, 0.5, 0.95])
    unit = f" {target.unit}" if target.unit else ""
    return (
        f"{target.name} has a mean of {short(outcome.mean())} and a median of "
        f"{short(median)}{unit}; "
        f"nine in ten of the {outcome.size:,} training rows lie between {short(low)} and "
        f"{short(high)}{unit}."
    )


def _relation_findings(
    found: Sequence[Relation], contract: Contract, *, binary: bool
) -> Iterable[str]:
    target = contract.target
    units = {column.name: column.unit for column in contract.columns}
    clear = [item for item in found if item.p_value < SIGNIFICANCE / len(found)]
    for item in clear[:LISTED]:
        large = [
            group for group in item.groups if group.rows >= FEW_ROWS and group.label != MISSING
        ]
        if not large:
            continue
        ends = [min(large, key=lambda group: group.mean), max(large, key=lambda group: group.mean)]
        low, high = (
            f"{_amount(group.mean, target, binary=binary)} "
            f"({f'{group.label} {units[item.column]}'.rstrip()})"
            for group in ends
        )
        subject = f"the share with {item.about}" if binary else "the mean"
        yield (
            f"{item.column} alone explains {item.explained:.1%} of the variance of "
            f"{target.name}: {subject} ranges from {low} to {high}."
        )
    unclear = [item.column for item in found if item not in clear]
    if unclear:
        more = f" and {len(unclear) - LISTED} more" if len(unclear) > LISTED else ""
        yield f"No clear relation to {target.name} on its own: {', '.join(unclear[:LISTED])}{more}."


def _period_finding(frame: Frame, contract: Contract, period: Period) -> str:
    order = np.argsort(moments(frame, period.column), kind="stable")
    quarter = max(order.size // 4, 1)
    parts = order[:quarter], order[-quarter:]
    spans = f"The rows span {period.start[:10]} to {period.end[:10]} by {period.column}"
    outcomes = asked(frame, contract)
    if not outcomes:
        return f"{spans}."
    # Of several classes, the one whose share moved most.
    name = max(outcomes, key=lambda key: abs(np.diff([outcomes[key][p].mean() for p in parts])[0]))
    binary = is_binary(outcomes[name])
    subject = f"the share with {name}" if binary else f"the mean of {name}"
    first, last = (mean_interval(outcomes[name][part]) for part in parts)
    ends = [_amount(part[0], contract.target, binary=binary) for part in (first, last)]
    changed = first[2] < last[1] or last[2] < first[1]
    trend = (
        f"{subject} moved from {ends[0]} in the first quarter of the rows to {ends[1]} in the last"
        if changed
        else f"{subject} shows no clear change over it"
    )
    return f"{spans}; {trend}."


def _shape_findings(
    numeric: Mapping[str, NumericSummary], categorical: Mapping[str, CategoricalSummary]
) -> Iterable[str]:
    summaries: dict[str, NumericSummary | CategoricalSummary] = {**numeric, **categorical}
    gaps = sorted(
        ((item.missing / item.rows, name) for name, item in summaries.items() if item.missing),
        reverse=True,
    )
    if gaps:
        listed = ", ".join(f"{name} ({share:.1%})" for share, name in gaps[:LISTED])
        yield f"Most missing values: {listed}."
    skewed = sorted(
        ((item.skewness, name) for name, item in numeric.items() if abs(item.skewness) >= SKEWED),
        key=lambda pair: -abs(pair[0]),
    )
    if skewed:
        listed = ", ".join(f"{name} (skewness {skewness:.1f})" for skewness, name in skewed)
        yield f"Long-tailed, so a logarithm helps linear models: {listed}."


def _text_findings(described: Mapping[str, TextSummary], contract: Contract) -> Iterable[str]:
    for column in contract.with_role("text", "group"):
        item = described[column.name]
        if column.role == "group":
            yield f"{column.name} has {item.distinct:,} groups; no model learns from it."
        else:
            yield (
                f"{column.name} is free text: {item.distinct:,} different texts, half of them "
                f"longer than {item.median_length:.0f} characters; no model learns from it."
            )


def explore(frame: Frame, contract: Contract) -> Exploration:
    """Describe the rows of ``frame`` and say in words what stands out.

    Args:
        frame: cleaned rows with the columns of the contract; the target has no missing value.
        contract: the meaning of the columns.
    """
    outcomes = asked(frame, contract)
    target, targets = contract.target, contract.with_role("target")
    numeric = {
        column.name: summarise_numbers(numbers(frame, column.name))
        for column in [*contract.with_role("numeric"), *filter(is_number, targets)]
    }
    categorical = {
        column.name: summarise_categories(texts(frame, column.name))
        for column in [*contract.with_role("categorical"), *filterfalse(is_number, targets)]
    }
    described = {
        column.name: summarise_texts(texts(frame, column.name))
        for column in contract.with_role("text", "group")
    }
    found = relations(frame, contract)
    correlated = strong_correlations(rank_correlations(frame, contract), contract)
    timestamps = contract.with_role("timestamp")
    period = None
    if timestamps:
        when = moments(frame, timestamps[0].name)
        start, end = (str(moment.astype("datetime64[s]")) for moment in (when.min(), when.max()))
        period = Period(timestamps[0].name, start, end)
    inputs = {name: item for name, item in numeric.items() if name != target.name}
    findings = [
        *([_target_finding(outcomes, target)] if outcomes else []),
        *_relation_findings(
            found, contract, binary=all(is_binary(outcome) for outcome in outcomes.values())
        ),
        *([_period_finding(frame, contract, period)] if period else []),
        *(
            f"{pair.first} and {pair.second} rank rows almost alike "
            f"(Spearman {pair.coefficient:+.2f}), so they carry much of the same information."
            for pair in correlated[:LISTED]
        ),
        *_shape_findings(inputs, categorical),
        *_text_findings(described, contract),
    ]
    return Exploration(
        rows=frame.shape[0],
        target=target.name,
        period=period,
        numeric=numeric,
        categorical=categorical,
        text=described,
        relations=found,
        correlations=correlated,
        findings=findings,
    )


def main() -> None:
    """Explore the training rows: figures and findings."""
    contract = load_contract()
    keys = contract.identifiers
    frame = read_parquet(SAMPLE).join(read_parquet(TRAIN).select(keys), on=keys, how="semi")
    exploration = explore(frame, contract)
    correlations = rank_correlations(frame, contract)
    figures = exploration_figures(frame, contract, exploration.relations, correlations)
    save_figures(figures, FIGURES)
    write_json(REPORT, exploration)
    log.info("explored", extra={"rows": exploration.rows, "figures": len(figures)})


if __name__ == "__main__":
    run(main)

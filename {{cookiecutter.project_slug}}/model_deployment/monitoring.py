"""Monitoring: do recent records and predictions still look like those the model learned from?

Usage: ``python -m model_deployment.monitoring --recent PREDICTIONS``, where PREDICTIONS is a
Parquet file, or a folder of them, that serving has written. With a large sample every difference
is significant, so a column counts as drifted only when the difference is both significant and
large.
"""

import argparse
import logging
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from model_deployment.artefact import MODELS, REFERENCE, load_artefact
from model_deployment.postprocessing import output_columns
from utils.config import Column, Contract, Monitoring, ProjectError, load_params
from utils.files import write_json
from utils.logging import run

REPORT = Path("reports/monitoring.json")
BINS = 10
# Keeps the logarithm finite for a bin that one side doesn't have; half a row in a thousand.
SMALLEST_SHARE = 0.0005

Status = Literal["stable", "warning", "alarm"]
Array = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class ColumnDrift(msgspec.Struct, frozen=True):
    """How much one column differs between recent records and the reference."""

    column: str
    kind: Literal["input", "prediction"]
    status: Status
    stability_index: float
    p_value: float
    missing_share_reference: float
    missing_share_recent: float
    change: str
    advice: str


class MonitoringReport(msgspec.Struct, frozen=True):
    """The comparison of all columns."""

    model_version: str
    rows_reference: int
    rows_recent: int
    status: Status
    columns: list[ColumnDrift]


def stability_index(reference: Array, recent: Array) -> float:
    """Return the population stability index of two distributions over the same bins.

    Source: Siddiqi (2006), Credit Risk Scorecards, chapter 9. Below 0.1 is commonly read as
    stable, above 0.25 as a shift.

    Args:
        reference: shares per bin, shape (bins,).
        recent: shares per bin, shape (bins,).
    """
    expected = np.maximum(reference, SMALLEST_SHARE)
    observed = np.maximum(recent, SMALLEST_SHARE)
    return float(np.sum((observed - expected) * np.log(observed / expected)))


def _shares(counts: npt.NDArray[np.int64]) -> Array:
    return counts / max(int(counts.sum()), 1)


def numeric_drift(reference: Array, recent: Array) -> tuple[float, float, str]:
    """Compare two samples of numbers: stability index over deciles, Kolmogorov-Smirnov p-value.

    Returns:
        The index, the p-value and the change of the median and of the quartiles in words.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    binned = [
        _shares(np.bincount(np.searchsorted(edges, side), minlength=edges.size + 1))
        for side in (reference, recent)
    ]
    before, after = (np.quantile(side, [0.25, 0.5, 0.75]) for side in (reference, recent))
    change = (
        f"median {before[1]:.4g} -> {after[1]:.4g}, middle half {before[0]:.4g} to {before[2]:.4g} "
        f"-> {after[0]:.4g} to {after[2]:.4g}"
    )
    p_value = float(stats.ks_2samp(reference, recent).pvalue)
    return stability_index(*binned), p_value, change


def categorical_drift(reference: pl.Series, recent: pl.Series) -> tuple[float, float, str]:
    """Compare two samples of categories: stability index, chi-squared p-value.

    Returns:
        The index, the p-value and the change of the category that changed most in words.
    """
    counts = (
        reference.value_counts(name="reference")
        .join(recent.value_counts(name="recent"), on=reference.name, how="full", coalesce=True)
        .fill_null(0)
        .sort(reference.name)
    )
    table = counts.select("reference", "recent").to_numpy().astype(np.int64)
    expected, observed = _shares(table[:, 0]), _shares(table[:, 1])
    most = int(np.argmax(np.abs(observed - expected)))
    name = counts[reference.name][most]
    change = f"share of {name} {expected[most]:.1%} -> {observed[most]:.1%}"
    p_value = float(stats.chi2_contingency(table).pvalue) if len(table) > 1 else 1.0
    return stability_index(expected, observed), p_value, change


def _status(index: float, p_value: float, missing_change: float, settings: Monitoring) -> Status:
    significant = p_value < settings.significance
    if significant and index >= settings.alarm_index:
        return "alarm"
    if significant and index >= settings.warning_index:
        return "warning"
    return "warning" if missing_change >= settings.missing_share_change else "stable"


def _advice(kind: str, status: Status, name: str) -> str:
    if status == "stable":
        return "Nothing to do."
    if kind == "prediction":
        return (
            "Look at the drifted inputs first; if none explains it, compare recent outcomes with "
            "the predictions and retrain."
        )
    if status == "warning":
        return f"Ask the owner of {name} whether the change is real; watch the next report."
    return (
        f"Find out whether the source of {name} changed. If it is broken, repair it; if the change "
        "is real, retrain with recent records."
    )


def compare_column(
    column: Column,
    kind: Literal["input", "prediction"],
    sides: tuple[pl.Series, pl.Series],
    settings: Monitoring,
) -> ColumnDrift:
    """Compare one column of the reference with the same column of recent records."""
    missing = [side.null_count() / max(len(side), 1) for side in sides]
    present = [side.drop_nulls() for side in sides]
    if not len(present[0]) or not len(present[1]):
        index, p_value, change = 0.0, 1.0, "no values to compare"
    elif column.role == "categorical":
        index, p_value, change = categorical_drift(present[0], present[1])
    else:
        index, p_value, change = numeric_drift(
            present[0].cast(pl.Float64).to_numpy(), present[1].cast(pl.Float64).to_numpy()
        )
    status = _status(index, p_value, abs(missing[1] - missing[0]), settings)
    if abs(missing[1] - missing[0]) >= settings.missing_share_change:
        change = f"{change}; missing {missing[0]:.1%} -> {missing[1]:.1%}"
    return ColumnDrift(
        column=column.name,
        kind=kind,
        status=status,
        stability_index=index,
        p_value=p_value,
        missing_share_reference=missing[0],
        missing_share_recent=missing[1],
        change=change,
        advice=_advice(kind, status, column.name),
    )


def compare(
    reference: pl.DataFrame,
    recent: pl.DataFrame,
    contract: Contract,
    version: str,
    settings: Monitoring,
) -> MonitoringReport:
    """Compare every numeric and categorical input, and every prediction column but texts.

    Args:
        reference: training records with out-of-fold predictions.
        recent: recent records with the predictions served for them.
        contract: the meaning of the columns.
        version: the live model.
        settings: when a difference counts.

    Raises:
        ProjectError: ``recent`` has too few rows or lacks columns.
    """
    if recent.height < settings.minimum_rows:
        raise ProjectError(
            f"{recent.height} recent rows are too few to compare; monitoring.minimum_rows in "
            f"params.yaml asks for {settings.minimum_rows}."
        )
    inputs: list[tuple[Column, Literal["input", "prediction"]]] = [
        (column, "input") for column in contract.with_role("numeric", "categorical")
    ]
    inputs += [
        (column, "prediction")
        for column in output_columns(contract.target)
        if column.role != "text"
    ]
    missing = [column.name for column, _ in inputs if column.name not in recent.columns]
    if missing:
        raise ProjectError(f"The recent records lack the column(s) {', '.join(missing)}.")
    columns = [
        compare_column(column, kind, (reference[column.name], recent[column.name]), settings)
        for column, kind in inputs
    ]
    order: list[Status] = ["stable", "warning", "alarm"]
    return MonitoringReport(
        model_version=version,
        rows_reference=reference.height,
        rows_recent=recent.height,
        status=max((column.status for column in columns), key=order.index),
        columns=sorted(columns, key=lambda column: -order.index(column.status)),
    )


def describe(report: MonitoringReport) -> str:
    """Return the report as text: the drifted columns, how much they changed, and what to do."""
    drifted = [column for column in report.columns if column.status != "stable"]
    lines = [
        f"Model {report.model_version}: {report.rows_recent} recent rows against "
        f"{report.rows_reference} reference rows: {report.status}.",
        f"{len(drifted)} of {len(report.columns)} columns drifted.",
    ]
    for column in drifted:
        lines += [
            f"  {column.status.upper()} {column.column} ({column.kind}): {column.change}; "
            f"stability index {column.stability_index:.2f}, p = {column.p_value:.2g}.",
            f"    {column.advice}",
        ]
    return "\n".join(lines)


def read_recent(path: Path) -> pl.DataFrame:
    """Read what serving wrote: a Parquet file or a folder of them.

    Raises:
        ProjectError: there is nothing to read.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ProjectError(f"{path} holds no predictions. There is nothing to compare yet.")
    try:
        return pl.concat([pl.read_parquet(file) for file in files], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise ProjectError(f"{path} can't be read as predictions: {error}") from error


def main() -> None:
    """Compare recent predictions with the reference of the live model and print the findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recent", type=Path, required=True, help="what serving has written")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the artefacts")
    parser.add_argument("--report", type=Path, default=REPORT, help="JSON file to write")
    arguments = parser.parse_args()
    artefact = load_artefact(arguments.models)
    report = compare(
        pl.read_parquet(artefact.directory / REFERENCE),
        read_recent(arguments.recent),
        artefact.metadata.recipe.contract,
        artefact.metadata.version,
        load_params().monitoring,
    )
    write_json(arguments.report, report)
    print(describe(report))
    log.info("monitored", extra={"status": report.status, "rows": report.rows_recent})


if __name__ == "__main__":
    run(main)

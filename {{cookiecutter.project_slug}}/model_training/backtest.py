"""The backtest of the selected model: what it would have forecast from each origin, by window.

Usage: ``python -m model_training.backtest`` writes the results per window and per series, in
numbers and in words, and the figures.

The windows are those of the cross-validation, whose forecasts come from models that were fitted on
the days before them, and the held-out ones, whose forecasts come from the selected model.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from data_viz.backtest_plots import Forecasts, Window, forecasts_figure, windows_figure
from data_viz.plot_utils import save_figures
from model_training.results import Selection, scores_of
from model_training.splitting import series_of
from utils.config import Contract, convert, load_contract, load_params
from utils.files import read_json, write_json, write_text
from utils.logging import run
from utils.markdown import escape, number, table
from utils.outcome import Decision, days_ahead, interval, point, scales
from utils.paths import OUT_OF_FOLD, PREDICTIONS, REPORTS, SELECTION, TEST, TRAIN

FIGURES = Path("reports/figures/backtest")
REPORT = REPORTS / "backtest.json"
WORDS = REPORTS / "backtest.md"

log = logging.getLogger(__name__)


class Result(msgspec.Struct, frozen=True):
    """What came of some of the forecasts: errors in the unit of the target and of the series."""

    rows: int
    mean_absolute_error: float
    mean_absolute_scaled_error: float
    coverage: float


class WindowResult(msgspec.Struct, frozen=True):
    """What came of the forecasts from one origin."""

    first: str
    last: str
    held_out: bool
    result: Result


class SeriesResult(msgspec.Struct, frozen=True):
    """What came of the forecasts of one series, over all windows."""

    series: str
    result: Result


class Backtest(msgspec.Struct, frozen=True):
    """The results of all windows, the oldest first, and of all series."""

    confidence: float
    windows: list[WindowResult]
    series: list[SeriesResult]


def forecast_rows(contract: Contract, decision: Decision) -> pl.DataFrame:
    """Return all rows that were forecast, with day, origin, series, value, forecast and interval.

    They are ordered by day and series; a single one is called like the target.
    """
    keys, target, series = contract.identifiers, contract.target.name, series_of(contract)
    named = pl.lit(target) if series.by is None else pl.col(series.by)
    parts = []
    for rows, answers, held_out in ((TRAIN, OUT_OF_FOLD, False), (TEST, PREDICTIONS, True)):
        answered = pl.read_parquet(answers)
        scores = scores_of(answered.to_arrow())
        low, high = interval(scores, decision)
        said = answered.select(keys).with_columns(
            pl.Series("forecast", point(scores)),
            pl.Series("low", low),
            pl.Series("high", high),
            pl.Series("unit", scales(scores)),
            pl.Series("ahead", days_ahead(scores)),
            pl.lit(held_out).alias("held_out"),
        )
        known = pl.read_parquet(rows).select(
            *keys,
            pl.col(series.time).dt.date().alias("day"),
            named.alias("series"),
            pl.col(target).cast(pl.Float64).alias("value"),
        )
        parts.append(said.join(known, on=keys, how="inner"))
    together = pl.concat(parts)
    origin = pl.col("day") - pl.duration(days=pl.col("ahead"))
    return together.with_columns(origin.alias("origin")).sort("day", "series", *keys)


def summary(rows: pl.DataFrame) -> Result:
    """Return what came of forecasts."""
    errors = np.abs(rows["forecast"].to_numpy() - rows["value"].to_numpy())
    inside = (rows["value"] >= rows["low"]) & (rows["value"] <= rows["high"])
    return Result(
        rows=rows.height,
        mean_absolute_error=float(errors.mean()),
        mean_absolute_scaled_error=float((errors / rows["unit"].to_numpy()).mean()),
        coverage=float(inside.to_numpy().mean()),
    )


def windows(rows: pl.DataFrame) -> list[WindowResult]:
    """Return the result of each origin, the oldest first."""
    return [
        WindowResult(
            first=str(part["day"].min()),
            last=str(part["day"].max()),
            held_out=bool(part["held_out"][0]),
            result=summary(part),
        )
        for part in rows.partition_by("origin", maintain_order=True)
    ]


def by_series(rows: pl.DataFrame) -> list[SeriesResult]:
    """Return the result of each series, in the order of their names."""
    ordered = rows.sort("series", "day", maintain_order=True)
    return [
        SeriesResult(str(part["series"][0]), summary(part))
        for part in ordered.partition_by("series", maintain_order=True)
    ]


def _rows(results: Iterable[tuple[list[str], Result]]) -> list[list[str]]:
    return [
        [
            *names,
            f"{result.rows:,}",
            number(result.mean_absolute_error),
            number(result.mean_absolute_scaled_error),
            f"{result.coverage:.1%}",
        ]
        for names, result in results
    ]


def words(report: Backtest, horizon: int, unit: str) -> str:
    """Return the results in Markdown."""
    measured = [
        "Rows",
        f"Mean absolute error ({escape(unit)})" if unit else "Mean absolute error",
        "Scaled error",
        f"Inside the {report.confidence:.0%} interval",
    ]
    held_out = sum(window.held_out for window in report.windows)
    lines = [
        f"The backtest has {len(report.windows)} windows of {horizon} days, {held_out} of them "
        "held out. Each was forecast with what was known on the day before it. The scaled error is "
        "in units of what repeating the last season is off on the training rows: below 1 is "
        "better.",
        "",
        table(
            ["First day", "Last day", "", *measured],
            _rows(
                (
                    [window.first, window.last, "held out" if window.held_out else "fold"],
                    window.result,
                )
                for window in report.windows
            ),
        ),
        "",
        "Over all windows, per series:",
        "",
        table(
            ["Series", *measured],
            _rows(([escape(item.series)], item.result) for item in report.series),
        ),
        "",
        "![Windows of the backtest](reports/figures/backtest/windows.png)",
        "",
        "![Forecasts and values per series](reports/figures/backtest/forecasts.png)",
    ]
    return "\n".join(lines) + "\n"


def drawn(rows: pl.DataFrame) -> list[Forecasts]:
    """Return values and forecasts of each series, by its days."""
    found = []
    for part in rows.sort("series", "day", maintain_order=True).partition_by(
        "series", maintain_order=True
    ):
        numbers = {name: part[name].to_numpy() for name in ("value", "forecast", "low", "high")}
        days = part["day"].to_numpy().astype("datetime64[D]")
        found.append(Forecasts(str(part["series"][0]), days, *numbers.values()))
    return found


def main() -> None:
    """Summarise the backtest and draw it."""
    params, contract = load_params(), load_contract()
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    series = series_of(contract)
    rows = forecast_rows(contract, selection.decision)
    report = Backtest(params.evaluation.confidence, windows(rows), by_series(rows))
    begin = pl.read_parquet(TRAIN, columns=[series.time])[series.time].min()
    spans = [
        Window(
            np.datetime64(str(begin)[:10]),
            np.datetime64(str(part["origin"][0] + timedelta(days=1))),
            np.datetime64(str(part["origin"][0] + timedelta(days=series.horizon))),
            bool(part["held_out"][0]),
        )
        for part in rows.partition_by("origin", maintain_order=True)
    ]
    write_json(REPORT, report)
    write_text(WORDS, words(report, series.horizon, contract.target.unit))
    save_figures(
        {
            "windows": windows_figure(spans),
            "forecasts": forecasts_figure(drawn(rows), contract.target, report.confidence),
        },
        FIGURES,
    )
    log.info("backtested", extra={"windows": len(report.windows), "rows": rows.height})


if __name__ == "__main__":
    run(main)

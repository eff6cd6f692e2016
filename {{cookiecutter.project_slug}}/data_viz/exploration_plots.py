"""Figures of the data that a model learns from."""

from collections.abc import Callable, Mapping, Sequence
from itertools import filterfalse
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.storage import Frame
from data_viz.plot_utils import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    STYLE,
    column_label,
    histogram_edges,
    panels,
    percent,
    thousands,
)
from data_viz.summaries import (
    FEW_ROWS,
    MISSING,
    Array,
    Group,
    Relation,
    asked,
    is_binary,
    is_number,
    moments,
    numbers,
    outcome_group,
    summarise_categories,
    texts,
)
from utils.config import Column, Contract

PANELS = 30
BARS = 12
CELLS = 20
PERIODS = 24
LINES = (ORANGE, BLUE, INK, GREY)


def _first(columns: Sequence[Column], title: str, limit: int) -> tuple[Sequence[Column], str]:
    shown = columns[:limit]
    note = f" (first {limit} of {len(columns)} columns)" if len(columns) > limit else ""
    return shown, f"{title}{note}"


def _empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)


@rc_context(STYLE)
def distribution_figure(frame: Frame, contract: Contract) -> Figure:
    """Show a histogram per numeric column, the target first if it is a number."""
    shown = [*filter(is_number, contract.with_role("target")), *contract.with_role("numeric")]
    columns, title = _first(shown, "Distributions", PANELS)
    figure, grid = panels(len(columns), title)
    for column, axes in zip(columns, grid, strict=True):
        values = numbers(frame, column.name)
        known = values[np.isfinite(values)]
        is_target = column.role == "target"
        axes.set_title(f"{column.name}{' (target)' if is_target else ''}")
        axes.set_xlabel(column.unit)
        axes.set_ylabel("rows")
        if known.size == 0:
            _empty(axes)
            continue
        edges = histogram_edges(known, integer=column.type == "integer")
        axes.hist(known, bins=edges.tolist(), color=ORANGE if is_target else BLUE, rwidth=0.92)
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(
            MaxNLocator(5, integer=column.type == "integer", steps=[1, 2, 2.5, 5, 10])
        )
        thousands(axes.xaxis)
        thousands(axes.yaxis)
        outside = float(np.mean((known < edges[0]) | (known > edges[-1])))
        if outside > 0:
            note = f"{outside:.1%} lie outside"
            axes.text(
                0.98, 0.92, note, transform=axes.transAxes, ha="right", fontsize=8, color=GREY
            )
    return figure


def _categories(contract: Contract) -> list[Column]:
    targets = contract.with_role("target")
    return [*filterfalse(is_number, targets), *contract.with_role("categorical")]


@rc_context(STYLE)
def category_figure(frame: Frame, contract: Contract) -> Figure:
    """Show the number of rows per category of every categorical column, and per class."""
    columns, title = _first(_categories(contract), "Categories", PANELS)
    figure, grid = panels(len(columns), title, columns=2)
    for column, axes in zip(columns, grid, strict=True):
        summary = summarise_categories(texts(frame, column.name))
        counts = list(summary.counts.items())
        shown = dict(counts[:BARS])
        if len(counts) > BARS:
            shown[f"{len(counts) - BARS} others"] = sum(count for _, count in counts[BARS:])
        if summary.missing:
            shown[MISSING] = summary.missing
        is_target = column.role == "target"
        colours = [GREY if name == MISSING else ORANGE if is_target else BLUE for name in shown]
        bars = axes.barh(list(shown), list(shown.values()), color=colours)
        axes.bar_label(
            bars, [f"{n / summary.rows:.1%}" for n in shown.values()], padding=3, fontsize=8
        )
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        axes.set_title(f"{column.name}{' (target)' if is_target else ''}")
        axes.set_xlabel("rows")
        thousands(axes.xaxis)
    return figure


@rc_context(STYLE)
def missingness_figure(frame: Frame, contract: Contract) -> Figure:
    """Show the share of missing values per column beside the share that the contract allows."""
    shares = {
        column.name: int(frame[column.name].is_null().sum()) / frame.shape[0]
        for column in contract.columns
    }
    columns = sorted(contract.columns, key=lambda column: (-shares[column.name], column.name))
    figure, (axes,) = panels(1, "Missing values", height=0.27 * len(columns) + 0.8)
    names = [column.name for column in columns]
    bars = axes.barh(names, [shares[name] for name in names], color=BLUE, label="missing")
    labels = [f"{shares[name]:.1%}" if shares[name] else "none" for name in names]
    axes.bar_label(bars, labels, padding=6, fontsize=8)
    limited = [column for column in columns if column.nullable]
    if limited:
        axes.scatter(
            [column.maximum_missing_share for column in limited],
            [column.name for column in limited],
            marker="|",
            s=130,
            color=ORANGE,
            linewidths=2,
            label="most that the contract allows",
            zorder=3,
        )
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0)
    axes.set_xlabel("share of rows")
    percent(axes.xaxis)
    return figure


@rc_context(STYLE)
def correlation_figure(correlations: pd.DataFrame, target: str) -> Figure:
    """Show the lower triangle of a matrix of rank correlations, the target in the last row."""
    names = [*correlations.columns[:-1][: CELLS - 1], correlations.columns[-1]]
    matrix = correlations.loc[names, names].to_numpy()
    shown = np.where(np.tril(np.ones(matrix.shape, dtype=bool), k=-1), matrix, np.nan)[1:, :-1]
    size = len(names) - 1
    figure, (axes,) = panels(1, "Rank correlations (Spearman)", height=0.5 * size + 1.6)
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 else INK  # noqa: PLR2004
            axes.text(
                column,
                row,
                f"{round(value, 2) + 0.0:+.2f}",
                ha="center",
                va="center",
                color=colour,
                size=9,
            )
    axes.set_xticks(range(size), names[:-1], rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), names[1:])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.get_yticklabels()[-1].set_color(ORANGE if names[-1] == target else INK)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.01)
    bar.set_label("correlation")
    bar.outline.set_visible(False)
    return figure


def _draw_means(
    axes: Axes, positions: Sequence[float], groups: Sequence[Group], **style: Any
) -> None:
    means = np.array([group.mean for group in groups])
    low = means - np.array([group.low for group in groups])
    high = np.array([group.high for group in groups]) - means
    axes.errorbar(positions, means, yerr=np.stack([low, high]), capsize=2, markersize=5, **style)


def _draw_numeric_relation(axes: Axes, groups: Sequence[Group]) -> None:
    known = [group for group in groups if group.position is not None]
    positions = [group.position for group in known if group.position is not None]
    if not known:
        _empty(axes)
        return
    _draw_means(axes, positions, known, fmt="o-", color=BLUE, elinewidth=1.2)
    absent = [group for group in groups if group.position is None and group.rows >= FEW_ROWS]
    if absent:
        beyond = positions[-1] + 0.13 * (positions[-1] - positions[0] or 1.0)
        _draw_means(axes, [beyond], absent, fmt="s", color=GREY, elinewidth=1.2)
        # at the end of the panel where the curve is not
        end = 0.02 if known[-1].mean > absent[0].mean else 0.92
        place = axes.get_xaxis_transform()
        axes.text(beyond, end, MISSING, transform=place, ha="center", fontsize=8, color=GREY)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    thousands(axes.xaxis)


def _draw_categorical_relation(axes: Axes, groups: Sequence[Group]) -> None:
    shown = sorted(groups, key=lambda group: -group.rows)[:BARS]
    shown = [group for group in groups if group in shown and group.rows >= FEW_ROWS]
    for position, group in enumerate(shown):
        colour = GREY if group.label == MISSING else BLUE
        _draw_means(axes, [position], [group], fmt="o", color=colour, elinewidth=1.2)
    long = max((len(group.label) for group in shown), default=0) * len(shown) > 32  # noqa: PLR2004
    turned: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(shown)), [group.label for group in shown], **(turned if long else {}))
    axes.margins(x=0.15)
    axes.grid(visible=False, axis="x")


@rc_context(STYLE)
def relation_figure(found: Sequence[Relation], contract: Contract, *, binary: bool) -> Figure:
    """Show the mean of the target, with 95% intervals, per group of each column.

    Of several classes, each column shows the share of the one that differs most, which its title
    names; dashed is the mean over all rows.

    Args:
        found: the relations, the strongest first.
        contract: units of the columns.
        binary: whether the means are shares.
    """
    columns = {column.name: column for column in contract.columns}
    shown = list(found[:PANELS])
    several = len({item.about for item in found}) > 1
    about = "of the class that differs most" if several else f"with {found[0].about}"
    label = f"share {about}" if binary else f"mean {column_label(contract.target)}"
    title = f"{label[0].upper()}{label[1:]}, per group of rows with 95% interval"
    figure, grid = panels(len(shown), title)
    for item, axes in zip(shown, grid, strict=True):
        column = columns[item.column]
        axes.axhline(item.overall, color=GREY, linestyle="--", linewidth=1)
        axes.yaxis.set_tick_params(labelleft=True)
        if column.role == "categorical":
            _draw_categorical_relation(axes, item.groups)
        else:
            _draw_numeric_relation(axes, item.groups)
            axes.set_xlabel(column.unit)
        axes.set_title(f"{column.name}\n{item.about}" if several else column.name)
        axes.sharey(grid[0])
    if binary:
        percent(grid[0].yaxis)
    figure.supylabel(label, fontsize=9)
    return figure


def _draw_target(
    axes: Axes,
    outcomes: Mapping[str, Array],
    codes: npt.NDArray[np.int64],
    centres: Any,
    target: Column,
) -> None:
    """Draw the mean of what is asked about the target per period.

    Args:
        axes: where to draw.
        outcomes: what is asked about the target, each of shape (n,).
        codes: number of the period of each row, shape (n,).
        centres: the moment in the middle of each period, shape (periods,).
        target: the column of the contract.
    """
    filled = np.flatnonzero(np.bincount(codes, minlength=centres.size) > 1)
    frequent = sorted(outcomes, key=lambda name: -outcomes[name].mean())[: len(LINES)]
    for name, colour in zip(frequent, LINES, strict=False):
        outcome = outcomes[name]
        groups = [outcome_group(str(code), outcome[codes == code], None) for code in filled]
        _draw_means(
            axes, centres[filled], groups, fmt="o-", color=colour, elinewidth=1.2, label=name
        )
        axes.axhline(float(outcome.mean()), color=colour, linestyle="--", linewidth=1, alpha=0.5)
    binary = all(is_binary(outcome) for outcome in outcomes.values())
    mean = f"mean {column_label(target)}"
    axes.set_ylabel(f"share with {frequent[0]}" if binary else mean)
    if binary:
        percent(axes.yaxis)
    if len(frequent) > 1:
        axes.set_ylabel("share of rows")
        axes.legend(ncols=2)


@rc_context(STYLE)
def timeline_figure(frame: Frame, contract: Contract) -> Figure:
    """Show the number of rows and the mean of any target over the first timestamp column.

    Of several classes, the shares of the most frequent ones are shown.
    """
    column = contract.with_role("timestamp")[0]
    outcomes = asked(frame, contract)
    when = moments(frame, column.name)
    days = (when - when.min()) / np.timedelta64(1, "D")
    span = max(float(days.max()), 1e-6)
    count = PERIODS
    codes = np.minimum((days / span * count).astype(np.int64), count - 1)
    centres = when.min() + ((np.arange(count) + 0.5) * span / count * 86_400e6).astype(
        "timedelta64[us]"
    )
    what = "Rows and target" if outcomes else "Rows"
    figure, drawn = panels(
        2 if outcomes else 1, f"{what} over time ({column.name})", columns=1, height=2
    )
    upper, lower = drawn[0], drawn[-1]
    rows = np.bincount(codes, minlength=count)
    upper.bar(centres, rows, width=0.9 * span / count, color=BLUE)
    upper.set_ylabel(f"rows per {span / count:.2g} days")
    upper.grid(visible=False, axis="x")
    thousands(upper.yaxis)
    if outcomes:
        _draw_target(lower, outcomes, codes, centres, contract.target)
        lower.sharex(upper)
    lower.set_xlabel("UTC")
    return figure


def exploration_figures(
    frame: Frame, contract: Contract, found: Sequence[Relation], correlations: pd.DataFrame
) -> dict[str, Figure]:
    """Return every figure for which the contract has columns, by name."""
    binary = all(is_binary(outcome) for outcome in asked(frame, contract).values())
    target = contract.target.name
    makers: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "distributions": (
            any(map(is_number, contract.with_role("target", "numeric"))),
            lambda: distribution_figure(frame, contract),
        ),
        "categories": (
            bool(_categories(contract)),
            lambda: category_figure(frame, contract),
        ),
        "missing_values": (True, lambda: missingness_figure(frame, contract)),
        "correlations": (len(correlations) > 1, lambda: correlation_figure(correlations, target)),
        "target_relations": (
            bool(found),
            lambda: relation_figure(found, contract, binary=binary),
        ),
        "timeline": (
            bool(contract.with_role("timestamp")),
            lambda: timeline_figure(frame, contract),
        ),
    }
    return {name: make() for name, (possible, make) in makers.items() if possible}

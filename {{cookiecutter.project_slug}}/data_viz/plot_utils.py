"""Figures of the data, in one style, and the exploration of the training rows.

Usage: ``python -m data_viz.plot_utils`` writes the figures and findings of the exploration. Only
training rows are looked at: a choice made after seeing held-out rows would make the evaluation
too optimistic.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter
from scipy import stats

from data_prep.pipeline import CLEAN
from data_prep.storage import Frame, read_parquet
from model_training.data_preprocessing import TRAIN
from utils.config import Column, Contract, load_contract
from utils.files import write_json
from utils.logging import run

FIGURES = Path("reports/figures/exploration")
REPORT = Path("reports/exploration.json")

# The colours of Okabe and Ito, which people with any colour vision can tell apart.
BLUE, ORANGE, GREEN, SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
INK, GREY, PALE = "#222222", "#767676", "#DDDDDD"
# Any: the stubs of matplotlib demand its literal keys, which a plain dictionary does not keep.
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "text.parse_math": False,
}
WIDTH = 9.0
DOTS_PER_INCH = 120

MISSING = "missing"
BASELINE = "baseline"
CONFIDENCE = 0.95
PANELS = 30
BARS = 12
CELLS = 20
GROUPS = 8
DISTINCT = 25
FEW_ROWS = 20
SIGNIFICANCE = 0.01
CORRELATED = 0.7
SKEWED = 2.0
LISTED = 5

Array = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]

log = logging.getLogger(__name__)


class CandidateScore(Protocol):
    """The cross-validated score of one candidate."""

    @property
    def name(self) -> str:
        """Name of the candidate."""

    @property
    def mean(self) -> float:
        """Mean over the folds."""

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""


class Group(msgspec.Struct, frozen=True):
    """Rows that are alike in one column, and the mean of the target among them."""

    label: str
    rows: int
    mean: float
    low: float
    high: float
    position: float | None


class Relation(msgspec.Struct, frozen=True):
    """How the target differs between groups of one column.

    ``explained`` is the share of the target's variance that lies between the groups, adjusted for
    their number; ``p_value`` that of the F test of equal means.
    """

    column: str
    explained: float
    p_value: float
    groups: list[Group]


class NumericSummary(msgspec.Struct, frozen=True):
    """A column of numbers in numbers; NaN where there are no values."""

    rows: int
    missing: int
    mean: float
    standard_deviation: float
    minimum: float
    quantile_05: float
    quantile_25: float
    median: float
    quantile_75: float
    quantile_95: float
    maximum: float
    skewness: float


class CategoricalSummary(msgspec.Struct, frozen=True):
    """Counts per category, the most frequent first."""

    rows: int
    missing: int
    counts: dict[str, int]


class Correlation(msgspec.Struct, frozen=True):
    """Spearman's rank correlation of two columns."""

    first: str
    second: str
    coefficient: float


class Period(msgspec.Struct, frozen=True):
    """The time that the rows cover."""

    column: str
    start: str
    end: str


class Exploration(msgspec.Struct, frozen=True):
    """What the training rows look like."""

    rows: int
    target: str
    period: Period | None
    numeric: dict[str, NumericSummary]
    categorical: dict[str, CategoricalSummary]
    relations: list[Relation]
    correlations: list[Correlation]
    findings: list[str]


# Columns as arrays


def numbers(frame: Frame, name: str) -> Array:
    """Return a numeric column as floats, NaN for missing, shape (n,)."""
    values: Array = frame.select(name).to_arrow()[name].to_numpy().astype(np.float64)
    return values


def texts(frame: Frame, name: str) -> Text:
    """Return a column of categories as text, ``missing`` for missing, shape (n,)."""
    values = frame.select(name).to_arrow()[name].to_pylist()
    return np.array([MISSING if value is None else str(value) for value in values], dtype=object)


def moments(frame: Frame, name: str) -> npt.NDArray[np.datetime64]:
    """Return a column of timestamps, NaT for missing, shape (n,)."""
    values: npt.NDArray[np.datetime64] = frame.select(name).to_arrow()[name].to_numpy()
    return values.astype("datetime64[us]")


def is_binary(values: Array) -> bool:
    """Whether all values are 0 or 1, so that their mean is a share."""
    return bool(np.isin(values, (0, 1)).all())


# Numbers behind the figures


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Return the mean of ``values``, shape (n,), with its 95% confidence interval.

    Shares get the interval of Wilson (1927), which stays within 0 and 1; other means Student's.
    The interval of a single number other than 0 and 1 is NaN.
    """
    mean, count = float(values.mean()), values.size
    if is_binary(values):
        interval = stats.binomtest(round(values.sum()), count).proportion_ci(CONFIDENCE, "wilson")
        return mean, float(interval.low), float(interval.high)
    if count == 1:
        return mean, float("nan"), float("nan")
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * stats.sem(values))
    return mean, mean - margin, mean + margin


def _group(label: str, outcome: Array, position: float | None) -> Group:
    return Group(label, outcome.size, *mean_interval(outcome), position)


def _range_text(values: Array) -> str:
    low, high = values.min(), values.max()
    return short(low) if low == high else f"{short(low)} to {short(high)}"


def group_edges(values: Array) -> Array:
    """Return the smallest value of each group but the first, for groups of about equal size.

    Few distinct values make one group each; groups of too few rows are joined to a neighbour.

    Args:
        values: finite values, shape (n,).
    """
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size > GROUPS:
        return np.unique(np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1]))
    edges, rows, left = [], 0, values.size
    for value, count in zip(distinct, counts, strict=True):
        if rows >= FEW_ROWS and left >= FEW_ROWS:
            edges.append(value)
            rows = 0
        rows += count
        left -= count
    return np.array(edges)


def numeric_codes(values: Array) -> npt.NDArray[np.int64]:
    """Number the groups that values, shape (n,), fall into, ascending; -1 where missing."""
    known = np.isfinite(values)
    codes = np.searchsorted(group_edges(values[known]), values, side="right")
    return np.where(known, codes, -1)


def numeric_groups(values: Array, outcome: Array) -> list[Group]:
    """Group rows by a numeric column, ascending, with the rows where it is missing at the end.

    Args:
        values: the column, NaN for missing, shape (n,).
        outcome: the target, shape (n,).
    """
    codes = numeric_codes(values)
    groups = [
        _group(
            _range_text(values[codes == code]),
            outcome[codes == code],
            float(np.median(values[codes == code])),
        )
        for code in np.unique(codes[codes >= 0])
    ]
    missing = outcome[codes < 0]
    return [*groups, _group(MISSING, missing, None)] if missing.size else groups


def categorical_groups(values: Text, outcome: Array, order: Sequence[object]) -> list[Group]:
    """Group rows by category in the given order, then any other category, then missing."""
    found = set(values)
    known = [str(category) for category in order if str(category) in found]
    others = sorted(found - set(known) - {MISSING})
    names = [*known, *others, *({MISSING} & found)]
    return [_group(name, outcome[values == name], None) for name in names]


def relation(name: str, groups: Sequence[Group], samples: Sequence[Array]) -> Relation:
    """Measure how much of the target's variance lies between groups.

    Args:
        name: the column that makes the groups.
        groups: a description of each group.
        samples: the target of each group.
    """
    usable = [sample for sample in samples if sample.size > 1]
    everything = np.concatenate(list(samples))
    total = float(np.sum((everything - everything.mean()) ** 2))
    if len(usable) < 2 or total == 0:  # noqa: PLR2004
        return Relation(name, 0.0, 1.0, list(groups))
    within = sum(float(np.sum((sample - sample.mean()) ** 2)) for sample in samples)
    freedom = max(everything.size - len(samples), 1)
    explained = 1 - (within / freedom) / (total / (everything.size - 1))
    between = (total - within) / (len(samples) - 1)
    statistic = between / (within / freedom) if within > 0 else float("inf")
    p_value = float(stats.f.sf(statistic, len(samples) - 1, freedom))
    return Relation(name, max(explained, 0.0), p_value, list(groups))


def relations(frame: Frame, contract: Contract) -> list[Relation]:
    """Relate every numeric and categorical column to the target, the strongest first."""
    outcome = numbers(frame, contract.target.name)
    found = []
    for column in contract.with_role("numeric"):
        values = numbers(frame, column.name)
        codes = numeric_codes(values)
        samples = [outcome[codes == code] for code in np.unique(codes)]
        found.append(relation(column.name, numeric_groups(values, outcome), samples))
    for column in contract.with_role("categorical"):
        labels = texts(frame, column.name)
        groups = categorical_groups(labels, outcome, column.allowed)
        samples = [outcome[labels == group.label] for group in groups]
        found.append(relation(column.name, groups, samples))
    return sorted(found, key=lambda item: -item.explained)


def rank_correlations(frame: Frame, contract: Contract) -> pd.DataFrame:
    """Return Spearman's correlations of the numeric columns and the target, shape (k, k).

    Each pair uses the rows in which both are known; a constant column gives NaN.
    """
    columns = [*contract.with_role("numeric"), contract.target]
    table = pd.DataFrame({column.name: numbers(frame, column.name) for column in columns})
    return table.corr(method="spearman")


def summarise_numbers(values: Array) -> NumericSummary:
    """Describe a column of numbers, NaN for missing, shape (n,)."""
    known = values[np.isfinite(values)]
    missing = values.size - known.size
    if known.size == 0:
        return NumericSummary(values.size, missing, *[float("nan")] * 10)
    low, first, median, third, high = np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95])
    spread = float(known.std(ddof=1)) if known.size > 1 else 0.0
    return NumericSummary(
        rows=values.size,
        missing=missing,
        mean=float(known.mean()),
        standard_deviation=spread,
        minimum=float(known.min()),
        quantile_05=float(low),
        quantile_25=float(first),
        median=float(median),
        quantile_75=float(third),
        quantile_95=float(high),
        maximum=float(known.max()),
        skewness=float(stats.skew(known)) if np.ptp(known) > 0 else 0.0,
    )


def summarise_categories(values: Text) -> CategoricalSummary:
    """Count the categories of a column, shape (n,)."""
    names, counts = np.unique(values[values != MISSING].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return CategoricalSummary(
        rows=values.size,
        missing=int((values == MISSING).sum()),
        counts={str(names[i]): int(counts[i]) for i in order},
    )


# Words and layout shared by the figures


def short(value: float, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits, large ones in full with separators."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.{digits}g}"  # noqa: PLR2004


def column_label(column: Column) -> str:
    """Return the name of a column in words, with its unit unless the name says it."""
    words = column.name.replace("_", " ")
    return words if not column.unit or column.unit in words.split() else f"{words} ({column.unit})"


def outcome_label(target: Column, *, binary: bool) -> str:
    """Say what the mean of the target is."""
    return f"share with {target.name} = 1" if binary else f"mean {column_label(target)}"


def panels(
    count: int, title: str, *, columns: int = 3, height: float = 2.3
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` axes in rows of ``columns``."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, rows * height + 0.5), layout="constrained")
    figure.suptitle(title, fontweight="bold", fontsize=12, x=0.01, ha="left", color=INK)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[count:]:
        unused.remove()
    return figure, list(grid[:count])


def thousands(axis: Axis) -> None:
    """Write the numbers of an axis with separators, and only as precise as needed."""
    axis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))


def percent(axis: Axis) -> None:
    """Write the shares of an axis as percentages, only as precise as needed."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))


def _first(columns: Sequence[Column], title: str, limit: int) -> tuple[Sequence[Column], str]:
    shown = columns[:limit]
    note = f" (first {limit} of {len(columns)} columns)" if len(columns) > limit else ""
    return shown, f"{title}{note}"


def _empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=GREY)


# Figures of the exploration


def histogram_edges(values: Array, *, integer: bool) -> Array:
    """Return the edges of readable bins over the range that holds nearly all values.

    Values far outside the central 99 % would squeeze all others into one bar, so the range ends
    at the 0.5 % and 99.5 % quantiles where it would otherwise be more than half wider.

    Args:
        values: finite values, shape (n,), at least one.
        integer: give every bin the same number of integers.
    """
    low, high = np.quantile(values, [0.005, 0.995])
    if np.ptp(values) <= 1.5 * (high - low) or high == low:
        low, high = values.min(), values.max()
    if integer:
        step = max(1, int(-(-(high - low + 1) // DISTINCT)))
        return np.arange(np.floor(low) - 0.5, high + step, step)
    return np.linspace(low, high, DISTINCT + 1) if high > low else np.array([low - 0.5, low + 0.5])


@rc_context(STYLE)
def distribution_figure(frame: Frame, contract: Contract) -> Figure:
    """Show a histogram per numeric column, the target first."""
    columns, title = _first(
        [contract.target, *contract.with_role("numeric")], "Distributions", PANELS
    )
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


@rc_context(STYLE)
def category_figure(frame: Frame, contract: Contract) -> Figure:
    """Show the number of rows per category of every categorical column."""
    columns, title = _first(contract.with_role("categorical"), "Categories", PANELS)
    figure, grid = panels(len(columns), title, columns=2)
    for column, axes in zip(columns, grid, strict=True):
        summary = summarise_categories(texts(frame, column.name))
        counts = list(summary.counts.items())
        shown = dict(counts[:BARS])
        if len(counts) > BARS:
            shown[f"{len(counts) - BARS} others"] = sum(count for _, count in counts[BARS:])
        if summary.missing:
            shown[MISSING] = summary.missing
        colours = [GREY if name == MISSING else BLUE for name in shown]
        bars = axes.barh(list(shown), list(shown.values()), color=colours)
        axes.bar_label(
            bars, [f"{n / summary.rows:.1%}" for n in shown.values()], padding=3, fontsize=8
        )
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.grid(visible=False, axis="y")
        axes.set_title(column.name)
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
def correlation_figure(correlations: pd.DataFrame) -> Figure:
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
    axes.get_yticklabels()[-1].set_color(ORANGE)
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
def relation_figure(
    found: Sequence[Relation], contract: Contract, overall: float, *, binary: bool
) -> Figure:
    """Show the mean of the target, with 95% intervals, per group of each column.

    Args:
        found: the relations, the strongest first.
        contract: units of the columns.
        overall: the mean of the target over all rows, drawn as a dashed line.
        binary: whether the target is 0 or 1, so that its mean is a share.
    """
    columns = {column.name: column for column in contract.columns}
    shown = list(found[:PANELS])
    label = outcome_label(contract.target, binary=binary)
    title = f"{label[0].upper()}{label[1:]}, per group of rows with 95% interval"
    figure, grid = panels(len(shown), title)
    for item, axes in zip(shown, grid, strict=True):
        column = columns[item.column]
        axes.axhline(overall, color=GREY, linestyle="--", linewidth=1)
        axes.yaxis.set_tick_params(labelleft=True)
        if column.role == "categorical":
            _draw_categorical_relation(axes, item.groups)
        else:
            _draw_numeric_relation(axes, item.groups)
            axes.set_xlabel(column.unit)
        axes.set_title(column.name)
        axes.sharey(grid[0])
    if binary:
        percent(grid[0].yaxis)
    figure.supylabel(label, fontsize=9)
    return figure


@rc_context(STYLE)
def timeline_figure(frame: Frame, contract: Contract) -> Figure:
    """Show the number of rows and the mean of the target over the first timestamp column."""
    column = contract.with_role("timestamp")[0]
    outcome = numbers(frame, contract.target.name)
    when = moments(frame, column.name)
    days = (when - when.min()) / np.timedelta64(1, "D")
    span = max(float(days.max()), 1e-6)
    count = DISTINCT - 1
    codes = np.minimum((days / span * count).astype(np.int64), count - 1)
    centres = when.min() + ((np.arange(count) + 0.5) * span / count * 86_400e6).astype(
        "timedelta64[us]"
    )
    figure, (upper, lower) = panels(
        2, f"Rows and target over time ({column.name})", columns=1, height=2
    )
    rows = np.bincount(codes, minlength=count)
    upper.bar(centres, rows, width=0.9 * span / count, color=BLUE)
    upper.set_ylabel(f"rows per {span / count:.2g} days")
    upper.grid(visible=False, axis="x")
    thousands(upper.yaxis)
    filled = [code for code in range(count) if rows[code] > 1]
    groups = [_group(str(code), outcome[codes == code], None) for code in filled]
    _draw_means(lower, centres[filled], groups, fmt="o-", color=ORANGE, elinewidth=1.2)
    lower.axhline(float(outcome.mean()), color=GREY, linestyle="--", linewidth=1)
    binary = is_binary(outcome)
    lower.set_ylabel(outcome_label(contract.target, binary=binary))
    if binary:
        percent(lower.yaxis)
    lower.set_xlabel("UTC")
    lower.sharex(upper)
    return figure


def exploration_figures(
    frame: Frame, contract: Contract, found: Sequence[Relation], correlations: pd.DataFrame
) -> dict[str, Figure]:
    """Return every figure for which the contract has columns, by name."""
    outcome = numbers(frame, contract.target.name)
    makers: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "distributions": (True, lambda: distribution_figure(frame, contract)),
        "categories": (
            bool(contract.with_role("categorical")),
            lambda: category_figure(frame, contract),
        ),
        "missing_values": (True, lambda: missingness_figure(frame, contract)),
        "correlations": (len(correlations) > 1, lambda: correlation_figure(correlations)),
        "target_relations": (
            bool(found),
            lambda: relation_figure(
                found, contract, float(outcome.mean()), binary=is_binary(outcome)
            ),
        ),
        "timeline": (
            bool(contract.with_role("timestamp")),
            lambda: timeline_figure(frame, contract),
        ),
    }
    return {name: make() for name, (possible, make) in makers.items() if possible}


# Figures of the models


@rc_context(STYLE)
def learning_curve_figure(points: Sequence[tuple[int, float, float]], label: str) -> Figure:
    """Show the score on training and validation rows over the number of training rows.

    Args:
        points: rows, score on them, score on validation rows.
        label: what the score is.
    """
    figure, (axes,) = panels(1, "Learning curve", height=3.6)
    rows = [point[0] for point in points]
    axes.plot(rows, [point[1] for point in points], "o--", color=GREY, label="training rows")
    axes.plot(rows, [point[2] for point in points], "o-", color=BLUE, label="validation rows")
    axes.set_xlabel("rows trained on (mean over the folds)")
    axes.set_ylabel(label)
    axes.set_xlim(left=0)
    thousands(axes.xaxis)
    axes.legend()
    return figure


@rc_context(STYLE)
def candidates_figure(results: Sequence[CandidateScore], label: str) -> Figure:
    """Show the cross-validated score of every candidate, the baseline as a dashed line.

    Args:
        results: one per candidate; the one named ``baseline`` is marked.
        label: what the score is.
    """
    means = {result.name: result.mean for result in results}
    # The baseline's end of the scale is the bad one, and comes last.
    from_below = means.get(BASELINE, -np.inf) > np.median(list(means.values()))
    ordered = sorted(results, key=lambda result: result.mean, reverse=bool(from_below))
    figure, (axes,) = panels(1, "Candidates in cross-validation", height=0.5 * len(ordered) + 1)
    for position, result in enumerate(ordered):
        is_baseline = result.name == BASELINE
        colour = GREY if is_baseline else BLUE
        axes.errorbar(
            result.mean, position, xerr=result.standard_error, fmt="o", color=colour, capsize=3
        )
        axes.annotate(
            short(result.mean, digits=4),
            (result.mean, position),
            (0, 6),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
        if is_baseline:
            axes.axvline(result.mean, color=GREY, linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(range(len(ordered)), [result.name.replace("_", " ") for result in ordered])
    axes.margins(y=0.25)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{label} (mean ± standard error over the folds)")
    return figure


def save_figures(figures: Mapping[str, Figure], directory: Path) -> None:
    """Write each figure as ``<name>.png`` into a fresh folder that takes the place of the old one.

    Equal figures give equal bytes. When one can't be drawn nothing is left behind and the old
    folder stays as it was.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as temporary:
        fresh, old = Path(temporary, "fresh"), Path(temporary, "old")
        fresh.mkdir()
        with rc_context(STYLE):
            for name, figure in figures.items():
                figure.savefig(
                    fresh / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None}
                )
        if directory.exists():
            directory.rename(old)
        fresh.rename(directory)


# Findings in words


def _amount(value: float, target: Column, *, binary: bool) -> str:
    if binary:
        return f"{value:.1%}"
    return f"{short(value)} {target.unit}".rstrip()


def _target_finding(outcome: Array, target: Column) -> str:
    if is_binary(outcome):
        return f"{target.name} is 1 in {outcome.mean():.1%} of the {outcome.size:,} training rows."
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
    subject = f"the share with {target.name} = 1" if binary else "the mean"
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
        yield (
            f"{item.column} alone explains {item.explained:.1%} of the variance of "
            f"{target.name}: {subject} ranges from {low} to {high}."
        )
    unclear = [item.column for item in found if item not in clear]
    if unclear:
        names = ", ".join(f"{name}" for name in unclear[:LISTED])
        more = f" and {len(unclear) - LISTED} more" if len(unclear) > LISTED else ""
        yield f"No clear relation to {target.name} on its own: {names}{more}."


def _period_finding(frame: Frame, contract: Contract, period: Period) -> str:
    outcome = numbers(frame, contract.target.name)
    binary = is_binary(outcome)
    order = np.argsort(moments(frame, period.column), kind="stable")
    quarter = max(outcome.size // 4, 1)
    first, last = (mean_interval(outcome[part]) for part in (order[:quarter], order[-quarter:]))
    ends = [_amount(part[0], contract.target, binary=binary) for part in (first, last)]
    changed = first[2] < last[1] or last[2] < first[1]
    trend = (
        f"the mean of {contract.target.name} moved from {ends[0]} in the first quarter of the "
        f"rows to {ends[1]} in the last"
        if changed
        else f"the mean of {contract.target.name} shows no clear change over it"
    )
    return f"The rows span {period.start[:10]} to {period.end[:10]} by {period.column}; {trend}."


def strong_correlations(correlations: pd.DataFrame) -> list[Correlation]:
    """Return the pairs of inputs with a rank correlation of at least 0.7, the strongest first."""
    names, matrix = list(correlations.columns[:-1]), correlations.to_numpy()
    pairs = [
        Correlation(names[row], names[column], float(matrix[row, column]))
        for row, column in zip(*np.triu_indices(len(names), k=1), strict=True)
    ]
    strong = [pair for pair in pairs if abs(pair.coefficient) >= CORRELATED]
    return sorted(strong, key=lambda pair: -abs(pair.coefficient))


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


def explore(frame: Frame, contract: Contract) -> Exploration:
    """Describe the rows of ``frame`` and say in words what stands out.

    Args:
        frame: cleaned rows with the columns of the contract; the target has no missing value.
        contract: the meaning of the columns.
    """
    outcome = numbers(frame, contract.target.name)
    numeric = {
        column.name: summarise_numbers(numbers(frame, column.name))
        for column in contract.with_role("numeric", "target")
    }
    categorical = {
        column.name: summarise_categories(texts(frame, column.name))
        for column in contract.with_role("categorical")
    }
    found = relations(frame, contract)
    correlated = strong_correlations(rank_correlations(frame, contract))
    timestamps = contract.with_role("timestamp")
    period = None
    if timestamps:
        when = moments(frame, timestamps[0].name)
        start, end = (str(moment.astype("datetime64[s]")) for moment in (when.min(), when.max()))
        period = Period(timestamps[0].name, start, end)
    inputs = {name: item for name, item in numeric.items() if name != contract.target.name}
    findings = [
        _target_finding(outcome, contract.target),
        *_relation_findings(found, contract, binary=is_binary(outcome)),
        *([_period_finding(frame, contract, period)] if period else []),
        *(
            f"{pair.first} and {pair.second} rank rows almost alike "
            f"(Spearman {pair.coefficient:+.2f}), so they carry much of the same information."
            for pair in correlated[:LISTED]
        ),
        *_shape_findings(inputs, categorical),
    ]
    return Exploration(
        rows=outcome.size,
        target=contract.target.name,
        period=period,
        numeric=numeric,
        categorical=categorical,
        relations=found,
        correlations=correlated,
        findings=findings,
    )


def main() -> None:
    """Explore the training rows: figures and findings."""
    contract = load_contract()
    keys = contract.identifiers
    frame = read_parquet(CLEAN).join(read_parquet(TRAIN).select(keys), on=keys, how="semi")
    exploration = explore(frame, contract)
    correlations = rank_correlations(frame, contract)
    figures = exploration_figures(frame, contract, exploration.relations, correlations)
    save_figures(figures, FIGURES)
    write_json(REPORT, exploration)
    log.info("explored", extra={"rows": exploration.rows, "figures": len(figures)})


if __name__ == "__main__":
    run(main)

"""Figures in one style: layout and axes, the figures that suit any model, and saving."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, StrMethodFormatter

from data_viz.summaries import Array, short
from utils.config import Column

# The colours of Okabe and Ito, which people with any colour vision can tell apart.
BLUE, ORANGE = "#0072B2", "#D55E00"
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
BINS = 25

BASELINE = "baseline"


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


# Words, layout and axes


def column_label(column: Column) -> str:
    """Return the name of a column in words, with its unit unless the name says it."""
    words = column.name.replace("_", " ")
    return words if not column.unit or column.unit in words.split() else f"{words} ({column.unit})"


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
        step = max(1, int(-(-(high - low + 1) // BINS)))
        return np.arange(np.floor(low) - 0.5, high + step, step)
    return np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])


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
    axes.set_xlabel(f"{label}, mean ± standard error over the folds")
    return figure


# Saving


def settle(figure: Figure) -> None:
    """Lay a figure out for good; otherwise saving does it twice, with the same result."""
    figure.set_dpi(DOTS_PER_INCH)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine(None)


def save_figures(figures: Mapping[str, Figure], directory: Path) -> None:
    """Write each figure as ``<name>.png`` into a fresh folder that takes the place of the old one.

    Equal figures give equal bytes, and the file carries the title, for readers who can't see it.
    When one can't be drawn nothing is left behind and the old
    folder stays as it was.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as temporary:
        fresh, old = Path(temporary, "fresh"), Path(temporary, "old")
        fresh.mkdir()
        if not figures:
            # Git keeps no empty folder, and DVC would miss it in a fresh clone.
            (fresh / ".gitkeep").touch()
        with rc_context(STYLE):
            for name, figure in figures.items():
                settle(figure)
                about = {"Software": None, "Title": figure.get_suptitle() or name}
                figure.savefig(fresh / f"{name}.png", dpi=DOTS_PER_INCH, metadata=about)
        if directory.exists():
            directory.rename(old)
        fresh.rename(directory)

"""Figures that explain a model: what it uses, and how its answers move with it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_viz.plot_utils import BLUE, GREY, INK, ORANGE, PALE, STYLE, panels, thousands

SHOWN_COLUMNS = 20
# Height of the strip that shows where the rows lie, as a share of the panel.
STRIP = 0.16
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", INK)


class ImportanceLike(Protocol):
    """The importance of one column with its interval."""

    @property
    def column(self) -> str:
        """Name of the column."""

    @property
    def value(self) -> float | None:
        """How much worse the model is without it."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""


class InputLike(Protocol):
    """What is set to other values."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def unit(self) -> str:
        """Its unit, empty without one."""


class GridLike(Protocol):
    """The values that are tried, and where the rows lie."""

    @property
    def tried(self) -> list[float] | list[str]:
        """The values."""

    @property
    def places(self) -> list[float]:
        """Where rows are counted, empty if at the values."""

    @property
    def shares(self) -> list[float]:
        """Their shares of the rows."""


class CurveLike(Protocol):
    """The answers of a model over the values of one input."""

    @property
    def input(self) -> InputLike:
        """What is set."""

    @property
    def grid(self) -> GridLike:
        """What it is set to."""

    @property
    def answers(self) -> dict[str, list[float]]:
        """The mean of each answer, per value."""

    @property
    def lines(self) -> npt.NDArray[np.float64] | None:
        """The answers to single rows, shape (values, rows)."""


@rc_context(STYLE)
def importance_figure(items: Sequence[ImportanceLike], label: str, unit: str) -> Figure:
    """Show how much worse the model gets without each column, with intervals.

    Columns whose interval includes 0 are grey; they make no measurable difference.
    """
    shown = [item for item in items if item.value is not None][:SHOWN_COLUMNS]
    note = f" (first {len(shown)} of {len(items)})" if len(shown) < len(items) else ""
    figure, (axes,) = panels(
        1, f"Importance of the columns{note}", height=0.3 * max(len(shown), 1) + 0.9
    )
    for position, item in enumerate(shown):
        value, low, high = (float(part or 0.0) for part in (item.value, item.low, item.high))
        colour = BLUE if low > 0 else GREY
        axes.barh(position, value, color=colour, height=0.62)
        axes.plot([low, high], [position, position], color=INK, linewidth=1.2)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [item.column for item in shown])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    suffix = f" ({unit})" if unit else ""
    axes.set_xlabel(f"how much worse the {label}{suffix} gets when the column is shuffled")
    return figure


def _strip(axes: Axes, grid: GridLike) -> None:
    """Draw where the rows lie, at the foot of a panel."""
    below = axes.twinx()
    width = (grid.places[-1] - grid.places[0]) / max(len(grid.places) - 1, 1)
    below.bar(grid.places, grid.shares, width=0.92 * width, color=PALE, zorder=0)
    below.set_ylim(0, max(grid.shares) / STRIP)
    below.set_axis_off()
    axes.set_zorder(below.get_zorder() + 1)
    axes.patch.set_visible(False)


def _numeric(axes: Axes, curve: CurveLike) -> None:
    positions = [float(value) for value in curve.grid.tried]
    if curve.lines is not None:
        axes.plot(positions, curve.lines, color=GREY, linewidth=0.5, alpha=0.35)
    for (name, means), colour in zip(curve.answers.items(), COLOURS, strict=False):
        several = len(curve.answers) > 1
        axes.plot(positions, means, color=colour, linewidth=2.2, label=name if several else "_")
    _strip(axes, curve.grid)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    thousands(axes.xaxis)


def _categorical(axes: Axes, curve: CurveLike) -> None:
    places = np.arange(len(curve.grid.tried), dtype=np.float64)
    count = min(len(curve.answers), len(COLOURS))
    for number, (means, colour) in enumerate(zip(curve.answers.values(), COLOURS, strict=False)):
        shift = (number - (count - 1) / 2) * 0.7 / count
        axes.bar(places + shift, means, width=0.7 / count, color=colour)
    names = [
        f"{value}\n{share:.0%}"
        for value, share in zip(curve.grid.tried, curve.grid.shares, strict=True)
    ]
    crowded = sum(map(len, map(str, curve.grid.tried))) > 34  # noqa: PLR2004
    turned: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(places, names, **(turned if crowded else {}))
    axes.grid(visible=False, axis="x")


@rc_context(STYLE)
def curve_figure(curves: Sequence[CurveLike]) -> Figure:
    """Show the answers of a model over the values of each input.

    The thick line is the mean over all rows, a thin line one row, pale bars say how many rows lie
    where; below a category stands the share of the rows that have it.

    Args:
        curves: at least one; all with the same answers.
    """
    figure, grid = panels(len(curves), "Answers of the model when one input is changed", height=2.6)
    for curve, axes in zip(curves, grid, strict=True):
        if isinstance(curve.grid.tried[0], str):
            _categorical(axes, curve)
        else:
            _numeric(axes, curve)
            axes.set_xlabel(curve.input.unit)
        axes.set_title(curve.input.name)
        thousands(axes.yaxis)
    ends = np.array([axes.get_ylim() for axes in grid])
    for axes in grid:
        axes.set_ylim(ends[:, 0].min(), ends[:, 1].max())
    names = list(curves[0].answers)
    if len(names) == 1:
        figure.supylabel(names[0], fontsize=9)
    else:
        colours = COLOURS[: len(names)]
        handles = [grid[0].plot([], [], color=colour)[0] for colour in colours]
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure

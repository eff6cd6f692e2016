"""Figures of what decisions or predictions are worth, by what can be chosen."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from data_viz.plot_utils import BLUE, GREY, INK, ORANGE, STYLE, panels, percent, thousands

Array = npt.NDArray[np.float64]

LEVELS = ((GREY, "--"), (GREY, ":"), (GREY, "-."))
MARKS = ((ORANGE, "-"), (INK, "--"), (INK, ":"))


class Labels(NamedTuple):
    """The words around a curve; ``shares`` writes the values across as percentages."""

    title: str
    across: str
    up: str
    shares: bool


@rc_context(STYLE)
def value_figure(
    across: Array,
    up: Array,
    *,
    levels: Mapping[str, float],
    marks: Mapping[str, float],
    labels: Labels,
) -> Figure:
    """Show what is earned or lost over something that can be chosen.

    Args:
        across: what can be chosen, ascending, shape (n,).
        up: what comes of it, shape (n,).
        levels: what comes of other ways to decide, as horizontal lines.
        marks: choices to point out, as vertical lines.
        labels: the words.
    """
    figure, (axes,) = panels(1, labels.title, height=3.8)
    axes.plot(across, up, color=BLUE, label="model")
    for (name, level), (colour, line) in zip(levels.items(), LEVELS, strict=False):
        axes.axhline(level, color=colour, linestyle=line, linewidth=1.4, label=name)
    for (name, mark), (colour, line) in zip(marks.items(), MARKS, strict=False):
        axes.axvline(mark, color=colour, linestyle=line, linewidth=1.4, label=name)
    axes.set_xlabel(labels.across)
    axes.set_ylabel(labels.up)
    axes.set_xlim(float(across[0]), float(across[-1]))
    thousands(axes.yaxis)
    if labels.shares:
        percent(axes.xaxis)
    else:
        thousands(axes.xaxis)
    axes.legend(loc="best")
    return figure

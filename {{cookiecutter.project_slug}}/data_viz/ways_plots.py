"""Figures of what several ways to decide are worth."""

from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.figure import Figure

from data_viz.plot_utils import BLUE, GREY, INK, STYLE, panels, thousands


@rc_context(STYLE)
def ways_figure(ways: Mapping[str, float], title: str, unit: str) -> Figure:
    """Show what is earned or lost by several ways to decide.

    Args:
        ways: what each comes to, by its name, the model first.
        title: of the figure.
        unit: what the bars are measured in.
    """
    figure, (axes,) = panels(1, title, height=0.34 * len(ways) + 1.0)
    colours = [BLUE] + [GREY] * (len(ways) - 1)
    axes.barh(range(len(ways)), list(ways.values()), height=0.66, color=colours)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(ways)), list(ways))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(unit)
    thousands(axes.xaxis)
    return figure

"""Figures of clusters: how many there are, how stable they are, and what is special about them."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure

from data_viz.plot_utils import BLUE, GREY, INK, ORANGE, STYLE, panels, percent, thousands

Array = npt.NDArray[np.float64]

# The colours of Okabe and Ito; further clusters begin anew.
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", INK)
# Differences from all rows beyond this look alike, in standard deviations.
STRONGEST = 2.0
# From this on, text is white.
DARK = 1.3


class NumberLike(Protocol):
    """What speaks for a number of clusters."""

    @property
    def clusters(self) -> int:
        """The number."""

    @property
    def silhouettes(self) -> list[float]:
        """Silhouette of every pair of halves."""

    @property
    def agreements(self) -> list[float]:
        """Agreement of every pair of halves."""

    @property
    def strengths(self) -> list[float]:
        """Prediction strength of every pair of halves."""


def colour_of(code: int) -> str:
    """Return the colour of the cluster at a position."""
    return COLOURS[code % len(COLOURS)]


@rc_context(STYLE)
def number_figure(items: Sequence[NumberLike], chosen: int, enough: float) -> Figure:
    """Show silhouette, stability and prediction strength over the number of clusters.

    Args:
        items: one for each number, ascending.
        chosen: the number of clusters of the model.
        enough: prediction strength from which so many clusters count as found.
    """
    figure, grid = panels(3, "How many clusters", height=3.2)
    numbers = [item.clusters for item in items]
    drawn = (
        ("silhouette", [item.silhouettes for item in items]),
        ("adjusted Rand index of two halves", [item.agreements for item in items]),
        ("prediction strength", [item.strengths for item in items]),
    )
    for (label, found), axes in zip(drawn, grid, strict=True):
        means = [float(np.mean(values)) for values in found]
        low, high = (np.array([edge(values) for values in found]) for edge in (min, max))
        axes.fill_between(numbers, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(numbers, means, "o-", color=BLUE, markersize=4)
        axes.axvline(chosen, color=ORANGE, linestyle="--", linewidth=1.4)
        axes.set_title(label)
        axes.set_xlabel("clusters")
        axes.set_xticks(numbers)
    grid[2].axhline(enough, color=GREY, linestyle=":", linewidth=1.4)
    return figure


@rc_context(STYLE)
def criteria_figure(
    gaps: Sequence[float], errors: Sequence[float], information: Sequence[float], chosen: int
) -> Figure:
    """Show the gap statistic and BIC over the number of clusters from 1.

    Args:
        gaps: one for each number.
        errors: their standard errors.
        information: BIC for each number, none without a mixture.
        chosen: the number of clusters of the model.
    """
    figure, grid = panels(1 + bool(information), "Further criteria for the number", height=3.2)
    numbers = range(1, len(gaps) + 1)
    grid[0].errorbar(
        numbers, gaps, yerr=errors, fmt="o-", color=BLUE, markersize=4, elinewidth=1.2, capsize=2
    )
    grid[0].set_title("gap statistic, with standard error")
    if information:
        grid[1].plot(numbers, information, "o-", color=BLUE, markersize=4)
        grid[1].set_title("BIC of Gaussian mixtures (lower is better)")
        thousands(grid[1].yaxis)
    for axes in grid:
        axes.axvline(chosen, color=ORANGE, linestyle="--", linewidth=1.4)
        axes.set_xlabel("clusters")
        axes.set_xticks(numbers)
    return figure


@rc_context(STYLE)
def stability_figure(names: Sequence[str], found: Sequence[Sequence[float]]) -> Figure:
    """Show how much of each cluster comes back when the model is fitted on other draws of rows.

    Args:
        names: of the clusters.
        found: per cluster the Jaccard coefficient of each draw.
    """
    figure, (axes,) = panels(1, "Stability of the clusters", height=0.5 * len(names) + 1.1)
    for place, values in enumerate(found):
        axes.plot(values, [place] * len(values), "|", color=GREY, markersize=12)
        axes.plot(float(np.mean(values)), place, "o", color=colour_of(place))
    for level in (0.6, 0.75, 0.85):
        axes.axvline(level, color=GREY, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(min(0.5, *(min(values) for values in found)) - 0.03, 1.02)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Jaccard coefficient with the cluster that resembles it most, mean and draws")
    percent(axes.xaxis)
    return figure


@rc_context(STYLE)
def profile_figure(
    rows: Sequence[str], clusters: Sequence[str], effects: Array, texts: Sequence[Sequence[str]]
) -> Figure:
    """Show in what clusters differ from all rows, as a heat map with the means written on it.

    Args:
        rows: what is measured.
        clusters: names of the clusters.
        effects: differences in standard deviations, shape (rows, clusters).
        texts: the means, in the same shape.
    """
    figure, (axes,) = panels(1, "Profiles of the clusters", height=0.32 * len(rows) + 1.4)
    shown: Any = np.nan_to_num(effects)
    image = axes.imshow(
        shown, cmap=colormaps["RdBu_r"], vmin=-STRONGEST, vmax=STRONGEST, aspect="auto"
    )
    for (row, column), effect in np.ndenumerate(shown):
        colour = "white" if abs(effect) > DARK else INK
        axes.text(
            column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=8
        )
    axes.set_xticks(range(len(clusters)), clusters)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.01)
    bar.set_label("standard deviations from the mean of all rows")
    bar.outline.set_visible(False)
    return figure

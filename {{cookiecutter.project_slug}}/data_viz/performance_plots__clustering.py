"""Figures of where the held-out rows lie, and how well they are placed in their clusters."""

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from data_viz.cluster_plots import colour_of
from data_viz.plot_utils import GREY, INK, STYLE, panels
from utils.config import Column
from utils.metrics import row_silhouettes
from utils.outcome import Decision, assigned

Array = npt.NDArray[np.float64]

# Rows that a map shows, so that points stay apart.
MOST_POINTS = 1500


def principal_axes(points: Array) -> tuple[Array, Array]:
    """Return the two directions of most variance, shape (d, 2), and their shares of it.

    Source: Hotelling (1933), Analysis of a Complex of Statistical Variables.
    """
    centred = points - points.mean(axis=0)
    # A single input has one direction; the other stays empty.
    padded = np.pad(centred, ((0, 0), (0, max(0, 2 - centred.shape[1]))))
    _, spreads, axes = np.linalg.svd(padded, full_matrices=False)
    chosen = axes[:2].T[: centred.shape[1]]
    signs = np.sign(chosen[np.argmax(np.abs(chosen), axis=0), np.arange(chosen.shape[1])])
    total = float((spreads**2).sum())
    shares = spreads[:2] ** 2 / total if total > 0 else np.zeros(2)
    return chosen * np.where(signs == 0, 1.0, signs), shares


@rc_context(STYLE)
def map_figure(outcome: Array, predicted: Array, decision: Decision) -> Figure:
    """Show the rows on the plane that keeps most of their variance, coloured by cluster."""
    figure, (axes,) = panels(1, "Map of the held-out rows", height=5)
    directions, shares = principal_axes(outcome)
    places = (outcome - outcome.mean(axis=0)) @ directions
    codes = assigned(predicted)
    spread = np.unique(np.linspace(0, len(outcome) - 1, MOST_POINTS).astype(np.int64))
    for code, cluster in enumerate(decision.clusters):
        rows = spread[codes[spread] == code]
        if rows.size == 0:
            continue
        colour = colour_of(code)
        axes.scatter(places[rows, 0], places[rows, 1], s=9, color=colour, alpha=0.55, linewidths=0)
        centre = places[codes == code].mean(axis=0)
        axes.annotate(
            str(cluster.number),
            (centre[0], centre[1]),
            ha="center",
            va="center",
            fontweight="bold",
            bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": colour},
        )
        axes.scatter([], [], s=30, color=colour, label=f"{cluster.number} {cluster.name}")
    axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second principal component ({shares[1]:.0%} of the variance)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@rc_context(STYLE)
def silhouette_figure(outcome: Array, predicted: Array, decision: Decision) -> Figure:
    """Show the silhouettes of the rows of each cluster, sorted, and the mean of all."""
    figure, (axes,) = panels(1, "Silhouettes of the held-out rows", height=4.6)
    silhouettes = row_silhouettes(outcome, predicted, np.ones(len(outcome)))
    several = bool(np.isfinite(silhouettes).all())
    silhouettes = np.nan_to_num(silhouettes)
    codes, start = assigned(predicted), 0
    gap = max(1, len(outcome) // 100)
    for code, cluster in enumerate(decision.clusters):
        found = np.sort(silhouettes[codes == code])
        if found.size == 0:
            continue
        height = np.arange(start, start + found.size)
        axes.fill_betweenx(height, 0, found, color=colour_of(code), linewidth=0, step="mid")
        axes.text(
            -0.02,
            start + found.size / 2,
            f"{cluster.number}  ",
            ha="right",
            va="center",
            fontweight="bold",
            color=INK,
        )
        start += found.size + gap
    mean = float(silhouettes.mean())
    shown = f"mean {mean:.3f}" if several else "not defined for one cluster"
    axes.axvline(mean, color=GREY, linestyle="--", linewidth=1.4, label=shown)
    axes.set_xlim(min(-0.1, float(silhouettes.min()) - 0.05), 1)
    axes.set_xlabel("silhouette: 1 at the own centre, 0 half-way to the next one")
    axes.set_ylabel("held-out rows by cluster")
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower right")
    return figure


def performance_figures(
    outcome: Array, predicted: Array, decision: Decision, target_column: Column
) -> dict[str, Figure]:
    """Return the figures of the evaluation by name.

    Args:
        outcome: the rows as points, shape (n, d).
        predicted: memberships, shape (n, k).
        decision: names of the clusters.
        target_column: without meaning here.
    """
    del target_column
    return {
        "map": map_figure(outcome, predicted, decision),
        "silhouettes": silhouette_figure(outcome, predicted, decision),
    }

"""A map of the rows that shows how unusual each is."""

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from data_viz.performance_plots import names
from data_viz.plot_utils import INK, ORANGE, STYLE, panels
from utils.config import Column
from utils.outcome import Decision

Array = npt.NDArray[np.float64]

# Scores beyond these quantiles have the colour of the quantile, so that one row can't bleach all.
SHOWN = (0.01, 0.99)


def principal_components(points: Array) -> tuple[Array, Array]:
    """Return the rows along the two directions of most variance, (n, 2), and their shares of it.

    Source: Hotelling (1933), Analysis of a Complex of Statistical Variables.

    Args:
        points: shape (n, d).
    """
    centred = points - points.mean(axis=0)
    # A single input has one direction; the other stays empty.
    padded = np.pad(centred, ((0, 0), (0, max(0, 2 - centred.shape[1]))))
    _, spreads, axes = np.linalg.svd(padded, full_matrices=False)
    chosen = axes[:2].T
    signs = np.sign(chosen[np.argmax(np.abs(chosen), axis=0), [0, 1]])
    total = float((spreads**2).sum())
    shares = spreads[:2] ** 2 / total if total > 0 else np.zeros(2)
    return padded @ (chosen * np.where(signs == 0, 1.0, signs)), shares


@rc_context(STYLE)
def map_figure(
    points: Array, scores: Array, outcome: Array, decision: Decision, column: Column
) -> Figure:
    """Show the rows on the plane that keeps most of their variance, coloured by anomaly score.

    Args:
        points: the rows as the detector sees them, shape (n, d).
        scores: their anomaly scores, shape (n,).
        outcome: known anomalies, shape (n,), NaN where nothing is known.
        decision: what raises an alarm.
        column: what tells anomalies.
    """
    figure, (axes,) = panels(1, "Map of the held-out rows", height=5)
    places, shares = principal_components(points)
    low, high = np.quantile(scores, SHOWN)
    order = np.argsort(scores, kind="stable")
    drawn = axes.scatter(
        places[order, 0],
        places[order, 1],
        c=scores[order],
        s=14,
        cmap="viridis_r",
        vmin=float(low),
        vmax=float(high) if high > low else float(low) + 1.0,
        linewidths=0,
    )
    anomaly = outcome == 1
    raised = scores >= decision.threshold
    if raised.any():
        axes.scatter(
            places[raised, 0],
            places[raised, 1],
            s=70,
            facecolors="none",
            edgecolors=INK,
            linewidths=0.9,
            label="raises an alarm",
        )
    if anomaly.any():
        axes.scatter(
            places[anomaly, 0],
            places[anomaly, 1],
            s=46,
            marker="x",
            color=ORANGE,
            linewidths=1.4,
            label=names(column)[1],
        )
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.01, label="anomaly score")
    bar.outline.set_visible(False)
    axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second principal component ({shares[1]:.0%} of the variance)")
    if raised.any() or anomaly.any():
        axes.legend(loc="best")
    return figure

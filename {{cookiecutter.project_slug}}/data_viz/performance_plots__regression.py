"""Figures of how well the predictions of a regression fit the outcomes."""

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

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
from data_viz.summaries import mean_interval
from utils.config import Column
from utils.outcome import Decision, interval, point

Array = npt.NDArray[np.float64]

DECILES = 10
BOUNDS = "prediction interval, median per tenth of the rows"
HEXAGONS = (50, 16)
# Without the palest blues, in which single rows would vanish.
BLUES = ListedColormap(colormaps["Blues"](np.linspace(0.3, 1, 256)))


def decile_codes(predicted: Array) -> npt.NDArray[np.int64]:
    """Number the tenths of the rows by prediction, ascending, shape (n,)."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, DECILES + 1)[1:-1]))
    return np.searchsorted(edges, predicted, side="right")


def _draw_density(figure: Figure, axes: Axes, across: Array, up: Array) -> None:
    """Draw points as hexagons, darker where more rows lie, so that none hides another."""
    hexagons = axes.hexbin(across, up, gridsize=HEXAGONS, mincnt=1, cmap=BLUES, linewidths=0.2)
    most = max(2.0, float(np.max(np.asarray(hexagons.get_array()))))
    hexagons.set_norm(LogNorm(1, most))
    bar = figure.colorbar(hexagons, ax=axes, shrink=0.7, pad=0.01, label="held-out rows")
    steps = np.outer(10.0 ** np.arange(np.ceil(np.log10(most)) + 1), [1, 2, 5]).ravel()
    shown = steps[steps <= most]
    bar.set_ticks(shown.tolist(), labels=[f"{step:,.0f}" for step in shown])
    bar.minorticks_off()
    bar.outline.set_visible(False)
    thousands(axes.xaxis)
    thousands(axes.yaxis)


@rc_context(STYLE)
def predicted_actual_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show the outcome against the prediction, with the prediction interval around it."""
    figure, (axes,) = panels(1, "Outcome against prediction on the held-out rows", height=4.6)
    said = point(predicted)
    _draw_density(figure, axes, said, outcome)
    ends = np.array([said.min(), said.max()])
    axes.plot(ends, ends, color=INK, linewidth=1.4, label="outcome = prediction")
    codes = decile_codes(said)
    centres = [np.median(said[codes == code]) for code in np.unique(codes)]
    for bounds, shown in zip(interval(predicted, decision), (BOUNDS, "_"), strict=True):
        middle = [np.median(bounds[codes == code]) for code in np.unique(codes)]
        axes.plot(centres, middle, "--", color=ORANGE, linewidth=1.4, label=shown)
    axes.set_xlabel(f"predicted {column_label(column)}")
    axes.set_ylabel(f"actual {column_label(column)}")
    axes.legend(loc="upper left")
    return figure


@rc_context(STYLE)
def residual_figure(outcome: Array, predicted: Array, decision: Decision, column: Column) -> Figure:
    """Show the residual against the prediction, with its median per tenth of the rows."""
    del decision
    figure, (axes,) = panels(1, "Residuals against prediction on the held-out rows", height=4)
    said = point(predicted)
    residuals = outcome - said
    _draw_density(figure, axes, said, residuals)
    axes.axhline(0, color=INK, linewidth=1.2)
    codes = decile_codes(said)
    found = np.unique(codes)
    centres = [float(np.median(said[codes == code])) for code in found]
    quartiles = np.array([np.quantile(residuals[codes == code], [0.1, 0.5, 0.9]) for code in found])
    axes.plot(centres, quartiles[:, 1], "o-", color=ORANGE, label="median per tenth of the rows")
    axes.plot(centres, quartiles[:, 0], ":", color=ORANGE, label="10% and 90% quantiles")
    axes.plot(centres, quartiles[:, 2], ":", color=ORANGE, label="_")
    axes.set_xlabel(f"predicted {column_label(column)}")
    axes.set_ylabel(f"actual − predicted {column_label(column)}")
    axes.legend(loc="upper left")
    return figure


@rc_context(STYLE)
def residual_distribution_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how often each size of error occurs, and the median ends of the prediction interval."""
    figure, (axes,) = panels(1, "Distribution of the residuals on the held-out rows", height=3.4)
    said = point(predicted)
    residuals = outcome - said
    edges = histogram_edges(residuals, integer=False)
    fine = np.linspace(edges[0], edges[-1], 2 * edges.size)
    axes.hist(residuals, bins=fine.tolist(), color=BLUE, rwidth=0.92)
    median = float(np.median(residuals))
    axes.axvline(median, color=INK, linewidth=1.4, label=f"median {median:+.3g}")
    lower, upper = (float(np.median(end - said)) for end in interval(predicted, decision))
    bounds = f"median prediction interval {lower:+.3g} to {upper:+.3g}"
    for end, shown in ((lower, bounds), (upper, "_")):
        axes.axvline(end, color=ORANGE, linestyle="--", linewidth=1.4, label=shown)
    outside = float(np.mean((residuals < edges[0]) | (residuals > edges[-1])))
    if outside > 0:
        note = f"{outside:.1%} lie outside"
        axes.text(0.99, 0.6, note, transform=axes.transAxes, ha="right", fontsize=9, color=GREY)
    axes.set_xlabel(f"actual − predicted {column_label(column)}")
    axes.set_ylabel("held-out rows")
    thousands(axes.yaxis)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right")
    return figure


@rc_context(STYLE)
def interval_coverage_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how often the prediction interval holds the outcome, per tenth of the predictions."""
    figure, (axes,) = panels(1, "Coverage of the prediction interval", height=3.6)
    said, (low_end, high_end) = point(predicted), interval(predicted, decision)
    inside = ((outcome >= low_end) & (outcome <= high_end)).astype(float)
    codes = decile_codes(said)
    found = np.unique(codes)
    centres = [float(np.median(said[codes == code])) for code in found]
    shares, low, high = np.array([mean_interval(inside[codes == code]) for code in found]).T
    axes.errorbar(
        centres,
        shares,
        yerr=np.stack([shares - low, high - shares]),
        fmt="o-",
        color=BLUE,
        elinewidth=1.2,
        capsize=2,
        markersize=5,
        label="tenths of the held-out rows with 95% interval",
    )
    overall = float(inside.mean())
    axes.axhline(
        overall, linestyle="--", color=GREY, linewidth=1.2, label=f"all rows, {overall:.1%}"
    )
    axes.set_ylim(min(0.5, float(low.min()) - 0.05), 1.02)
    axes.set_xlabel(f"predicted {column_label(column)}")
    axes.set_ylabel("share of outcomes inside")
    percent(axes.yaxis)
    thousands(axes.xaxis)
    axes.legend(loc="lower left")
    return figure


def performance_figures(
    outcome: Array, predicted: Array, decision: Decision, target_column: Column
) -> dict[str, Figure]:
    """Return the figures of the evaluation by name.

    Args:
        outcome: in the unit of the target, shape (n,).
        predicted: how far errors spread, and the prediction, shape (n, 2).
        decision: the interval around a prediction.
        target_column: what is predicted.
    """
    makers = {
        "predicted_actual": predicted_actual_figure,
        "residuals": residual_figure,
        "residual_distribution": residual_distribution_figure,
        "interval_coverage": interval_coverage_figure,
    }
    return {
        name: make(outcome, predicted, decision, target_column) for name, make in makers.items()
    }

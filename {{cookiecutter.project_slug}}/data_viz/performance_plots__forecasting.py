"""Figures of how well forecasts fit the values, over all of them and per day ahead."""

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
from utils.outcome import Decision, days_ahead, interval, point

Array = npt.NDArray[np.float64]

HEXAGONS = (50, 16)
# Without the palest blues, in which single rows would vanish.
BLUES = ListedColormap(colormaps["Blues"](np.linspace(0.3, 1, 256)))


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
def forecast_value_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show the value against its forecast."""
    del decision
    figure, (axes,) = panels(1, "Value against forecast on the held-out rows", height=4.6)
    said = point(predicted)
    _draw_density(figure, axes, said, outcome)
    ends = [float(said.min()), float(said.max())]
    axes.plot(ends, ends, color=INK, linewidth=1.4, label="value = forecast")
    axes.set_xlabel(f"forecast {column_label(column)}")
    axes.set_ylabel(f"actual {column_label(column)}")
    axes.legend(loc="upper left")
    return figure


@rc_context(STYLE)
def error_distribution_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how often each size of error occurs."""
    del decision
    figure, (axes,) = panels(1, "Distribution of the errors on the held-out rows", height=3.4)
    errors = outcome - point(predicted)
    edges = histogram_edges(errors, integer=False)
    fine = np.linspace(edges[0], edges[-1], 2 * edges.size)
    axes.hist(errors, bins=fine.tolist(), color=BLUE, rwidth=0.92)
    median = float(np.median(errors))
    axes.axvline(median, color=INK, linewidth=1.4, label=f"median {median:+.3g}")
    outside = float(np.mean((errors < edges[0]) | (errors > edges[-1])))
    if outside > 0:
        note = f"{outside:.1%} lie outside"
        axes.text(0.99, 0.6, note, transform=axes.transAxes, ha="right", fontsize=9, color=GREY)
    axes.set_xlabel(f"actual − forecast {column_label(column)}")
    axes.set_ylabel("held-out rows")
    thousands(axes.yaxis)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right")
    return figure


def _per_step(values: Array, steps: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return the days ahead, and mean, low and high end of its 95% interval per day, (3, days)."""
    found = np.unique(steps)
    return found.astype(np.float64), np.array(
        [mean_interval(values[steps == step]) for step in found]
    ).T


def _draw_steps(axes: Axes, values: Array, steps: npt.NDArray[np.int64], label: str) -> None:
    days, (means, low, high) = _per_step(values, steps)
    reach = np.stack([means - low, high - means])
    axes.errorbar(
        days,
        means,
        yerr=np.where(np.isfinite(reach), reach, 0.0),
        fmt="o-",
        color=BLUE,
        elinewidth=1.2,
        capsize=2,
        markersize=5,
        label=label,
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("days ahead")


@rc_context(STYLE)
def step_error_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how the error grows with the days ahead."""
    del decision
    figure, (axes,) = panels(1, "Error per day ahead on the held-out rows", height=3.4)
    errors = np.abs(outcome - point(predicted))
    _draw_steps(axes, errors, days_ahead(predicted), "mean absolute error with 95% interval")
    overall = float(errors.mean())
    axes.axhline(overall, linestyle="--", color=GREY, linewidth=1.2, label=f"all, {overall:.4g}")
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"absolute error of {column_label(column)}")
    axes.legend(loc="lower right")
    return figure


@rc_context(STYLE)
def step_coverage_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how often the prediction interval holds the value, per day ahead."""
    figure, (axes,) = panels(1, "Coverage of the prediction interval per day ahead", height=3.4)
    low, high = interval(predicted, decision)
    inside = ((outcome >= low) & (outcome <= high)).astype(np.float64)
    _draw_steps(axes, inside, days_ahead(predicted), "share inside with 95% interval")
    overall = float(inside.mean())
    axes.axhline(
        overall, linestyle="--", color=ORANGE, linewidth=1.2, label=f"all rows, {overall:.1%}"
    )
    axes.set_ylim(min(0.5, float(np.min(axes.get_ylim()))), 1.02)
    axes.set_ylabel(f"{column_label(column)} inside")
    percent(axes.yaxis)
    axes.legend(loc="lower left")
    return figure


def performance_figures(
    outcome: Array, predicted: Array, decision: Decision, target_column: Column
) -> dict[str, Figure]:
    """Return the figures of the evaluation by name.

    Args:
        outcome: in the unit of the target, shape (n,).
        predicted: forecasts with days ahead and unit of errors, shape (n, 4).
        decision: the interval around a forecast.
        target_column: what is forecast.
    """
    makers = {
        "forecast_value": forecast_value_figure,
        "error_distribution": error_distribution_figure,
        "step_error": step_error_figure,
        "step_coverage": step_coverage_figure,
    }
    return {
        name: make(outcome, predicted, decision, target_column) for name, make in makers.items()
    }

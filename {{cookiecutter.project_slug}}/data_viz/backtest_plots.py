"""Figures of a backtest: its windows, and the forecasts of each series beside the values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from data_viz.plot_utils import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    STYLE,
    column_label,
    panels,
    thousands,
)
from utils.config import Column

Array = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]

# More series would make the panels too small to read; the first ones are shown.
SHOWN_SERIES = 12
# Dates on an axis say month and year once instead of at each tick.
DATED_STYLE = {**STYLE, "date.converter": "concise"}
DAY = np.timedelta64(1, "D")


class Window(NamedTuple):
    """The days that were forecast from one origin; all days from ``begin`` on came before it."""

    begin: np.datetime64
    first: np.datetime64
    last: np.datetime64
    held_out: bool


class Forecasts(NamedTuple):
    """Values and forecasts of one series by day, all of shape (n,); NaN where there is none."""

    series: str
    days: Days
    values: Array
    forecasts: Array
    low: Array
    high: Array


@rc_context(DATED_STYLE)
def windows_figure(windows: Sequence[Window]) -> Figure:
    """Show which days each window learns from and which it forecasts, the oldest at the top."""
    figure, (axes,) = panels(1, "Windows of the backtest", height=0.9 + 0.3 * len(windows))
    for place, window in enumerate(windows):
        known = (window.first - window.begin) / DAY
        ahead = (window.last - window.first) / DAY + 1
        axes.barh([place], [known], left=window.begin, height=0.6, color=PALE)
        colour = ORANGE if window.held_out else BLUE
        axes.barh([place], [ahead], left=window.first, height=0.6, color=colour)
    axes.set_yticks(
        range(len(windows)), ["held out" if window.held_out else "fold" for window in windows]
    )
    axes.invert_yaxis()
    axes.set_xlabel("grey: known, colour: forecast")
    axes.grid(visible=False, axis="y")
    return figure


@rc_context(DATED_STYLE)
def forecasts_figure(found: Sequence[Forecasts], target: Column, confidence: float) -> Figure:
    """Show values and forecasts of each series over the days of the backtest."""
    shown = found[:SHOWN_SERIES]
    title = "Forecasts and values over the windows of the backtest"
    figure, grid = panels(len(shown), title, columns=2, height=1.9)
    for axes, item in zip(grid, shown, strict=True):
        axes.fill_between(
            item.days,
            item.low,
            item.high,
            color=BLUE,
            alpha=0.2,
            linewidth=0,
            label=f"{confidence:.0%} interval",
        )
        axes.plot(item.days, item.values, "o", color=INK, markersize=2, label="value")
        axes.plot(item.days, item.forecasts, color=BLUE, linewidth=1.1, label="forecast")
        axes.set_title(item.series)
        axes.set_ylim(bottom=min(0.0, float(np.nanmin(item.values))))
        thousands(axes.yaxis)
    grid[0].set_ylabel(column_label(target))
    grid[0].legend(loc="upper left", ncols=3, fontsize=7)
    if len(found) > len(shown):
        note = f"{len(shown)} of {len(found)} series"
        figure.text(0.99, 0.005, note, ha="right", fontsize=8, color=GREY)
    return figure

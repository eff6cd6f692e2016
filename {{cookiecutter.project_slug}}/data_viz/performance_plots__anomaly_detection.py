"""Figures of how well anomaly scores tell anomalies from usual rows."""

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from data_viz.plot_utils import BLUE, GREY, INK, ORANGE, STYLE, panels, percent, thousands
from utils.config import Column
from utils.metrics import Value, average_precision, highest
from utils.outcome import SCORE, SHARE, Decision, alarms

Array = npt.NDArray[np.float64]

BINS = 60
# Precision at k is drawn up to this share of the rows.
LOOKED_AT = 0.2
POINTS = 200


def names(column: Column) -> tuple[str, str]:
    """Return what usual rows and anomalies are called."""
    if not column.name:
        return "held-out rows", "anomalies"
    return f"{column.name} = {column.allowed[0]}", f"{column.name} = {column.allowed[1]}"


@rc_context(STYLE)
def score_figure(outcome: Array, predicted: Array, decision: Decision, column: Column) -> Figure:
    """Show how the anomaly scores are distributed, and from which one an alarm is raised."""
    figure, (axes,) = panels(1, "Anomaly scores of the held-out rows", height=3.8)
    scores = predicted[:, SCORE]
    usual, unusual = names(column)
    low, high = float(scores.min()), float(max(scores.max(), decision.threshold))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    anomaly = outcome == 1
    axes.hist(
        [scores[~anomaly], scores[anomaly]],
        bins=edges.tolist(),
        stacked=True,
        color=[BLUE, ORANGE],
        label=[usual, unusual],
    )
    axes.axvline(
        decision.threshold,
        color=INK,
        linewidth=1.2,
        label=f"alarm from {decision.threshold:.3g} on",
    )
    # One anomaly has to be seen beside hundreds of usual rows.
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("rows")
    axes.set_xlabel("anomaly score")
    thousands(axes.yaxis)
    handles, labels = axes.get_legend_handles_labels()
    shown = [place for place, label in enumerate(labels) if anomaly.any() or label != unusual]
    axes.legend([handles[place] for place in shown], [labels[place] for place in shown])
    return figure


@rc_context(STYLE)
def mass_volume_figure(outcome: Array, predicted: Array, column: Column) -> Figure:
    """Show which share of the rows, and of the anomalies, lies where few random rows do."""
    figure, (axes,) = panels(1, "Mass-volume curve on the held-out rows", height=4.6)
    _, unusual = names(column)
    every = np.ones(outcome.size, dtype=np.bool_)
    parts = [("all rows", every, BLUE), (unusual, outcome == 1, ORANGE)]
    for label, rows, colour in parts:
        if rows.any():
            across = np.sort(predicted[rows, SHARE])
            up = np.arange(1, across.size + 1) / across.size
            said = f"{label}, area {across.mean():.3f}"
            axes.step(across, up, where="post", color=colour, label=said)
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.2, label="blind, area 0.5")
    axes.set_xlabel("share of random rows that stand out less")
    axes.set_ylabel("share of the rows up to there")
    percent(axes.xaxis)
    percent(axes.yaxis)
    axes.legend(loc="lower right")
    return figure


@rc_context(STYLE)
def precision_recall_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how right alarms are against the share of anomalies that raise one."""
    figure, (axes,) = panels(1, "Precision and recall on the held-out rows", height=4.6)
    _, unusual = names(column)
    ones = np.ones(outcome.size)
    order = np.argsort(-predicted[:, SCORE], kind="stable")
    last = np.append(np.flatnonzero(np.diff(predicted[order, SCORE])), outcome.size - 1)
    found = np.cumsum(outcome[order])[last]
    average = average_precision(outcome, predicted, ones, Value(0.5, "", 1, -1, 0))
    axes.step(
        found / found[-1],
        found / (last + 1),
        where="pre",
        color=BLUE,
        label=f"model, average precision {average:.3f}",
    )
    share = float(outcome.mean())
    axes.axhline(share, linestyle="--", color=GREY, linewidth=1.2, label=f"chance, {share:.3f}")
    raised = alarms(predicted, decision)
    if raised.any():
        recall, precision = float(raised[outcome == 1].mean()), float(outcome[raised].mean())
        label = f"alarm from {decision.threshold:.3g} on"
        axes.plot([recall], [precision], "o", color=ORANGE, markersize=8, label=label)
    axes.set_xlabel(f"recall: share of rows with {unusual} that raise an alarm")
    axes.set_ylabel(f"precision: share of alarms with {unusual}")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="lower left")
    return figure


@rc_context(STYLE)
def precision_at_k_figure(outcome: Array, predicted: Array, column: Column) -> Figure:
    """Show how many of the rows with the highest scores are anomalies, over their number."""
    figure, (axes,) = panels(1, "Precision at k on the held-out rows", height=3.8)
    _, unusual = names(column)
    ones = np.ones(outcome.size)
    shares = np.linspace(1 / outcome.size, LOOKED_AT, POINTS)
    taken = [highest(predicted[:, SCORE], ones, float(share)) for share in shares]
    precision = [float(np.sum(part * outcome) / np.sum(part)) for part in taken]
    recall = [float(np.sum(part * outcome) / outcome.sum()) for part in taken]
    axes.plot(outcome.size * shares, precision, color=BLUE, label=f"share with {unusual} among k")
    axes.plot(outcome.size * shares, recall, color=ORANGE, label=f"share of {unusual} found")
    axes.axhline(float(outcome.mean()), color=GREY, linestyle="--", linewidth=1.2, label="chance")
    axes.set_xlabel("k, rows with the highest scores")
    axes.set_ylim(-0.02, 1.02)
    thousands(axes.xaxis)
    percent(axes.yaxis)
    axes.legend(loc="center right")
    return figure


def performance_figures(
    outcome: Array, predicted: Array, decision: Decision, target_column: Column
) -> dict[str, Figure]:
    """Return the figures of the evaluation by name.

    Args:
        outcome: known anomalies, shape (n,), NaN where nothing is known.
        predicted: place among random rows and anomaly score, shape (n, 2).
        decision: what raises an alarm.
        target_column: what tells anomalies.

    Returns:
        Scores and mass-volume curve; precision and recall where both kinds of rows are known.
    """
    figures = {
        "scores": score_figure(outcome, predicted, decision, target_column),
        "mass_volume": mass_volume_figure(outcome, predicted, target_column),
    }
    if not np.isnan(outcome).any() and np.unique(outcome).size > 1:
        figures |= {
            "precision_recall": precision_recall_figure(
                outcome, predicted, decision, target_column
            ),
            "precision_at_k": precision_at_k_figure(outcome, predicted, target_column),
        }
    return figures

"""Figures of how well the probabilities of a classification fit the outcomes."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from data_viz.plot_utils import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    STYLE,
    panels,
    percent,
    thousands,
)
from data_viz.summaries import mean_interval
from utils.config import Column
from utils.metrics import decision_summary

Array = npt.NDArray[np.float64]

CALIBRATION_BINS = 10
HISTOGRAM_BINS = 40


def _point(axes: Axes, across: float, up: float, threshold: float) -> None:
    axes.plot([across], [up], "o", color=ORANGE, markersize=8, label=f"threshold {threshold:.3g}")


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)


@rc_context(STYLE)
def roc_figure(outcome: Array, predicted: Array, threshold: float, name: str) -> Figure:
    """Show the share of positives found against the share of negatives flagged by mistake."""
    figure, (axes,) = panels(1, "ROC curve on the held-out rows", height=4.6)
    false_rate, true_rate, _ = roc_curve(outcome, predicted)
    area = roc_auc_score(outcome, predicted)
    axes.plot(false_rate, true_rate, color=BLUE, label=f"model, area {area:.3f}")
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1.2, label="chance, area 0.5")
    flagged = predicted >= threshold
    _point(
        axes, float(flagged[outcome == 0].mean()), float(flagged[outcome == 1].mean()), threshold
    )
    axes.set_xlabel(f"false positive rate: share of {name} = 0 that is flagged")
    axes.set_ylabel(f"true positive rate: share of {name} = 1 found")
    _unit_square(axes)
    axes.legend(loc="lower right")
    return figure


@rc_context(STYLE)
def precision_recall_figure(
    outcome: Array, predicted: Array, threshold: float, name: str
) -> Figure:
    """Show how right the flagged rows are against the share of positives found."""
    figure, (axes,) = panels(1, "Precision and recall on the held-out rows", height=4.6)
    precision, recall, _ = precision_recall_curve(outcome, predicted)
    average = average_precision_score(outcome, predicted)
    # The last point (recall 0, precision 1) is a convention without a threshold.
    axes.step(
        recall[:-1],
        precision[:-1],
        where="post",
        color=BLUE,
        label=f"model, average precision {average:.3f}",
    )
    share = float(outcome.mean())
    axes.axhline(share, linestyle="--", color=GREY, linewidth=1.2, label=f"chance, {share:.3f}")
    flagged = predicted >= threshold
    if flagged.any():
        _point(axes, float(flagged[outcome == 1].mean()), float(outcome[flagged].mean()), threshold)
    axes.set_xlabel(f"recall: share of {name} = 1 found")
    axes.set_ylabel(f"precision: share of flagged rows with {name} = 1")
    _unit_square(axes)
    axes.legend(loc="upper right")
    return figure


@rc_context(STYLE)
def calibration_figure(outcome: Array, predicted: Array, threshold: float, name: str) -> Figure:
    """Show observed shares against predicted probabilities, and how often each is predicted."""
    figure, (upper, lower) = panels(2, "Calibration on the held-out rows", columns=1, height=2.9)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
    codes = np.searchsorted(edges, predicted, side="right")
    found = np.unique(codes)
    centres = np.array([predicted[codes == code].mean() for code in found])
    shares, low, high = np.array([mean_interval(outcome[codes == code]) for code in found]).T
    top = float(min(1.0, 1.05 * max(high.max(), centres.max(), threshold)))
    upper.plot([0, top], [0, top], "--", color=GREY, linewidth=1.2, label="perfect")
    upper.errorbar(
        centres,
        shares,
        yerr=np.stack([shares - low, high - shares]),
        fmt="o-",
        color=BLUE,
        elinewidth=1.2,
        capsize=2,
        markersize=5,
        label="model, tenths of the rows with 95% interval",
    )
    upper.set_ylim(0, top)
    upper.set_ylabel(f"observed share of {name} = 1")
    upper.legend(loc="upper left")
    bins = np.linspace(0, top, HISTOGRAM_BINS + 1)
    lower.hist(
        [predicted[outcome == 0], predicted[outcome == 1]],
        bins=bins.tolist(),
        stacked=True,
        color=[BLUE, ORANGE],
        label=[f"{name} = 0", f"{name} = 1"],
    )
    lower.axvline(threshold, color=INK, linewidth=1.2, label=f"threshold {threshold:.3g}")
    lower.set_ylabel("held-out rows")
    thousands(lower.yaxis)
    lower.legend(loc="upper right")
    for axes in (upper, lower):
        axes.set_xlim(0, top)
        percent(axes.xaxis)
    lower.set_xlabel(f"predicted probability of {name} = 1")
    percent(upper.yaxis)
    return figure


@rc_context(STYLE)
def confusion_figure(outcome: Array, predicted: Array, threshold: float, name: str) -> Figure:
    """Show the counts of right and wrong decisions at the threshold."""
    counted = decision_summary(outcome, predicted, {"threshold": threshold})
    counts = np.array(
        [
            [counted["true_negatives"], counted["false_positives"]],
            [counted["false_negatives"], counted["true_positives"]],
        ]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = panels(
        1, f"Decisions on the held-out rows at threshold {threshold:.3g}", height=3.4
    )
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    kinds = [["left alone, rightly", "flagged by mistake"], ["missed", "found"]]
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{kinds[row][column]}\n{count:,.0f} rows\n{share:.1%} of this row",
            ha="center",
            va="center",
            color="white" if share > 0.55 else INK,  # noqa: PLR2004
        )
    axes.set_xticks([0, 1], ["not flagged", "flagged"])
    axes.set_yticks([0, 1], [f"{name} = 0", f"{name} = 1"])
    axes.set_xlabel("decision")
    axes.set_ylabel("outcome")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def performance_figures(
    outcome: Array, predicted: Array, decision: Mapping[str, float], target_column: Column
) -> dict[str, Figure]:
    """Return the figures of the evaluation by name.

    Args:
        outcome: 0 or 1, shape (n,).
        predicted: probability of 1, shape (n,).
        decision: holds ``threshold``, the probability from which a row is flagged.
        target_column: what is predicted.

    Returns:
        Calibration and decisions; ROC and precision-recall curve too when both outcomes occur,
        as they are not defined otherwise.
    """
    makers = {"calibration": calibration_figure, "decisions": confusion_figure}
    if np.unique(outcome).size > 1:
        makers |= {"roc": roc_figure, "precision_recall": precision_recall_figure}
    return {
        name: make(outcome, predicted, decision["threshold"], target_column.name)
        for name, make in makers.items()
    }

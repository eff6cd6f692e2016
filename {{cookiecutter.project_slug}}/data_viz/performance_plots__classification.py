"""Figures of how well the probabilities of a classification fit the outcomes."""

from typing import Any

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
from utils.metrics import Value, assured, confusion, value_curve
from utils.outcome import TWO, Decision, decide, uncalibrated

Array = npt.NDArray[np.float64]
Names = tuple[str, ...]
"""What the first and the second class are called."""

CALIBRATION_BINS = 10
HISTOGRAM_BINS = 40
# Of more classes, the most frequent are shown by name.
MATRIX_CLASSES = 12
BAR_CLASSES = 25
OTHERS = "other classes"


def _point(axes: Axes, across: float, up: float, threshold: float) -> None:
    axes.plot([across], [up], "o", color=ORANGE, markersize=8, label=f"threshold {threshold:.3g}")


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)


@rc_context(STYLE)
def roc_figure(outcome: Array, predicted: Array, threshold: float, names: Names) -> Figure:
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
    axes.set_xlabel(f"false positive rate: share of {names[0]} that is flagged")
    axes.set_ylabel(f"true positive rate: share of {names[1]} found")
    _unit_square(axes)
    axes.legend(loc="lower right")
    return figure


@rc_context(STYLE)
def precision_recall_figure(
    outcome: Array, predicted: Array, threshold: float, names: Names
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
    axes.set_xlabel(f"recall: share of {names[1]} found")
    axes.set_ylabel(f"precision: share of flagged rows with {names[1]}")
    _unit_square(axes)
    axes.legend(loc="upper right")
    return figure


def _curve(axes: Axes, happened: Array, probability: Array, label: str, **style: Any) -> float:
    """Draw observed shares over tenths of the rows; return the highest number drawn."""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
    codes = np.searchsorted(edges, probability, side="right")
    found = np.unique(codes)
    centres = np.array([probability[codes == code].mean() for code in found])
    shares, low, high = np.array([mean_interval(happened[codes == code]) for code in found]).T
    axes.errorbar(
        centres,
        shares,
        yerr=np.stack([shares - low, high - shares]),
        elinewidth=1.2,
        capsize=2,
        markersize=5,
        label=label,
        **style,
    )
    return float(max(high.max(), centres.max()))


@rc_context(STYLE)
def calibration_figure(
    outcome: Array, predicted: Array, decision: Decision, names: Names
) -> Figure:
    """Show observed shares against predicted probabilities, and how often each is predicted.

    Of two classes it is the probability of the second, else that of the most probable class.
    """
    happened, probability = assured(outcome, predicted)
    two = predicted.shape[1] == TWO
    what = names[1] if two else "the most probable class"
    figure, (upper, lower) = panels(2, "Calibration on the held-out rows", columns=1, height=2.9)
    tops = [1.05 * decision.threshold] if decision.threshold is not None else []
    if decision.calibration is not None and decision.calibration.applied:
        earlier = assured(outcome, uncalibrated(predicted, decision.calibration))
        tops.append(_curve(upper, *earlier, "before calibration", fmt="s:", color=GREY))
    tops.append(
        _curve(
            upper, happened, probability, "tenths of the rows, 95% interval", fmt="o-", color=BLUE
        )
    )
    top = float(min(1.0, 1.05 * max(tops)))
    upper.plot([0, top], [0, top], "--", color=GREY, linewidth=1.2, label="perfect")
    upper.set_ylim(0, top)
    upper.set_ylabel(f"observed share of {names[1]}" if two else "share that is right")
    upper.legend(loc="upper left")
    bins = np.linspace(0, top, HISTOGRAM_BINS + 1)
    lower.hist(
        [probability[happened == 0], probability[happened == 1]],
        bins=bins.tolist(),
        stacked=True,
        color=[BLUE, ORANGE] if two else [ORANGE, BLUE],
        label=list(names) if two else ["wrong", "right"],
    )
    if decision.threshold is not None:
        label = f"threshold {decision.threshold:.3g}"
        lower.axvline(decision.threshold, color=INK, linewidth=1.2, label=label)
    lower.set_ylabel("held-out rows")
    thousands(lower.yaxis)
    lower.legend(loc="upper right" if two else "upper left")
    for axes in (upper, lower):
        axes.set_xlim(0, top)
        percent(axes.xaxis)
    lower.set_xlabel(f"predicted probability of {what}")
    percent(upper.yaxis)
    return figure


def _merged(counts: Array, labels: list[str], shown: int) -> tuple[Array, list[str]]:
    """Sum up all but the most frequent classes of a confusion matrix, which comes ordered."""
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    counts = counts[order][:, order]
    ordered = [labels[code] for code in order]
    if len(labels) <= shown:
        return counts, ordered
    places = np.minimum(np.arange(len(labels)), shown - 1)
    merged = np.zeros((shown, shown))
    np.add.at(merged, (places[:, None], places[None, :]), counts)
    return merged, [*ordered[: shown - 1], f"{len(labels) - shown + 1} {OTHERS}"]


@rc_context(STYLE)
def confusion_figure(
    outcome: Array, predicted: Array, decision: Decision, column: Column
) -> Figure:
    """Show how often each class is decided for, for each actual class."""
    labels = [str(label) for label in decision.classes]
    decided = decide(predicted, decision.worth)
    counts = confusion(outcome, decided, np.ones(outcome.size), len(labels))
    if len(labels) > TWO:
        counts, labels = _merged(counts, labels, MATRIX_CLASSES)
    size = len(labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    title = "Decisions on the held-out rows"
    if decision.threshold is not None:
        title += f" at threshold {decision.threshold:.3g}"
    figure, (axes,) = panels(1, title, height=max(3.4, 0.42 * size + 1.6))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, across), count in np.ndenumerate(counts):
        share = shares[row, across]
        few = f"{count:,.0f} rows\n{share:.1%} of this row"
        axes.text(
            across,
            row,
            few if size == TWO else f"{count:,.0f}" if count else "",
            ha="center",
            va="center",
            fontsize=10 if size == TWO else 8,
            color="white" if share > 0.55 else INK,  # noqa: PLR2004
        )
    long = max(map(len, labels)) * size > 60  # noqa: PLR2004
    turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(size), labels, **(turned if long else {}))
    axes.set_yticks(range(size), labels)
    axes.set_xlabel(f"decided {column.name}")
    axes.set_ylabel(f"actual {column.name}")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


@rc_context(STYLE)
def class_figure(outcome: Array, predicted: Array, decision: Decision, column: Column) -> Figure:
    """Show, per class, the share of its rows that is found and of its decisions that is right."""
    labels = [str(label) for label in decision.classes]
    decided = decide(predicted, decision.worth)
    counts = confusion(outcome, decided, np.ones(outcome.size), len(labels))
    counts, labels = _merged(counts, labels, BAR_CLASSES)
    right, rows = np.diag(counts), counts.sum(axis=1)
    positions = np.arange(len(labels))
    figure, (axes,) = panels(1, "Each class on the held-out rows", height=0.34 * len(labels) + 1.4)
    sides = {
        "recall: share of its rows found": (right / np.maximum(rows, 1), BLUE, -0.2),
        "precision: share of its decisions that is right": (
            right / np.maximum(counts.sum(axis=0), 1),
            ORANGE,
            0.2,
        ),
    }
    for label, (shares, colour, shift) in sides.items():
        axes.barh(positions + shift, shares, height=0.38, color=colour, label=label)
    named = [f"{label} ({count:,.0f} rows)" for label, count in zip(labels, rows, strict=True)]
    axes.set_yticks(positions, named)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.set_ylabel(column.name)
    percent(axes.xaxis)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


@rc_context(STYLE)
def value_figure(outcome: Array, predicted: Array, decision: Decision, column: Column) -> Figure:
    """Show what a decision is worth on average over the threshold from which it is taken."""
    value = Value(decision.currency, np.asarray(decision.worth))
    curve = value_curve(outcome, predicted, np.ones(outcome.size), value)
    figure, (axes,) = panels(1, "Value per decision on the held-out rows", height=3.6)
    axes.plot(curve.thresholds, curve.value_per_decision, color=BLUE, label="model")
    for constant, style, label in (
        (curve.always, ":", f"always {decision.classes[1]}"),
        (curve.never, "--", f"always {decision.classes[0]}"),
    ):
        axes.axhline(constant, linestyle=style, color=GREY, linewidth=1.2, label=label)
    axes.plot(
        [curve.break_even],
        [curve.at_break_even],
        "o",
        color=ORANGE,
        label=f"break-even at {curve.break_even:.3g}",
    )
    axes.set_xlabel(
        f"threshold: decided {column.name} = {decision.classes[1]} from this probability on"
    )
    axes.set_ylabel(f"value per decision ({decision.currency})")
    percent(axes.xaxis)
    axes.legend()
    return figure


def performance_figures(
    outcome: Array, predicted: Array, decision: Decision, target_column: Column
) -> dict[str, Figure]:
    """Return the figures of the evaluation by name.

    Args:
        outcome: positions of the classes, shape (n,).
        predicted: probability of each class, shape (n, k).
        decision: the classes, and what deciding for each is worth.
        target_column: what is predicted.

    Returns:
        Calibration and decisions. For two classes the value over thresholds, and ROC and
        precision-recall curve when both occur, as they are not defined otherwise; for more the
        precision and recall of each.
    """
    names = tuple(f"{target_column.name} = {label}" for label in decision.classes[:2])
    figures = {
        "calibration": calibration_figure(outcome, predicted, decision, names),
        "decisions": confusion_figure(outcome, predicted, decision, target_column),
    }
    if decision.threshold is None:
        return figures | {"classes": class_figure(outcome, predicted, decision, target_column)}
    curves = {"value": value_figure(outcome, predicted, decision, target_column)}
    if np.unique(outcome).size > 1:
        shown = (outcome, predicted[:, 1], decision.threshold, names)
        curves |= {"roc": roc_figure(*shown), "precision_recall": precision_recall_figure(*shown)}
    return figures | curves

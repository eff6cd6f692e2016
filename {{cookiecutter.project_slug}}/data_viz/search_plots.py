"""Figures of the search for hyperparameters: how it went, and what each hyperparameter does."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from data_viz.plot_utils import BLUE, GREY, INK, ORANGE, STYLE, panels, percent
from data_viz.summaries import short
from model_training.results import CandidateSearch, SearchReport, Trial

# Where trials without a score are marked, as a share of the height of the axes.
BOTTOM = 0.03
# From this ratio of the largest to the smallest value on, an axis is logarithmic.
WIDE_RATIO = 10


def _words(name: str) -> str:
    return name.replace("_", " ")


def _complete(search: CandidateSearch) -> list[tuple[Trial, float]]:
    return [(trial, trial.mean) for trial in search.trials if trial.mean is not None]


def _mark_others(axes: Axes, places: Sequence[float]) -> None:
    """Mark trials that have no score over all folds, as they can't be compared."""
    if places:
        axes.plot(
            places,
            [BOTTOM] * len(places),
            "x",
            color=GREY,
            transform=axes.get_xaxis_transform(),
            label="stopped early or failed",
        )


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))


@rc_context(STYLE)
def history_figure(report: SearchReport, label: str) -> Figure:
    """Show the score of each trial in their order, and the best so far.

    Args:
        report: searches with at least one candidate.
        label: what the score is.
    """
    figure, grid = panels(len(report.candidates), "Trials of the search", height=2.9)
    best_of = np.maximum if report.greater_is_better else np.minimum
    for axes, search in zip(grid, report.candidates, strict=True):
        numbers = [trial.number + 1 for trial, _ in _complete(search)]
        scores = [score for _, score in _complete(search)]
        others = [trial.number + 1 for trial in search.trials if trial.mean is None]
        axes.plot(numbers, scores, "o", color=BLUE, markersize=5, label="trial")
        axes.step(
            [*numbers, len(search.trials)],
            [*best_of.accumulate(scores), best_of.reduce(scores)],
            where="post",
            color=ORANGE,
            label="best so far",
        )
        _mark_others(axes, others)
        axes.set_title(_words(search.name))
        axes.set_xlabel("trial; the first is the starting point")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.15)
    _legend(figure, max(grid, key=lambda axes: len(axes.get_legend_handles_labels()[1])))
    return figure


def _slice(axes: Axes, search: CandidateSearch, name: str) -> None:
    values = {trial.number: trial.hyperparameters[name] for trial in search.trials}
    numeric = all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values.values()
    )
    if numeric:
        places = {number: float(str(value)) for number, value in values.items()}
        seen = places.values()
        if min(seen) > 0 and max(seen) / min(seen) > WIDE_RATIO:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
            axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        texts = sorted({str(value) for value in values.values()})
        places = {number: float(texts.index(str(value))) for number, value in values.items()}
        axes.set_xticks(range(len(texts)), texts)
        axes.margins(x=0.2)
    complete = _complete(search)
    axes.plot(
        [places[trial.number] for trial, _ in complete],
        [score for _, score in complete],
        "o",
        color=BLUE,
        markersize=5,
        label="trial",
    )
    best = search.trials[search.best]
    axes.plot(
        [places[best.number]], [best.mean or 0.0], "o", color=ORANGE, markersize=8, label="best"
    )
    _mark_others(axes, [places[trial.number] for trial in search.trials if trial.mean is None])
    axes.margins(y=0.15)
    axes.set_title(_words(search.name))
    axes.set_xlabel(_words(name))


@rc_context(STYLE)
def slices_figure(report: SearchReport, label: str) -> Figure:
    """Show the score of the trials against each hyperparameter that was searched.

    Args:
        report: searches with at least one candidate.
        label: what the score is.
    """
    shown = [(search, name) for search in report.candidates for name in search.hyperparameters]
    figure, grid = panels(len(shown), "Score against each hyperparameter", height=2.5)
    for axes, (search, name) in zip(grid, shown, strict=True):
        _slice(axes, search, name)
    figure.supylabel(label, fontsize=9, color=INK)
    _legend(figure, max(grid, key=lambda axes: len(axes.get_legend_handles_labels()[1])))
    return figure


@rc_context(STYLE)
def importance_figure(searches: Sequence[CandidateSearch]) -> Figure:
    """Show how much each hyperparameter decides whether a trial belongs to the better half.

    Args:
        searches: at least one, each with an importance.
    """
    rows = max(len(search.importance) for search in searches)
    figure, grid = panels(
        len(searches), "Importance of the hyperparameters", columns=2, height=0.4 * rows + 0.9
    )
    for axes, search in zip(grid, searches, strict=True):
        shares = list(reversed(search.importance.items()))
        axes.barh(range(len(shares)), [share for _, share in shares], color=BLUE)
        for position, (_, share) in enumerate(shares):
            axes.annotate(
                f"{short(100 * share, digits=2)}%",
                (share, position),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(shares)), [_words(name) for name, _ in shares])
        axes.set_xlim(0, 1.12 * max(search.importance.values()))
        axes.set_title(_words(search.name))
        axes.grid(visible=False, axis="y")
        percent(axes.xaxis)
    return figure


def search_figures(report: SearchReport, label: str) -> dict[str, Figure]:
    """Return the figures of the search by name; none without a search.

    Args:
        report: the searches.
        label: what the score is.
    """
    if not report.candidates:
        return {}
    better = "higher" if report.greater_is_better else "lower"
    label = f"{label} ({better} is better)"
    figures = {
        "search_history": history_figure(report, label),
        "score_by_hyperparameter": slices_figure(report, label),
    }
    weighed = [search for search in report.candidates if search.importance]
    if weighed:
        figures["hyperparameter_importance"] = importance_figure(weighed)
    return figures

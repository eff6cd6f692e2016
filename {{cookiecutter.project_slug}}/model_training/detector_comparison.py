"""How far the detectors agree with each other on the held-out rows, and where unusual rows lie.

Usage: ``python -m model_training.detector_comparison`` writes both in numbers and in words, and a
map of the rows. Detectors that look at different things and still name the same rows support each
other; where they differ, another kind of anomaly may be what one of them misses.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import stats

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from data_viz.detector_plots import map_figure
from data_viz.plot_utils import save_figures
from model_training.candidates import candidates, scores
from model_training.data_preprocessing import model_inputs, row_weights, target
from model_training.detectors import Filling
from model_training.model_file import load_model
from model_training.model_selection import fit, pipeline
from model_training.outcomes import outcomes
from model_training.results import Selection
from utils.config import convert, load_contract, load_params, recipe
from utils.files import read_json, write_json, write_text
from utils.logging import run
from utils.markdown import table
from utils.metrics import highest, load_value
from utils.outcome import SCORE
from utils.paths import PARTS, REPORTS, SELECTED, SELECTION, TEST, TRAIN

REPORT = REPORTS / "detectors.json"
WORDS = PARTS / "detectors.md"
FIGURES = Path("reports/figures/detectors")

Array = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class Pair(msgspec.Struct, frozen=True):
    """How two detectors agree; ``overlap`` is the share of the first k rows that both name."""

    first: str
    second: str
    rank_correlation: float
    overlap: float


class DetectorComparison(msgspec.Struct, frozen=True):
    """The agreement of all pairs; ``named_by_all`` are among the first k rows of every detector."""

    rows: int
    k: float
    pairs: list[Pair]
    named_by_all: float
    winner: str


def agreement(
    found: Mapping[str, Array], weights: Array, share: float, winner: str
) -> DetectorComparison:
    """Compare the anomaly scores of detectors.

    Args:
        found: anomaly scores by detector, each of shape (n,).
        weights: how many rows each row stands for, shape (n,).
        share: of the rows that can be looked at, which are the first k.
        winner: the selected detector.
    """
    taken = {name: highest(score, weights, share) for name, score in found.items()}
    k = share * float(weights.sum())
    counted = weights > 0

    def together(names: Sequence[str]) -> float:
        least: Array = np.stack([taken[name] for name in names]).min(axis=0)
        return float(np.sum(weights * least))

    pairs = [
        Pair(
            first,
            second,
            _rank_correlation(found[first][counted], found[second][counted]),
            together([first, second]) / k,
        )
        for first, second in combinations(found, 2)
    ]
    return DetectorComparison(len(weights), k, pairs, together(list(found)), winner)


def _rank_correlation(first: Array, second: Array) -> float:
    """Return Spearman's rank correlation, 0 where all rows have the same score."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(stats.spearmanr(first, second).statistic)


def _said(name: str) -> str:
    return name.replace("_", " ")


def words(report: DetectorComparison) -> str:
    """Return the agreement in Markdown: in a sentence or two, and as a table."""
    names = list(dict.fromkeys(name for pair in report.pairs for name in (pair.first, pair.second)))
    cells = {(pair.first, pair.second): pair for pair in report.pairs}
    most, least = (
        edge(report.pairs, key=lambda pair: (pair.overlap, pair.rank_correlation))
        for edge in (max, min)
    )

    def cell(first: str, second: str) -> str:
        pair = cells.get((first, second)) or cells.get((second, first))
        return "–" if pair is None else f"{pair.rank_correlation:.2f}, {pair.overlap:.0%}"

    return "\n".join(
        [
            f"Detectors agree most where **{_said(most.first)}** and **{_said(most.second)}** "
            f"meet: of the {report.k:,.0f} held-out rows that each finds most unusual, "
            f"{most.overlap:.0%} are the same. **{_said(least.first)}** and "
            f"**{_said(least.second)}** share {least.overlap:.0%}. "
            f"Named by all: {report.named_by_all:,.0f}.",
            "",
            f"Rank correlation of the anomaly scores, and share of the first {report.k:,.0f} rows "
            "that both name; the selected detector is in bold:",
            "",
            table(
                ["Detector", *map(_said, names)],
                [
                    [
                        f"**{_said(first)}**" if first == report.winner else _said(first),
                        *(cell(first, second) for second in names),
                    ]
                    for first in names
                ],
            ),
            "",
            f"![Map of the held-out rows]({(FIGURES / 'map.png').as_posix()})",
            "",
            "The map shows the plane that keeps most of the variance. A row that is unusual only "
            "in how its columns go together can lie in the middle of it.",
        ]
    )


def main() -> None:
    """Compare the detectors and draw the map."""
    params, contract = load_params(), load_contract()
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    steps, value = recipe(params, contract), load_value(params.value, contract.target)
    names, train, test = feature_names(steps), read_parquet(TRAIN), read_parquet(TEST)
    inputs, held_out = (model_inputs(rows, names) for rows in (train, test))
    settings = {item.name: item.hyperparameters for item in selection.candidates}
    competing = candidates(settings, selection.metric, params.split.seed)
    model = load_model(SELECTED)
    found = {}
    for name, candidate in competing.items():
        fitted = model
        if name != selection.winner:
            known = outcomes(train, steps), row_weights(train, contract)
            fitted = fit(pipeline(candidate, names, contract), inputs, *known)
        found[name] = scores(fitted, held_out)[:, SCORE]
    report = agreement(found, row_weights(test, contract), value.contamination, selection.winner)
    write_json(REPORT, report)
    write_text(WORDS, words(report) + "\n")
    detector = model.named_steps["estimate"]
    points = Filling(**detector.filling_).filled(model.named_steps["encode"].transform(held_out))
    figure = map_figure(
        points, found[selection.winner], target(test, contract), selection.decision, contract.target
    )
    save_figures({"map": figure}, FIGURES)
    log.info("compared", extra={"detectors": len(found), "named_by_all": report.named_by_all})


if __name__ == "__main__":
    run(main)

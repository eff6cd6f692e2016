"""The clusters of the selected model: how many, how stable, and what is special about each.

Usage: ``python -m model_training.clusters``. The number of clusters and the stability are judged on
rows that the judged fit has not seen.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from data_viz.cluster_plots import number_figure, profile_figure, stability_figure
from data_viz.plot_utils import save_figures
from model_training.candidates import number_setting, scores
from model_training.data_preprocessing import model_inputs, row_weights
from model_training.model_file import load_model
from model_training.model_selection import fit
from model_training.outcomes import outcomes
from model_training.profiles import Measure, cell, column_label, measures
from model_training.results import Selection
from model_training.stability import (
    agreement,
    halves,
    prediction_strength,
    resampled,
)
from utils.config import (
    Params,
    ProjectError,
    convert,
    load_contract,
    load_params,
    recipe,
)
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import row_silhouettes
from utils.outcome import Decision, assigned
from utils.paths import REPORTS, SELECTED, SELECTION, TEST, TRAIN

CLUSTERS = REPORTS / "clusters.json"
FIGURES = Path("reports/figures/clusters")
# Prediction strength from which so many clusters count as found (Tibshirani and Walther 2005).
ENOUGH = 0.8
# What mean Jaccard coefficients say about a cluster (Hennig 2007).
VERDICTS = ((0.85, "very stable"), (0.75, "stable"), (0.6, "a pattern, its borders uncertain"))
DOUBTFUL = "doubtful"

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section ``clusters`` of ``params.yaml``.

    ``resamples`` draws judge the stability; numbers of clusters up to ``most`` are compared on
    ``halvings`` pairs of halves.
    """

    resamples: int
    most: int
    halvings: int


class NumberOfClusters(msgspec.Struct, frozen=True):
    """What speaks for a number of clusters, for each pair of halves of the training rows.

    ``silhouettes`` of one half by the model of the other, ``agreements`` (adjusted Rand index) of
    both models on that half, and ``strengths``, how well its clusters are kept together.
    """

    clusters: int
    silhouettes: list[float]
    agreements: list[float]
    strengths: list[float]


class ClusterResult(msgspec.Struct, frozen=True):
    """One cluster; ``jaccard`` is how much of it came back, on average over the draws."""

    number: int
    name: str
    profile: str
    share: float
    share_held_out: float
    silhouette: float | None
    jaccard: float | None
    verdict: str


class ProfileRow(msgspec.Struct, frozen=True):
    """The mean of one measure in all rows and in each cluster, as text."""

    measure: str
    overall: str
    clusters: list[str]


class ClusterReport(msgspec.Struct, frozen=True):
    """What is known about the clusters: in sentences, per cluster, and per measure."""

    findings: list[str]
    numbers: list[NumberOfClusters]
    agreements: list[float]
    clusters: list[ClusterResult]
    profiles: list[ProfileRow]


class Fitted(NamedTuple):
    """The selected model with the training rows: inputs, points (n, d) and weights (n,)."""

    model: Pipeline
    inputs: pd.DataFrame
    points: Array
    weights: Array

    def again(self, rows: Rows, clusters: int | None = None) -> Pipeline:
        """Fit the model anew on some rows, with another number of clusters if asked."""
        model: Pipeline = clone(self.model)
        if clusters is not None:
            estimator = model.named_steps["estimate"].estimator
            estimator.set_params(**{number_setting(estimator): clusters})
        return fit(model, self.inputs.iloc[rows], self.points[rows], self.weights[rows])


def load_settings(params: Params) -> Settings:
    """Read and check the section ``clusters``.

    Raises:
        ProjectError: it is missing, or a number is too small.
    """
    settings = convert(params.clusters or {}, Settings, "params.yaml, section clusters")
    if settings.resamples < 1 or settings.halvings < 1 or settings.most < 2:  # noqa: PLR2004
        raise ProjectError(
            "params.yaml, section clusters: resamples and halvings must be at least 1, and most at "
            "least 2."
        )
    return settings


def verdict(jaccard: float) -> str:
    """Say what a mean Jaccard coefficient means."""
    return next((said for least, said in VERDICTS if jaccard >= least), DOUBTFUL)


def compare_numbers(fitted: Fitted, settings: Settings, seed: int) -> list[NumberOfClusters]:
    """Judge every number of clusters from 2 to ``most`` on halves of the training rows."""
    pairs = halves(len(fitted.inputs), settings.halvings, seed)
    found = []
    for clusters in range(2, settings.most + 1):
        silhouettes, agreements, strengths = [], [], []
        for first, second in pairs:
            other, own = (fitted.again(rows, clusters) for rows in (first, second))
            predicted, known = (scores(model, fitted.inputs.iloc[second]) for model in (other, own))
            placed = row_silhouettes(fitted.points[second], predicted, fitted.weights[second])
            silhouettes.append(float(np.average(placed, weights=fitted.weights[second])))
            agreements.append(agreement(assigned(known), assigned(predicted)))
            strengths.append(prediction_strength(assigned(known), assigned(predicted)))
        found.append(NumberOfClusters(clusters, silhouettes, agreements, strengths))
    return found


def results(
    decision: Decision, points: Array, memberships: Array, weights: Array, jaccards: Array
) -> list[ClusterResult]:
    """Put together what is known about each cluster.

    Args:
        decision: names and profiles.
        points: held-out rows, shape (n, d).
        memberships: shape (n, k).
        weights: shape (n,).
        jaccards: per draw and cluster, shape (draws, k).
    """
    codes, placed = assigned(memberships), row_silhouettes(points, memberships, weights)
    listed = []
    for code, cluster in enumerate(decision.clusters):
        inside = (codes == code) & (weights > 0) & np.isfinite(placed)
        known = jaccards[np.isfinite(jaccards[:, code]), code]
        jaccard = float(known.mean()) if known.size else None
        listed.append(
            ClusterResult(
                number=cluster.number,
                name=cluster.name,
                profile=cluster.profile,
                share=cluster.share,
                share_held_out=float(np.average(codes == code, weights=weights)),
                silhouette=float(np.average(placed[inside], weights=weights[inside]))
                if inside.any()
                else None,
                jaccard=jaccard,
                verdict="no held-out row" if jaccard is None else verdict(jaccard),
            )
        )
    return listed


def findings(
    chosen: int, numbers: Sequence[NumberOfClusters], agreements: Sequence[float]
) -> list[str]:
    """Say how many clusters there are, how certain that is, and whether they come back."""
    best = max(numbers, key=lambda item: np.mean(item.silhouettes))
    kept = [item.clusters for item in numbers if np.mean(item.strengths) >= ENOUGH]
    strongest = (
        f"The largest number whose prediction strength reaches {ENOUGH} is {max(kept)}."
        if kept
        else f"No number reaches a prediction strength of {ENOUGH}: no clear clusters."
    )
    alike = float(np.mean(agreements))
    return [
        f"The model has {chosen} clusters. Fitted on one half of the training rows and judged on "
        f"the other, {best.clusters} clusters have the highest silhouette of 2 to "
        f"{numbers[-1].clusters}, {np.mean(best.silhouettes):.3f} on average. {strongest}",
        f"Fitted on {len(agreements)} other draws of the training rows, the model divides the "
        f"held-out rows much like now: the adjusted Rand index is {alike:.3f} on average and "
        f"{min(agreements):.3f} at worst (1 is the same, 0 is chance)."
        if alike >= ENOUGH
        else f"Fitted on {len(agreements)} other draws of the training rows, the model divides the "
        f"held-out rows differently: the adjusted Rand index is {alike:.3f} on average and "
        f"{min(agreements):.3f} at worst (1 is the same, 0 is chance). Take the clusters as a "
        "convenient division, not as kinds that exist.",
    ]


def profile_rows(found: Sequence[Measure]) -> list[ProfileRow]:
    """Return the means of all measures as texts."""
    return [
        ProfileRow(
            column_label(item), cell(item, item.overall), [cell(item, mean) for mean in item.means]
        )
        for item in found
    ]


def main() -> None:
    """Judge and describe the clusters, and write report and figures."""
    params, contract = load_params(), load_contract()
    settings, steps = load_settings(params), recipe(params, contract)
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    train, test = read_parquet(TRAIN), read_parquet(TEST)
    inputs, held_out = (model_inputs(rows, feature_names(steps)) for rows in (train, test))
    fitted = Fitted(
        load_model(SELECTED), inputs, outcomes(train, steps), row_weights(train, contract)
    )
    memberships, count = scores(fitted.model, held_out), len(selection.decision.clusters)

    def assign(rows: Rows) -> Codes:
        return assigned(scores(fitted.again(rows), held_out))

    generator = np.random.default_rng(params.split.seed)
    draws = [generator.integers(0, len(inputs), len(inputs)) for _ in range(settings.resamples)]
    agreements, jaccards = resampled(assign, draws, assigned(memberships), count)
    numbers = compare_numbers(fitted, settings, params.split.seed)
    listed = results(
        selection.decision,
        outcomes(test, steps),
        memberships,
        row_weights(test, contract),
        jaccards,
    )
    described = measures(
        fitted.points,
        scores(fitted.model, inputs),
        fitted.weights,
        fitted.model.named_steps["encode"],
        contract,
    )
    report = ClusterReport(
        findings=findings(count, numbers, agreements),
        numbers=numbers,
        agreements=agreements,
        clusters=listed,
        profiles=profile_rows(described),
    )
    write_json(CLUSTERS, report)
    labels = [f"{item.number} {item.name}" for item in listed]
    seen = [code for code in range(count) if listed[code].jaccard is not None]
    save_figures(
        {
            "number": number_figure(numbers, count, ENOUGH),
            "stability": stability_figure(
                [labels[code] for code in seen],
                [jaccards[np.isfinite(jaccards[:, code]), code].tolist() for code in seen],
            ),
            "profiles": profile_figure(
                [column_label(item) for item in described],
                [f"cluster {item.number}" for item in listed],
                np.array([item.effects for item in described]),
                [row.clusters for row in report.profiles],
            ),
        },
        FIGURES,
    )
    log.info("clusters", extra={"clusters": count, "agreement": float(np.mean(agreements))})


if __name__ == "__main__":
    run(main)

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
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from data_viz.cluster_plots import (
    criteria_figure,
    number_figure,
    profile_figure,
    stability_figure,
)
from data_viz.plot_utils import save_figures
from model_training.candidates import candidates, number_setting, scores
from model_training.criteria import (
    GapStatistic,
    gap_statistic,
    information_criteria,
    lowest,
    sampled,
)
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
    ``halvings`` pairs of halves, and by the gap statistic and BIC on ``sampled_rows`` rows, the gap
    being that to ``references`` tables without clusters.
    """

    resamples: int
    most: int
    halvings: int
    sampled_rows: int
    references: int


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
    """What is known about the clusters: in sentences, per cluster, and per measure.

    ``information_criteria`` is BIC of Gaussian mixtures per number of components from 1, empty if
    none competes.
    """

    findings: list[str]
    numbers: list[NumberOfClusters]
    gap: GapStatistic
    information_criteria: list[float]
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
    if min(settings.resamples, settings.halvings) < 1 or settings.most < 2:  # noqa: PLR2004
        raise ProjectError(
            "params.yaml, section clusters: resamples and halvings must be at least 1, and most at "
            "least 2."
        )
    if settings.sampled_rows <= settings.most or settings.references < 2:  # noqa: PLR2004
        raise ProjectError(
            "params.yaml, section clusters: sampled_rows must be above most, and references at "
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


def judged_by_samples(
    fitted: Fitted, settings: Settings, mixture: GaussianMixture | None, seed: int
) -> tuple[GapStatistic, list[float]]:
    """Judge every number of clusters by the gap statistic and, of a mixture, by BIC.

    Args:
        fitted: the training rows.
        settings: how many rows, clusters and references.
        mixture: an unfitted one, None if none competes.
        seed: makes it repeatable.
    """
    points = sampled(fitted.points, fitted.weights, settings.sampled_rows, seed)
    most = min(settings.most, len(points) - 1)
    encode = fitted.model.named_steps["encode"]
    categories = encode.named_transformers_.get("categorical")
    widths = [] if categories is None else [len(known) for known in categories.categories_]
    gap = gap_statistic(points, widths, most, settings.references, seed)
    return gap, [] if mixture is None else information_criteria(points, mixture, most)


def criteria_finding(
    chosen: int,
    numbers: Sequence[NumberOfClusters],
    gap: GapStatistic,
    information: Sequence[float],
) -> str:
    """Say which number of clusters each criterion asks for, and whether they agree."""
    best = max(numbers, key=lambda item: np.mean(item.silhouettes)).clusters
    asked = {"the silhouette": best, "the gap statistic": gap.chosen}
    if information:
        asked["BIC of Gaussian mixtures"] = lowest(information)
    said = ", ".join(
        f"{name} for {'none up to ' + str(len(gap.gaps)) if count is None else count}"
        for name, count in asked.items()
    )
    basis = (
        f"On {gap.rows:,} of the training rows, the gap statistic compares with {gap.references} "
        "tables without clusters and takes the smallest number within one standard error of the "
        "next."
    )
    rise = ""
    if 1 < chosen < len(gap.gaps):
        before, after = np.diff(gap.gaps)[chosen - 2 : chosen]
        rise = (
            f" With cluster {chosen} the gap rises by {before:.2g}, with one more by {after:.2g}."
        )
    if set(asked.values()) == {chosen}:
        return f"All criteria agree with the model: {said} clusters. {basis}{rise}"
    caution = (
        " BIC counts components of one shape, of which a single group can need several; look at "
        "the profiles before taking more clusters."
    )
    return (
        f"The criteria do not all agree: {said} clusters, where the model has {chosen}. "
        f"{basis}{rise}{caution if information else ''}"
    )


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


def competing_mixture(selection: Selection, params: Params) -> GaussianMixture | None:
    """Return the Gaussian mixture among the candidates, as it was compared; None without one."""
    settings = {item.name: item.hyperparameters for item in selection.candidates}
    built = candidates(settings, selection.metric, params.split.seed).values()
    mixtures = [item.estimator for item in built if isinstance(item.estimator, GaussianMixture)]
    return mixtures[0] if mixtures else None


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
    gap, information = judged_by_samples(
        fitted, settings, competing_mixture(selection, params), params.split.seed
    )
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
        findings=[
            *findings(count, numbers, agreements),
            criteria_finding(count, numbers, gap, information),
        ],
        numbers=numbers,
        gap=gap,
        information_criteria=information,
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
            "criteria": criteria_figure(gap.gaps, gap.errors, information, count),
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

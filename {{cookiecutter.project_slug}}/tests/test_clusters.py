"""Clusters: found where they were planted, numbered, named, stable, and served as described."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import narwhals as nw
import numpy as np
import onnxruntime
import pandas as pd
import polars as pl
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from data_viz.cluster_plots import (
    criteria_figure,
    number_figure,
    profile_figure,
    stability_figure,
)
from data_viz.performance_plots import principal_axes
from model_deployment.artefact import load_artefact
from model_deployment.postprocessing import output_columns, predictions
from model_training import clusters as stage
from model_training.candidates import candidates
from model_training.clusters import (
    CLUSTERS,
    ENOUGH,
    ClusterReport,
    NumberOfClusters,
    criteria_finding,
    findings,
    load_settings,
    verdict,
)
from model_training.criteria import (
    GapStatistic,
    gap_statistic,
    information_criteria,
    log_dispersions,
    lowest,
    sampled,
    without_clusters,
)
from model_training.encoding import encoder
from model_training.judged import Judged
from model_training.onnx_graph import build_graph
from model_training.outcomes import measured_on
from model_training.partitions import (
    NumberedClusters,
    Slices,
    nearness,
    repeated_rows,
    squared_distances,
)
from model_training.profiles import clusters, column_label, measures, words
from model_training.splitting import make_folds
from model_training.stability import agreement, halves, overlaps, prediction_strength, resampled
from tests.predictions import perfect
from utils.config import Contract, ProjectError, Split, convert, load_params
from utils.files import read_json
from utils.metrics import METRICS, Value, row_silhouettes
from utils.outcome import assigned
from utils.result_part import result_part, result_summary

SIZES = (160, 90, 50)


def planted(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return points of three groups of different sizes, the smallest first, and the groups."""
    generator = np.random.default_rng(seed)
    groups = np.repeat([2, 1, 0], SIZES[::-1])
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    return generator.normal(0, 1, (groups.size, 2)) + centres[groups], groups


MODELS = {
    "k_means": {"n_clusters": 3, "n_init": 5},
    "bisecting_k_means": {"n_clusters": 3, "n_init": 3},
    "gaussian_mixture": {"n_components": 3, "n_init": 3},
}


def numbered(name: str, **settings: float | int | str | None) -> NumberedClusters:
    chosen = candidates({name: {**MODELS[name], **settings}}, "silhouette", 0)[name]
    return NumberedClusters(chosen.estimator)


# Partitions


@pytest.mark.parametrize("name", MODELS)
def test_planted_groups_are_found_and_numbered_by_size(name: str) -> None:
    points, groups = planted()
    model = numbered(name).fit(points)
    assert model.predict(points).tolist() == groups.tolist()
    memberships = model.membership(points)
    assert memberships.shape == (300, 3)
    assert memberships.sum(axis=1) == pytest.approx(np.ones(300))
    assert memberships.min() >= 0


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_memberships_of_a_mixture_are_its_probabilities(kind: str) -> None:
    points, _ = planted()
    model = numbered("gaussian_mixture", covariance_type=kind).fit(points)
    expected = np.exp(model.estimator_._estimate_log_prob_resp(points)[1])[:, model.order_]
    assert np.abs(model.membership(points) - expected).max() < 1e-9


def test_memberships_of_centres_follow_the_distances() -> None:
    squares = squared_distances(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 0.0]]))
    assert squares.tolist() == [[25.0, 16.0]]
    assert nearness(squares)[0] == pytest.approx([16 / 41, 25 / 41])
    assert nearness(np.array([[0.0, 4.0]]))[0] == pytest.approx([1, 0])
    points, _ = planted()
    model = numbered("k_means").fit(points)
    nearest = np.argmin(squared_distances(points, model.estimator_.cluster_centers_), axis=1)
    assert (model.order_[model.predict(points)] == nearest).all()


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_every_kind_of_mixture_is_served_exactly(kind: str, contract: Contract) -> None:
    names = FeatureNames(["price", "pieces"], [])
    points, _ = planted()
    table = pd.DataFrame(points, columns=names.numeric)
    encode = encoder(names, contract, impute=True, scale=True)
    model = Pipeline([("encode", encode), ("estimate", numbered("gaussian_mixture"))])
    model.set_params(estimate__estimator__covariance_type=kind).fit(table)
    session = onnxruntime.InferenceSession(build_graph(model, names).SerializeToString())
    served = session.run(["score"], {"numeric": points})[0]
    expected = model.named_steps["estimate"].membership(encode.transform(table))
    assert np.abs(served - expected).max() < 1e-12


def test_slices_are_equally_large_and_never_served(contract: Contract) -> None:
    points, _ = planted()
    model = NumberedClusters(Slices(n_clusters=3)).fit(points)
    assert np.bincount(model.predict(points)).tolist() == [100, 100, 100]
    assert set(model.membership(points).ravel()) == {0.0, 1.0}
    names = FeatureNames(["price", "pieces"], [])
    encode = encoder(names, contract, impute=True, scale=True)
    pipeline = Pipeline([("encode", encode), ("estimate", model)])
    pipeline.fit(pd.DataFrame(points, columns=names.numeric))
    with pytest.raises(ProjectError, match="Slices has no exact route"):
        build_graph(pipeline, names)


def test_rows_are_repeated_in_proportion_to_their_weights() -> None:
    assert repeated_rows(np.array([1.0, 3.0, 0.0, 2.0])).tolist() == [0, 1, 1, 1, 3, 3]
    weights = np.random.default_rng(2).exponential(1.0, 400)
    rows = repeated_rows(weights)
    assert rows.size == 400
    times = np.bincount(rows, minlength=400)
    assert np.abs(times - weights / weights.mean()).max() < 1


@pytest.mark.parametrize("count", [1, None, 2.5])
def test_a_single_cluster_is_refused(count: float | None) -> None:
    with pytest.raises(ProjectError, match="k_means"):
        candidates({"k_means": {"n_clusters": count}}, "silhouette", 0)


# Stability


def test_overlaps_are_worked_by_hand() -> None:
    first, second = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 1, 1])
    found = overlaps(first, second, 4)
    assert found[[0, 1, 3]].tolist() == pytest.approx([2 / 3, 2 / 4, 1 / 4])
    assert np.isnan(found[2]), "a cluster without rows"


def test_agreement_does_not_mind_the_numbers_of_clusters() -> None:
    codes = np.array([0, 0, 1, 1, 2, 2])
    assert agreement(codes, (codes + 1) % 3) == 1
    generator = np.random.default_rng(0)
    by_chance = [agreement(*generator.integers(0, 3, (2, 300))) for _ in range(20)]
    assert abs(np.mean(by_chance)) < 0.02


def test_prediction_strength_is_that_of_the_weakest_cluster() -> None:
    own = np.array([0, 0, 0, 1, 1, 2])
    # of the three pairs of cluster 0, one stays together; the pair of cluster 1 does; 2 has none
    assert prediction_strength(own, np.array([0, 0, 1, 1, 1, 0])) == pytest.approx(1 / 3)
    assert prediction_strength(own, own) == 1
    assert prediction_strength(np.array([0]), np.array([0])) == 1


def test_planted_groups_come_back_and_noise_does_not() -> None:
    generator = np.random.default_rng(4)
    for points, least, most in (
        (planted()[0], 0.98, 1.0),
        (generator.uniform(0, 1, (300, 2)), 0.0, 0.9),
    ):
        train, unseen = points[::2], points[1::2]
        judged = numbered("k_means", n_clusters=3).fit(train).predict(unseen)

        def assign(
            rows: np.ndarray, train: np.ndarray = train, unseen: np.ndarray = unseen
        ) -> np.ndarray:
            return numbered("k_means", n_clusters=3).fit(train[rows]).predict(unseen)

        draws = [generator.integers(0, len(train), len(train)) for _ in range(10)]
        agreements, found = resampled(assign, draws, judged, 3)
        assert least <= np.mean(agreements) <= most
        assert found.shape == (10, 3)
        assert least <= found.mean() <= most


def test_halves_hold_every_row_once() -> None:
    for first, second in halves(101, 3, 7):
        assert (first.size, second.size) == (50, 51)
        assert sorted([*first, *second]) == list(range(101))


@pytest.mark.parametrize(
    ("jaccard", "said"),
    [(0.9, "very stable"), (0.8, "stable"), (0.7, "a pattern, its borders"), (0.3, "doubtful")],
)
def test_a_mean_overlap_has_a_verdict(jaccard: float, said: str) -> None:
    assert verdict(jaccard).startswith(said)


def number(clusters: int, silhouette: float, strength: float) -> NumberOfClusters:
    return NumberOfClusters(clusters, [silhouette] * 2, [strength] * 2, [strength] * 2)


def test_findings_say_how_many_clusters_and_how_certain() -> None:
    clear = [number(2, 0.3, 0.9), number(3, 0.6, 0.95), number(4, 0.4, 0.5)]
    first, second = findings(3, clear, [0.97, 0.99])
    assert "3 clusters have the highest silhouette of 2 to 4, 0.600" in first
    assert "prediction strength reaches 0.8 is 3" in first
    assert "much like now: the adjusted Rand index is 0.980" in second
    vague = [number(2, 0.2, ENOUGH / 2), number(3, 0.1, 0.1)]
    first, second = findings(2, vague, [0.2, 0.4])
    assert "no clear clusters" in first
    assert "a convenient division, not as kinds that exist" in second


def box(rows: int, seed: int) -> np.ndarray:
    """Return points without clusters."""
    return np.random.default_rng(seed).uniform(0, 1, (rows, 2))


def test_the_gap_finds_planted_groups_and_one_where_there_are_none() -> None:
    found = gap_statistic(planted()[0], [], 6, 10, seed=1)
    assert found.chosen == 3
    assert len(found.gaps) == len(found.errors) == 6
    assert found == gap_statistic(planted()[0], [], 6, 10, seed=1), "seeded"
    assert [gap_statistic(box(300, seed), [], 5, 10, seed=1).chosen for seed in (1, 2, 3)] == [
        1
    ] * 3


def test_the_gap_is_the_mean_of_the_references_less_the_rows() -> None:
    points = planted()[0]
    own = log_dispersions(points, 3, 0)
    assert own[0] == pytest.approx(np.log(((points - points.mean(axis=0)) ** 2).sum()))
    generator = np.random.default_rng(5)
    others = [log_dispersions(without_clusters(points, [], generator), 3, 5) for _ in range(2)]
    found = gap_statistic(points, [], 3, 2, seed=5)
    assert found.gaps == pytest.approx(np.mean(others, axis=0) - log_dispersions(points, 3, 5))
    assert found.errors == pytest.approx(np.std(others, axis=0) * np.sqrt(1.5))


def test_categories_alone_are_no_clusters() -> None:
    generator = np.random.default_rng(2)
    flags = np.hstack([np.eye(3)[generator.integers(0, 3, 400)] for _ in range(2)])
    points = np.hstack([box(400, 6), flags])
    drawn = without_clusters(points, [3, 3], generator)
    assert (drawn[:, 2:5].sum(axis=0) == flags[:, :3].sum(axis=0)).all()
    assert set(np.unique(drawn[:, 2:])) == {0, 1}
    right, evenly = (gap_statistic(points, widths, 9, 5, seed=1) for widths in ([3, 3], []))
    assert np.ptp(right.gaps) < np.ptp(evenly.gaps) / 3
    assert (without_clusters(flags, [3, 3], generator).sum(axis=1) == 2).all()


def test_rows_are_sampled_by_their_weights() -> None:
    points = np.arange(6.0).reshape(6, 1)
    drawn = sampled(points, np.array([0, 1, 0, 3, 0, 0.0]), 10, 1)
    assert drawn.ravel().tolist() == [1, 3, 3, 3]
    assert len(sampled(points, np.ones(6), 4, 1)) == 4


def test_bic_is_lowest_at_the_planted_number() -> None:
    mixture = GaussianMixture(n_components=2, n_init=3, random_state=1)
    found = information_criteria(planted()[0], mixture, 5)
    assert lowest(found) == 3
    reference = GaussianMixture(n_components=2, n_init=3, random_state=1).fit(planted()[0])
    assert found[1] == pytest.approx(reference.bic(planted()[0]))


def test_criteria_that_agree_and_that_do_not() -> None:
    numbers = [number(2, 0.3, 0.9), number(3, 0.6, 0.95), number(4, 0.4, 0.5)]
    gap = GapStatistic(100, 5, [0.1, 0.2, 0.9, 0.91], [0.02] * 4, 3)
    agreed = criteria_finding(3, numbers, gap, [4.0, 3.0, 1.0, 2.0])
    assert agreed.startswith("All criteria agree with the model: the silhouette for 3")
    assert "cluster 3 the gap rises by 0.7, with one more by 0.01" in agreed
    apart = criteria_finding(3, numbers, msgspec.structs.replace(gap, chosen=None), [])
    assert "do not all agree" in apart
    assert "the gap statistic for none up to 4 clusters" in apart


# Profiles


def described(
    contract: Contract, prices: Sequence[float], colours: Sequence[str], codes: Sequence[int]
) -> tuple[list[str], list[str]]:
    """Return names and profiles of the clusters of some rows."""
    names = FeatureNames(["price"], ["colour"])
    table = pd.DataFrame({"price": prices, "colour": colours})
    encode = encoder(names, contract, impute=True, scale=True).fit(table)
    scores = np.eye(max(codes) + 1)[list(codes)]
    found = measures(encode.transform(table), scores, np.ones(len(codes)), encode, contract)
    shares = np.bincount(codes) / len(codes)
    listed = clusters(found, shares)
    assert [item.number for item in listed] == list(range(1, len(shares) + 1))
    return [item.name for item in listed], [item.profile for item in listed]


def test_profiles_name_what_is_special_in_the_units_of_the_records(contract: Contract) -> None:
    names, profiles = described(
        contract,
        [10.0, 10.0, 10.0, 90.0, 90.0, 90.0],
        ["red", "red", "red", "dark blue", "dark blue", "dark blue"],
        [0, 0, 0, 1, 1, 1],
    )
    assert names == ["low price, colour red", "high price, colour dark blue"]
    assert "price 10 EUR, 0.2 times the average of 50 EUR" in profiles[0]
    assert "price 90 EUR, 1.8 times the average of 50 EUR" in profiles[1]
    assert "colour dark blue in 100% of its rows, against 50% of all" in profiles[1]
    assert profiles[1].startswith("Cluster 2, high price, colour dark blue (50% of the rows): ")


def test_clusters_that_differ_in_nothing_say_so_and_have_different_names(
    contract: Contract,
) -> None:
    names, profiles = described(contract, [1.0, 2.0, 1.0, 2.0], ["red"] * 4, [0, 0, 1, 1])
    assert names == ["close to the average (1)", "close to the average (2)"]
    assert "in nothing very different from all rows" in profiles[0]


def test_clusters_of_categories_alone_have_profiles(contract: Contract) -> None:
    table = pd.DataFrame({"colour": ["red", "red", "dark blue", "dark blue"]})
    encode = encoder(FeatureNames([], ["colour"]), contract, impute=True, scale=True).fit(table)
    scores = np.eye(2)[[0, 0, 1, 1]]
    found = measures(encode.transform(table), scores, np.ones(4), encode, contract)
    assert [item.name for item in clusters(found, np.array([0.5, 0.5]))] == [
        "colour red",
        "colour dark blue",
    ]


def test_a_single_input_can_be_drawn_on_a_map() -> None:
    points = np.arange(5.0)[:, np.newaxis]
    directions, shares = principal_axes(points)
    assert directions.shape == (1, 2)
    assert shares.tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize(
    ("name", "unit", "said"),
    [
        ("basket_eur", "EUR", "basket"),
        ("return_percent", "%", "return"),
        ("days_since_order", "days", "days since order"),
        ("pieces", "", "pieces"),
    ],
)
def test_names_of_columns_lose_their_unit(name: str, unit: str, said: str) -> None:
    assert words(name, unit) == said


# The stage, its report and what is served


def test_the_report_is_about_the_clusters_that_are_served(in_project: Path, models: Path) -> None:
    report = convert(read_json(in_project / CLUSTERS), ClusterReport, str(CLUSTERS))
    served = load_artefact(models).metadata.decision.clusters
    assert [(item.number, item.name) for item in report.clusters] == [
        (item.number, item.name) for item in served
    ]
    assert sum(item.share_held_out for item in report.clusters) == pytest.approx(1)
    settings = load_settings(load_params())
    assert [item.clusters for item in report.numbers] == list(range(2, settings.most + 1))
    assert len(report.agreements) == settings.resamples
    drawn = {path.stem for path in (in_project / stage.FIGURES).iterdir()}
    assert drawn == {"number", "criteria", "stability", "profiles"}
    text = result_part(read_json(in_project / CLUSTERS), "figures")
    assert all(item.name in text for item in report.clusters)
    assert len(result_summary(read_json(in_project / CLUSTERS))) == 4
    assert len(report.gap.gaps) == len(report.information_criteria) == settings.most


def test_judging_again_gives_the_same_bytes(in_project: Path) -> None:
    before = (in_project / CLUSTERS).read_bytes()
    stage.main()
    assert (in_project / CLUSTERS).read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, "section clusters"),
        ({"resamples": 0}, "must be at least 1"),
        ({"sampled_rows": 9}, "sampled_rows must be above most"),
        ({"trees": 3}, "unknown field `trees`"),
    ],
)
def test_bad_settings_are_refused(
    in_project: Path, settings: dict[str, int] | None, message: str
) -> None:
    del in_project
    params = load_params()
    given = None if settings is None else {**(params.clusters or {}), **settings}
    changed = msgspec.structs.replace(params, clusters=given)
    with pytest.raises(ProjectError, match=message):
        load_settings(changed)


def test_answers_name_the_cluster_and_the_next_one() -> None:
    _, _, decision, *_ = perfect(2)
    scores = np.array([[0.7, 0.3], [0.2, 0.8]])
    answer = predictions(scores, decision)
    assert answer["cluster"].tolist() == [1, 2]
    assert answer["cluster_name"].tolist() == ["low price", "high price"]
    assert answer["membership"].tolist() == [0.7, 0.8]
    assert answer["next_cluster"].tolist() == [2, 1]
    assert answer["margin"].tolist() == pytest.approx([0.4, 0.6])


def test_monitoring_compares_with_the_clusters_of_the_served_model(models: Path) -> None:
    live = load_artefact(models)
    reference = pl.read_parquet(live.directory / "reference.parquet")
    assert {column.name for column in output_columns(live.metadata.recipe.contract.target)} < set(
        reference.columns
    )
    for cluster in live.metadata.decision.clusters:
        share = np.mean(reference["cluster"].to_numpy() == cluster.number)
        assert share == pytest.approx(cluster.share, abs=0.02)


def test_a_segment_is_judged_by_the_centres_of_all_rows() -> None:
    points, groups = planted()
    judged = Judged(points, np.eye(3)[groups], np.ones(groups.size))
    rows = np.flatnonzero(groups == 0)
    value = Value()
    found = measured_on(METRICS["silhouette"], judged, rows, value)
    assert found == pytest.approx(row_silhouettes(*judged)[rows].mean())
    assert found > 0.7
    index = measured_on(METRICS["davies_bouldin"], judged, np.arange(groups.size), value)
    assert index == pytest.approx(METRICS["davies_bouldin"].function(*judged, value))


def test_random_folds_hold_every_row_once_as_unseen(contract: Contract) -> None:
    points, _ = planted()
    points[:10] = points[0]
    train = nw.from_native(pd.DataFrame(points, columns=["price", "pieces"]), eager_only=True)
    folds = make_folds(train, points, contract, Split("random", 0.2, 4, 1))
    assert sorted(np.concatenate([unseen for _, unseen in folds])) == list(range(300))


# Figures


def test_figures_show_what_they_are_given(contract: Contract) -> None:
    found = [number(2, 0.3, 0.9), number(3, 0.6, 0.95)]
    axes = number_figure(found, 3, ENOUGH).axes
    assert np.asarray(axes[0].lines[0].get_ydata()).tolist() == [0.3, 0.6]
    assert len(axes) == 3
    gap, information = criteria_figure([0.1, 0.4], [0.01, 0.02], [9.0, 5.0], 2).axes
    assert np.asarray(gap.lines[0].get_ydata()).tolist() == [0.1, 0.4]
    assert np.asarray(information.lines[0].get_ydata()).tolist() == [9.0, 5.0]
    assert len(criteria_figure([0.1, 0.4], [0.01, 0.02], [], 2).axes) == 1
    stable = stability_figure(["a", "b"], [[0.9, 1.0], [0.5, 0.7]]).axes[0]
    assert [label.get_text() for label in stable.get_yticklabels()] == ["a", "b"]
    heat = profile_figure(["price"], ["1", "2"], np.array([[-1.0, 3.0]]), [["10", "90"]]).axes[0]
    assert [text.get_text() for text in heat.texts] == ["10", "90"]
    points, groups = planted()
    directions, shares = principal_axes(points)
    assert directions.shape == (2, 2)
    assert shares.sum() == pytest.approx(1)
    assert assigned(np.eye(3)[groups]).tolist() == groups.tolist()
    table = pd.DataFrame({"price": [1.0, 2.0], "colour": ["red", "dark blue"]})
    names = FeatureNames(["price"], ["colour"])
    encode = encoder(names, contract, impute=True, scale=True).fit(table)
    listed = measures(encode.transform(table), np.eye(2), np.ones(2), encode, contract)
    assert [column_label(item) for item in listed] == [
        "price",
        "colour = red",
        "colour = dark blue",
    ]


def test_estimators_are_those_of_the_library() -> None:
    chosen = candidates(
        {"k_means": {"n_clusters": 3}, "gaussian_mixture": {"n_components": 2}}, "silhouette", 5
    )
    assert isinstance(chosen["k_means"].estimator, KMeans)
    assert isinstance(chosen["gaussian_mixture"].estimator, GaussianMixture)
    assert {item.estimator.random_state for item in chosen.values()} == {5}

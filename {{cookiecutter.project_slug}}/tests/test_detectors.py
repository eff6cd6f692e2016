"""Detectors against scikit-learn, by hand, and with what they promise about gaps and categories."""

from pathlib import Path

import narwhals as nw
import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from data_prep.feature_engineering import derive
from data_prep.storage import Frame
from data_viz.detector_plots import map_figure, principal_components
from model_deployment.artefact import open_graph
from model_training.candidates import KNOWN, candidates, scores
from model_training.data_preprocessing import model_inputs
from model_training.detector_comparison import agreement
from model_training.detector_comparison import words as comparison_words
from model_training.detectors import (
    Detector,
    IsolationTrees,
    NearestNeighbours,
    PrincipalComponents,
    RobustCovariance,
    UnusualValue,
    knots,
    learn_filling,
    random_rows,
    together,
)
from model_training.finishing import threshold
from model_training.model_export import check_parity, generated_inputs
from model_training.model_selection import pipeline
from model_training.onnx_graph import build_graph
from model_training.row_reasons import row_reasons
from tests.conftest import BUNDLED
from tests.training import Trained
from utils.config import NO_TARGET, Column, ProjectError, load_contract, load_params
from utils.metrics import METRICS, Value, average_precision, mass_volume_area
from utils.outcome import SCORE, SHARE, Decision

VALUE = Value(0.1, "EUR", 100.0, -20.0, 0.0)
NAN = float("nan")


def rows(count: int = 600, seed: int = 3) -> np.ndarray:
    """Return two numbers that belong together, a third one, and indicators of two categories."""
    generator = np.random.default_rng(seed)
    first = generator.normal(0, 1, count)
    second = first + generator.normal(0, 0.2, count)
    third = generator.normal(5, 2, count)
    red = generator.random(count) < 0.3
    return np.stack([first, second, third, red, ~red], axis=1).astype(np.float64)


DETECTORS: list[Detector] = [
    UnusualValue(),
    RobustCovariance(),
    PrincipalComponents(),
    NearestNeighbours(neighbours=3, rows=50),
    IsolationTrees(n_estimators=20),
    IsolationTrees(n_estimators=20, whitened=False),
]


@pytest.mark.parametrize(
    "detector",
    [one for one in DETECTORS if not getattr(one, "whitened", False)],
    ids=lambda one: type(one).__name__,
)
def test_a_row_far_from_all_others_has_the_highest_score(detector: Detector) -> None:
    usual = rows()
    strange = np.array([[9.0, -9.0, 40.0, 1.0, 0.0]])
    answers = detector.fit(usual).predict(np.concatenate([usual, strange]))
    assert answers.shape == (601, 2)
    assert answers[:, SCORE].argmax() == 600
    assert answers[:, SCORE].min() >= 0
    assert ((answers[:, SHARE] >= 0) & (answers[:, SHARE] <= 1)).all()
    order = np.argsort(answers[:, SCORE])
    assert (np.diff(answers[order, SHARE]) >= 0).all(), "the share rises with the score"


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: type(one).__name__)
def test_the_target_has_no_influence(detector: Detector) -> None:
    usual = rows()
    outcome = np.random.default_rng(1).integers(0, 2, 600).astype(np.float64)
    first = detector.fit(usual, outcome).predict(usual)
    assert np.array_equal(first, detector.fit(usual, 1 - outcome).predict(usual))


def test_only_a_detector_of_combinations_sees_a_combination() -> None:
    usual = rows()
    broken = np.array([[1.5, -1.5, 5.0, 1.0, 0.0]])
    together_, alone = RobustCovariance().fit(usual), UnusualValue().fit(usual)
    assert together_.distances(broken)[0] > together_.distances(usual).max()
    assert alone.distances(broken)[0] < np.quantile(alone.distances(usual), 0.95)


def test_the_distance_is_that_of_scikit_learn() -> None:
    numbers = rows()[:, :3]
    detector = RobustCovariance(shrinkage=1e-9, trimmed=0.0).fit(numbers)
    reference = EmpiricalCovariance().fit(numbers).mahalanobis(numbers)
    assert detector.distances(numbers) ** 2 == pytest.approx(reference, rel=1e-4)


def test_the_reconstruction_is_that_of_scikit_learn() -> None:
    numbers = rows()[:, :3]
    reduced = PCA(1).fit(numbers)
    kept = float(reduced.explained_variance_ratio_[0]) - 1e-6
    left = numbers - reduced.inverse_transform(reduced.transform(numbers))
    detector = PrincipalComponents(kept=kept).fit(numbers)
    assert detector.distances(numbers) == pytest.approx(np.linalg.norm(left, axis=1))


def test_the_neighbours_are_those_of_scikit_learn() -> None:
    usual = rows()
    detector = NearestNeighbours(neighbours=4, rows=100).fit(usual)
    reference = NearestNeighbors(n_neighbors=4).fit(detector.drawn_).kneighbors(usual)[0]
    assert detector.distances(usual) == pytest.approx(reference.mean(axis=1), abs=1e-7)


def test_the_forest_is_that_of_scikit_learn() -> None:
    usual = rows()
    detector = IsolationTrees(n_estimators=30, whitened=False, random_state=4).fit(usual)
    reference = IsolationForest(n_estimators=30, max_samples=256, random_state=4)
    reference.fit(usual, sample_weight=np.ones(600))
    assert np.array_equal(detector.distances(usual), -reference.score_samples(usual))


def test_whitened_splits_see_columns_that_do_not_go_together() -> None:
    generator = np.random.default_rng(3)
    first = generator.normal(size=600)
    usual = np.column_stack([first, first + 0.1 * generator.normal(size=600)])
    # each number alone is usual, both together are not
    apart = generator.uniform(0.5, 1.5, 100)
    torn = np.column_stack([apart, -apart])
    areas = {}
    for whitened in (True, False):
        detector = IsolationTrees(whitened=whitened).fit(usual)
        scored = np.concatenate([detector.distances(usual), detector.distances(torn)])
        areas[whitened] = roc_auc_score(np.repeat([0, 1], [600, 100]), scored)
    assert areas[True] > 0.95
    assert areas[False] < areas[True] - 0.05


def test_a_row_far_from_all_others_is_among_the_most_unusual_to_whitened_splits() -> None:
    # No split lies beyond the training rows, so the farthest of them may come before it.
    usual, strange = rows(), np.array([[9.0, -9.0, 40.0, 1.0, 0.0]])
    detector = IsolationTrees().fit(usual)
    assert np.mean(detector.distances(usual) > detector.distances(strange)) < 0.01


def test_detectors_are_compared_pair_by_pair() -> None:
    ones = np.ones(8)
    ascending = np.arange(8.0)
    found = {"a": ascending, "b": ascending**2, "c": -ascending, "same": ones}
    report = agreement(found, ones, 0.25, "a")
    pairs = {(pair.first, pair.second): pair for pair in report.pairs}
    assert report.k == 2
    assert len(pairs) == 6
    assert (pairs["a", "b"].rank_correlation, pairs["a", "b"].overlap) == (1, 1)
    assert (pairs["a", "c"].rank_correlation, pairs["a", "c"].overlap) == (-1, 0)
    assert (pairs["a", "same"].rank_correlation, pairs["a", "same"].overlap) == (0, 0.25)
    assert report.named_by_all == 0
    said = comparison_words(report)
    assert "**a** and **b** meet: of the 2 held-out rows" in said
    assert "| **a** | – | 1.00, 100% | -1.00, 0% | 0.00, 25% |" in said
    heavy = agreement({"a": ascending, "b": -ascending}, np.array([9.0] + [1.0] * 7), 0.5, "a")
    assert heavy.pairs[0].overlap == 0.125, "one of eight rows that weigh 16 in all"


def test_the_map_marks_known_anomalies_and_alarms() -> None:
    points = rows()
    scores, unknown = np.arange(600.0), np.full(600, np.nan)
    known = (scores >= 590).astype(np.float64)
    column = Column("broken", "target", "string", "", allowed=("fine", "broken"))
    decision = Decision(threshold=580.0, quantiles=(0.0, 600.0))
    axes = map_figure(points, scores, known, decision, column).axes[0]
    assert [np.shape(drawn.get_offsets())[0] for drawn in axes.collections] == [600, 20, 10]
    nobody = Decision(threshold=1e9, quantiles=(0.0, 600.0))
    axes = map_figure(points[:, :1], scores, unknown, nobody, NO_TARGET).axes[0]
    assert [np.shape(drawn.get_offsets())[0] for drawn in axes.collections] == [600]
    places, shares = principal_components(points)
    assert places.shape == (600, 2)
    assert 0 < shares[1] <= shares[0] < 1


def test_anomalies_in_training_do_not_stretch_what_is_usual() -> None:
    clean = rows()
    spoiled = clean.copy()
    spoiled[:18, 1] += 6
    strange = np.array([[0.0, 6.0, 5.0, 1.0, 0.0]])
    robust, plain = (
        RobustCovariance(trimmed=share).fit(spoiled).distances(strange)[0] for share in (0.05, 0.0)
    )
    assert robust > 2 * plain


def test_a_rare_category_is_no_anomaly() -> None:
    usual = rows()
    usual[:, 3:] = [0.0, 1.0]
    usual[:12, 3:] = [1.0, 0.0]
    for detector in (RobustCovariance(), PrincipalComponents()):
        distances = detector.fit(usual).distances(usual)
        assert np.median(distances[:12]) < np.quantile(distances, 0.7)


def test_a_category_shifts_what_is_expected() -> None:
    usual = rows()
    usual[:, 2] = 5 + 20 * usual[:, 3] + np.random.default_rng(2).normal(0, 0.3, 600)
    detector = RobustCovariance(shrinkage=1e-4).fit(usual)
    right, wrong = np.array([[0, 0, 25.0, 1, 0]]), np.array([[0, 0, 25.0, 0, 1]])
    assert detector.distances(wrong)[0] > 10 * detector.distances(right)[0]


def test_gaps_are_filled_as_the_other_values_suggest() -> None:
    usual = rows(3000)
    gaps = usual.copy()
    hidden = np.arange(0, 3000, 10)
    gaps[hidden, 1] = np.nan
    filling = learn_filling(gaps, np.ones(3000))
    filled = filling.filled(gaps)
    known = ~np.isnan(gaps)
    assert np.array_equal(filled[known], gaps[known])
    error = filled[hidden, 1] - usual[hidden, 1]
    assert np.sqrt(np.mean(error**2)) < 0.3, "0.2 is noise, 1.0 the spread of the column"
    alone = filling.filled(np.array([[2.0, NAN, 5.0, 1.0, 0.0]]))
    assert alone[0, 1] == pytest.approx(2.0, abs=0.3)
    nothing = filling.filled(np.full((1, 5), NAN))
    assert nothing[0] == pytest.approx(filling.mean), "the mean, where nothing is known"


def test_a_gap_is_no_anomaly() -> None:
    usual = rows()
    detector = RobustCovariance().fit(usual)
    gaps = usual.copy()
    gaps[:, 1] = np.nan
    assert detector.predict(gaps)[:, SCORE].mean() < detector.predict(usual)[:, SCORE].mean()


def test_random_rows_have_the_columns_but_not_what_joins_them() -> None:
    usual = rows(2000)
    usual = np.column_stack([usual, np.exp(usual[:, 0])])
    drawn = random_rows(usual, np.ones(2000), 5000, seed=1)
    for column in range(3):
        assert np.isin(drawn[:, column], usual[:, column]).all()
        assert drawn[:, column].mean() == pytest.approx(usual[:, column].mean(), abs=0.15)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.05
    assert (drawn[:, 3] + drawn[:, 4] == 1).all(), "categories still exclude each other"
    assert np.array_equal(drawn[:, 5], np.exp(drawn[:, 0])), "a number goes with its logarithm"
    assert sorted(len(group) for group in together(usual)) == [1, 1, 2, 2]


def test_random_rows_mind_weights_as_rows_given_twice() -> None:
    usual = rows(300)
    times = np.random.default_rng(7).integers(1, 3, 300)
    repeated = np.repeat(usual, times, axis=0)
    weighted = random_rows(usual, times.astype(np.float64), 500, seed=2)
    assert np.array_equal(weighted, random_rows(repeated, np.ones(len(repeated)), 500, seed=2))


def test_the_area_without_labels_ranks_detectors_as_labels_do() -> None:
    usual = rows(1500)
    outcome = np.zeros(1500)
    outcome[:40] = 1
    usual[:40, 1] -= np.sign(usual[:40, 0]) * 1.5
    ones = np.ones(1500)
    found = {
        type(one).__name__: one.fit(usual).predict(usual)
        for one in (UnusualValue(), RobustCovariance(), NearestNeighbours(rows=100))
    }
    areas = [mass_volume_area(outcome, said, ones, VALUE) for said in found.values()]
    precision = [average_precision(outcome, said, ones, VALUE) for said in found.values()]
    assert np.array_equal(np.argsort(areas), np.argsort(-np.array(precision)))
    assert min(areas) < 0.2
    assert max(areas) > 0.4, "single numbers see hardly anything here"


def test_equal_scores_of_random_rows_have_one_place() -> None:
    places, shares = knots(np.ones(50))
    assert np.interp(1.0, places, shares) == 0.5
    places, shares = knots(np.repeat([1.0, 2.0, 5.0], 100))
    assert (np.diff(places) > 0).all()
    assert shares[-1] == 1


@pytest.mark.parametrize("name", KNOWN)
def test_every_detector_is_served_exactly(trained: Trained, tmp_path: Path, name: str) -> None:
    model = trained.fitted(name)
    path = tmp_path / "model.onnx"
    path.write_bytes(build_graph(model, trained.names).SerializeToString())
    drawn = generated_inputs(model, trained.inputs, trained.names, 10_000, seed=5)
    scorer = open_graph(path, trained.recipe)
    assert check_parity(model, scorer, {"rows": trained.inputs, "drawn": drawn}) < 1e-12


def test_numbers_alone_and_categories_alone_are_served(trained: Trained, tmp_path: Path) -> None:
    metric = trained.params.selection.metric
    for names in (
        trained.names._replace(categorical=[]),
        trained.names._replace(numeric=[]),
    ):
        candidate = candidates({"robust_covariance": {}}, metric, 1)["robust_covariance"]
        inputs = trained.inputs[[*names.numeric, *names.categorical]].head(400)
        model = pipeline(candidate, names, trained.contract).fit(inputs)
        (tmp_path / "model.onnx").write_bytes(build_graph(model, names).SerializeToString())
        scorer = open_graph(tmp_path / "model.onnx", trained.recipe)._replace(names=names)
        assert check_parity(model, scorer, {"rows": inputs}) < 1e-12
        assert np.isfinite(scores(model, inputs)).all()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("robust_covariance", {"shrinkage": 0.0}),
        ("robust_covariance", {"trimmed": 0.5}),
        ("principal_components", {"kept": 1.0}),
        ("nearest_neighbours", {"neighbours": 0}),
        ("isolation_forest", {"n_estimators": "many"}),
    ],
)
def test_a_hyperparameter_out_of_range_is_refused(
    name: str, settings: dict[str, float | int | str | None]
) -> None:
    with pytest.raises(ProjectError, match=rf"{name} in params.*{next(iter(settings))}"):
        candidates({name: settings}, next(iter(METRICS)), 0)


def test_the_threshold_with_known_anomalies_is_worth_the_most() -> None:
    outcome = np.array([0, 0, 1, 0, 1, 1.0])
    scores_ = np.array([1, 2, 3, 4, 5, 6.0])
    ones = np.ones(6)
    assert threshold(outcome, scores_, ones, VALUE) == 2.5, "one false alarm for one anomaly more"
    dear = VALUE._replace(false_alarm=-300.0)
    assert threshold(outcome, scores_, ones, dear) == 4.5
    assert threshold(np.zeros(6), scores_, ones, VALUE) > 6, "nothing to find: no alarm"


def test_the_threshold_without_them_lets_the_agreed_share_through() -> None:
    scores_ = np.arange(200.0)
    unknown = np.full(200, np.nan)
    found = threshold(unknown, scores_, np.ones(200), VALUE)
    assert (scores_ >= found).mean() == VALUE.contamination
    heavy = np.where(scores_ >= 190, 10.0, 1.0)
    found = threshold(unknown, scores_, heavy, VALUE)
    assert heavy[scores_ >= found].sum() / heavy.sum() == pytest.approx(0.1, abs=0.02)
    equal = threshold(unknown, np.ones(200), np.ones(200), VALUE)
    assert (np.ones(200) >= equal).mean() in {0, 1}, "equal scores are on one side"


def test_a_row_is_explained_by_the_value_that_does_not_fit(
    trained: Trained, records: pl.DataFrame
) -> None:
    model = trained.fitted("robust_covariance", rows=1000)

    def answer(frame: Frame) -> np.ndarray:
        return scores(model, model_inputs(derive(frame, trained.recipe), trained.names))

    columns = [column.name for column in trained.contract.with_role("numeric")]
    known = records.drop_nulls()
    # A value is far off beside the other values of its column, whatever its unit and its zero.
    spreads = known.select(pl.col(columns).std()).row(0, named=True)
    broken = known.head(len(columns)).with_columns(
        pl.when(pl.int_range(pl.len()) == place)
        .then(pl.col(name) + 10 * spreads[name])
        .otherwise(pl.col(name))
        .cast(known.schema[name])
        .alias(name)
        for place, name in enumerate(columns)
    )
    (named,) = row_reasons(answer, nw.from_native(broken, eager_only=True), columns).values()
    assert [text.split(", ")[0] for text in named] == columns, named


def test_another_metric_chooses_where_there_is_no_target(tmp_path: Path) -> None:
    schema = yaml.safe_load((BUNDLED / "schema.yaml").read_text(encoding="utf-8"))
    schema["columns"] = [item for item in schema["columns"] if item["role"] != "target"]
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(schema), encoding="utf-8")
    known = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").selection
    unknown = load_params(BUNDLED / "params.yaml", path).selection
    assert unknown.metric == known.without_target
    contract = load_contract(path)
    assert not METRICS[known.metric].applies(contract)
    assert METRICS[unknown.metric].applies(contract)

"""Split, encoders, selection, evaluation and export."""

import re
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
from sklearn.linear_model import Lasso
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from data_prep.sampling import sample
from data_prep.storage import Frame, read_parquet
from model_deployment.artefact import Scorer, load_artefact, open_graph, read_pointer
from model_training import model_export
from model_training.candidates import Candidate, candidates, estimator_for, scores
from model_training.data_preprocessing import encoder, model_inputs, row_weights, split, target
from model_training.hyperparameters import starting_points
from model_training.model_evaluation import Measured, bootstrap, segment_results
from model_training.model_export import check_parity, generated_inputs
from model_training.model_selection import (
    BASELINE,
    choose,
    fit,
    make_folds,
    out_of_fold,
    pipeline,
)
from model_training.onnx_graph import build_graph
from model_training.results import CandidateResult, Estimate, load_model
from tests.conftest import values
from tests.training import Trained, competing
from utils.config import (
    SAMPLING_WEIGHT,
    Column,
    Contract,
    Evaluation,
    ProjectError,
    Sampling,
    Split,
)
from utils.files import read_json
from utils.metrics import METRICS, Metric


def orders(rows: int) -> Frame:
    """Return rows with identifier and timestamp, newest last, in shuffled order."""
    shuffled = np.random.default_rng(0).permutation(rows)
    moments = pd.Timestamp("2026-01-01") + pd.to_timedelta(shuffled, unit="D")
    data = pd.DataFrame({"order_id": shuffled.astype(str), "ordered_at": moments})
    return nw.from_native(data, eager_only=True)


def test_time_split_holds_out_only_newer_rows(contract: Contract) -> None:
    train, test = split(orders(50), contract, Split("time", 0.2, 5, 1))
    assert test.shape[0] == 10
    assert max(values(train, "ordered_at")) < min(values(test, "ordered_at"))
    assert values(train, "ordered_at") == sorted(values(train, "ordered_at"))


def test_random_split_is_complete_disjoint_and_repeatable(contract: Contract) -> None:
    train, test = split(orders(50), contract, Split("random", 0.2, 5, 1))
    again, _ = split(orders(50), contract, Split("random", 0.2, 5, 1))
    other, _ = split(orders(50), contract, Split("random", 0.2, 5, 2))
    assert sorted(values(train, "order_id") + values(test, "order_id")) == sorted(
        values(orders(50), "order_id")
    )
    assert values(train, "order_id") == values(again, "order_id")
    assert values(train, "order_id") != values(other, "order_id")


def test_random_split_holds_out_the_same_share_of_each_class(contract: Contract) -> None:
    returned = nw.new_series("returned", np.arange(500) % 50 == 0, backend="pandas")
    frame = orders(500).with_columns(returned.cast(nw.Int64))
    train, test = split(frame, contract, Split("random", 0.2, 5, 1))
    assert (train.shape[0], test.shape[0]) == (400, 100)
    assert sum(values(test, "returned")) == 2


def test_split_refuses_an_empty_part(contract: Contract) -> None:
    with pytest.raises(ProjectError, match="leaves one part empty"):
        split(orders(3), contract, Split("time", 0.1, 5, 1))


def test_folds_in_time_validate_on_what_follows() -> None:
    outcome = np.tile([0.0, 1.0], 30)
    for training, validation in make_folds(outcome, Split("time", 0.2, 4, 1)):
        assert training.max() < validation.min()
    drawn = make_folds(outcome, Split("random", 0.2, 4, 1))
    assert sorted(np.concatenate([fold[1] for fold in drawn])) == list(range(60))
    assert {outcome[fold[1]].mean() for fold in drawn} <= {7 / 15, 8 / 15}


def test_too_many_folds_are_refused() -> None:
    with pytest.raises(ProjectError, match=r"split\.folds is 9 for 4 rows"):
        make_folds(np.array([0.0, 1.0, 0.0, 1.0]), Split("time", 0.2, 9, 1))


def test_encoder_learns_only_from_the_rows_it_is_fitted_on(contract: Contract) -> None:
    names = FeatureNames(["price"], ["colour"])
    train = pd.DataFrame({"price": [1.0, np.nan, 3.0], "colour": ["red", "missing", "dark blue"]})
    fitted = encoder(names, contract, impute=True, scale=False).fit(train)
    unseen = pd.DataFrame({"price": [np.nan, 50.0], "colour": ["never seen", "red"]})
    encoded = fitted.transform(unseen)
    assert encoded[:, 0].tolist() == [2.0, 50.0], "the median of the training rows"
    assert encoded[:, 1:].tolist() == [[0, 0, 0], [1, 0, 0]], "an unseen category has no column"


def test_choose_skips_the_baseline_and_minds_the_direction() -> None:
    results = [
        CandidateResult(BASELINE, 0.0, 0.0, []),
        CandidateResult("a", 0.2, 0.0, []),
        CandidateResult("b", 0.1, 0.0, []),
    ]
    higher = Metric("", "", True, next(iter(METRICS.values())).function)
    assert choose(results, higher) == "a"
    assert choose(results, higher._replace(greater_is_better=False)) == "b"
    with pytest.raises(ProjectError, match="only the baseline"):
        choose(results[:1], higher)


@pytest.mark.parametrize("name", ["no_such_model", BASELINE])
def test_unknown_candidates_and_hyperparameters_are_named(name: str) -> None:
    with pytest.raises(ProjectError, match=f"{name}|no_such_setting"):
        candidates({name: {"no_such_setting": 1}}, next(iter(METRICS)), 0)


@pytest.mark.parametrize("name", competing())
def test_a_candidate_answers_the_same_each_time(trained: Trained, name: str) -> None:
    model = trained.fitted(name)
    first = scores(model, trained.inputs)
    assert all(np.array_equal(scores(model, trained.inputs), first) for _ in range(8))


@pytest.mark.parametrize("name", competing())
def test_every_candidate_that_can_win_is_served_exactly(
    trained: Trained, tmp_path: Path, name: str
) -> None:
    model = trained.fitted(name)
    path = tmp_path / "model.onnx"
    path.write_bytes(build_graph(model, trained.names).SerializeToString())
    scorer = open_graph(path, trained.recipe)
    drawn = generated_inputs(model, trained.inputs, trained.names, 10_000, seed=3)
    assert drawn.isna().any().any()
    assert check_parity(model, scorer, {"generated rows": drawn}) < 1e-12


def test_an_estimator_without_an_exact_route_is_refused(trained: Trained) -> None:
    prepared = encoder(trained.names, trained.contract, impute=True, scale=True)
    estimator = estimator_for(Candidate(Lasso(), True, True), trained.contract.target)
    model = Pipeline([("encode", prepared), ("estimate", estimator)])
    model.fit(trained.inputs.head(100), trained.outcome[:100])
    with pytest.raises(ProjectError, match="Lasso has no exact route"):
        build_graph(model, trained.names)


def test_a_model_that_differs_is_not_published(
    in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_pointer(in_project / "models")
    exact = Scorer.score

    def slightly_off(self: Scorer, *inputs: np.ndarray) -> np.ndarray:
        return exact(self, *inputs) * (1 + 2e-6) + 2e-6

    monkeypatch.setattr(Scorer, "score", slightly_off)
    monkeypatch.setattr(model_export, "git_commit", lambda: "another commit")
    with pytest.raises(ProjectError, match="Nothing was published"):
        model_export.main()
    assert read_pointer(in_project / "models") == before
    assert len([path for path in (in_project / "models").iterdir() if path.is_dir()]) == 1


def test_exporting_again_publishes_the_same_version(in_project: Path) -> None:
    before = read_pointer(in_project / "models")
    model_export.main()
    assert read_pointer(in_project / "models") == before


def test_no_reader_takes_the_version_for_a_number(models: Path) -> None:
    assert re.fullmatch("v[0-9a-f]{12}", read_pointer(models).version)


def test_models_of_foreign_types_are_refused(tmp_path: Path) -> None:
    skops.io.dump(Split("time", 0.2, 5, 1), tmp_path / "model.skops")
    with pytest.raises(ProjectError, match="not trusted"):
        load_model(tmp_path / "model.skops")
    with pytest.raises(ProjectError, match="was not found"):
        load_model(tmp_path / "absent.skops")


def test_out_of_fold_predictions_come_from_models_that_never_saw_the_row(trained: Trained) -> None:
    folds = make_folds(trained.outcome[:200], Split("random", 0.2, 4, 1))
    selection = trained.params.selection
    points = starting_points(selection.candidates)
    candidate = candidates(points, selection.metric, 1)[competing()[0]]
    model = pipeline(candidate, trained.names, trained.contract)
    inputs, outcome = trained.inputs.head(200), trained.outcome[:200]
    (training, validation), *_ = folds
    weights = np.ones(200)
    rows, predicted = next(iter(out_of_fold(model, inputs, outcome, weights, folds)))
    changed = outcome.copy()
    changed[validation] = changed[validation][::-1]
    _, again = next(iter(out_of_fold(model, inputs, changed, weights, folds)))
    assert rows.tolist() == validation.tolist()
    assert not set(training) & set(validation)
    assert np.array_equal(predicted, again), "outcomes of the validation rows have no influence"


def weighted_twice() -> tuple[np.ndarray, np.ndarray]:
    """Return rows given once or twice, and the number of times for each distinct row."""
    times = np.random.default_rng(7).integers(1, 3, 300)
    return np.repeat(np.arange(300), times), times.astype(np.float64)


@pytest.mark.parametrize("metric", METRICS)
def test_a_weight_of_2_counts_as_a_row_given_twice(trained: Trained, metric: str) -> None:
    rows, times = weighted_twice()
    outcome = trained.outcome[:300]
    predicted = scores(trained.fitted(competing()[0]), trained.inputs.head(300))
    function = METRICS[metric].function
    weighted = function(outcome, predicted, times, trained.value)
    repeated = function(outcome[rows], predicted[rows], np.ones(rows.size), trained.value)
    assert weighted == pytest.approx(repeated, rel=1e-9)
    assert weighted != pytest.approx(function(outcome, predicted, np.ones(300), trained.value))


def test_fitting_with_a_weight_of_2_is_fitting_with_a_row_given_twice(trained: Trained) -> None:
    rows, times = weighted_twice()
    selection = trained.params.selection
    points = starting_points(selection.candidates)
    candidate = candidates(points, selection.metric, 1)[competing()[0]]
    # The median does not take weights; without missing values there is nothing to fill.
    inputs = trained.inputs.head(300).fillna(0.0)
    outcome = trained.outcome[:300]

    def fitted(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        model = pipeline(candidate, trained.names, trained.contract)
        return scores(fit(model, inputs.iloc[rows], outcome[rows], weights), inputs)

    everything = np.arange(300)
    weighted, repeated = fitted(everything, times), fitted(rows, np.ones(rows.size))
    assert np.abs(weighted - repeated).max() < 1e-4
    assert np.abs(weighted - fitted(everything, np.ones(300))).max() > 1e-2


def test_weights_of_an_importance_sample_give_the_metric_of_the_whole_table(
    trained: Trained, tmp_path: Path
) -> None:
    predicted = scores(trained.fitted(competing()[0]), trained.inputs)
    metric = METRICS[next(iter(METRICS))].function
    ones = np.ones(trained.outcome.size)
    whole = metric(trained.outcome, predicted, ones, trained.value)
    # rows that are predicted badly are drawn more often, which misleads without weights
    off = [
        metric(trained.outcome[[row]], predicted[[row]], ones[:1], trained.value)
        for row in range(ones.size)
    ]
    table = pa.table({"row": np.arange(ones.size), "weight": np.array(off) + 1e-3})
    source = tmp_path / "source.parquet"
    pq.write_table(table, source)
    key = Contract("t", "", "", (Column("row", "identifier", "integer", ""),))
    estimates, ignoring = [], []
    for seed in range(30):
        settings = Sampling("importance", seed, rows=200, weight="weight")
        sample(source, tmp_path / "sample.parquet", key, settings)
        drawn = read_parquet(tmp_path / "sample.parquet")
        rows, weights = np.array(drawn["row"].to_list()), row_weights(drawn, key)
        part = (trained.outcome[rows], predicted[rows])
        estimates.append(metric(*part, weights, trained.value))
        ignoring.append(metric(*part, ones[: rows.size], trained.value))
    error = np.std(estimates) / np.sqrt(30)
    assert abs(np.mean(estimates) - whole) < 4 * error + 0.01 * whole
    assert abs(np.mean(ignoring) - whole) > 0.2 * whole


def test_weights_multiply_and_are_checked(contract: Contract) -> None:
    counted = Column("count", "weight", "float", "Rows this one stands for.")
    wide = Contract("t", "", "", (*contract.columns, counted))
    table = pd.DataFrame({SAMPLING_WEIGHT: [2.0, 3.0], "count": [0.5, 1.0]})
    frame = nw.from_native(table, eager_only=True)
    assert row_weights(frame, wide).tolist() == [1.0, 3.0]
    assert row_weights(frame, contract).tolist() == [2.0, 3.0]
    assert row_weights(frame.select("count"), contract).tolist() == [1.0, 1.0]
    with pytest.raises(ProjectError, match="must be finite and not negative"):
        row_weights(frame.with_columns(nw.col("count") * -1), wide)


def test_bootstrap_intervals_hold_the_truth_and_shrink_with_rows(trained: Trained) -> None:
    metric = Metric("mean", "", True, lambda outcome, *_: float(outcome.mean()))
    settings = Evaluation(400, 0.9, ())
    generator = np.random.default_rng(5)
    held, widths = 0, []
    for rows in (50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 5000):
        outcome = generator.normal(3.0, 1.0, rows)
        model, _, improvement = bootstrap(
            metric, trained.value, Measured(outcome, outcome, outcome, outcome), settings, 1
        )
        assert model.low is not None
        assert model.high is not None
        held += model.low <= 3.0 <= model.high
        widths.append(model.high - model.low)
        assert improvement == Estimate(0, 0, 0)
    assert held >= 8
    assert widths[-1] < min(widths[:-1]) / 5


def test_a_metric_without_a_value_is_reported_as_undefined(trained: Trained) -> None:
    metric = Metric("undefined", "", True, lambda *_: float("nan"))
    ones = np.ones(3)
    data = Measured(ones, ones, ones, ones)
    found = bootstrap(metric, trained.value, data, Evaluation(5, 0.9, ()), 1)
    assert {(part.value, part.low, part.high) for part in found} == {(None, None, None)}


def test_segments_cover_every_row_once(trained: Trained, project: Path) -> None:
    test = read_parquet(project / "data/test.parquet")
    outcome = target(test, trained.contract)
    predicted = scores(trained.fitted(BASELINE), model_inputs(test, trained.names))
    data = Measured(outcome, np.ones(outcome.size), predicted, predicted)
    column = trained.params.evaluation.segments[0]
    metric = METRICS[trained.params.selection.metric]
    found = segment_results(test, data, (column,), metric, trained.value)
    assert sum(segment.rows for segment in found) == test.shape[0]
    weighted = sum(segment.rows * (segment.mean_outcome or 0) for segment in found) / test.shape[0]
    assert weighted == pytest.approx(outcome.mean())


def test_the_model_beats_the_naive_baseline(project: Path) -> None:
    measured = read_json(project / "reports/evaluation.json")["metrics"]
    # The first metric is the least noisy one, so that few rows are enough to tell.
    first = next(item for item in measured if item["name"] == next(iter(METRICS)))
    assert first["improvement"]["low"] > 0


def test_the_live_artefact_gives_the_evaluated_scores(project: Path, trained: Trained) -> None:
    artefact = load_artefact(project / "models")
    test = read_parquet(project / "data/test.parquet")
    inputs = model_inputs(test, trained.names)
    served = artefact.scorer.score(
        inputs[trained.names.numeric].to_numpy(), inputs[trained.names.categorical].to_numpy(object)
    )
    expected = scores(load_model(project / "data/selected.skops"), inputs)
    assert np.abs(served - expected).max() < 1e-9

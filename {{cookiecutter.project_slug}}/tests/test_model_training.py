"""Encoders, selection, evaluation and export."""

import re
from contextlib import chdir
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
import skops.io

from data_prep.feature_engineering import FeatureNames
from data_prep.storage import read_parquet
from model_deployment.artefact import Scorer, load_artefact, open_graph, read_pointer
from model_training import model_export
from model_training.candidates import candidates, scores
from model_training.data_preprocessing import model_inputs, row_weights
from model_training.encoding import encoder
from model_training.hyperparameters import starting_points
from model_training.model_evaluation import Measured, bootstrap, segment_results
from model_training.model_export import check_parity, generated_inputs
from model_training.model_file import load_model
from model_training.model_selection import (
    BASELINE,
    choose,
    fit,
    learning_curve,
    out_of_fold,
    pipeline,
)
from model_training.onnx_graph import build_graph
from model_training.outcomes import outcomes
from model_training.results import CandidateResult, Estimate
from model_training.splitting import make_folds
from model_training.updating import up_to_date
from tests.conftest import BUNDLED
from tests.training import Trained, competing
from utils.config import (
    SAMPLING_WEIGHT,
    Column,
    Contract,
    Evaluation,
    ProjectError,
    Split,
    load_params,
)
from utils.files import read_json
from utils.metrics import METRICS, Metric, levels

# Parts of the rows with fewer have no value of a metric of these tests.
SMALL = 60


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


def test_a_hyperparameter_out_of_range_is_refused() -> None:
    params = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml")
    name = competing()[0]
    setting = next(iter(params.selection.candidates[name]))
    with pytest.raises(ProjectError, match=f"{name}.*{setting}"):
        candidates({name: {setting: "many"}}, next(iter(METRICS)), 0)


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
    folds = make_folds(trained.train, trained.outcome, trained.contract, trained.params.split)
    selection = trained.params.selection
    points = starting_points(selection.candidates)
    candidate = candidates(points, selection.metric, 1)[competing()[0]]
    model = pipeline(candidate, trained.names, trained.contract)
    inputs, outcome = trained.inputs, trained.outcome
    (training, validation), *_ = folds
    weights = np.ones(outcome.size)
    rows, predicted = next(iter(out_of_fold(model, inputs, outcome, weights, folds)))
    changed = outcome.copy()
    changed[validation] = changed[validation][::-1]
    _, again = next(iter(out_of_fold(model, inputs, changed, weights, folds)))
    assert rows.tolist() == validation.tolist()
    assert not set(training) & set(validation)
    assert np.array_equal(predicted, again), "outcomes of the validation rows have no influence"


def once_or_twice() -> np.ndarray:
    """Return how often each of 300 rows is given."""
    return np.random.default_rng(7).integers(1, 3, 300)


@pytest.mark.parametrize("metric", METRICS)
def test_a_weight_counts_as_a_row_given_so_often(trained: Trained, metric: str) -> None:
    outcome = trained.outcome[:300]
    predicted = scores(trained.fitted(competing()[0]), trained.inputs.head(300))
    # Where a model is right about every row that counts, weights change nothing. So the rows with
    # the lowest and the highest answer swap theirs, and weigh most.
    ends = np.argsort(predicted.reshape(300, -1)[:, 0], kind="stable")[[0, -1]]
    predicted[ends] = predicted[ends[::-1]]
    times = once_or_twice()
    times[ends] = 5
    rows = np.repeat(np.arange(300), times)
    function = METRICS[metric].function
    weighted = function(outcome, predicted, times.astype(np.float64), trained.value)
    repeated = function(outcome[rows], predicted[rows], np.ones(rows.size), trained.value)
    assert weighted == pytest.approx(repeated, rel=1e-9)
    assert weighted != pytest.approx(function(outcome, predicted, np.ones(300), trained.value))


def test_fitting_with_a_weight_of_2_is_fitting_with_a_row_given_twice(trained: Trained) -> None:
    times = once_or_twice()
    rows = np.repeat(np.arange(300), times)
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
    weighted = fitted(everything, times.astype(np.float64))
    repeated = fitted(rows, np.ones(rows.size))
    assert np.abs(weighted - repeated).max() < 1e-4
    assert np.abs(weighted - fitted(everything, np.ones(300))).max() > 1e-2


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
    metric: Metric = Metric("mean", "", True, lambda outcome, *_: float(outcome.mean()))
    settings = Evaluation(400, 0.9, ())
    generator = np.random.default_rng(5)
    held, widths = 0, []
    for rows in (50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 5000):
        outcome = generator.normal(3.0, 1.0, rows)
        model, _, improvement = bootstrap(
            metric,
            trained.value,
            Measured(outcome, outcome, outcome, outcome, np.arange(rows)),
            settings,
            1,
        )
        assert model.low is not None
        assert model.high is not None
        held += model.low <= 3.0 <= model.high
        widths.append(model.high - model.low)
        assert improvement == Estimate(0, 0, 0)
    assert held >= 8
    assert widths[-1] < min(widths[:-1]) / 5


def test_a_metric_without_a_value_is_reported_as_undefined(trained: Trained) -> None:
    metric: Metric = Metric("undefined", "", True, lambda *_: float("nan"))
    ones = np.ones(3)
    data = Measured(ones, ones, ones, ones, np.arange(3))
    found = bootstrap(metric, trained.value, data, Evaluation(5, 0.9, ()), 1)
    assert {(part.value, part.low, part.high) for part in found} == {(None, None, None)}


def test_a_metric_that_can_be_had_for_the_asking_is_not_compared(trained: Trained) -> None:
    metric: Metric = Metric("mean", "", True, lambda outcome, *_: float(outcome.mean()))
    ones, settings = np.ones(3), Evaluation(5, 0.9, ())
    data = Measured(ones, ones, ones, ones, np.arange(3))
    model, baseline, improvement = bootstrap(
        metric._replace(comparable=False), trained.value, data, settings, 1
    )
    assert model == baseline == Estimate(1, 1, 1)
    assert improvement == Estimate(None, None, None)


def test_a_learning_curve_leaves_out_parts_without_a_value(trained: Trained) -> None:
    folds = make_folds(trained.train, trained.outcome, trained.contract, trained.params.split)
    selection, weights = trained.params.selection, np.ones(len(trained.inputs))
    large: Metric = Metric(
        "large", "", True, lambda _, found, *__: float(len(found)) if len(found) > SMALL else np.nan
    )
    points = starting_points(selection.candidates)
    model = pipeline(
        candidates(points, selection.metric, 1)[BASELINE], trained.names, trained.contract
    )
    data = (trained.inputs, trained.outcome, weights)
    engine = trained.params.engine
    curve = learning_curve(model, data, folds, large, trained.value, engine=engine)
    assert curve
    assert all(point.rows > SMALL and point.validation > SMALL for point in curve)
    never = large._replace(function=lambda *_: float("nan"))
    assert learning_curve(model, data, folds, never, trained.value, engine=engine) == []


def test_segments_cover_every_row_once(trained: Trained, project: Path) -> None:
    test = read_parquet(project / "data/test.parquet")
    with chdir(project):
        outcome = outcomes(test, trained.recipe)
    predicted = scores(trained.fitted(BASELINE), model_inputs(test, trained.names))
    ones = np.ones(test.shape[0])
    data = Measured(outcome, ones, predicted, predicted, np.arange(ones.size))
    column = trained.params.evaluation.segments[0]
    metric = METRICS[trained.params.selection.metric]
    decision = load_artefact(project / "models").metadata.decision
    found = segment_results(test, data, (column,), metric, trained.value, decision=decision)
    assert len({tuple(segment.decisions) for segment in found}) == 1
    assert sum(segment.rows for segment in found) == test.shape[0]
    weighted = sum(segment.rows * (segment.mean_outcome or 0) for segment in found) / test.shape[0]
    assert weighted == pytest.approx(levels(outcome, predicted, ones)[0])


def test_the_model_beats_the_naive_baseline(project: Path) -> None:
    measured = read_json(project / "reports/evaluation.json")["metrics"]
    # The first metric is the least noisy one, so that few rows are enough to tell.
    first = next(item for item in measured if item["name"] == next(iter(METRICS)))
    assert first["improvement"]["low"] > 0


def test_the_live_artefact_gives_the_evaluated_scores(project: Path, trained: Trained) -> None:
    artefact = load_artefact(project / "models")
    test = read_parquet(project / "data/test.parquet")
    inputs = model_inputs(test, trained.names)
    with chdir(project):
        outcome = outcomes(test, trained.recipe)
    measured = up_to_date(load_model(project / "data/selected.skops"), inputs, outcome)
    served = artefact.scorer.score(
        inputs[trained.names.numeric].to_numpy(), inputs[trained.names.categorical].to_numpy(object)
    )
    expected = scores(measured, inputs)
    assert np.abs(served - expected).max() < 1e-9

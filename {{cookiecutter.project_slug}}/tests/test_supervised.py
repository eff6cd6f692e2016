"""Trees and other estimators of a target: exact export, and weights of single errors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from data_prep.sampling import sample
from data_prep.storage import read_parquet
from model_deployment.artefact import load_artefact, open_graph
from model_deployment.postprocessing import SCORE, predictions
from model_training.candidates import candidates, scores
from model_training.data_preprocessing import row_weights
from model_training.model_export import check_parity, generated_inputs, thresholds
from model_training.model_selection import pipeline
from model_training.onnx_graph import build_graph
from tests.conftest import BUNDLED
from tests.predictions import perfect, put_in_an_unknown_estimator
from tests.training import Trained, competing
from utils.config import Column, Contract, ProjectError, Sampling, load_params
from utils.metrics import METRICS


def test_the_score_of_an_answer_is_the_last_prediction(models: Path) -> None:
    _, predicted, *_ = perfect(10)
    answer = predictions(predicted, load_artefact(models).metadata.decision)
    assert answer[SCORE].tolist() == predicted.reshape(10, -1)[:, -1].tolist()


def test_generated_rows_lie_on_and_beside_the_thresholds(trained: Trained) -> None:
    model = trained.fitted("hist_gradient_boosting")
    drawn = generated_inputs(model, trained.inputs, trained.names, 4000, seed=3)
    splits = thresholds(model, len(trained.names.numeric))
    position = int(np.argmax([found.size for found in splits]))
    column = drawn[trained.names.numeric[position]].to_numpy()
    assert np.isin(column, splits[position]).any()
    assert np.isin(column, np.nextafter(splits[position], np.inf)).any()


def test_a_forest_of_lone_leaves_is_served_exactly(trained: Trained, tmp_path: Path) -> None:
    selection = trained.params.selection
    settings = {"hist_gradient_boosting": {"max_iter": 2, "min_samples_leaf": 400}}
    candidate = candidates(settings, selection.metric, 1)["hist_gradient_boosting"]
    model = pipeline(candidate, trained.names, trained.contract)
    model.fit(trained.inputs.head(300), trained.outcome[:300])
    (tmp_path / "model.onnx").write_bytes(build_graph(model, trained.names).SerializeToString())
    scorer = open_graph(tmp_path / "model.onnx", trained.recipe)
    assert check_parity(model, scorer, {"rows": trained.inputs}) < 1e-12


def test_an_estimator_without_an_exact_route_is_refused(trained: Trained) -> None:
    model = trained.fitted(competing()[0])
    put_in_an_unknown_estimator(model)
    with pytest.raises(ProjectError, match="Lasso has no exact route"):
        build_graph(model, trained.names)


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


def test_what_learns_from_a_target_needs_one(tmp_path: Path) -> None:
    schema = yaml.safe_load((BUNDLED / "schema.yaml").read_text(encoding="utf-8"))
    schema["columns"] = [item for item in schema["columns"] if item["role"] != "target"]
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(schema), encoding="utf-8")
    task = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").project.task
    with pytest.raises(ProjectError, match=f"a {task} needs one"):
        load_params(BUNDLED / "params.yaml", path)

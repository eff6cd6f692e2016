"""Candidates that are trees, and how exactly they are served."""

from pathlib import Path

import numpy as np
import pytest

from model_deployment.artefact import open_graph
from model_training.candidates import candidates
from model_training.model_export import check_parity, generated_inputs, thresholds
from model_training.model_selection import pipeline
from model_training.onnx_graph import build_graph
from tests.training import Trained
from utils.config import ProjectError
from utils.metrics import METRICS


def test_a_hyperparameter_out_of_range_is_refused() -> None:
    settings: dict[str, dict[str, float | int | str | None]] = {
        "random_forest": {"n_estimators": "many"}
    }
    with pytest.raises(ProjectError, match=r"random_forest.*n_estimators"):
        candidates(settings, next(iter(METRICS)), 0)


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

"""The ONNX nodes of a fitted regressor: encoded inputs in, spreads and predictions out."""

import numpy as np
from onnx import helper
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge

from model_training.onnx_boosting import boosted_tree
from model_training.onnx_linear import linear
from model_training.onnx_parts import Part, constant
from model_training.onnx_repeated import repeated
from model_training.onnx_trees import decision_tree, rounded, tree_ensemble
from model_training.spread import SpreadRegressor
from utils.config import ProjectError


def _column(model: BaseEstimator, source: str, output: str) -> Part:
    """Return what gives the predictions as one column, shape (n, 1)."""
    if isinstance(model, DummyRegressor):
        return repeated(np.reshape(model.constant_, (1, 1)), source, output)
    if isinstance(model, Ridge):
        return linear(
            np.reshape(model.coef_, (1, -1)), np.reshape(model.intercept_, 1), source, output
        )
    if isinstance(model, HistGradientBoostingRegressor):
        trees = [(0, boosted_tree(predictor.nodes)) for (predictor,) in model._predictors]
        nodes = [
            tree_ensemble(trees, 1, source, "boosted"),
            helper.make_node("Add", ["boosted", "start"], [output]),
        ]
        return nodes, [constant("start", np.reshape(model._baseline_prediction, (1, 1)))]
    if isinstance(model, RandomForestRegressor):
        count = len(model.estimators_)
        trees = [
            (0, decision_tree(tree, tree.tree_.value[:, 0, 0] / count))
            for tree in model.estimators_
        ]
        return [*rounded(source, "rounded"), tree_ensemble(trees, 1, "rounded", output)], []
    raise ProjectError(f"{type(model).__name__} has no exact route to ONNX in this project.")


def score_shape(model: SpreadRegressor) -> list[int | None]:
    """Return the shape of the scores; None is the number of rows."""
    del model
    return [None, 2]


def _spread(model: SpreadRegressor, source: str, predicted: str, output: str) -> Part:
    """Return what gives how far errors spread, shape (n, 1)."""
    if model.spread_ is None:
        return repeated(np.ones((1, 1)), source, output)
    trees = [(0, boosted_tree(predictor.nodes)) for (predictor,) in model.spread_._predictors]
    nodes = [
        helper.make_node("Div", [predicted, "spread_step"], ["spread_ratio"]),
        helper.make_node("Round", ["spread_ratio"], ["spread_steps"]),
        helper.make_node("Concat", [source, "spread_steps"], ["told"], axis=1),
        tree_ensemble(trees, 1, "told", "spread_trees"),
        helper.make_node("Add", ["spread_trees", "spread_start"], ["spread_size"]),
        helper.make_node("Max", ["spread_size", "spread_smallest"], [output]),
    ]
    start = np.reshape(model.spread_._baseline_prediction, (1, 1))
    return nodes, [
        constant("spread_start", start),
        constant("spread_step", np.full((1, 1), model.step_)),
        constant("spread_smallest", np.full((1, 1), model.smallest_)),
    ]


def score(model: SpreadRegressor, source: str, output: str) -> Part:
    """Return the nodes from encoded inputs (n, features) to spreads and predictions (n, 2).

    Raises:
        ProjectError: the estimator has no exact route.
    """
    nodes, constants = _column(model.estimator_, source, "column")
    spread_nodes, spread_constants = _spread(model, source, "column", "spread")
    together = helper.make_node("Concat", ["spread", "column"], [output], axis=1)
    return [*nodes, *spread_nodes, together], [*constants, *spread_constants]

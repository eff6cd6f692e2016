"""A fitted model as an ONNX graph that repeats its arithmetic in 64-bit floats.

Converters in 32-bit floats move a value to the other side of a tree's threshold when it rounds, so
the graph is built here node by node, in the precision that scikit-learn computes in. A random
forest rounds its inputs to 32 bits before it compares; the graph does the same.

Inputs: ``numeric`` (n, numeric inputs), 64-bit floats with NaN for missing, and ``categorical``
(n, categorical inputs), text; an input that the model does not have is left out.
Output: ``score`` (n,), 64-bit floats.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.tree import BaseDecisionTree

from data_prep.feature_engineering import FeatureNames
from utils.config import ProjectError

OPSET = 21
ML_OPSET = 5
IR_VERSION = 10
LESS_OR_EQUAL = 0
SUM = 1

Array = npt.NDArray[Any]
Nodes = list[onnx.NodeProto]


class Branch(NamedTuple):
    """An inner node: rows with ``value <= threshold`` go left, missing ones as told."""

    feature: int
    threshold: float
    left: int
    right: int
    missing_left: bool


Tree = dict[int, Branch | float]
"""Nodes by number, the root being 0; a leaf is its weight."""


def _constant(name: str, values: Array) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, order="C"), name)


def _boosted_trees(
    model: HistGradientBoostingClassifier | HistGradientBoostingRegressor,
) -> Iterator[Tree]:
    for (predictor,) in model._predictors:
        yield {
            number: float(node["value"])
            if node["is_leaf"]
            else Branch(
                int(node["feature_idx"]),
                float(node["num_threshold"]),
                int(node["left"]),
                int(node["right"]),
                bool(node["missing_go_to_left"]),
            )
            for number, node in enumerate(predictor.nodes)
        }


def _forest_trees(model: RandomForestClassifier | RandomForestRegressor) -> Iterator[Tree]:
    fitted: Iterable[BaseDecisionTree] = model.estimators_
    for estimator in fitted:
        tree = estimator.tree_
        # The last column is the share of class 1 for a classifier and the mean for a regressor.
        weights = tree.value[:, 0, -1] / len(model.estimators_)
        yield {
            number: float(weights[number])
            if tree.children_left[number] == tree.children_right[number]
            else Branch(
                int(tree.feature[number]),
                float(tree.threshold[number]),
                int(tree.children_left[number]),
                int(tree.children_right[number]),
                bool(tree.missing_go_to_left[number]),
            )
            for number in range(tree.node_count)
        }


def _tree_ensemble(trees: Iterable[Tree], source: str, output: str) -> onnx.NodeProto:
    """Return the node that sums the leaf weights of all trees."""
    branches: list[Branch] = []
    weights: list[float] = []
    roots: list[int] = []
    children: list[tuple[int, int]] = []
    leaves: list[tuple[int, int]] = []
    for tree in trees:
        # The operator has no tree that is a lone leaf: give it a root with twice that leaf.
        nodes: Tree = tree
        if not isinstance(tree[0], Branch):
            nodes = {0: Branch(0, 0.0, 1, 1, True), 1: tree[0]}
        inner = [number for number, node in nodes.items() if isinstance(node, Branch)]
        position = {number: len(branches) + i for i, number in enumerate(inner)}
        roots.append(position[0])
        for number, node in nodes.items():
            if not isinstance(node, Branch):
                position[number] = len(weights)
                weights.append(node)
        for number in inner:
            branch = nodes[number]
            if isinstance(branch, Branch):
                branches.append(branch)
                children.append((position[branch.left], position[branch.right]))
                leaves.append(
                    (
                        int(not isinstance(nodes[branch.left], Branch)),
                        int(not isinstance(nodes[branch.right], Branch)),
                    )
                )
    return helper.make_node(
        "TreeEnsemble",
        [source],
        [output],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function=SUM,
        tree_roots=roots,
        nodes_featureids=[branch.feature for branch in branches],
        nodes_splits=_constant("splits", np.array([branch.threshold for branch in branches])),
        nodes_modes=_constant("modes", np.full(len(branches), LESS_OR_EQUAL, dtype=np.uint8)),
        nodes_truenodeids=[left for left, _ in children],
        nodes_falsenodeids=[right for _, right in children],
        nodes_trueleafs=[left for left, _ in leaves],
        nodes_falseleafs=[right for _, right in leaves],
        nodes_missing_value_tracks_true=[int(branch.missing_left) for branch in branches],
        leaf_targetids=[0] * len(weights),
        leaf_weights=_constant("weights", np.array(weights)),
    )


def _linear(
    model: LogisticRegression | Ridge, source: str, output: str
) -> tuple[Nodes, list[onnx.TensorProto]]:
    coefficients = np.asarray(model.coef_, dtype=np.float64).reshape(-1, 1)
    intercept = np.asarray(model.intercept_, dtype=np.float64).reshape(1)
    return [
        helper.make_node("MatMul", [source, "coefficients"], ["weighted"]),
        helper.make_node("Add", ["weighted", "intercept"], [output]),
    ], [_constant("coefficients", coefficients), _constant("intercept", intercept)]


def _estimator(
    model: BaseEstimator, source: str, output: str
) -> tuple[Nodes, list[onnx.TensorProto]]:
    if isinstance(model, LogisticRegression | Ridge):
        nodes, constants = _linear(model, source, "raw")
    elif isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        start = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, 1)
        nodes = [
            _tree_ensemble(_boosted_trees(model), source, "boosted"),
            helper.make_node("Add", ["boosted", "start"], ["raw"]),
        ]
        constants = [_constant("start", start)]
    elif isinstance(model, RandomForestClassifier | RandomForestRegressor):
        nodes = [
            helper.make_node("Cast", [source], ["rounded"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["rounded"], ["compared"], to=TensorProto.DOUBLE),
            _tree_ensemble(_forest_trees(model), "compared", "raw"),
        ]
        constants = []
    else:
        raise ProjectError(f"{type(model).__name__} has no exact route to ONNX in this project.")
    in_log_odds = is_classifier(model) and not isinstance(model, RandomForestClassifier)
    link = "Sigmoid" if in_log_odds else "Identity"
    return [*nodes, helper.make_node(link, ["raw"], [output])], constants


def _numeric(encode: ColumnTransformer, output: str) -> tuple[Nodes, list[onnx.TensorProto]]:
    steps = encode.named_transformers_["numeric"]
    fitted = steps.named_steps if isinstance(steps, Pipeline) else {}
    nodes: Nodes = []
    constants = []
    last = "numeric"
    if "impute" in fitted:
        constants.append(_constant("medians", fitted["impute"].statistics_.reshape(1, -1)))
        nodes += [
            helper.make_node("IsNaN", [last], ["is_missing"]),
            helper.make_node("Where", ["is_missing", "medians", last], ["imputed"]),
        ]
        last = "imputed"
    if "scale" in fitted:
        constants += [
            _constant("means", fitted["scale"].mean_.reshape(1, -1)),
            _constant("scales", fitted["scale"].scale_.reshape(1, -1)),
        ]
        nodes += [
            helper.make_node("Sub", [last, "means"], ["centred"]),
            helper.make_node("Div", ["centred", "scales"], ["scaled"]),
        ]
        last = "scaled"
    return [*nodes, helper.make_node("Identity", [last], [output])], constants


def _one_hot(
    encode: ColumnTransformer, names: list[str], outputs: list[str]
) -> tuple[Nodes, list[onnx.TensorProto]]:
    nodes: Nodes = []
    constants = []
    fitted = encode.named_transformers_["categorical"]
    for number, (name, categories) in enumerate(zip(names, fitted.categories_, strict=True)):
        constants.append(_constant(f"position_{number}", np.array(number, dtype=np.int64)))
        nodes += [
            helper.make_node(
                "Gather",
                ["categorical", f"position_{number}"],
                [f"column_{number}"],
                axis=1,
                name=name,
            ),
            helper.make_node(
                "OneHotEncoder",
                [f"column_{number}"],
                [f"flags_{number}"],
                domain="ai.onnx.ml",
                cats_strings=[str(category) for category in categories],
                zeros=1,
            ),
            helper.make_node("Cast", [f"flags_{number}"], [outputs[number]], to=TensorProto.DOUBLE),
        ]
    return nodes, constants


def build_graph(model: Pipeline, names: FeatureNames) -> onnx.ModelProto:
    """Build and check the ONNX graph of a fitted model.

    Args:
        model: the fitted pipeline of encoder and estimator.
        names: the model's inputs in their order.

    Returns:
        The graph, with the names of its inputs in its metadata.

    Raises:
        ProjectError: the estimator has no exact route.
    """
    encode, estimator = model.named_steps["encode"], model.named_steps["estimate"]
    inputs, parts, nodes, constants = [], [], [], []
    if names.numeric:
        shape = [None, len(names.numeric)]
        inputs.append(helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, shape))
        new_nodes, new_constants = _numeric(encode, "numbers")
        nodes, constants, parts = [*new_nodes], [*new_constants], ["numbers"]
    if names.categorical:
        shape = [None, len(names.categorical)]
        inputs.append(helper.make_tensor_value_info("categorical", TensorProto.STRING, shape))
        outputs = [f"one_hot_{number}" for number in range(len(names.categorical))]
        new_nodes, new_constants = _one_hot(encode, names.categorical, outputs)
        nodes, constants, parts = (
            [*nodes, *new_nodes],
            [*constants, *new_constants],
            [*parts, *outputs],
        )
    nodes.append(helper.make_node("Concat", parts, ["encoded"], axis=1))
    new_nodes, new_constants = _estimator(estimator, "encoded", "column")
    constants.append(_constant("flat", np.array([-1], dtype=np.int64)))
    graph = helper.make_graph(
        [*nodes, *new_nodes, helper.make_node("Reshape", ["column", "flat"], ["score"])],
        "model",
        inputs,
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None])],
        [*constants, *new_constants],
    )
    built = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(
        built, {"numeric": "\n".join(names.numeric), "categorical": "\n".join(names.categorical)}
    )
    onnx.checker.check_model(built)
    return built

"""The ONNX nodes of a fitted detector: encoded inputs in, place among random rows and score out."""

import numpy as np
from onnx import helper
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

from model_training.detectors import (
    FILLING_STEPS,
    Array,
    Detector,
    Filling,
    IsolationTrees,
    NearestNeighbours,
    PrincipalComponents,
    RobustCovariance,
    UnusualValue,
)
from model_training.onnx_parts import Nodes, Part, constant
from model_training.onnx_trees import decision_tree, rounded, tree_ensemble
from utils.config import ProjectError


def _filled(filling: Filling, source: str, output: str) -> Part:
    """Return what fills in missing values as ``Filling.filled`` does."""
    nodes = [
        helper.make_node("IsNaN", [source], ["absent"]),
        helper.make_node("Sub", [source, "filling_mean"], ["filling_centred"]),
        helper.make_node("Div", ["filling_centred", "filling_spread"], ["filling_scaled"]),
        helper.make_node("Where", ["absent", "zero", "filling_scaled"], ["filling_given"]),
    ]
    before, current = "filling_given", "filling_given"
    for step in range(FILLING_STEPS):
        nodes += [
            helper.make_node("Sub", [current, before], [f"moved_{step}"]),
            helper.make_node("Mul", [f"moved_{step}", "momentum"], [f"again_{step}"]),
            helper.make_node("Add", [current, f"again_{step}"], [f"ahead_{step}"]),
            helper.make_node("MatMul", [f"ahead_{step}", "slope"], [f"down_{step}"]),
            helper.make_node("Sub", [f"ahead_{step}", f"down_{step}"], [f"lower_{step}"]),
            helper.make_node(
                "Where", ["absent", f"lower_{step}", "filling_given"], [f"filling_{step}"]
            ),
        ]
        before, current = current, f"filling_{step}"
    nodes += [
        helper.make_node("Mul", [current, "filling_spread"], ["filling_wide"]),
        helper.make_node("Add", ["filling_wide", "filling_mean"], ["filling_found"]),
        helper.make_node("Where", ["absent", "filling_found", source], [output]),
    ]
    constants = [
        constant("filling_mean", filling.mean.reshape(1, -1)),
        constant("filling_spread", filling.spread.reshape(1, -1)),
        constant("slope", filling.slope),
        constant("momentum", np.array(filling.momentum)),
        constant("zero", np.array(0.0)),
    ]
    return nodes, constants


def _unusual_value(model: UnusualValue, source: str, output: str) -> Part:
    nodes = [
        helper.make_node("Gather", [source, "columns"], ["numbers_only"], axis=1),
        helper.make_node("Sub", ["numbers_only", "medians_of_rows"], ["apart"]),
        helper.make_node("Div", ["apart", "spreads"], ["deviations"]),
        helper.make_node("Abs", ["deviations"], ["absolute"]),
        helper.make_node("ReduceMax", ["absolute", "across"], [output], keepdims=1),
    ]
    constants = [
        constant("columns", model.columns_.astype(np.int64)),
        constant("medians_of_rows", model.median_.reshape(1, -1)),
        constant("spreads", model.spread_.reshape(1, -1)),
    ]
    return nodes, constants


def _length(mean: Array, directions: Array, source: str, output: str) -> Part:
    """Return the length of rows, less their mean, along some directions."""
    nodes = [
        helper.make_node("Sub", [source, "usual"], ["from_usual"]),
        helper.make_node("MatMul", ["from_usual", "directions"], ["along"]),
        helper.make_node("Mul", ["along", "along"], ["squared"]),
        helper.make_node("ReduceSum", ["squared", "across"], ["total"], keepdims=1),
        helper.make_node("Sqrt", ["total"], [output]),
    ]
    constants = [
        constant("usual", mean.reshape(1, -1)),
        constant("directions", np.ascontiguousarray(directions)),
    ]
    return nodes, constants


def _nearest(model: NearestNeighbours, source: str, output: str) -> Part:
    nodes: Nodes = []
    constants = [
        constant("nearest", np.array([model.neighbours_], dtype=np.int64)),
        constant("nothing", np.zeros((1, 1))),
    ]
    last = "nothing"
    for column in range(model.drawn_.shape[1]):
        constants += [
            constant(f"place_{column}", np.array([column], dtype=np.int64)),
            constant(f"drawn_{column}", model.drawn_[:, column].reshape(1, -1)),
        ]
        nodes += [
            helper.make_node("Gather", [source, f"place_{column}"], [f"own_{column}"], axis=1),
            helper.make_node("Sub", [f"own_{column}", f"drawn_{column}"], [f"apart_{column}"]),
            helper.make_node("Mul", [f"apart_{column}"] * 2, [f"square_{column}"]),
            helper.make_node("Add", [last, f"square_{column}"], [f"squares_{column}"]),
        ]
        last = f"squares_{column}"
    nodes += [
        helper.make_node("Sqrt", [last], ["distances"]),
        helper.make_node(
            "TopK", ["distances", "nearest"], ["nearest_distances", "who"], axis=1, largest=0
        ),
        helper.make_node("ReduceMean", ["nearest_distances", "across"], [output], keepdims=1),
    ]
    return nodes, constants


def _whitened(model: IsolationTrees, source: str, output: str) -> Part:
    """Return the rows as the trees of a forest see them."""
    if not model.whitened:
        return [helper.make_node("Identity", [source], [output])], []
    nodes = [
        helper.make_node("Sub", [source, "usual"], ["from_usual"]),
        helper.make_node("MatMul", ["from_usual", "directions"], [output]),
    ]
    constants = [
        constant("usual", model.mean_.reshape(1, -1)),
        constant("directions", np.ascontiguousarray(model.whitening_)),
    ]
    return nodes, constants


def _isolation(model: IsolationTrees, source: str, output: str) -> Part:
    forest: IsolationForest = model.forest_
    # What scikit-learn adds up for each tree: the steps to the leaf, and those that it would take
    # to tell the rows in the leaf apart.
    steps = zip(
        forest.estimators_,
        forest._decision_path_lengths,
        forest._average_path_length_per_tree,
        strict=True,
    )
    trees = [(0, decision_tree(tree, path + rest - 1.0)) for tree, path, rest in steps]
    usual = len(trees) * float(_average_path_length([forest._max_samples])[0])
    seen, constants = _whitened(model, source, "seen")
    nodes = [
        *seen,
        *rounded("seen", "rounded"),
        tree_ensemble(trees, 1, "rounded", "steps"),
        helper.make_node("Neg", ["steps"], ["fewer"]),
        helper.make_node("Div", ["fewer", "usual_steps"], ["exponent"]),
        helper.make_node("Pow", ["two", "exponent"], [output]),
    ]
    constants += [
        constant("usual_steps", np.array([[usual]])),
        constant("two", np.array([[2.0]])),
    ]
    return nodes, constants


def _distance(model: BaseEstimator, source: str, output: str) -> Part:
    """Return what gives the anomaly scores as one column, shape (n, 1)."""
    if isinstance(model, UnusualValue):
        return _unusual_value(model, source, output)
    if isinstance(model, RobustCovariance):
        return _length(model.mean_, model.whitening_, source, output)
    if isinstance(model, PrincipalComponents):
        return _length(model.mean_, model.left_, source, output)
    if isinstance(model, NearestNeighbours):
        return _nearest(model, source, output)
    if isinstance(model, IsolationTrees):
        return _isolation(model, source, output)
    raise ProjectError(f"{type(model).__name__} has no exact route to ONNX in this project.")


def _place(model: Detector, source: str, output: str) -> Part:
    """Return what gives the share of random rows that stand out less, shape (n, 1)."""
    nodes = [
        helper.make_node("Sub", [source, "knots"], ["beyond"]),
        helper.make_node("Div", ["beyond", "gaps"], ["steps_beyond"]),
        helper.make_node("Clip", ["steps_beyond", "none", "whole"], ["passed"]),
        helper.make_node("MatMul", ["passed", "gained"], ["gained_share"]),
        helper.make_node("Add", ["gained_share", "first_share"], [output]),
    ]
    constants = [
        constant("knots", model.knots_[:-1].reshape(1, -1)),
        constant("gaps", np.diff(model.knots_).reshape(1, -1)),
        constant("none", np.array(0.0)),
        constant("whole", np.array(1.0)),
        constant("gained", np.diff(model.shares_).reshape(-1, 1)),
        constant("first_share", np.array([[model.shares_[0]]])),
    ]
    return nodes, constants


def score_shape(model: BaseEstimator) -> list[int | None]:
    """Return the shape of the scores; None is the number of rows."""
    del model
    return [None, 2]


def score(model: BaseEstimator, source: str, output: str) -> Part:
    """Return the nodes from encoded inputs (n, features) to scores (n, 2).

    Raises:
        ProjectError: the detector has no exact route.
    """
    nodes, constants = _distance(model, "complete", "distance")
    filled, filling_constants = _filled(Filling(**model.filling_), source, "complete")
    placed, place_constants = _place(model, "distance", "place")
    across = constant("across", np.array([1], dtype=np.int64))
    return (
        [
            *filled,
            *nodes,
            *placed,
            helper.make_node("Concat", ["place", "distance"], [output], axis=1),
        ],
        [*filling_constants, *constants, *place_constants, across],
    )

"""The ONNX nodes of a fitted classifier: encoded inputs in, probabilities of all classes out."""

import numpy as np
from onnx import helper
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from model_training.calibration import CalibratedClassifier
from model_training.onnx_boosting import boosted_tree
from model_training.onnx_linear import linear
from model_training.onnx_parts import Part, constant
from model_training.onnx_repeated import repeated
from model_training.onnx_trees import decision_tree, rounded, tree_ensemble
from utils.config import ProjectError
from utils.outcome import SMALLEST_CALIBRATED, TWO


def _forest(model: RandomForestClassifier, source: str, output: str) -> Part:
    """Return the mean of the trees' class shares.

    A tree of the operator has one number per leaf, so it gives the number of the leaf, by which the
    shares of the leaf are looked up; trees are added in their order, as scikit-learn does.
    """
    count = len(model.estimators_)
    trees = [
        (position, decision_tree(tree, np.arange(tree.tree_.node_count)))
        for position, tree in enumerate(model.estimators_)
    ]
    nodes = [
        *rounded(source, "rounded"),
        tree_ensemble(trees, count, "rounded", "leaves"),
        helper.make_node("Cast", ["leaves"], ["leaf_numbers"], to=7),
    ]
    constants = [constant("count", np.array(float(count)))]
    total = ""
    for position, tree in enumerate(model.estimators_):
        constants += [
            constant(f"tree_{position}", np.array(position, dtype=np.int64)),
            constant(f"shares_{position}", tree.tree_.value[:, 0, :].astype(np.float64)),
        ]
        looked_up = f"looked_up_{position}"
        nodes += [
            helper.make_node(
                "Gather", ["leaf_numbers", f"tree_{position}"], [f"leaf_{position}"], axis=1
            ),
            helper.make_node(
                "Gather", [f"shares_{position}", f"leaf_{position}"], [looked_up], axis=0
            ),
        ]
        if total:
            nodes.append(helper.make_node("Add", [total, looked_up], [f"sum_{position}"]))
        total = f"sum_{position}" if total else looked_up
    return [*nodes, helper.make_node("Div", [total, "count"], [output])], constants


def _boosted(model: HistGradientBoostingClassifier, source: str, output: str) -> Part:
    """Return the sums of the trees per class, or of the one log-odds of two classes."""
    trees = [
        (target, boosted_tree(predictor.nodes))
        for iteration in model._predictors
        for target, predictor in enumerate(iteration)
    ]
    start = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    nodes = [
        tree_ensemble(trees, start.shape[1], source, "boosted"),
        helper.make_node("Add", ["boosted", "start"], [output]),
    ]
    return nodes, [constant("start", start)]


def _linked(part: Part, classes: int, source: str, output: str) -> Part:
    """Add the link from sums to probabilities; two classes have one sum."""
    nodes, constants = part
    if classes > TWO:
        return [*nodes, helper.make_node("Softmax", [source], [output], axis=1)], constants
    linked = [
        helper.make_node("Sigmoid", [source], ["second"]),
        helper.make_node("Sub", ["certain", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], [output], axis=1),
    ]
    return [*nodes, *linked], [*constants, constant("certain", np.array(1.0))]


def _known(model: BaseEstimator, source: str, output: str) -> Part:
    """Return what gives the probabilities of the classes that had training rows."""
    if isinstance(model, DummyClassifier):
        return repeated(np.reshape(model.class_prior_, (1, -1)), source, output)
    if isinstance(model, RandomForestClassifier):
        return _forest(model, source, output)
    if isinstance(model, LogisticRegression):
        part = linear(model.coef_, model.intercept_, source, "raw")
    elif isinstance(model, HistGradientBoostingClassifier):
        part = _boosted(model, source, "raw")
    else:
        raise ProjectError(f"{type(model).__name__} has no exact route to ONNX in this project.")
    return _linked(part, len(model.classes_), "raw", output)


def _all_classes(model: CalibratedClassifier, source: str, output: str) -> Part:
    """Give classes without training rows the probability 0."""
    known = model.estimator_.classes_.astype(np.int64)
    places = np.full(model.classes, known.size)
    places[known] = np.arange(known.size)
    nodes = [
        helper.make_node("Pad", [source, "one_more", "never"], ["padded"]),
        helper.make_node("Gather", ["padded", "places"], [output], axis=1),
    ]
    return nodes, [
        constant("one_more", np.array([0, 0, 0, 1], dtype=np.int64)),
        constant("never", np.array(0.0)),
        constant("places", places.astype(np.int64)),
    ]


def _correction(model: CalibratedClassifier, source: str, output: str) -> Part:
    """Apply the calibration, or nothing where there is none."""
    if model.offsets is None:
        return [helper.make_node("Identity", [source], [output])], []
    nodes = [
        helper.make_node("Max", [source, "smallest"], ["positive"]),
        helper.make_node("Log", ["positive"], ["logarithms"]),
        helper.make_node("Mul", ["logarithms", "slope"], ["steeper"]),
        helper.make_node("Add", ["steeper", "offsets"], ["moved"]),
        helper.make_node("Softmax", ["moved"], [output], axis=1),
    ]
    return nodes, [
        constant("smallest", np.array(SMALLEST_CALIBRATED)),
        constant("slope", np.array(float(model.slope))),
        constant("offsets", np.asarray(model.offsets, dtype=np.float64).reshape(1, -1)),
    ]


def score_shape(model: CalibratedClassifier) -> list[int | None]:
    """Return the shape of the scores; None is the number of rows."""
    return [None, model.classes]


def score(model: CalibratedClassifier, source: str, output: str) -> Part:
    """Return the nodes from encoded inputs (n, features) to probabilities (n, k).

    Raises:
        ProjectError: the estimator has no exact route.
    """
    parts = [
        _known(model.estimator_, source, "known"),
        _all_classes(model, "known", "probabilities"),
        _correction(model, "probabilities", output),
    ]
    return [node for nodes, _ in parts for node in nodes], [
        item for _, constants in parts for item in constants
    ]

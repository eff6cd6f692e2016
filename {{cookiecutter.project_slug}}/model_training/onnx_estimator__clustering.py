"""The ONNX nodes of a fitted clustering: encoded inputs in, memberships of all clusters out."""

import numpy as np
from onnx import helper
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.mixture import GaussianMixture

from model_training.onnx_parts import Part, constant
from model_training.partitions import (
    SMALLEST_SQUARE,
    NumberedClusters,
    log_constants,
    spread_factors,
)
from utils.config import ProjectError


def _nearness(centres: np.ndarray, source: str, output: str) -> Part:
    """Return memberships in inverse proportion to the squared distances from centres."""
    nodes = [
        helper.make_node("Unsqueeze", [source, "second"], ["lone"]),
        helper.make_node("Sub", ["lone", "centres"], ["steps"]),
        helper.make_node("Mul", ["steps", "steps"], ["squared_steps"]),
        helper.make_node("ReduceSum", ["squared_steps", "last"], ["squares"], keepdims=0),
        helper.make_node("Max", ["squares", "smallest"], ["positive"]),
        helper.make_node("ReduceMin", ["positive", "second"], ["nearest"], keepdims=1),
        helper.make_node("Div", ["nearest", "positive"], ["inverse"]),
        helper.make_node("ReduceSum", ["inverse", "second"], ["total"], keepdims=1),
        helper.make_node("Div", ["inverse", "total"], [output]),
    ]
    return nodes, [
        constant("second", np.array([1], dtype=np.int64)),
        constant("last", np.array([2], dtype=np.int64)),
        constant("centres", centres[np.newaxis]),
        constant("smallest", np.array(SMALLEST_SQUARE)),
    ]


def _posterior(mixture: GaussianMixture, order: np.ndarray, source: str, output: str) -> Part:
    """Return the posterior probabilities of the components of a mixture."""
    nodes, parts = [], []
    constants = [
        constant("second", np.array([1], dtype=np.int64)),
        constant("minus_half", np.array(-0.5)),
        constant("heights", log_constants(mixture)[order].reshape(1, -1)),
    ]
    factors = spread_factors(mixture)
    for place, component in enumerate(order):
        constants += [
            constant(f"mean_{place}", mixture.means_[component].reshape(1, -1)),
            constant(f"factor_{place}", factors[component]),
        ]
        names = [f"{step}_{place}" for step in ("step", "scaled", "square", "sum")]
        nodes += [
            helper.make_node("Sub", [source, f"mean_{place}"], [names[0]]),
            helper.make_node("MatMul", [names[0], f"factor_{place}"], [names[1]]),
            helper.make_node("Mul", [names[1], names[1]], [names[2]]),
            helper.make_node("ReduceSum", [names[2], "second"], [names[3]], keepdims=1),
        ]
        parts.append(names[3])
    return [
        *nodes,
        helper.make_node("Concat", parts, ["sums"], axis=1),
        helper.make_node("Mul", ["sums", "minus_half"], ["exponents"]),
        helper.make_node("Add", ["exponents", "heights"], ["logarithms"]),
        helper.make_node("Softmax", ["logarithms"], [output], axis=1),
    ], constants


def score_shape(model: NumberedClusters) -> list[int | None]:
    """Return the shape of the scores; None is the number of rows."""
    return [None, model.order_.size]


def score(model: NumberedClusters, source: str, output: str) -> Part:
    """Return the nodes from encoded inputs (n, features) to memberships (n, k).

    Raises:
        ProjectError: the estimator has no exact route.
    """
    estimator = model.estimator_
    if isinstance(estimator, (KMeans, BisectingKMeans)):
        return _nearness(estimator.cluster_centers_[model.order_], source, output)
    if isinstance(estimator, GaussianMixture):
        return _posterior(estimator, model.order_, source, output)
    raise ProjectError(f"{type(estimator).__name__} has no exact route to ONNX in this project.")

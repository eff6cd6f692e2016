"""Trees as nodes of an ONNX graph in 64-bit floats."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper
from sklearn.tree import BaseDecisionTree

from model_training.onnx_parts import Array, Nodes, constant

LESS_OR_EQUAL = 0
SUM = 1


class Branch(NamedTuple):
    """An inner node: rows with ``value <= threshold`` go left, missing ones as told."""

    feature: int
    threshold: float
    left: int
    right: int
    missing_left: bool


Tree = dict[int, Branch | float]
"""Nodes by number, the root being 0; a leaf is its weight."""


def decision_tree(estimator: BaseDecisionTree, leaves: Array) -> Tree:
    """Return a tree of a forest.

    Args:
        estimator: the fitted tree.
        leaves: the weight of each node, should it be a leaf, shape (nodes,).
    """
    tree = estimator.tree_
    return {
        number: float(leaves[number])
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


def tree_ensemble(
    trees: Iterable[tuple[int, Tree]], targets: int, source: str, output: str
) -> onnx.NodeProto:
    """Return the node that sums leaf weights of trees by target.

    Args:
        trees: each with the number of the target that it adds to.
        targets: number of targets.
        source: name of the inputs (n, features), 64-bit floats.
        output: name of the sums (n, targets).
    """
    branches: list[Branch] = []
    weights: list[float] = []
    targeted: list[int] = []
    roots: list[int] = []
    children: list[tuple[int, int]] = []
    leaves: list[tuple[int, int]] = []
    for target, tree in trees:
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
                targeted.append(target)
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
        n_targets=targets,
        aggregate_function=SUM,
        tree_roots=roots,
        nodes_featureids=[branch.feature for branch in branches],
        nodes_splits=constant("splits", np.array([branch.threshold for branch in branches])),
        nodes_modes=constant("modes", np.full(len(branches), LESS_OR_EQUAL, dtype=np.uint8)),
        nodes_truenodeids=[left for left, _ in children],
        nodes_falsenodeids=[right for _, right in children],
        nodes_trueleafs=[left for left, _ in leaves],
        nodes_falseleafs=[right for _, right in leaves],
        nodes_missing_value_tracks_true=[int(branch.missing_left) for branch in branches],
        leaf_targetids=targeted,
        leaf_weights=constant("weights", np.array(weights)),
    )


def rounded(source: str, output: str) -> Nodes:
    """Return the nodes that round to 32 bits, as a forest does before it compares."""
    return [
        helper.make_node("Cast", [source], [f"{output}_32"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Cast", [f"{output}_32"], [output], to=onnx.TensorProto.DOUBLE),
    ]

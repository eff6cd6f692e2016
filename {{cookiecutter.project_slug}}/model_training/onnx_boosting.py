"""Trees of histogram gradient boosting for an ONNX graph."""

from model_training.onnx_parts import Array
from model_training.onnx_trees import Branch, Tree


def boosted_tree(nodes: Array) -> Tree:
    """Return a tree of histogram gradient boosting, given the nodes of its predictor."""
    return {
        number: float(node["value"])
        if node["is_leaf"]
        else Branch(
            int(node["feature_idx"]),
            float(node["num_threshold"]),
            int(node["left"]),
            int(node["right"]),
            bool(node["missing_go_to_left"]),
        )
        for number, node in enumerate(nodes)
    }

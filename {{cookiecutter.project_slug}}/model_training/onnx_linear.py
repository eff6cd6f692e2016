"""Linear models as nodes of an ONNX graph in 64-bit floats."""

import numpy as np
from onnx import helper

from model_training.onnx_parts import Array, Part, constant


def linear(coefficients: Array, intercepts: Array, source: str, output: str) -> Part:
    """Return inputs times coefficients plus intercepts.

    Args:
        coefficients: shape (outputs, features).
        intercepts: shape (outputs,).
        source: name of the inputs (n, features).
        output: name of the sums (n, outputs).
    """
    nodes = [
        helper.make_node("MatMul", [source, "coefficients"], ["weighted"]),
        helper.make_node("Add", ["weighted", "intercepts"], [output]),
    ]
    by_column = np.ascontiguousarray(coefficients.T, dtype=np.float64)
    constants = [constant("coefficients", by_column)]
    return nodes, [*constants, constant("intercepts", intercepts.reshape(1, -1).astype(np.float64))]

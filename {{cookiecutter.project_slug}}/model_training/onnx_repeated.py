"""The same answer for every row as nodes of an ONNX graph in 64-bit floats."""

import numpy as np
from onnx import helper

from model_training.onnx_parts import Array, Part, constant


def repeated(row: Array, source: str, output: str) -> Part:
    """Return what gives each row of ``source`` the same values: ``row``, shape (1, values)."""
    nodes = [
        helper.make_node("Shape", [source], [f"{output}_rows"], start=0, end=1),
        helper.make_node(
            "Concat", [f"{output}_rows", f"{output}_one"], [f"{output}_shape"], axis=0
        ),
        helper.make_node("Expand", [f"{output}_row", f"{output}_shape"], [output]),
    ]
    one = constant(f"{output}_one", np.array([1], dtype=np.int64))
    return nodes, [one, constant(f"{output}_row", row.astype(np.float64))]

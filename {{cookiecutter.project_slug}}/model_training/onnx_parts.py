"""Nodes and constants of an ONNX graph in 64-bit floats."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[Any]
Nodes = list[onnx.NodeProto]
Part = tuple[Nodes, list[onnx.TensorProto]]
"""Nodes, and the constants that they name."""


def constant(name: str, values: Array) -> onnx.TensorProto:
    """Return an array as a constant of the graph."""
    return numpy_helper.from_array(np.asarray(values, order="C"), name)

"""A fitted model as an ONNX graph that repeats its arithmetic in 64-bit floats.

Converters in 32-bit floats move a value to the other side of a tree's threshold when it rounds, so
the graph is built here node by node, in the precision that scikit-learn computes in. A random
forest rounds its inputs to 32 bits before it compares; the graph does the same.

Inputs: ``numeric`` (n, numeric inputs), 64-bit floats with NaN for missing, and ``categorical``
(n, categorical inputs), text; an input that the model does not have is left out.
Output: ``score``, 64-bit floats, in the shape that ``scores`` of the candidates returns.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames
from model_training.onnx_estimator import score, score_shape
from model_training.onnx_parts import Nodes, Part, constant

OPSET = 21
ML_OPSET = 5
IR_VERSION = 10


def _numeric(encode: ColumnTransformer, output: str) -> Part:
    steps = encode.named_transformers_["numeric"]
    fitted = steps.named_steps if isinstance(steps, Pipeline) else {}
    nodes: Nodes = []
    constants = []
    last = "numeric"
    if "impute" in fitted:
        constants.append(constant("medians", fitted["impute"].statistics_.reshape(1, -1)))
        nodes += [
            helper.make_node("IsNaN", [last], ["is_missing"]),
            helper.make_node("Where", ["is_missing", "medians", last], ["imputed"]),
        ]
        last = "imputed"
    if "scale" in fitted:
        constants += [
            constant("means", fitted["scale"].mean_.reshape(1, -1)),
            constant("scales", fitted["scale"].scale_.reshape(1, -1)),
        ]
        nodes += [
            helper.make_node("Sub", [last, "means"], ["centred"]),
            helper.make_node("Div", ["centred", "scales"], ["scaled"]),
        ]
        last = "scaled"
    return [*nodes, helper.make_node("Identity", [last], [output])], constants


def _one_hot(encode: ColumnTransformer, names: list[str], outputs: list[str]) -> Part:
    nodes: Nodes = []
    constants = []
    fitted = encode.named_transformers_["categorical"]
    for number, (name, categories) in enumerate(zip(names, fitted.categories_, strict=True)):
        constants.append(constant(f"position_{number}", np.array(number, dtype=np.int64)))
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
    new_nodes, new_constants = score(estimator, "encoded", "score")
    graph = helper.make_graph(
        [*nodes, *new_nodes],
        "model",
        inputs,
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, score_shape(estimator))],
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

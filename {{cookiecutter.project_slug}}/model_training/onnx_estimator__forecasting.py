"""The ONNX nodes of a fitted forecaster: encoded inputs in, forecasts with their basis out.

The history goes into the graph as the table in which the forecaster looks up what it knew.
"""

import numpy as np
from onnx import TensorProto, helper
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge

from model_training.forecaster import BASIS, NAIVE, STEP, USUAL, Forecaster, Layout
from model_training.onnx_boosting import boosted_tree
from model_training.onnx_linear import linear
from model_training.onnx_parts import Nodes, Part, constant
from model_training.onnx_trees import decision_tree, rounded, tree_ensemble
from utils.config import ProjectError
from utils.outcome import BEYOND_HORIZON, FORECAST, NO_HISTORY


def _relative(model: BaseEstimator, source: str, output: str) -> Part:
    """Return what gives the forecasts in multiples of what is usual, shape (n, 1)."""
    if isinstance(model, Ridge):
        return linear(
            np.reshape(model.coef_, (1, -1)), np.reshape(model.intercept_, 1), source, output
        )
    if isinstance(model, HistGradientBoostingRegressor):
        boosted = [(0, boosted_tree(predictor.nodes)) for (predictor,) in model._predictors]
        nodes = [
            tree_ensemble(boosted, 1, source, "boosted"),
            helper.make_node("Add", ["boosted", "start"], [output]),
        ]
        return nodes, [constant("start", np.reshape(model._baseline_prediction, (1, 1)))]
    if isinstance(model, RandomForestRegressor):
        count = len(model.estimators_)
        trees = [
            (0, decision_tree(tree, tree.tree_.value[:, 0, 0] / count))
            for tree in model.estimators_
        ]
        return [*rounded(source, "rounded"), tree_ensemble(trees, 1, "rounded", output)], []
    raise ProjectError(f"{type(model).__name__} has no exact route to ONNX in this project.")


def _columns(source: str, places: list[int], output: str) -> Part:
    """Return what takes columns, shape (n, places)."""
    name = f"{output}_places"
    node = helper.make_node("Gather", [source, name], [output], axis=1)
    return [node], [constant(name, np.array(places, dtype=np.int64))]


def _before_series(model: Forecaster, source: str, output: str) -> Part:
    """Return what gives how many rows of the table stand before those of a series, shape (n, 1).

    Of a single series, whose rows follow those of the mean of all, it is one number.
    """
    where, days = Layout(*model.layout), float(model.table_.shape[1])
    if where.first == where.end:
        return [], [constant(output, np.array([[days]]))]
    nodes, constants = _columns(source, list(range(where.first, where.end)), "flags")
    nodes += [
        helper.make_node("MatMul", ["flags", "one_by_one"], ["series"]),
        helper.make_node("Mul", ["series", "days"], [output]),
    ]
    numbers = np.arange(1.0, where.end - where.first + 1).reshape(-1, 1)
    return nodes, [*constants, constant("one_by_one", numbers), constant("days", np.array(days))]


def _looked_up(model: Forecaster, source: str, output: str) -> Part:
    """Return what looks up the rows of the table, shape (n, columns), with the basis of the series.

    Its nodes also give ``undated`` and ``is_beyond``, each of shape (n, 1).
    """
    where = Layout(*model.layout)
    width = model.table_.shape[2]
    day_nodes, day_constants = _columns(source, [where.day], "any_day")
    series_nodes, series_constants = _before_series(model, source, "before_series")
    numbers = {
        "next_day": model.last_ + 1,
        "furthest": model.last_ + model.horizon,
        "season": model.season,
        "zero": 0,
        "first_day": model.first_,
    }
    constants = [
        *day_constants,
        *series_constants,
        *(constant(name, np.array(number, dtype=np.float64)) for name, number in numbers.items()),
        constant("row_of_places", np.array([-1], dtype=np.int64)),
        constant("table", model.table_.reshape(-1, width)),
    ]
    nodes: Nodes = [
        *day_nodes,
        *series_nodes,
        helper.make_node("Floor", ["any_day"], ["whole_day"]),
        helper.make_node("IsNaN", ["whole_day"], ["undated"]),
        helper.make_node("Where", ["undated", "next_day", "whole_day"], ["asked_day"]),
        helper.make_node("Sub", ["asked_day", "furthest"], ["beyond"]),
        helper.make_node("Greater", ["beyond", "zero"], ["is_beyond"]),
        helper.make_node("Div", ["beyond", "season"], ["seasons_beyond"]),
        helper.make_node("Ceil", ["seasons_beyond"], ["whole_seasons"]),
        helper.make_node("Max", ["whole_seasons", "zero"], ["seasons_back"]),
        helper.make_node("Mul", ["seasons_back", "season"], ["days_back"]),
        helper.make_node("Sub", ["asked_day", "days_back"], ["day"]),
        helper.make_node("Sub", ["day", "first_day"], ["any_place"]),
        helper.make_node("Max", ["any_place", "zero"], ["place"]),
        helper.make_node("Add", ["before_series", "place"], ["row"]),
        helper.make_node("Cast", ["row"], ["whole_row"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["whole_row", "row_of_places"], ["rows"]),
        helper.make_node("Gather", ["table", "rows"], [output], axis=0),
    ]
    return nodes, constants


def _basis(output: str) -> Part:
    """Return what says what each forecast is based on, shape (n, 1)."""
    nodes, constants = _columns("looked_up", [BASIS], "usual_basis")
    constants += [
        constant(name, np.array(code, dtype=np.float64))
        for name, code in (
            ("code_forecast", FORECAST),
            ("code_beyond", BEYOND_HORIZON),
            ("code_no_history", NO_HISTORY),
        )
    ]
    nodes += [
        helper.make_node("Equal", ["usual_basis", "code_forecast"], ["is_known"]),
        helper.make_node("And", ["is_known", "is_beyond"], ["is_too_far"]),
        helper.make_node("Where", ["is_too_far", "code_beyond", "usual_basis"], ["dated_basis"]),
        helper.make_node("Where", ["undated", "code_no_history", "dated_basis"], [output]),
    ]
    return nodes, constants


def _forecast(model: Forecaster, source: str, output: str) -> Part:
    """Return what gives the forecasts in the unit of the target, shape (n, 1)."""
    if model.regressor is None:
        return _columns("looked_up", [NAIVE], output)
    inputs, width = model.regressor_.n_features_in_, model.table_.shape[2]
    own = inputs - (width - NAIVE - 1)
    # the step stands where the inputs have the day, and the ratios come last
    places = [*range(own), *range(own + NAIVE + 1, own + width)]
    places[Layout(*model.layout).day] = own + STEP
    nodes: Nodes = [helper.make_node("Concat", [source, "looked_up"], ["everything"], axis=1)]
    taken, constants = _columns("everything", places, "taken")
    nodes += taken
    last = "taken"
    if model.impute:
        constants.append(constant("inner_medians", model.medians_.reshape(1, -1)))
        nodes += [
            helper.make_node("IsNaN", [last], ["inner_missing"]),
            helper.make_node("Where", ["inner_missing", "inner_medians", last], ["inner_imputed"]),
        ]
        last = "inner_imputed"
    if model.scale:
        constants += [
            constant("inner_means", model.means_.reshape(1, -1)),
            constant("inner_spreads", model.spreads_.reshape(1, -1)),
        ]
        nodes += [
            helper.make_node("Sub", [last, "inner_means"], ["inner_centred"]),
            helper.make_node("Div", ["inner_centred", "inner_spreads"], ["inner_scaled"]),
        ]
        last = "inner_scaled"
    regressor_nodes, regressor_constants = _relative(model.regressor_, last, "relative")
    usual_nodes, usual_constants = _columns("looked_up", [USUAL], "usual")
    multiplied = helper.make_node("Mul", ["relative", "usual"], [output])
    return (
        [*nodes, *regressor_nodes, *usual_nodes, multiplied],
        [*constants, *regressor_constants, *usual_constants],
    )


def score_shape(model: BaseEstimator) -> list[int | None]:
    """Return the shape of the scores; None is the number of rows."""
    del model
    return [None, 4]


def score(model: BaseEstimator, source: str, output: str) -> Part:
    """Return the nodes from encoded inputs (n, features) to scores (n, 4).

    Raises:
        ProjectError: the estimator has no exact route.
    """
    if not isinstance(model, Forecaster):
        raise ProjectError(f"{type(model).__name__} has no exact route to ONNX in this project.")
    parts = [
        _looked_up(model, source, "looked_up"),
        _columns("looked_up", list(range(BASIS)), "step_and_unit"),
        _basis("basis"),
        _forecast(model, source, "forecast"),
    ]
    nodes = [node for part, _ in parts for node in part]
    constants = [value for _, values in parts for value in values]
    together = helper.make_node("Concat", ["step_and_unit", "basis", "forecast"], [output], axis=1)
    return [*nodes, together], constants

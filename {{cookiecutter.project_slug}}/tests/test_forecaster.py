"""The forecaster: what it forecasts from, and that the served graph repeats it."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from onnx import TensorProto, helper
from onnxruntime import InferenceSession
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from model_deployment.artefact import load_artefact
from model_deployment.postprocessing import predictions
from model_deployment.preprocessing import model_inputs, standardise_records
from model_training.candidates import candidates, layout
from model_training.forecaster import Forecaster
from model_training.model_file import load_model
from model_training.onnx_estimator import score, score_shape
from model_training.splitting import series_of
from utils.config import ProjectError, load_contract, load_params
from utils.config import recipe as project_recipe
from utils.outcome import (
    BASES,
    BEYOND_HORIZON,
    FORECAST,
    NO_HISTORY,
    UNKNOWN_SERIES,
    days_ahead,
    point,
)

FIRST, DAYS, SERIES, HORIZON = 20_000, 140, 3, 14
SIZES = np.array([10.0, 100.0, 1000.0])
REGRESSORS: dict[str, tuple[Any, bool, bool]] = {
    "naive": (None, False, False),
    "linear": (Ridge(alpha=1e-3), True, True),
    "forest": (RandomForestRegressor(20, min_samples_leaf=3, random_state=1), True, False),
    "boosting": (HistGradientBoostingRegressor(max_iter=60, random_state=1), False, False),
}


def rows(first: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Return encoded inputs (offer, day, weekday, flags of three series) and values by day.

    An offer adds half to what is sold; Sundays sell twice as much.
    """
    generator = np.random.default_rng(first)
    day = np.repeat(np.arange(first, first + days), SERIES).astype(np.float64)
    series = np.tile(np.arange(SERIES), days)
    offer = (generator.random(day.size) < 0.3).astype(np.float64)
    weekday = (day + 3) % 7 + 1
    sold = SIZES[series] * np.where(weekday == 7, 2.0, 1.0) * (1 + 0.5 * offer)
    offer[generator.random(day.size) < 0.02] = np.nan
    flags = np.eye(SERIES)[series]
    return np.column_stack([offer, day, weekday, flags]), sold


def forecaster(name: str) -> Forecaster:
    """Return an unfitted forecaster for such rows."""
    regressor, impute, scale = REGRESSORS[name]
    return Forecaster(
        None if regressor is None else clone(regressor),
        impute=impute,
        scale=scale,
        layout=(1, 3, 6),
        season=7,
        horizon=HORIZON,
    )


@pytest.fixture(scope="module", params=REGRESSORS)
def fitted(request: pytest.FixtureRequest) -> Forecaster:
    """A fitted forecaster of each kind."""
    name: str = request.param
    return forecaster(name).fit(*rows(FIRST, DAYS))


def test_series_of_any_size_are_forecast(fitted: Forecaster) -> None:
    inputs, sold = rows(FIRST + DAYS, HORIZON)
    found = fitted.predict(inputs)
    assert days_ahead(found).tolist() == np.repeat(np.arange(1, 15), SERIES).tolist()
    assert (found[:, 2] == FORECAST).all()
    relative = np.abs(point(found) - sold) / sold
    naive = fitted.regressor is None
    assert np.median(relative) < (0.4 if naive else 0.1)


def test_the_naive_forecast_is_the_last_season() -> None:
    inputs, sold = rows(FIRST, DAYS)
    ahead, _ = rows(FIRST + DAYS, HORIZON)
    found = point(forecaster("naive").fit(inputs, sold).predict(ahead))
    assert found.tolist() == np.tile(sold[-7 * SERIES :], 2).tolist()


def test_a_longer_history_moves_the_horizon_and_keeps_earlier_forecasts(fitted: Forecaster) -> None:
    window, sold = rows(FIRST + DAYS, HORIZON)
    then = fitted.predict(window)
    longer = fitted.extended(window, sold)
    assert (longer.predict(window) == then).all(), "forecast from the same origin, without values"
    assert fitted.predict(window).tolist() == then.tolist(), "the first one is unchanged"
    following, _ = rows(FIRST + DAYS + HORIZON, HORIZON)
    assert (fitted.predict(following)[:, 2] == BEYOND_HORIZON).all()
    assert (longer.predict(following)[:, 2] == FORECAST).all()
    changed = fitted.extended(window, sold * 3)
    assert (changed.predict(window) == then).all()
    assert (point(changed.predict(following)) > point(longer.predict(following))).all()


def test_what_cannot_be_forecast_says_so(fitted: Forecaster) -> None:
    inputs, _ = rows(FIRST + DAYS, HORIZON)
    inputs = inputs[: 4 * SERIES : SERIES].copy()
    inputs[1, 1] += 7 * 1000
    inputs[2, 3:] = 0
    inputs[3, 1] = np.nan
    found = fitted.predict(inputs)
    assert found[:, 2].tolist() == [FORECAST, BEYOND_HORIZON, UNKNOWN_SERIES, NO_HISTORY]
    assert np.isfinite(found).all()
    assert ((found[:, 0] >= 1) & (found[:, 0] <= HORIZON)).all()
    early = inputs[:1].copy()
    early[0, 1] = FIRST - 50
    assert fitted.predict(early)[0, 2] == NO_HISTORY


def test_too_far_ahead_is_the_same_day_of_the_season(fitted: Forecaster) -> None:
    near, _ = rows(FIRST + DAYS + 7, 7)
    far = near.copy()
    far[:, 1] += 70
    assert point(fitted.predict(far)).tolist() == point(fitted.predict(near)).tolist()


def graph_of(model: Forecaster) -> InferenceSession:
    """Return the nodes of a forecaster as a graph of their own."""
    nodes, constants = score(model, "encoded", "score")
    graph = helper.make_graph(
        nodes,
        "forecaster",
        [helper.make_tensor_value_info("encoded", TensorProto.DOUBLE, [None, None])],
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, score_shape(model))],
        constants,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
    built = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return InferenceSession(built.SerializeToString())


def test_the_graph_repeats_the_forecaster_on_any_day(fitted: Forecaster) -> None:
    generator = np.random.default_rng(4)
    inputs, _ = rows(FIRST - 100, DAYS + 400)
    drawn = inputs[generator.integers(0, len(inputs), 3000)].copy()
    drawn[::7, 1] = np.nan
    drawn[1::11, 1] += generator.uniform(-1e5, 1e5, drawn[1::11].shape[0])
    drawn[::13, 3:] = 0
    served = graph_of(fitted).run(["score"], {"encoded": drawn})[0]
    expected = fitted.predict(drawn)
    assert set(expected[:, 2]) == {FORECAST, BEYOND_HORIZON, UNKNOWN_SERIES, NO_HISTORY}
    assert (served[:, :3] == expected[:, :3]).all()
    assert np.abs(served[:, 3] / expected[:, 3] - 1).max() < 1e-12


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_single_series_needs_no_column_that_names_it(name: str) -> None:
    inputs, sold = rows(FIRST, DAYS)
    alone = forecaster(name).set_params(layout=(1, 0, 0))
    alone.fit(inputs[1::SERIES, :3], sold[1::SERIES])
    ahead, coming = rows(FIRST + DAYS, HORIZON)
    found = alone.predict(ahead[1::SERIES, :3])
    assert (found[:, 2] == FORECAST).all()
    relative = np.abs(point(found) - coming[1::SERIES]) / coming[1::SERIES]
    assert np.median(relative) < (0.4 if name == "naive" else 0.1)
    wider = np.concatenate([inputs, ahead])[:, :3]
    wider[::5, 1] = np.nan
    served = graph_of(alone).run(["score"], {"encoded": wider})[0]
    assert np.abs(served - alone.predict(wider)).max() < 1e-9


def test_a_saved_forecaster_is_the_same(fitted: Forecaster, tmp_path: Path) -> None:
    skops.io.dump(fitted, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    inputs, _ = rows(FIRST + DAYS, HORIZON)
    assert (loaded.predict(inputs) == fitted.predict(inputs)).all()


def test_too_little_to_learn_from_is_refused() -> None:
    inputs, sold = rows(FIRST, 1)
    with pytest.raises(ProjectError, match="1 days of history are too few"):
        forecaster("linear").fit(inputs, sold)
    inputs[:, 3:] = 0
    with pytest.raises(ProjectError, match="No row has a date and a series"):
        forecaster("linear").fit(inputs, sold)


def test_the_baseline_takes_no_hyperparameters() -> None:
    with pytest.raises(ProjectError, match="baseline, without hyperparameters"):
        candidates({"baseline": {"season": 3}}, "mean_absolute_error", 1)


def test_the_model_knows_where_day_and_series_are(project: Path) -> None:
    contract = load_contract(project / "schema.yaml")
    params = load_params(project / "params.yaml", project / "schema.yaml")
    series, names = series_of(contract), feature_names(project_recipe(params, contract))
    model = load_model(project / "data/selected.skops")
    where = layout(names, contract, series)
    train = read_parquet(project / "data/train.parquet")
    table = pd.DataFrame(
        {name: train[name].to_list() for name in (*names.numeric, *names.categorical)}
    )
    encoded = model.named_steps["encode"].transform(table)
    days = pd.to_datetime(pd.Series(train[series.time].to_list()))
    since = (days - pd.Timestamp("1970-01-01")).dt.days
    assert (encoded[:, where.day] == since).all()
    allowed = next(column.allowed for column in contract.columns if column.name == series.by)
    named = np.array(allowed)[encoded[:, where.first : where.end].argmax(axis=1)]
    assert (named == table[series.by]).all()
    alone = layout(names, contract, msgspec.structs.replace(series, by=None))
    assert alone == (where.day, 0, 0)


def test_the_served_model_forecasts_days_that_have_not_come(
    project: Path, records: pl.DataFrame
) -> None:
    live = load_artefact(project / "models")
    recipe, decision = live.metadata.recipe, live.metadata.decision
    series = series_of(recipe.contract)

    def answered(shift: int) -> dict[str, Any]:
        moved = records.with_columns(pl.col(series.time) + pl.duration(days=shift))
        inputs = model_inputs(standardise_records(moved, recipe), recipe)
        return predictions(live.scorer.score(*inputs), decision)

    held_out = answered(0)
    assert set(held_out["basis"]) == {BASES[FORECAST]}
    windows = records[series.time].n_unique() // series.horizon
    coming = answered(windows * series.horizon)
    days = records[series.time].rank("dense").to_numpy() - 1
    following = days < series.horizon
    assert set(coming["basis"][following]) == {BASES[FORECAST]}
    assert coming["days_ahead"][following].tolist() == (days[following] + 1).tolist()
    assert set(coming["basis"][~following]) <= {BASES[BEYOND_HORIZON]}
    assert (coming["interval_low"] < coming["prediction"]).all()
    assert (coming["prediction"] < coming["interval_high"]).all()

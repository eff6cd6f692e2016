"""What the winner learns from its backtest: an interval for each day ahead that holds the value."""

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from model_training.finished import Finished, Unseen
from model_training.splitting import series_of
from utils.config import Contract, Params
from utils.metrics import Value
from utils.outcome import Decision, days_ahead, point, scales

Array = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

# Days ahead on either side whose errors say how far those of a day spread.
NEIGHBOURS = 2


def spread_per_step(errors: Array, steps: Steps, weights: Array, horizon: int) -> Array:
    """Return how far errors spread per day ahead, smoothed over neighbouring days, (horizon,)."""
    spreads = np.full(horizon, np.nan)
    for step in range(1, horizon + 1):
        near = (np.abs(steps - step) <= NEIGHBOURS) & (weights > 0)
        if near.any():
            spreads[step - 1] = np.sqrt(np.average(errors[near] ** 2, weights=weights[near]))
    overall = float(np.sqrt(np.average(errors**2, weights=weights)))
    return np.where(spreads > 0, spreads, overall if overall > 0 else 1.0)


def prediction_interval(
    target: Array, scores: Array, weights: Array, confidence: float, horizon: int
) -> Decision:
    """Return what turns a forecast into an interval: quantiles of the errors of the backtest.

    Errors are measured in the unit of their series and divided by how far errors spread as many
    days ahead; their quantiles, taken over all days ahead together, are multiplied by it again.
    The interval holds the value with probability ``confidence`` if the time to come is like the
    windows of the backtest.

    Source: Papadopoulos et al. (2002), Inductive Confidence Machines for Regression, for quantiles
    of errors that are divided by an estimate of their size.

    Args:
        target: shape (n,).
        scores: out-of-fold forecasts, shape (n, 4).
        weights: shape (n,).
        confidence: of the interval.
        horizon: days that are forecast.
    """
    errors = (target - point(scores)) / scales(scores)
    steps = days_ahead(scores)
    spreads = spread_per_step(errors, steps, weights, horizon)
    relative = errors / spreads[np.clip(steps, 1, horizon) - 1]
    tail = (1 - confidence) / 2
    ends = [tail, 1 - tail]
    if (weights == weights[0]).all():
        lower, upper = np.quantile(relative, ends)
    else:
        lower, upper = np.quantile(relative, ends, weights=weights, method="inverted_cdf")
    return Decision(
        lower=tuple((lower * spreads).tolist()), upper=tuple((upper * spreads).tolist())
    )


def finish(
    model: Pipeline, unseen: Unseen, value: Value, params: Params, contract: Contract
) -> Finished:
    """Fix the prediction interval of a fitted model.

    Args:
        model: the winner, fitted on all training rows.
        unseen: the out-of-fold rows with their forecasts, shape (n, 4).
        value: what an error costs.
        params: the settings.
        contract: what is forecast.
    """
    del value
    horizon = series_of(contract).horizon
    interval = prediction_interval(*unseen[1:], params.evaluation.confidence, horizon)
    return Finished(model, unseen.scores, interval)

"""An estimator that carries the history of several series and forecasts each from its own.

One model learns from all series: what the regressor is given and what it predicts are multiples of
what was usual for a series, on that day of the season, when the forecast is made. Each step ahead
is forecast directly, with the step as an input; each training row is forecast from several origins.

Source: Montero-Manso and Hyndman (2021), Principles and Algorithms for Forecasting Groups of Time
Series, for one model of all series.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone

from model_training.history import (
    Array,
    Places,
    known_at_origin,
    naive_errors,
    steps_ahead,
    to_history,
)
from utils.config import ProjectError
from utils.outcome import BEYOND_HORIZON, FORECAST, NO_HISTORY, UNKNOWN_SERIES

# Origins from which each training row is forecast.
ORIGINS_PER_ROW = 3
# The columns of the table that forecasts are looked up in; ratios follow.
STEP, SCALE, BASIS, USUAL, NAIVE = range(5)


class Layout(NamedTuple):
    """Where the encoded inputs have what tells when and of which series a row is.

    ``day`` is the column with the number of the day; the flags of the series are the columns from
    ``first`` to before ``end``, none of a single series.
    """

    day: int
    first: int
    end: int


class Forecaster(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Forecasts from the history of each series and inputs that are known in advance."""

    def __init__(
        self,
        regressor: BaseEstimator | None = None,
        *,
        impute: bool = False,
        scale: bool = False,
        layout: tuple[int, int, int] = (0, 0, 0),
        season: int = 1,
        horizon: int = 1,
    ) -> None:
        """Set what is fitted.

        Args:
            regressor: learns from history and inputs; without one, a value is that of the same day
                of the last season.
            impute: replace missing inputs by the median of the training rows.
            scale: bring inputs to mean 0 and variance 1.
            layout: the columns that a ``Layout`` names.
            season: days after which the pattern repeats.
            horizon: days that are forecast.
        """
        self.regressor = regressor
        self.impute = impute
        self.scale = scale
        self.layout = layout
        self.season = season
        self.horizon = horizon

    def fit(self, inputs: Array, outcome: Array, sample_weight: Array | None = None) -> Self:
        """Keep the history and fit the regressor.

        Args:
            inputs: encoded, shape (n, features).
            outcome: shape (n,).
            sample_weight: how many rows each row stands for, shape (n,).

        Raises:
            ProjectError: no row has any history before it.
        """
        weights = np.ones(outcome.size) if sample_weight is None else sample_weight
        days, codes = self._days(inputs), self._codes(inputs)
        usable = np.isfinite(days) & (codes > 0) & (weights > 0)
        if not usable.any():
            raise ProjectError("No row has a date and a series that schema.yaml lists.")
        inputs, outcome, weights = inputs[usable], outcome[usable], weights[usable]
        places, series = days[usable].astype(np.int64), codes[usable] - 1
        self.values_, self.first_ = to_history(series, places, outcome, self._series_count)
        self.scales_ = naive_errors(self.values_, self.season)
        self._look_up_from(self.values_)
        if self.regressor is not None:
            self._fit_regressor(inputs, outcome, weights, series, places - self.first_)
        return self

    def _fit_regressor(
        self, inputs: Array, outcome: Array, weights: Array, series: Places, days: Places
    ) -> None:
        apart = max(1, self.horizon // ORIGINS_PER_ROW)
        tables, targets, counted = [], [], []
        for turn in range(min(ORIGINS_PER_ROW, self.horizon)):
            # every step gets its share of the rows, and each series other days of them
            steps = 1 + (days + 5 * series + turn * apart) % self.horizon
            known = known_at_origin(self.values_, series, days, steps, self.season)
            there = known.usual > 0
            found = self._features(inputs[there], steps[there].astype(float), known.ratios[there])
            tables.append(found)
            targets.append(outcome[there] / known.usual[there])
            counted.append(weights[there])
        table, target, weight = (np.concatenate(parts) for parts in (tables, targets, counted))
        if not target.size:
            raise ProjectError(
                f"{self.values_.shape[1]} days of history are too few to learn from. Provide more "
                "records, or set fewer split.folds in params.yaml."
            )
        if self.impute:
            filled = np.where(np.isnan(table).all(axis=0), 0.0, table)
            self.medians_ = np.nanmedian(filled, axis=0)
            table = np.where(np.isnan(table), self.medians_, table)
        if self.scale:
            self.means_ = np.average(table, axis=0, weights=weight)
            spread = np.sqrt(np.average((table - self.means_) ** 2, axis=0, weights=weight))
            self.spreads_ = np.where(spread > 0, spread, 1.0)
            table = (table - self.means_) / self.spreads_
        uniform = bool((weight == 1).all())
        self.regressor_ = clone(self.regressor).fit(
            table, target, sample_weight=None if uniform else weight
        )

    def extended(self, inputs: Array, outcome: Array) -> "Forecaster":
        """Return the same fitted model with newer observations in its history.

        Nothing is fitted again, so forecasts of a day are the same as long as its origin is.

        Args:
            inputs: encoded, shape (n, features).
            outcome: shape (n,).
        """
        days, codes = self._days(inputs), self._codes(inputs)
        usable = np.isfinite(days) & (codes > 0)
        known_series, known_days = np.nonzero(np.isfinite(self.values_))
        longer: Forecaster = clone(self)
        for name, value in vars(self).items():
            if name.endswith("_"):
                setattr(longer, name, value)
        longer.values_, longer.first_ = to_history(
            np.concatenate([known_series, codes[usable] - 1]),
            np.concatenate([known_days + self.first_, days[usable].astype(np.int64)]),
            np.concatenate([self.values_[known_series, known_days], outcome[usable]]),
            self._series_count,
        )
        longer._look_up_from(longer.values_)
        return longer

    @property
    def _series_count(self) -> int:
        where = Layout(*self.layout)
        return max(1, where.end - where.first)

    @property
    def last_(self) -> int:
        """The last day of the history."""
        return self.first_ + int(self.values_.shape[1]) - 1

    def _days(self, inputs: Array) -> Array:
        return np.floor(inputs[:, Layout(*self.layout).day])

    def _codes(self, inputs: Array) -> Places:
        """Return the number of the series of each row, from 1; 0 is one that is not known."""
        where = Layout(*self.layout)
        if where.first == where.end:
            return np.ones(len(inputs), dtype=np.int64)
        flags = inputs[:, where.first : where.end]
        return (flags @ np.arange(1.0, self._series_count + 1)).astype(np.int64)

    def _look_up_from(self, values: Array) -> None:
        """Make the table of what each forecast looks up, shape (series + 1, days, columns).

        It has the days of the history and of the horizon after it; series 0 is the mean of all.
        """
        count, length = values.shape
        days = np.tile(np.arange(length + self.horizon), count)
        series = np.repeat(np.arange(count), length + self.horizon)
        steps = steps_ahead(days, length - 1, self.horizon)
        known = known_at_origin(values, series, days, steps, self.season)
        absent = ~(known.usual > 0)
        size = np.where(np.isfinite(values), np.abs(values), 0.0).sum(axis=1)
        mean = size / np.maximum(np.isfinite(values).sum(axis=1), 1)
        mean = np.where(mean > 0, mean, mean.max() if mean.max() > 0 else 1.0)
        usual = np.where(absent, mean[series], known.usual)
        columns = [
            steps.astype(np.float64),
            self.scales_[series],
            np.where(absent, float(NO_HISTORY), float(FORECAST)),
            usual,
            np.where(np.isfinite(known.naive), known.naive, usual),
            *known.ratios.T,
        ]
        own = np.stack(columns, axis=1).reshape(count, length + self.horizon, len(columns))
        together = own.mean(axis=0, keepdims=True)
        together[:, :, BASIS] = UNKNOWN_SERIES
        self.table_ = np.concatenate([together, own])

    def _looked_up(self, inputs: Array) -> Array:
        """Return the rows of the table for rows of inputs, shape (n, columns)."""
        days, codes = self._days(inputs), self._codes(inputs)
        undated = np.isnan(days)
        days = np.where(undated, self.last_ + 1, days)
        beyond = days - (self.last_ + self.horizon)
        # further ahead, the last step that falls on the same day of the season has to do
        days = days - self.season * np.maximum(np.ceil(beyond / self.season), 0)
        places = np.maximum(days - self.first_, 0).astype(np.int64)
        found: Array = self.table_[codes, places]
        basis = np.where(
            (beyond > 0) & (found[:, BASIS] == FORECAST), BEYOND_HORIZON, found[:, BASIS]
        )
        found[:, BASIS] = np.where(undated, NO_HISTORY, basis)
        return found

    def _features(self, inputs: Array, steps: Array, ratios: Array) -> Array:
        """Return what the regressor sees: the inputs, the step in place of the day, the ratios."""
        table = np.concatenate([inputs, ratios], axis=1)
        table[:, Layout(*self.layout).day] = steps
        return table

    def predict(self, inputs: Array) -> Array:
        """Return forecasts with what is needed to judge them, shape (n, 4).

        Args:
            inputs: encoded, shape (n, features).

        Returns:
            Days ahead, unit of errors of the series, basis of the forecast (see ``utils.outcome``),
            and the forecast in the unit of the target.
        """
        found = self._looked_up(inputs)
        if self.regressor is None:
            forecast = found[:, NAIVE]
        else:
            table = self._features(inputs, found[:, STEP], found[:, NAIVE + 1 :])
            if self.impute:
                table = np.where(np.isnan(table), self.medians_, table)
            if self.scale:
                table = (table - self.means_) / self.spreads_
            forecast = self.regressor_.predict(table) * found[:, USUAL]
        return np.column_stack([found[:, : BASIS + 1], forecast])


def fitted_regressor(model: Any) -> Any:
    """Return the regressor inside a fitted forecaster; None for the naive one."""
    return getattr(model, "regressor_", None)

"""The history of several series, and what is known of it when a forecast is made.

Days and series are places in a table of values, shape (series, days), NaN where nothing was
observed. A forecast of day ``t``, ``step`` days ahead, is made at its origin ``t - step`` and may
use nothing that is newer. All windows are in seasons, so that each day of the season counts the
same.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

# Seasons whose mean size is the level of a series.
LEVEL_SEASONS = 8
# Seasons over which a day of the season is compared with the others, and how many seasons without
# any difference count beside them, so that a short history makes no bold claim.
PROFILE_SEASONS = 52
EQUAL_SEASONS = 2
RECENT_SEASONS = (1, 4)
LAGGED_SEASONS = (1, 4)


class Known(NamedTuple):
    """What the history says at the origins of n forecasts.

    ``usual`` is the level of the series, for the day of the season that is forecast, NaN without
    any history; ``naive`` the value one season before, each of shape (n,); ``ratios`` recent means
    as multiples of the level and lagged values as multiples of what is usual, shape (n, ratios), 1
    where there is none.
    """

    usual: Array
    naive: Array
    ratios: Array


def steps_ahead(days: Places, last: int, horizon: int) -> Places:
    """Return how many days ahead each day is forecast, from 1 to ``horizon``.

    Days after the last one of the history are forecast from there. Those in the history are
    forecast from the last origin before them on a grid of one origin per horizon, as in a backtest.
    """
    return horizon - (last - days) % horizon


def _window_means(values: Array, series: Places, origins: Places, length: int) -> Array:
    """Return the mean of the last ``length`` days up to each origin, NaN without a value."""
    known = np.isfinite(values)
    sums, counts = (
        np.concatenate([np.zeros((len(values), 1)), np.cumsum(part, axis=1)], axis=1)
        for part in (np.where(known, values, 0.0), known.astype(np.float64))
    )
    ends = np.clip(origins + 1, 0, values.shape[1])
    starts = np.clip(origins + 1 - length, 0, values.shape[1])
    total = sums[series, ends] - sums[series, starts]
    count = counts[series, ends] - counts[series, starts]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _lagged(values: Array, series: Places, days: Places) -> Array:
    """Return the values of days, NaN outside the history."""
    inside = (days >= 0) & (days < values.shape[1])
    return np.where(inside, values[series, np.where(inside, days, 0)], np.nan)


def _mean_of_first(values: Array, count: int) -> Array:
    """Return the mean of the first rows of a table, shape (n,), NaN without a value."""
    known = np.isfinite(values[:count])
    number = known.sum(axis=0)
    total = np.where(known, values[:count], 0.0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def known_at_origin(
    values: Array, series: Places, days: Places, steps: Places, season: int
) -> Known:
    """Return what the history says about days when they are forecast.

    Args:
        values: the history, shape (series, days).
        series: the series of each forecast, shape (n,).
        days: the day that is forecast; may lie after the history, shape (n,).
        steps: how many days before it the forecast is made, shape (n,).
        season: days after which the pattern repeats.
    """
    origins = days - steps
    sizes = np.abs(values)
    level = _window_means(sizes, series, origins, LEVEL_SEASONS * season)
    # the newest day before the origin that has the same place in the season, and those before it
    newest = days - season * -(-steps // season)
    same = np.stack(
        [_lagged(values, series, newest - season * back) for back in range(PROFILE_SEASONS)]
    )
    observed = np.isfinite(same)
    everything = _window_means(sizes, series, origins, PROFILE_SEASONS * season)
    compared = _mean_of_first(np.abs(same), PROFILE_SEASONS) / np.where(
        everything > 0, everything, np.nan
    )
    number = observed.sum(axis=0)
    profile = (np.where(number > 0, compared, 1.0) * number + EQUAL_SEASONS) / (
        number + EQUAL_SEASONS
    )
    usual = level * np.where(profile > 0, profile, 1.0)
    ratios = [
        *(
            _window_means(values, series, origins, count * season) / np.where(level > 0, level, 1.0)
            for count in RECENT_SEASONS
        ),
        *(
            _mean_of_first(same, count) / np.where(usual > 0, usual, 1.0)
            for count in LAGGED_SEASONS
        ),
    ]
    table = np.stack(ratios, axis=1)
    # the newest value of the same day of the season, however long ago it was observed
    first = np.argmax(observed, axis=0)[np.newaxis]
    naive = np.where(observed.any(axis=0), np.take_along_axis(same, first, axis=0)[0], level)
    return Known(usual, naive, np.where(np.isfinite(table), table, 1.0))


def naive_errors(values: Array, season: int) -> Array:
    """Return the mean error of repeating the value one season before, per series, shape (series,).

    It is the unit in which errors of series of any size compare; 1 where there is none. Source:
    Hyndman and Koehler (2006), Another Look at Measures of Forecast Accuracy.
    """
    if values.shape[1] <= season:
        return np.ones(len(values))
    differences = np.abs(values[:, season:] - values[:, :-season])
    known = np.isfinite(differences)
    means = np.where(known, differences, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(means > 0, means, 1.0)


def to_history(series: Places, days: Places, outcome: Array, count: int) -> tuple[Array, int]:
    """Return observations as a history, and the day of its first column.

    Args:
        series: the series of each observation, shape (n,), below ``count``.
        days: its day, shape (n,).
        outcome: its value, shape (n,); several of one day are averaged.
        count: number of series.
    """
    first = int(days.min())
    shape = (count, int(days.max()) - first + 1)
    flat = series * shape[1] + days - first
    sums, counts = (np.bincount(flat, part, count * shape[1]) for part in (outcome, None))
    values = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return values.reshape(shape), first

"""What is known of a series when a forecast is made: nothing newer than its origin."""

import numpy as np
import pytest

from model_training.history import (
    LEVEL_SEASONS,
    known_at_origin,
    naive_errors,
    steps_ahead,
    to_history,
)

SEASON = 7


def weekly(days: int, series: int = 2) -> np.ndarray:
    """Return values that repeat each week, the second series ten times the first."""
    pattern = 10.0 + np.arange(days) % SEASON
    return np.stack([pattern * 10**number for number in range(series)])


def test_days_after_the_history_are_forecast_from_its_end() -> None:
    assert steps_ahead(np.arange(100, 114), 99, 14).tolist() == list(range(1, 15))


def test_days_in_the_history_are_forecast_from_one_origin_per_horizon() -> None:
    days = np.arange(100)
    steps = steps_ahead(days, 99, 14)
    assert steps.min() == 1
    assert steps.max() == 14
    origins = np.unique(days - steps)
    assert (np.diff(origins) == 14).all()
    assert origins[-1] == 99 - 14, "the last window ends with the history"


def test_a_series_that_repeats_itself_is_known_exactly() -> None:
    values = weekly(60 * SEASON)
    days, steps = np.arange(60 * SEASON, 60 * SEASON + 14), np.arange(1, 15)
    for series in range(2):
        known = known_at_origin(values, np.full(14, series), days, steps, SEASON)
        expected = (10.0 + days % SEASON) * 10**series
        assert known.naive == pytest.approx(expected)
        assert known.usual == pytest.approx(expected, rel=0.02), "slightly drawn to the mean"
        assert known.ratios[:, :2] == pytest.approx(1.0), "recent means are as large as the level"


def test_nothing_after_the_origin_matters() -> None:
    generator = np.random.default_rng(1)
    values = generator.uniform(10, 20, (3, 200))
    series, days = generator.integers(0, 3, 500), generator.integers(60, 200, 500)
    steps = generator.integers(1, 15, 500)
    known = known_at_origin(values, series, days, steps, SEASON)
    for row in range(0, 500, 25):
        origin = days[row] - steps[row]
        changed = values.copy()
        changed[:, origin + 1 :] = -1e6
        one = slice(row, row + 1)
        again = known_at_origin(changed, series[one], days[one], steps[one], SEASON)
        assert again.usual == pytest.approx(known.usual[one], rel=1e-12)
        assert again.naive == known.naive[one]
        assert again.ratios == pytest.approx(known.ratios[one], rel=1e-12)
        before = values.copy()
        before[:, : origin + 1] *= 2
        moved = known_at_origin(before, series[one], days[one], steps[one], SEASON)
        assert moved.usual > known.usual[one], "what came before does"


def test_gaps_are_left_out_and_no_history_is_no_number() -> None:
    values = weekly(10 * SEASON)
    values[0, -3 * SEASON :] = np.nan
    days, steps = np.array([10 * SEASON, 3]), np.array([1, 5])
    known = known_at_origin(values, np.zeros(2, dtype=np.int64), days, steps, SEASON)
    assert known.naive[0] == 10.0, "the newest value of the weekday that was observed"
    assert known.usual[0] == pytest.approx(10.0, rel=0.1)
    assert np.isnan(known.usual[1])
    assert np.isfinite(known.ratios).all()


def test_the_level_forgets_what_is_long_ago() -> None:
    values = np.concatenate([np.full(300, 5.0), np.full(LEVEL_SEASONS * SEASON, 50.0)])[np.newaxis]
    end = values.shape[1]
    origin = np.array([0])
    known = known_at_origin(values, origin, np.array([end]), np.array([1]), SEASON)
    assert 40 < known.usual[0] < 60


def test_the_unit_of_errors_is_what_repeating_a_season_is_off() -> None:
    values = weekly(70)
    assert naive_errors(values, SEASON).tolist() == [1, 1], "1 where there is no error at all"
    assert naive_errors(values + np.arange(70), SEASON) == pytest.approx(7.0)
    assert naive_errors(values[:, :3], SEASON).tolist() == [1, 1]


def test_observations_become_a_table() -> None:
    series, days = np.array([0, 0, 1, 1]), np.array([100, 102, 101, 101])
    values, first = to_history(series, days, np.array([1.0, 2.0, 3.0, 5.0]), 3)
    assert first == 100
    expected = [[1, np.nan, 2], [np.nan, 4, np.nan], [np.nan] * 3]
    np.testing.assert_array_equal(values, expected)

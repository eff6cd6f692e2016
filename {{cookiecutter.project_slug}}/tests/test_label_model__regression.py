"""Labels from sources of known quality, and the comparisons of sources."""

import numpy as np
import pytest

from data_prep.label_model import (
    Settings,
    combine,
    coordinates,
    decode,
    encode,
)
from utils.config import Column

TARGET = Column("hours", "target", "float", "", minimum=0, maximum=1000)
SETTINGS = Settings(iterations=200, tolerance=1.0)
BIAS = np.array([0.0, 0.5, -1.0, 1.5, 0.0])
SPREAD = np.array([0.3, 0.6, 0.8, 1.0, 4.0])
N = float("nan")


def drawn(rows: int) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.float64]]:
    """Draw true numbers, and what five sources say of some rows; one in fifty is a slip."""
    generator = np.random.default_rng(1)
    truth = generator.gamma(4, 6, rows)
    votes = truth[:, None] + BIAS + SPREAD * generator.normal(0, 1, (rows, 5))
    slips = generator.random(votes.shape) < 0.02
    votes = np.where(slips, votes * 3, votes)
    votes[generator.random(votes.shape) < 0.4] = np.nan
    return truth, votes


def test_better_than_mean_and_median_and_honest_about_it() -> None:
    truth, votes = drawn(3000)
    told = ~np.isnan(votes).all(axis=1)
    combined = combine(votes, TARGET, SETTINGS, silence=False)
    # Of two that disagree none can be told to be a slip, so means of errors measure the slips.
    error = np.median(np.abs(combined.labels - truth)[told])
    for simple in (np.nanmean, np.nanmedian):
        assert error < 0.7 * np.median(np.abs(simple(votes[told], axis=1) - truth[told]))
    # what all sources have in common can't be seen
    shift = np.median((combined.labels - truth)[told])
    within = (np.abs(combined.labels - truth - shift)[told] <= SETTINGS.tolerance).mean()
    assert combined.confidence[told].mean() == pytest.approx(within, abs=0.05)


def test_the_bias_and_spread_of_each_source_are_found() -> None:
    _, votes = drawn(3000)
    quality = combine(votes, TARGET, SETTINGS, silence=False).quality
    bias = np.array([item["Bias"] for item in quality])
    assert bias - bias[0] == pytest.approx(BIAS - BIAS[0], abs=0.25)
    spread = [item["Spread"] for item in quality]
    assert spread == sorted(spread)


def test_records_of_which_nobody_says_anything_have_no_label() -> None:
    votes = np.array([[10.0, 12.0], [N, N], [20.0, 22.0]])
    combined = combine(votes, TARGET, SETTINGS, silence=True)
    assert np.isnan(combined.labels).tolist() == [False, True, False]
    assert np.isnan(combined.confidence).tolist() == [False, True, False]
    nothing = combine(votes * np.nan, TARGET, SETTINGS, silence=False)
    assert np.isnan(nothing.labels).all()


def test_sources_that_always_agree_are_certain() -> None:
    votes = np.repeat(np.arange(10.0)[:, None], 3, axis=1)
    combined = combine(votes, TARGET, SETTINGS, silence=False)
    assert combined.labels == pytest.approx(np.arange(10.0))
    assert (combined.confidence > 0.99).all()


def test_labels_are_read_as_numbers_in_the_range_of_the_contract() -> None:
    codes = encode(["12.5", 3, "nan", "a", None, "-1", "1001"], TARGET)
    assert decode(codes, TARGET) == [12.5, 3.0, None, None, None, None, None]
    whole = Column("count", "target", "integer", "")
    assert decode(np.array([2.6, N]), whole) == [3, None]


def test_numbers_are_points_on_a_line() -> None:
    assert coordinates(np.zeros((3, 2)), TARGET).shape == (3, 2, 1)

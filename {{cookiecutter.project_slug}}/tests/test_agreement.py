"""Krippendorff's alpha against published numbers and its limits."""

import numpy as np
import pytest

from data_prep.agreement import krippendorff_alpha

N = float("nan")
# The reliability data of Krippendorff (2011), Computing Krippendorff's Alpha-Reliability: 12 units,
# 4 observers; alpha is 0.743 for nominal and 0.849 for interval data.
DATA = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
).T


def corners(data: np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
    """Return classes as corners at the same distance from each other."""
    points: np.typing.NDArray[np.float64] = (data[..., None] == np.arange(1, 6)).astype(np.float64)
    points[np.isnan(data)] = np.nan
    return points


def test_published_alphas_are_met() -> None:
    assert krippendorff_alpha(DATA[..., None], 0.9, 1).value == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(corners(DATA), 0.9, 1).value == pytest.approx(0.743, abs=5e-4)


def test_the_interval_holds_the_value_and_depends_on_the_seed_alone() -> None:
    alpha = krippendorff_alpha(corners(DATA), 0.9, 1)
    assert alpha.low < alpha.value < alpha.high <= 1
    assert krippendorff_alpha(corners(DATA), 0.9, 1) == alpha
    assert krippendorff_alpha(corners(DATA), 0.9, 2) != alpha


def test_perfect_and_random_agreement() -> None:
    generator = np.random.default_rng(1)
    one = generator.integers(1, 6, 4000).astype(np.float64)
    other = generator.integers(1, 6, 4000).astype(np.float64)
    assert krippendorff_alpha(corners(np.stack([one, one], axis=1)), 0.9, 1).value == 1
    random = krippendorff_alpha(corners(np.stack([one, other], axis=1)), 0.99, 1)
    assert random.low < 0 < random.high


def test_without_a_record_that_two_labelled_it_is_undefined() -> None:
    alone = np.array([[1.0, N], [N, 2.0]])
    assert np.isnan(krippendorff_alpha(alone[..., None], 0.9, 1)).all()
    same = np.ones((3, 2, 1))
    assert np.isnan(krippendorff_alpha(same, 0.9, 1)).all()

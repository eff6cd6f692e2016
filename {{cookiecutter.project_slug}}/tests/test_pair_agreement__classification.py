"""The agreement of two annotators."""

import numpy as np
import pytest

from data_prep.pair_agreement import pair_agreement


def test_kappa_is_that_of_the_literature() -> None:
    # 45, 15, 25 and 15 of 100 records
    one = np.repeat([1.0, 1.0, 0.0, 0.0], [45, 15, 25, 15])
    other = np.repeat([1.0, 0.0, 1.0, 0.0], [45, 15, 25, 15])
    observed, expected = 0.6, 0.6 * 0.7 + 0.4 * 0.3
    assert pair_agreement(one, other) == pytest.approx((observed - expected) / (1 - expected))
    assert pair_agreement(one, one) == pytest.approx(1)


def test_without_two_classes_it_is_undefined() -> None:
    assert np.isnan(pair_agreement(np.ones(3), np.ones(3)))

"""The agreement of two annotators."""

import numpy as np
import pytest

from data_prep.pair_agreement import pair_agreement


def test_the_correlation_has_a_sign_and_needs_variance() -> None:
    assert pair_agreement(np.arange(5.0), 3 - 2 * np.arange(5.0)) == pytest.approx(-1)
    assert np.isnan(pair_agreement(np.ones(3), np.arange(3.0)))
    assert np.isnan(pair_agreement(np.ones(1), np.ones(1)))

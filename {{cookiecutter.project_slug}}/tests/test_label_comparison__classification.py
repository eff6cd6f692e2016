"""Labels compared with labels."""

import numpy as np
import pytest

from data_prep.label_comparison import against_gold, different
from data_prep.label_model import Settings


def test_labels_differ_where_both_are_there() -> None:
    first, second = np.array([0.0, 1.0, np.nan]), np.array([1.0, 1.0, 1.0])
    assert different(first, second, Settings(iterations=1)).tolist() == [True, False, False]


def test_the_interval_of_a_share() -> None:
    votes = np.repeat([1.0, 0.0], [9, 1])
    value, low, high = against_gold(votes, np.ones(10), 1.959964)
    # Wilson's interval for 9 of 10
    assert (value, low, high) == pytest.approx((0.9, 0.5958, 0.9821), abs=1e-4)
    assert against_gold(np.ones(10), np.ones(10), 1.959964)[2] == pytest.approx(1)

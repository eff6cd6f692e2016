"""Labels compared with labels."""

import numpy as np
import pytest

from data_prep.label_comparison import against_gold, different
from data_prep.label_model import Settings


def test_labels_differ_that_lie_farther_apart_than_tolerated() -> None:
    first, second = np.array([0.0, 1.0, np.nan]), np.array([1.5, 1.5, 1.5])
    settings = Settings(iterations=1, tolerance=1.0)
    assert different(first, second, settings).tolist() == [True, False, False]


def test_the_interval_of_a_difference() -> None:
    value, low, high = against_gold(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0]), 2.0)
    assert value == pytest.approx(4 / 3)
    assert 0 <= low < value < high

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

TARGET = Column("kind", "target", "integer", "", allowed=(0, 1, 2))
SETTINGS = Settings(iterations=200)
N = float("nan")


def drawn(rows: int) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.float64]]:
    """Draw true classes, and what five sources of different quality say of some rows."""
    generator = np.random.default_rng(1)
    truth = generator.choice(3, rows, p=[0.5, 0.3, 0.2]).astype(np.float64)
    votes = np.full((rows, 5), np.nan)
    for source, right in enumerate((0.95, 0.9, 0.8, 0.6, 0.45)):
        wrong = (truth + generator.integers(1, 3, rows)) % 3
        said = np.where(generator.random(rows) < right, truth, wrong)
        asked = generator.random(rows) < 0.7
        votes[asked, source] = said[asked]
    return truth, votes


def test_better_than_the_majority_and_honest_about_it() -> None:
    truth, votes = drawn(4000)
    combined = combine(votes, TARGET, SETTINGS, silence=False)
    known = ~np.isnan(combined.labels)
    counts = np.nansum(coordinates(votes, TARGET), axis=1)
    majority = (counts.argmax(axis=1) == truth)[known].mean()
    right = (combined.labels == truth)[known]
    assert right.mean() > majority + 0.03
    assert combined.confidence[known].mean() == pytest.approx(right.mean(), abs=0.02)


def test_the_quality_of_each_source_is_found() -> None:
    truth, votes = drawn(4000)
    combined = combine(votes, TARGET, SETTINGS, silence=False)
    for source, quality in enumerate(combined.quality):
        for value in TARGET.allowed:
            mine = votes[(truth == value) & ~np.isnan(votes[:, source]), source]
            share = float(np.mean(mine == value))
            assert quality[f"Right where {value}"] == pytest.approx(share, abs=0.05)


def test_records_of_which_nobody_says_anything_have_no_label() -> None:
    votes = np.array([[0.0, 0.0], [N, N], [1.0, 1.0]])
    for silence in (False, True):
        combined = combine(votes, TARGET, SETTINGS, silence=silence)
        assert np.isnan(combined.labels).tolist() == [False, True, False]
        assert np.isnan(combined.confidence).tolist() == [False, True, False]


def test_the_silence_of_a_rule_that_knows_one_class_counts() -> None:
    generator = np.random.default_rng(2)
    truth = (generator.random(4000) < 0.3).astype(np.float64)
    votes = np.full((4000, 3), np.nan)
    # two rules that only ever say 1, and one that says both
    votes[(truth == 1) & (generator.random(4000) < 0.7), 0] = 1
    votes[(truth == 1) & (generator.random(4000) < 0.6), 1] = 1
    votes[(truth == 0) & (generator.random(4000) < 0.05), 1] = 1
    votes[:, 2] = np.where(generator.random(4000) < 0.8, truth, 1 - truth)
    combined = combine(votes, TARGET, SETTINGS, silence=True)
    assert np.mean(combined.labels == truth) > 0.9
    assert combined.quality[0]["Right"] > combined.quality[2]["Right"]
    assert set(combined.quality[0]) == {"Right"}


def test_labels_are_read_as_the_classes_of_the_contract() -> None:
    codes = encode(["1", 0, " 1", "yes", None, "2"], TARGET)
    assert decode(codes, TARGET) == [1, 0, None, None, None, 2]

"""Metrics of the clustering against known values."""

import math

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from utils.config import Column, ProjectError
from utils.metrics import (
    METRICS,
    Value,
    decision_summary,
    levels,
    load_value,
    row_silhouettes,
)
from utils.outcome import Cluster, Decision, assigned

VALUE = Value()
LINE = np.array([[0.0], [2.0], [10.0], [14.0]])
PAIRS = np.eye(2)[[0, 0, 1, 1]]


def blobs(rows: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return points of three groups, and memberships that put one in twelve into a wrong one."""
    generator = np.random.default_rng(seed)
    codes = np.arange(rows) % 3
    points = generator.normal(0, 1, (rows, 4)) + 3 * np.eye(3, 4)[codes]
    said = np.where(np.arange(rows) % 12 == 0, (codes + 1) % 3, codes)
    return points, np.eye(3)[said]


def measured(name: str, points: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    return METRICS[name].function(points, scores, weights, VALUE)


def test_silhouettes_compare_the_own_centre_with_the_nearest_other() -> None:
    # centres 1 and 12: (11 - 1) / 12 and so on, worked by hand
    expected = [1 - 1 / 12, 1 - 1 / 10, 1 - 2 / 9, 1 - 2 / 13]
    found = row_silhouettes(LINE, PAIRS, np.ones(4))
    assert found.tolist() == pytest.approx(expected)
    assert measured("silhouette", LINE, PAIRS, np.ones(4)) == pytest.approx(np.mean(expected))
    crossed = row_silhouettes(LINE, np.eye(2)[[0, 1, 0, 1]], np.ones(4))
    assert crossed.min() < 0, "a row that is nearer to the other centre"


def test_the_worst_tenth_is_the_mean_of_the_lowest() -> None:
    points, scores = blobs(240)
    silhouettes = np.sort(row_silhouettes(points, scores, np.ones(240)))
    assert measured("worst_silhouette", points, scores, np.ones(240)) == pytest.approx(
        silhouettes[:24].mean()
    )
    # of four rows, the worst tenth is a part of the worst one
    worst = row_silhouettes(LINE, PAIRS, np.ones(4)).min()
    assert measured("worst_silhouette", LINE, PAIRS, np.ones(4)) == pytest.approx(worst)


def test_indices_agree_with_the_standard_library() -> None:
    points, scores = blobs(300)
    codes, ones = assigned(scores), np.ones(300)
    assert measured("davies_bouldin", points, scores, ones) == pytest.approx(
        davies_bouldin_score(points, codes)
    )
    assert measured("calinski_harabasz", points, scores, ones) == pytest.approx(
        calinski_harabasz_score(points, codes)
    )


@pytest.mark.parametrize("name", METRICS)
def test_a_right_partition_is_better_than_a_wrong_one(name: str) -> None:
    points, scores = blobs(300)
    right = np.eye(3)[np.arange(300) % 3]
    sign = 1 if METRICS[name].greater_is_better else -1
    ones = np.ones(300)
    assert sign * measured(name, points, right, ones) > sign * measured(name, points, scores, ones)


@pytest.mark.parametrize("name", METRICS)
def test_one_cluster_has_no_separation(name: str) -> None:
    together = np.eye(2)[[0, 0, 0, 0]]
    assert math.isnan(measured(name, LINE, together, np.ones(4)))


@pytest.mark.parametrize("name", METRICS)
def test_rows_without_weight_count_for_nothing(name: str) -> None:
    points, scores = blobs(120)
    far = np.full((4, 4), 50.0)
    extended = np.concatenate([points, far]), np.concatenate([scores, np.eye(3)[[0, 1, 2, 0]]])
    weights = np.concatenate([np.ones(120), np.zeros(4)])
    assert measured(name, *extended, weights) == pytest.approx(
        measured(name, points, scores, np.ones(120))
    )


def test_a_lone_row_is_neither_well_nor_badly_placed() -> None:
    alone = row_silhouettes(LINE, np.eye(2)[[0, 0, 0, 1]], np.ones(4))
    assert alone[3] == 0


def test_clusters_are_described_with_what_they_hold() -> None:
    decision = Decision((Cluster(1, "low", 0.5, "Low."), Cluster(2, "high", 0.5, "High.")))
    report = decision_summary(LINE, PAIRS, np.array([1.0, 1.0, 1.0, 3.0]), VALUE, decision)
    assert report.shares == pytest.approx([1 / 3, 2 / 3])
    assert report.words[0].startswith("Low. Of the held-out rows it holds 33.3%, with a mean sil")
    empty = decision_summary(LINE, np.eye(2)[[0] * 4], np.ones(4), VALUE, decision)
    assert empty.silhouettes == [None, None]
    assert empty.words[1] == "High. Of the held-out rows it holds 0.0%."


def test_levels_are_shares_and_memberships() -> None:
    scores = np.array([[0.7, 0.3], [0.4, 0.6]])
    assert levels(LINE[:2], scores, np.array([3.0, 1.0])) == pytest.approx((0.75, 0.675))


def test_amounts_are_refused() -> None:
    with pytest.raises(ProjectError, match="unknown field `profit`"):
        load_value({"profit": 1.0}, Column("none", "target", "float", ""))

"""Trees that fit a table of any size."""

import pytest
import yaml

from utils.tree_settings import candidates_text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (344, {"forest": 3, "boosting": {"low": 3, "high": 17, "log": True, "start": 6}}),
        (60, {"forest": 2, "boosting": {"low": 2, "high": 3, "log": True, "start": 2}}),
        (2000, {"forest": 20, "boosting": {"low": 10, "high": 100, "log": True, "start": 40}}),
    ],
)
def test_candidates_fit_the_size_of_the_table(rows: int, expected: dict[str, object]) -> None:
    text = """    forest: {n_estimators: 200, min_samples_leaf: 20}
    boosting:
      loss: quantile
      quantile: 0.667 # costs least
      max_leaf_nodes: {low: 3, high: 80, start: 40}
      min_samples_leaf: {low: 10, high: 100, log: true, start: 40}
"""
    changed = candidates_text(text, rows)
    found = yaml.safe_load(changed)
    leaves = {name: settings["min_samples_leaf"] for name, settings in found.items()}
    assert leaves == expected
    assert found["boosting"]["loss"] == "quantile"
    assert "quantile: 0.5 # costs least" in changed
    assert found["boosting"]["max_leaf_nodes"] == {"low": 3, "high": 80, "start": 40}
    assert candidates_text(changed, rows) == changed

"""The covering array itself, against brute force."""

from itertools import product

import pytest

from tests.combinations import Row, When, covering_array, tuples, violates

OPTIONS = {
    "color": ["red", "green", "blue"],
    "size": ["s", "m", "l", "xl"],
    "shape": ["round", "square"],
    "fabric": ["wool", "linen", "silk"],
    "price": ["low", "high"],
}
REFUSED: list[When] = [
    {"color": ["red"], "size": ["xl", "l"]},
    {"fabric": ["silk"], "price": ["low"]},
    # Together with the rule before, silk leaves square shapes only.
    {"fabric": ["silk"], "price": ["high"], "shape": ["round"]},
]


def all_valid() -> list[Row]:
    """Every valid combination, by enumeration."""
    rows = [dict(zip(OPTIONS, choices, strict=True)) for choices in product(*OPTIONS.values())]
    return [row for row in rows if not violates(row, REFUSED)]


@pytest.mark.parametrize("strength", [1, 2, 3, 4, 5])
def test_covers_every_feasible_tuple_and_only_valid_rows(strength: int) -> None:
    """Complete and sound under constraints that also exclude combinations indirectly."""
    valid = all_valid()
    feasible = {
        chosen
        for chosen in tuples(OPTIONS, strength)
        if any(set(chosen) <= set(row.items()) for row in valid)
    }
    rows = covering_array(OPTIONS, strength, REFUSED)
    assert all(row in valid for row in rows)
    covered = {
        chosen
        for chosen in tuples(OPTIONS, strength)
        if any(set(chosen) <= set(row.items()) for row in rows)
    }
    assert covered == feasible


@pytest.mark.parametrize("strength", [2, 3])
def test_adds_only_what_given_rows_leave_uncovered(strength: int) -> None:
    """Together with the rows that exist already, every feasible tuple is covered."""
    whole = covering_array(OPTIONS, strength, REFUSED)
    given = [{**row, "other": "answer"} for row in whole[::2]]
    added = covering_array(OPTIONS, strength, REFUSED, given)
    covered = {
        chosen
        for chosen in tuples(OPTIONS, strength)
        if any(set(chosen) <= set(row.items()) for row in [*given, *added])
    }
    assert covered >= {
        chosen
        for chosen in tuples(OPTIONS, strength)
        if any(set(chosen) <= set(row.items()) for row in whole)
    }
    assert len(added) < len(whole)
    assert covering_array(OPTIONS, strength, REFUSED, whole) == []


def test_is_deterministic_and_small() -> None:
    """The same rows each time, and far fewer than all combinations."""
    rows = covering_array(OPTIONS, 2, REFUSED)
    assert rows == covering_array(OPTIONS, 2, REFUSED)
    assert len(rows) <= 16
    assert len(rows) < len(all_valid()) / 3


def test_strength_above_the_number_of_options_gives_all_combinations() -> None:
    """Asking for more interaction than there are options is the full product."""
    assert len(covering_array({"a": ["1", "2"], "b": ["x", "y"]}, 3)) == 4

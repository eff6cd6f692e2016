"""How far ahead a history of any length can be forecast, and on which windows that is judged."""

from typing import NamedTuple

from data_prep.wishes import Wishes
from utils.config import ProjectError

HORIZON = 14
# Without a wish, a horizon is no longer than this share of the history.
HORIZON_SHARE = 0.1
WEEK = 7
# Days before the first window, from which the models of the first fold learn.
LEARNED_FROM = 28
TEST_SHARE = 0.1
FEWEST_FOLDS, FOLDS = 2, 5


class Windows(NamedTuple):
    """The days ahead that are forecast, and on how many windows of as many days.

    Attributes:
        horizon: days ahead.
        held_out: windows that are held out.
        folds: windows of the cross-validation before them.
    """

    horizon: int
    held_out: int
    folds: int


def wished_horizon(wishes: Wishes) -> int | None:
    """Return the horizon that a person asked for, if any.

    Raises:
        ProjectError: it is no number of days.
    """
    text = wishes.options.get("horizon", "")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ProjectError(f"HORIZON={text} is no number of days ahead, such as HORIZON={HORIZON}.")
    return int(text)


def propose_windows(days: int, wished: int | None) -> Windows:
    """Return horizon and windows that fit a history.

    Args:
        days: the history spans.
        wished: the horizon that a person asked for.

    Raises:
        ProjectError: the history is too short for it.
    """
    horizon = wished or min(HORIZON, int(days * HORIZON_SHARE))
    if wished is None and horizon >= WEEK:
        horizon -= horizon % WEEK
    longest = (days - LEARNED_FROM) // (FEWEST_FOLDS + 1)
    if horizon > longest:
        raise ProjectError(
            f"HORIZON={horizon} is too far ahead for a history of {days} days: besides what is "
            f"learned from, {FEWEST_FOLDS + 1} windows as long are tested on. Up to {longest} days "
            "ahead are possible."
        )
    held_out = max(1, round(days * TEST_SHARE / horizon))
    folds = min(FOLDS, (days - held_out * horizon - LEARNED_FROM) // horizon)
    return Windows(horizon, held_out, folds)

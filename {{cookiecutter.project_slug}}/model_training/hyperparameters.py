"""Hyperparameters as ``params.yaml`` gives them: fixed values, and spaces to search."""

import math
from collections.abc import Mapping

from model_training.results import SearchReport
from utils.config import Hyperparameter, ProjectError, Space

DIGITS = 4

Settings = Mapping[str, Hyperparameter | Space]
Point = dict[str, Hyperparameter]


def readable(value: float, space: Space) -> float:
    """Return a number of a range with few digits, still inside the range."""
    low, high = float(space.low or 0), float(space.high or 0)
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def starting_point(space: Space) -> Hyperparameter:
    """Return what is tried first: ``start``, else the middle of the range or the first choice.

    With ``log``, the middle is that of the logarithms.
    """
    if space.start is not None:
        return space.start
    if space.choices is not None:
        return space.choices[0]
    low, high = float(space.low or 0), float(space.high or 0)
    middle = math.sqrt(low) * math.sqrt(high) if space.log else low + (high - low) / 2
    return round(middle) if space.whole else readable(middle, space)


def spaces(settings: Settings) -> dict[str, Space]:
    """Return the hyperparameters of a candidate that are to be searched."""
    return {name: space for name, space in settings.items() if isinstance(space, Space)}


def with_point(settings: Settings, point: Mapping[str, Hyperparameter]) -> Point:
    """Return the hyperparameters of a candidate with a value of ``point`` for each space."""
    return {
        name: point[name] if isinstance(value, Space) else value for name, value in settings.items()
    }


def starting_points(candidates: Mapping[str, Settings]) -> dict[str, Point]:
    """Return the hyperparameters of every candidate before any search."""
    return {
        name: with_point(
            settings, {key: starting_point(space) for key, space in spaces(settings).items()}
        )
        for name, settings in candidates.items()
    }


def best_points(candidates: Mapping[str, Settings], report: SearchReport) -> dict[str, Point]:
    """Return the hyperparameters of every candidate, the best found for those searched.

    Raises:
        ProjectError: the report is about other hyperparameters.
    """
    points = starting_points(candidates)
    for search in report.candidates:
        settings = candidates.get(search.name, {})
        if spaces(settings).keys() != search.hyperparameters.keys():
            raise ProjectError(
                f"reports/search.json searched other hyperparameters of {search.name} than "
                "params.yaml names now. `make run` searches again."
            )
        points[search.name] = with_point(settings, search.hyperparameters)
    return points

"""How the answers of the model move when one input is set to other values."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data_prep.feature_engineering import MISSING_CATEGORY, derive
from data_prep.storage import Frame
from data_viz.summaries import moments, numbers, texts
from utils.config import Column, Recipe

Array = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
Kind = Literal["numeric", "categorical", "duration", "calendar"]

POINTS = 12
SHOWN_CATEGORIES = 12
MINUTES_PER_DAY = 1440


class Input(NamedTuple):
    """Something about a record that can be set to another value.

    ``sources`` are the columns of the records that it comes from; ``unit`` is empty without one.
    """

    name: str
    kind: Kind
    sources: tuple[str, ...]
    unit: str


class Grid(NamedTuple):
    """Values that are tried; ``shares`` of the rows at ``places``, without places at the values."""

    tried: list[float] | list[str]
    places: list[float]
    shares: list[float]


class Curve(NamedTuple):
    """The answers of the model over the values of one input.

    ``answers`` has the mean of each answer per value; ``lines`` the answers to single rows, shape
    (values, rows), where there is one answer.
    """

    input: Input
    grid: Grid
    answers: dict[str, list[float]]
    lines: Array | None


def inputs_of(recipe: Recipe) -> list[Input]:
    """Return all that can be set: columns of records, durations and parts of the calendar.

    Logarithms and ratios are not among them: they move with what they come from. Nor are numbers of
    days, which tell moments apart and would say nothing alone.
    """
    steps = recipe.transformation

    def plain(column: Column) -> Input:
        kind: Kind = "numeric" if column.role == "numeric" else "categorical"
        return Input(column.name, kind, (column.name,), column.unit)

    return [
        *(plain(column) for column in recipe.contract.with_role("numeric", "categorical")),
        *(
            Input(name, "duration", (interval.start, interval.end), "days")
            for name, interval in steps.elapsed_days.items()
        ),
        *(
            Input(f"{name}_{part}", "calendar", (name,), "")
            for name, parts in steps.calendar.items()
            for part in parts
            if part != "day"
        ),
    ]


def observed(records: Frame, item: Input, recipe: Recipe) -> Array | Text:
    """Return what an input is in each record, shape (n,): text for categories, NaN for missing."""
    if item.kind == "categorical":
        return texts(records, item.name)
    derived = item.kind in {"duration", "calendar"}
    return numbers(derive(records, recipe) if derived else records, item.name)


def _category_grid(values: Text) -> Grid:
    names, counts = np.unique(values[values != MISSING_CATEGORY].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SHOWN_CATEGORIES]
    chosen = [str(names[position]) for position in order]
    return Grid(chosen, [], [float(counts[position]) / values.size for position in order])


def _number_grid(values: Array) -> Grid:
    known = values[np.isfinite(values)]
    tried = np.unique(known)
    if tried.size > 2 * POINTS:
        low, high = (float(end) for end in np.quantile(known, [0.005, 0.995]))
        crowded = np.quantile(known, np.linspace(0.005, 0.995, POINTS))
        tried = np.concatenate([np.linspace(low, high, POINTS), crowded])
        whole = bool(np.all(known == np.round(known)))
        tried = np.unique(np.round(tried) if whole else tried)
        edges = np.linspace(low, high, 2 * POINTS + 1)
    elif tried.size:
        middles = (tried[1:] + tried[:-1]) / 2
        edges = np.concatenate([[-np.inf], middles, [np.inf]])
    else:
        return Grid([], [], [])
    counts, _ = np.histogram(known, edges)
    places = tried if np.isinf(edges[0]) else (edges[1:] + edges[:-1]) / 2
    return Grid(tried.tolist(), places.tolist(), (counts / values.size).tolist())


def grid(values: Array | Text) -> Grid:
    """Return the values to try, and where the rows lie.

    Few distinct numbers are tried one by one; of many, some at equal distances over the range that
    holds 99 % of the rows, and as many where the rows are; categories by how often they occur.

    Args:
        values: what is observed, shape (n,), text for categories, NaN for missing numbers.
    """
    if values.dtype == object:
        return _category_grid(values.astype(object))
    return _number_grid(values.astype(np.float64))


def model_table(
    records: Frame,
    item: Input,
    values: Array | Text,
    recipe: Recipe,
    prepare: Callable[[Frame], pd.DataFrame],
) -> pd.DataFrame:
    """Return the inputs of the model with one of them set.

    Args:
        records: as a caller sends them, n rows.
        item: what is set. A duration moves the moment at which it starts.
        values: what it is set to, shape (n,).
        recipe: contract and derived columns.
        prepare: turns derived features into the table that the model takes.
    """
    if item.kind == "calendar":
        return prepare(derive(records, recipe)).assign(**{item.name: values})
    if item.kind == "duration":
        minutes = np.round(values.astype(np.float64) * MINUTES_PER_DAY).astype("timedelta64[m]")
        started = moments(records, item.sources[1]) - minutes
        unknown = np.isnat(started)
        # Arrow checks for overflow also where a moment is missing, so something stands there.
        filled = pa.array(np.where(unknown, np.datetime64(0, "us"), started), mask=unknown)
    else:
        filled = pa.array(values)
    native = pd.Series(pd.arrays.ArrowExtensionArray(filled))
    column = nw.from_native(native, series_only=True).alias(item.sources[0])
    return prepare(derive(records.with_columns(column), recipe))


def curve(
    answer: Callable[[pd.DataFrame], dict[str, Array]],
    prepare: Callable[[Frame], pd.DataFrame],
    records: Frame,
    item: Input,
    recipe: Recipe,
    *,
    weights: Array,
    lines: int,
) -> Curve:
    """Set an input to each value of a grid in every record and average the answers.

    Sources: Friedman (2001), Greedy Function Approximation, section 8.2; Goldstein et al. (2015),
    Peeking Inside the Black Box, for the lines of single rows.

    Args:
        answer: what the model says to a table of its inputs, each shape (n,), by name.
        prepare: turns derived features into that table.
        records: as a caller sends them.
        item: what is set.
        recipe: contract and derived columns.
        weights: how many rows each record stands for.
        lines: how many rows get a line of their own, spread evenly over the records.
    """
    chosen = grid(observed(records, item, recipe))
    count, steps = records.shape[0], len(chosen.tried)
    several = records[np.tile(np.arange(count), steps)]
    kind = object if item.kind == "categorical" else np.float64
    tried = np.repeat(np.array(chosen.tried, dtype=kind), count)
    said = answer(model_table(several, item, tried, recipe, prepare))
    shaped = {name: table.reshape(steps, count) for name, table in said.items()}
    spread = np.unique(np.linspace(0, count - 1, min(lines, count)).astype(np.int64))
    return Curve(
        item,
        chosen,
        {
            name: np.average(table, axis=1, weights=weights).tolist()
            for name, table in shaped.items()
        },
        next(iter(shaped.values()))[:, spread] if len(shaped) == 1 else None,
    )


def most_important(
    items: Sequence[Input], ranked: Sequence[str], records: Frame, recipe: Recipe, limit: int
) -> list[Input]:
    """Return the inputs whose sources come first in ``ranked``, at most ``limit``.

    An input with a single value in the records is left out: nothing can be seen of it.
    """
    place = {name: position for position, name in enumerate(ranked)}
    usable = [item for item in items if any(name in place for name in item.sources)]
    ordered = sorted(
        usable, key=lambda item: min(place.get(name, len(place)) for name in item.sources)
    )
    varied = (item for item in ordered if len(grid(observed(records, item, recipe)).tried) > 1)
    return [item for item, _ in zip(varied, range(limit), strict=False)]

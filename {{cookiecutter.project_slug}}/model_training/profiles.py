"""Profiles of clusters in words: in what their rows differ most from all rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer

from data_prep.feature_engineering import MISSING_CATEGORY
from data_viz.summaries import short
from utils.config import Contract
from utils.outcome import Cluster, assigned

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# Differences from all rows in standard deviations: what a profile mentions, what makes a name.
MENTIONED = 0.25
NAMING = 0.5
IN_A_PROFILE = 4
IN_A_NAME = 2
HALF = 0.5
# Below this share of the mean of all rows, a multiple of it says little.
SMALLEST_MULTIPLE = 0.05


class Measure(NamedTuple):
    """Something that a profile can mention, with its mean in each cluster and in all rows.

    It is a number, or whether a column has one of its categories. ``effects`` (k,) are the
    differences from all rows in standard deviations, ``means`` (k,) the means, as shares for a
    category.
    """

    column: str
    category: str | None
    unit: str
    overall: float
    means: Array
    effects: Array


def words(name: str, unit: str) -> str:
    """Return the name of a column in words, without the unit at its end."""
    said = name.replace("_", " ")
    for ending in {unit.lower(), "percent" if unit == "%" else unit.lower()} - {""}:
        said = said.removesuffix(f" {ending}")
    return said


def amount(value: float, name: str, unit: str) -> str:
    """Return a number with its unit, unless the name says the unit already."""
    said = words(name, unit).split()
    return f"{short(value)} {unit}".rstrip() if unit not in said else short(value)


def _means(values: Array, codes: Codes, weights: Array, count: int) -> Array:
    masses = np.bincount(codes, weights, count)
    totals = np.bincount(codes, weights * values, count)
    means: Array = np.divide(totals, masses, out=np.full(count, np.nan), where=masses > 0)
    return means


def _columns(encode: ColumnTransformer, part: str) -> list[str]:
    """Return the columns that a part of the encoder takes, none if it has none."""
    return [str(name) for key, _, names in encode.transformers_ if key == part for name in names]


def measures(
    points: Array,
    scores: Array,
    weights: Array,
    encode: ColumnTransformer,
    contract: Contract,
) -> list[Measure]:
    """Return what can be said about clusters, in the units of the records.

    Args:
        points: encoded rows, shape (n, d).
        scores: their memberships, shape (n, k).
        weights: shape (n,).
        encode: what encoded the rows; it scales numbers.
        contract: the meaning of the columns.
    """
    codes, count = assigned(scores), scores.shape[1]
    units: dict[str, str] = {column.name: column.unit for column in contract.columns}
    found: list[Measure] = []
    place = 0
    for name in _columns(encode, "numeric"):
        scaler, position = encode.named_transformers_["numeric"].named_steps["scale"], place
        place += 1
        if name.startswith("log_") and name not in units:
            continue
        scale, centre = scaler.scale_[position], scaler.mean_[position]
        values = points[:, position] * scale + centre
        overall = float(np.average(values, weights=weights))
        means = _means(values, codes, weights, count)
        found.append(
            Measure(
                name, None, units.get(name, ""), overall, means, (means - overall) / float(scale)
            )
        )
    names = _columns(encode, "categorical")
    known = encode.named_transformers_["categorical"].categories_ if names else []
    for name, categories in zip(names, known, strict=True):
        for category in categories:
            values = points[:, place]
            place += 1
            overall = float(np.average(values, weights=weights))
            spread = np.sqrt(overall * (1 - overall))
            if category == MISSING_CATEGORY or spread == 0:
                continue
            means = _means(values, codes, weights, count)
            effects = (means - overall) / spread
            found.append(Measure(name, str(category), "", overall, means, effects))
    return found


def _ranked(found: Sequence[Measure], code: int, least: float) -> list[Measure]:
    """Return what is special about a cluster, one measure a column, the most special first.

    A category counts if the cluster has more of it.
    """
    special = [
        item
        for item in found
        if abs(item.effects[code]) >= least and (item.category is None or item.effects[code] > 0)
    ]
    ordered = sorted(special, key=lambda item: -abs(item.effects[code]))
    first = {item.column: item for item in reversed(ordered)}
    return [item for item in ordered if first[item.column] is item]


def _name(found: Sequence[Measure], code: int) -> str:
    chosen = [
        item
        for item in _ranked(found, code, NAMING)
        if item.category is None or item.means[code] > HALF
    ][:IN_A_NAME]
    parts = [
        f"{words(item.column, '')} {item.category}"
        if item.category is not None
        else f"{'high' if item.effects[code] > 0 else 'low'} {words(item.column, item.unit)}"
        for item in chosen
    ]
    return ", ".join(parts) or "close to the average"


def _difference(item: Measure, code: int) -> str:
    mean, overall = float(item.means[code]), item.overall
    label = words(item.column, item.unit)
    if item.category is not None:
        return f"{label} {item.category} in {mean:.0%} of its rows, against {overall:.0%} of all"
    average = amount(overall, item.column, item.unit)
    said = f"{label} {amount(mean, item.column, item.unit)}"
    if overall > 0 and mean / overall >= SMALLEST_MULTIPLE:
        return f"{said}, {mean / overall:.1f} times the average of {average}"
    return f"{said}, against an average of {average}"


def _distinct(names: Sequence[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(names, start=1)
    ]


def clusters(found: Sequence[Measure], shares: Array) -> tuple[Cluster, ...]:
    """Name and describe every cluster.

    Args:
        found: what can be said about them.
        shares: of the rows, shape (k,).
    """
    names = _distinct([_name(found, code) for code in range(shares.size)])
    described = []
    for code, (name, share) in enumerate(zip(names, shares, strict=True)):
        special = _ranked(found, code, MENTIONED)[:IN_A_PROFILE]
        told = "; ".join(_difference(item, code) for item in special)
        told = told or "in nothing very different from all rows"
        profile = f"Cluster {code + 1}, {name} ({share:.0%} of the rows): {told}."
        described.append(Cluster(code + 1, name, float(share), profile))
    return tuple(described)


def column_label(item: Measure) -> str:
    """Return what a measure is called in tables and figures."""
    if item.category is not None:
        return f"{item.column.replace('_', ' ')} = {item.category}"
    return words(item.column, item.unit)


def cell(item: Measure, value: float) -> str:
    """Return a mean as a table shows it; a share for a category."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.0%}" if item.category is not None else amount(value, item.column, item.unit)

"""What the columns of an unknown table hold: types, forms of moments, and what stands for missing.

Values are read with the functions that will clean them later, so a type is only inferred if
cleaning gets along with it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import narwhals as nw
import polars as pl

from data_prep.cleaning import standardise
from data_prep.moments import MILLISECONDS, SECONDS, form
from utils.config import Column, ColumnType, ProjectError

# The share of values that may be none of the type of their column; cleaning makes them missing.
TOLERATED = 0.02
# Words for a missing value are few and short.
MAXIMUM_MARKERS = 3
LONGEST_MARKER = 12
LOOKED_AT = 1000
LARGEST_EXACT = 2**53
YEARS = (1900, 2100)
TEXT_YEARS = (1700, 2200)
# From 2001 to 2100, in seconds.
EPOCHS = (978_307_200, 4_102_444_800)
NAMED_AS_MOMENT = re.compile(r"(?i)time|date|stamp|epoch|(^|_)(at|ts|on)$")
DAYS = (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y",
    "%d-%b-%y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%Y%m%d",
    "%Y-%m",
    "%b %Y",
)
KINDS: dict[tuple[type[pl.DataType], ...], ColumnType] = {
    (pl.Boolean,): "integer",
    (pl.Datetime, pl.Date): "timestamp",
    (pl.Null,): "string",
}
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = [f"{day}{time}" for day in DAYS for time in TIMES]


class Found(NamedTuple):
    """What a column holds.

    Attributes:
        type: None if the project can't use such values.
        format: how moments are written, empty if as ISO 8601 or with a type of their own.
        markers: lower-case texts that stand for a missing value besides those already known.
        note: what a person should know of it, empty if nothing.
    """

    type: ColumnType | None
    format: str = ""
    markers: tuple[str, ...] = ()
    note: str = ""


def read_as(values: pl.Series, column: Column, markers: Sequence[str]) -> pl.Series:
    """Return values, shape (n,), as cleaning would read them for a column of the contract."""
    frame = nw.from_native(values.alias(column.name).to_frame(), eager_only=True)
    cleaned: pl.DataFrame = standardise(frame, [column], markers).to_native()
    return cleaned[column.name]


def _as(kind: ColumnType, pattern: str = "") -> Column:
    role = {"timestamp": "timestamp", "string": "text"}.get(kind, "numeric")
    return Column("value", role, kind, "", format=pattern)  # type: ignore[arg-type]


def infer(values: pl.Series, markers: Sequence[str], pattern: str = "") -> Found:
    """Infer what a column holds from its values.

    Args:
        values: the column as the source gives it, shape (n,).
        markers: lower-case texts that stand for a missing value.
        pattern: the format of its moments, if a person said so.

    Raises:
        ProjectError: its dates may begin with the day or with the month, and nothing tells which.
    """
    if values.dtype in {pl.Categorical, pl.Enum}:
        values = values.cast(pl.String)
    kind = values.dtype
    if pattern:
        if pattern not in {SECONDS, MILLISECONDS}:
            form(pattern)  # raises if it can't be read
        return Found("timestamp", pattern)
    if kind.is_numeric():
        return _number(values)
    if kind == pl.String:
        return _text(values, markers)
    for kinds, plain in KINDS.items():
        if kind in kinds:
            return Found(plain)
    return Found(None, note=f"it holds values of the type {kind}, which no model here takes")


def _number(values: pl.Series) -> Found:
    known = values.cast(pl.Float64).drop_nulls()
    known = known.filter(known.is_finite())
    if known.is_empty():
        return Found("float")
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]
    whole = bool((known == known.round(0)).all()) and max(abs(low), abs(high)) <= LARGEST_EXACT
    if not whole:
        return Found("float")
    if NAMED_AS_MOMENT.search(values.name):
        for name, factor in ((SECONDS, 1), (MILLISECONDS, 1000)):
            if EPOCHS[0] * factor <= low and high <= EPOCHS[1] * factor:
                return Found("timestamp", name, note=f"its numbers are read as {name}")
        first, last = (year * 10_000 for year in YEARS)
        if (
            first < low
            and high < last
            and not read_as(known, _as("timestamp", "%Y%m%d"), ()).has_nulls()
        ):
            return Found("timestamp", "%Y%m%d", note="its numbers are read as days, %Y%m%d")
    return Found("integer")


def _text(values: pl.Series, markers: Sequence[str]) -> Found:
    known = read_as(values, _as("string"), markers).drop_nulls().alias(values.name)
    if known.is_empty():
        return Found("string")
    return _moments(known, markers) or _numbers(known, markers)


def _numbers(known: pl.Series, markers: Sequence[str]) -> Found:
    """Infer what texts without missing ones are: numbers, or nothing but texts."""
    numbers = read_as(known, _as("float"), markers)
    wrong = known.filter(numbers.is_null()).str.to_lowercase().value_counts(sort=True)
    refused = sum(wrong["count"]) / known.len()
    words = wrong[wrong.columns[0]].to_list()
    few = len(words) <= MAXIMUM_MARKERS and all(
        len(word) <= LONGEST_MARKER and not any(sign.isdigit() for sign in word) for word in words
    )
    if refused > TOLERATED and not (few and refused < 1 / 2):
        return Found("string")
    good = known.filter(numbers.is_not_null())
    if good.str.contains("^0[0-9]").any():
        return Found("string", note="its numbers begin with 0, so they are read as names")
    comma = good.str.contains(",").any() and not good.str.contains(",[0-9]{3}([^0-9]|$)").any()
    if comma:
        return Found("string", note="it writes decimals with a comma; write them with a point")
    units = good.str.to_lowercase().str.extract("([a-zµ°²³/]+)$").drop_nulls().unique()
    if units.len() > 1:
        return Found("string", note=f"it mixes the units {', '.join(sorted(units)[:5])}")
    notes = []
    if units.len():
        notes.append(f"its values have the unit {units[0]}, which is removed")
    if words:
        shown = ", ".join(repr(word) for word in words[:5])
        notes.append(f"{sum(wrong['count']):,} values are no numbers ({shown}) and become missing")
    exact = numbers.drop_nulls()
    whole = (
        bool((exact == exact.round(0)).all()) and not good.str.contains("(?i)[0-9]e[0-9+-]").any()
    )
    kind: ColumnType = "integer" if whole else "float"
    own = _number(exact.alias(known.name)) if whole else Found(kind)
    found = tuple(words) if few else ()
    return own._replace(markers=found, note="; ".join([*notes, *([own.note] if own.note else [])]))


def _moments(texts: pl.Series, markers: Sequence[str]) -> Found | None:
    """Infer the format of moments from texts without missing ones, or None if they are none."""
    if not texts.head(LOOKED_AT).str.contains("[0-9]").all():
        return None
    if _share(texts, "", markers) >= 1 - TOLERATED:
        return Found("timestamp")
    possible = list(_possible(texts.unique(maintain_order=True).head(LOOKED_AT)))
    shares = {pattern: _share(texts, pattern, markers) for pattern in possible}
    fitting = [pattern for pattern in possible if shares[pattern] >= 1 - TOLERATED]
    if not fitting:
        return None
    best = max(fitting, key=lambda pattern: shares[pattern])
    equal = [pattern for pattern in fitting if shares[pattern] == shares[best]]
    if len(equal) > 1:
        day, month = equal[:2]
        raise ProjectError(
            f"Column {texts.name!r} holds dates such as {texts[0]!r}, in which nothing tells the "
            f"day from the month. Say which it is: FORMAT={texts.name}={day} or "
            f"FORMAT={texts.name}={month}."
        )
    rejected = _swapped(best)
    decided = ""
    if rejected in FORMATS:
        decided = ", because other readings give days that don't exist"
    return Found("timestamp", best, note=f"its moments are read as {best}{decided}")


def _swapped(pattern: str) -> str:
    return pattern.replace("%d", "%0").replace("%m", "%d").replace("%0", "%m")


def _possible(texts: pl.Series) -> Iterator[str]:
    lowered = texts.str.to_lowercase()
    for pattern in FORMATS:
        if float(lowered.str.contains(form(pattern).whole).mean()) >= 1 - TOLERATED:  # type: ignore[arg-type]
            yield pattern


def _share(texts: pl.Series, pattern: str, markers: Sequence[str]) -> float:
    """Return the share of texts that are moments in a format, those of impossible years aside."""
    moments = read_as(texts, _as("timestamp", pattern), markers)
    years = moments.dt.year()
    return float(years.is_between(*TEXT_YEARS).fill_null(False).mean())  # type: ignore[arg-type]

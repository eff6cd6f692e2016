"""Cleaning: every value in the form the data contract describes, or missing.

``standardise`` works row by row, so training and serving share it. ``clean`` adds what only makes
sense for a whole table: dropping rows that can't be used and duplicates.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import and_, or_

import narwhals as nw
from narwhals.typing import FrameT

from data_prep.moments import MILLISECONDS, SECONDS, from_epoch, to_iso
from data_prep.portable import (
    LARGEST_EXACT,
    as_float,
    as_text,
    keep,
    newest,
    recode,
    without_negative_zero,
)
from utils.config import Column, Contract

Step = Callable[[nw.Expr], nw.Expr]

# All white space of Unicode by name, because engines read the class \s differently.
WHITESPACE = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
# A number once currency signs, thousands separators and a trailing unit are gone.
NUMBER = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?$"
WHOLE_NUMBER = r"^-?[0-9]{1,18}$"
LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26]|00)00)"
# Only days that exist, because parsers raise on the 30th of February.
DATE = (
    r"(?:[0-9]{4}-(?:"
    r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"
    r"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
    r"02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{LEAP_YEAR}-02-29)"
)
TIMESTAMP = rf"^{DATE} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"


def _lowercase(value: nw.Expr) -> nw.Expr:
    """Lower-case text; the two letters that engines lower differently come out alike."""
    dotless = value.str.replace_all("İ", "i", literal=True)
    return dotless.str.to_lowercase().str.replace_all("ς", "σ", literal=True)


def _text_steps(dtype: nw.dtypes.DType, missing_markers: Sequence[str]) -> list[Step]:
    as_texts: list[Step] = [] if dtype == nw.String else [lambda value: as_text(value, dtype)]
    return [
        *as_texts,
        lambda value: value.str.replace_all(WHITESPACE, " ").str.strip_chars(" "),
        lambda value: keep(value, ~_lowercase(value).is_in(list(missing_markers))),
    ]


def _category_steps(column: Column, implementation: nw.Implementation) -> list[Step]:
    if not column.aliases:
        return [_lowercase]
    return [_lowercase, lambda value: recode(value, column.aliases, implementation)]


def _parse_number_steps(*, whole: bool) -> list[Step]:
    steps: list[Step] = [
        lambda value: (
            _lowercase(value)
            .str.replace_all(r"[, €$£%]", "")
            .str.replace_all(r"[a-zµ°²³/]+$", "")
            .str.replace_all(r"^\+", "")
        )
    ]
    if whole:
        return [
            *steps,
            lambda value: value.str.replace_all(r"\.0*$", ""),
            lambda value: keep(value, value.str.contains(WHOLE_NUMBER)).cast(nw.Int64),
        ]
    return [*steps, lambda value: keep(value, value.str.contains(NUMBER)).cast(nw.Float64)]


def _in_range(value: nw.Expr, column: Column, *, whole: bool) -> list[nw.Expr]:
    """Return the conditions that the range of the contract puts on a number."""
    lowest, highest = column.minimum, column.maximum
    low = None if lowest is None else value >= (math.ceil(lowest) if whole else lowest)
    high = None if highest is None else value <= (math.floor(highest) if whole else highest)
    return [condition for condition in (low, high) if condition is not None]


def _number_steps(
    column: Column,
    dtype: nw.dtypes.DType,
    implementation: nw.Implementation,
    missing_markers: Sequence[str],
) -> list[Step]:
    whole = column.type == "integer"
    steps: list[Step] = []
    # Text of whole numbers never goes by way of floats, which hold them only up to LARGEST_EXACT.
    exact = whole and not dtype.is_float()
    if not dtype.is_numeric():
        steps += [*_text_steps(dtype, missing_markers), *_parse_number_steps(whole=whole)]
    elif not exact:
        steps.append(lambda value: as_float(value, dtype, implementation))

    def valid(value: nw.Expr) -> nw.Expr:
        conditions = _in_range(value, column, whole=whole)
        if not exact:
            conditions.append(value.is_finite())
        if whole and not exact:
            conditions += [value == value.round(0), value.abs() <= LARGEST_EXACT]
        return keep(value, reduce(and_, conditions)) if conditions else value

    last: Step = without_negative_zero
    if whole:
        last = lambda value: value.cast(nw.Int64)  # noqa: E731
    return [*steps, valid, last]


def _parse_timestamp_steps() -> list[Step]:
    return [
        lambda value: (
            value.str.replace_all("T", " ", literal=True)
            .str.replace_all(r"(?:Z|\+00:00)$", "")
            .str.replace_all(r"\.[0-9]+$", "")
        ),
        lambda value: (
            nw.when(value.str.contains(rf"^{DATE}$"))
            .then(nw.concat_str([value, nw.lit(" 00:00:00")]))
            .otherwise(value)
        ),
        # Python knows no year 0
        lambda value: keep(value, value.str.contains(TIMESTAMP) & ~value.str.starts_with("0000")),
        lambda value: value.str.to_datetime(format="%Y-%m-%d %H:%M:%S").cast(nw.Datetime("us")),
    ]


def _moment_steps(dtype: nw.dtypes.DType) -> list[Step]:
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
        return [
            lambda value: value.dt.convert_time_zone("UTC").dt.replace_time_zone(None),
            lambda value: value.cast(nw.Datetime("us")),
        ]
    return [lambda value: value.cast(nw.Datetime("us"))]


def _timestamp_steps(
    column: Column,
    dtype: nw.dtypes.DType,
    implementation: nw.Implementation,
    text: list[Step],
) -> list[Step]:
    """Return how moments are read: as such, in the declared format, or as ISO 8601."""
    if isinstance(dtype, nw.Datetime | nw.Date):
        return _moment_steps(dtype)
    if column.format in {SECONDS, MILLISECONDS}:
        return [*text, *_parse_number_steps(whole=True), *from_epoch(column.format, implementation)]
    return [*text, *(to_iso(column.format) if column.format else []), *_parse_timestamp_steps()]


def _steps(
    column: Column,
    dtype: nw.dtypes.DType,
    implementation: nw.Implementation,
    missing_markers: Sequence[str],
) -> list[Step]:
    """Return what to do with a column, one small step after another.

    Each step is applied to the finished result of the one before: an expression that repeats its
    input in a condition would otherwise be evaluated twice for every step that follows.
    """
    text = _text_steps(dtype, missing_markers)
    if column.type == "timestamp":
        return _timestamp_steps(column, dtype, implementation, text)
    if column.type in {"integer", "float"}:
        return _number_steps(column, dtype, implementation, missing_markers)
    if column.role == "categorical":
        return [*text, *_category_steps(column, implementation)]
    return text


def standardise(frame: FrameT, columns: Iterable[Column], missing_markers: Sequence[str]) -> FrameT:
    """Bring every value into the form of the contract; what can't be brought becomes missing.

    Text is stripped, categories are lower-cased and their aliases resolved, numbers lose currency
    signs, thousands separators and units, timestamps become naive UTC with microseconds, and
    numbers outside the range of the contract become missing.

    Args:
        frame: raw records with at least ``columns``; text or typed.
        columns: the columns to bring into form; others stay as they are.
        missing_markers: lower-case texts that stand for a missing value.

    Returns:
        The same rows and columns.
    """
    schema = frame.collect_schema()
    steps = {
        column.name: _steps(column, schema[column.name], frame.implementation, missing_markers)
        for column in columns
    }
    standardised = frame
    for turn in range(max(map(len, steps.values()), default=0)):
        due = [
            todo[turn](nw.col(name)).alias(name) for name, todo in steps.items() if turn < len(todo)
        ]
        standardised = standardised.with_columns(due)
    return standardised


def unusable_row(contract: Contract) -> nw.Expr:
    """Return whether a row lacks an identifier, the target or a timestamp that it must have."""
    roles = {"identifier", "timestamp", "target"}
    required = [
        column
        for column in contract.columns
        if column.role in roles
        and not (column.assigned or (column.role == "timestamp" and column.nullable))
    ]
    return reduce(or_, [nw.col(column.name).is_null() for column in required])


def usable(frame: FrameT, contract: Contract) -> FrameT:
    """Keep the rows that have an identifier, every timestamp they must have, and any target."""
    return frame.filter(~unusable_row(contract))


def deduplicate(frame: FrameT, contract: Contract) -> FrameT:
    """Keep one row per identifier: the newest by timestamp, and of equally new ones the largest.

    The largest is found by comparing column after column, a missing value being the smallest, so
    the result depends neither on the order of the rows nor on the engine.
    """
    keys: list[str] = contract.identifiers
    names = frame.collect_schema().names()
    order: list[str] = [column.name for column in contract.with_role("timestamp")]
    order += [name for name in names if name not in {*keys, *order}]
    return newest(frame, keys, order)


def clean(frame: FrameT, contract: Contract, missing_markers: Sequence[str]) -> FrameT:
    """Standardise a raw table, drop rows that can't be used, and remove duplicates.

    Args:
        frame: the raw table, one row per record.
        contract: what the columns mean.
        missing_markers: lower-case texts that stand for a missing value.

    Returns:
        One row per identifier with the columns of the contract, ordered by identifier.
    """
    standardised = standardise(frame, contract.columns, missing_markers)
    return deduplicate(usable(standardised, contract), contract).sort(contract.identifiers)

"""Cleaning: every value in the form the data contract describes, or missing.

``standardise`` works row by row, so training and serving share it. ``clean`` adds what only makes
sense for a whole table: dropping rows that can't be used and duplicates.
"""

from collections.abc import Iterable, Sequence
from functools import reduce

import narwhals as nw
from narwhals.typing import FrameT

from utils.config import Column, Contract

# A number once currency signs, thousands separators and a trailing unit are gone.
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$"
LEAP_YEAR = (
    r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26]|00)00)"
)
# Only days that exist, because parsers raise on the 30th of February.
DATE = (
    r"([0-9]{4}-("
    r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|"
    r"(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    r"02-(0[1-9]|1[0-9]|2[0-8]))"
    rf"|{LEAP_YEAR}-02-29)"
)
TIMESTAMP = rf"^{DATE} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"


def _keep(condition: nw.Expr, value: nw.Expr) -> nw.Expr:
    """Return ``value`` where ``condition`` holds, else missing."""
    return nw.when(condition).then(value).otherwise(nw.lit(None))


def _text(name: str, missing_markers: Sequence[str]) -> nw.Expr:
    text = nw.col(name).cast(nw.String).str.replace_all(r"\s+", " ").str.strip_chars()
    return _keep(~text.str.to_lowercase().is_in(list(missing_markers)), text)


def _category(column: Column, missing_markers: Sequence[str]) -> nw.Expr:
    text = _text(column.name, missing_markers).str.to_lowercase()
    return reduce(
        lambda value, alias: (
            nw.when(value == alias[0]).then(nw.lit(alias[1])).otherwise(value)
        ),
        column.aliases.items(),
        text,
    )


def _parsed_number(name: str, missing_markers: Sequence[str]) -> nw.Expr:
    text = (
        _text(name, missing_markers)
        .str.to_lowercase()
        .str.replace_all(r"[,\s€$£%]", "")
        .str.replace_all(r"[a-zµ°²³/]+$", "")
    )
    return _keep(text.str.contains(NUMBER), text).cast(nw.Float64)


def _number(column: Column, dtype: nw.dtypes.DType, missing_markers: Sequence[str]) -> nw.Expr:
    name = column.name
    if dtype.is_integer():
        # Not by way of floats: they hold integers exactly only up to 2**53.
        value = nw.col(name).cast(nw.Int64)
    else:
        value = (
            nw.col(name).cast(nw.Float64)
            if dtype.is_numeric()
            else _parsed_number(name, missing_markers)
        )
        value = _keep(value.is_finite(), value)
        if column.type == "integer":
            value = _keep(value == value.round(0), value)
    if column.minimum is not None:
        value = _keep(value >= column.minimum, value)
    if column.maximum is not None:
        value = _keep(value <= column.maximum, value)
    return value.cast(nw.Int64 if column.type == "integer" else nw.Float64)


def _timestamp(name: str, dtype: nw.dtypes.DType, missing_markers: Sequence[str]) -> nw.Expr:
    if isinstance(dtype, nw.Datetime):
        value = nw.col(name)
        if dtype.time_zone is not None:
            value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return value.cast(nw.Datetime("us"))
    if dtype == nw.Date:
        return nw.col(name).cast(nw.Datetime("us"))
    text = (
        _text(name, missing_markers)
        .str.replace_all("T", " ", literal=True)
        .str.replace_all(r"(Z|\+00:00)$", "")
        .str.replace_all(r"\.[0-9]+$", "")
    )
    text = (
        nw.when(text.str.contains(rf"^{DATE}$"))
        .then(nw.concat_str([text, nw.lit(" 00:00:00")]))
        .otherwise(text)
    )
    valid = _keep(text.str.contains(TIMESTAMP), text)
    return valid.str.to_datetime(format="%Y-%m-%d %H:%M:%S").cast(nw.Datetime("us"))


def _expression(
    column: Column, dtype: nw.dtypes.DType, missing_markers: Sequence[str]
) -> nw.Expr:
    if column.type == "timestamp":
        expression = _timestamp(column.name, dtype, missing_markers)
    elif column.type in {"integer", "float"}:
        expression = _number(column, dtype, missing_markers)
    elif column.role == "categorical":
        expression = _category(column, missing_markers)
    else:
        expression = _text(column.name, missing_markers)
    return expression.alias(column.name)


def standardise(
    frame: FrameT, columns: Iterable[Column], missing_markers: Sequence[str]
) -> FrameT:
    """Bring every value into the form of the contract; what can't be brought becomes missing.

    Text is stripped, categories are lower-cased and their aliases resolved, numbers lose currency
    signs, thousands separators and units, timestamps become naive UTC with microseconds, and
    numbers outside the range of the contract become missing.

    Args:
        frame: raw records with at least ``columns``; text or typed.
        columns: the columns to keep, in the order of the result.
        missing_markers: lower-case texts that stand for a missing value.

    Returns:
        The same rows with exactly ``columns``.
    """
    schema = frame.collect_schema()
    return frame.select(
        [_expression(column, schema[column.name], missing_markers) for column in columns]
    )


def usable(frame: FrameT, contract: Contract) -> FrameT:
    """Keep the rows that have an identifier, every timestamp they must have, and a target."""
    required = contract.with_role("identifier", "timestamp", "target")
    return frame.filter(*[~nw.col(column.name).is_null() for column in required])


def deduplicate(frame: FrameT, contract: Contract) -> FrameT:
    """Keep one row per identifier, the newest by timestamp, ordered by identifier."""
    keys = contract.identifiers
    order = [column.name for column in contract.with_role("timestamp")] or keys
    return frame.unique(subset=keys, keep="last", order_by=order).sort(keys)


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
    return deduplicate(usable(standardised, contract), contract)

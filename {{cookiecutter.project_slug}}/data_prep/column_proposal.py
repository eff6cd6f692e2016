"""The contract proposed for one column from its cleaned values, the target aside."""

import math
import re
from collections.abc import Mapping

import msgspec
import polars as pl

from data_prep.inference import read_as
from utils.config import Column

# More categories than this are no categories.
MAXIMUM_CATEGORIES = 60
ROWS_PER_CATEGORY = 5
LONGEST_CATEGORY = 60
# What missing shares may grow by before the contract is broken.
SPARE_SHARE = 0.05
SENTINELS = {-9999.0, -999.0, -99.0, -1.0, 99.0, 999.0, 9999.0, 99999.0}
SENTINEL_SHARE = 0.01
NAMED_AS_IDENTIFIER = re.compile(
    r"(?i:(^|[_\W])(id|ids|uuid|guid|key|no|nr|number|code|index|rownames?)$)"
    r"|(?<=[a-z])(Id|ID|No|Nr)$|(?i:^(unnamed: 0|)$)"
)


def _rounded(value: float, *, up: bool) -> float:
    """Return a number with two significant digits, away from the values it bounds."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    steps = (math.ceil if up else math.floor)(value / unit)
    return float(f"{steps * unit:.12g}")


def _plain(value: float) -> int | float:
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def middle(values: pl.Series) -> int | float:
    """Return the value in the middle; one that is there."""
    ordered = values.drop_nulls().sort()
    return _plain(ordered[ordered.len() // 2])


def number_text(values: pl.Series) -> str:
    """Describe numbers by their ends and their median."""
    low, middle_one, high = (values.cast(pl.Float64).quantile(share) for share in (0, 0.5, 1))
    return f"a number from {low:,.6g} to {high:,.6g}, half of them up to {middle_one:,.6g}"


def numeric_column(column: Column, values: pl.Series) -> Column:
    """Return a numeric column with a range that is three times as wide as the values are."""
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    binary = {low, high} == {0.0, 1.0} and column.type == "integer"
    width = 0 if binary else high - low
    return msgspec.structs.replace(
        column,
        description=f"{number_text(values)}.".capitalize(),
        minimum=0 if low >= 0 else _plain(_rounded(low - width, up=False)),
        maximum=_plain(high if binary else _rounded(high + width, up=True)),
        example=middle(values),
    )


def categorical_column(column: Column, values: pl.Series) -> Column:
    """Return a categorical column with the values seen; another one is only reported."""
    counts = read_as(values, column, ()).drop_nulls().value_counts(sort=True)
    names = counts[counts.columns[0]]
    return msgspec.structs.replace(
        column,
        description=f"One of {names.len()} categories, most often {names[0]}.",
        allowed=tuple(sorted(names)),
        severity="warning",
        example=names[0],
    )


def _with_missing(column: Column, values: pl.Series) -> Column:
    share = values.null_count() / values.len()
    if not share:
        return column
    tolerated = min(1.0, math.ceil((share * 1.5 + SPARE_SHARE) * 100) / 100)
    return msgspec.structs.replace(column, nullable=True, maximum_missing_share=tolerated)


def is_row_number(values: pl.Series) -> bool:
    """Whether values count the rows, from 0 or 1."""
    if not values.dtype.is_integer() or values.has_nulls():
        return False
    return values[0] in {0, 1} and bool((values.diff().drop_nulls() == 1).all())


def find_identifier(drafts: Mapping[str, pl.Series]) -> str:
    """Return the column that identifies rows, or an empty text.

    It has a different value in each row, and is text, is named like an identifier or counts rows.

    Args:
        drafts: cleaned columns by name of the source.
    """
    unique = [
        name
        for name, values in drafts.items()
        if (values.dtype == pl.String or values.dtype.is_integer())
        and not values.has_nulls()
        and values.n_unique() == values.len()
    ]
    named = [name for name in unique if NAMED_AS_IDENTIFIER.search(name)]
    short = [
        name
        for name in unique
        if drafts[name].dtype == pl.String
        and not (drafts[name].str.len_chars() > LONGEST_CATEGORY).any()
    ]
    counting = [name for name in unique if is_row_number(drafts[name])]
    return next(iter([*named, *short, *counting]), "")


def sentinel_note(name: str, values: pl.Series) -> str:
    """Return a remark on numbers that may stand for a missing value, which are only reported."""
    known = values.drop_nulls()
    for end, other in ((known.min(), "smallest"), (known.max(), "largest")):
        number = float(end)  # type: ignore[arg-type]
        share = float((known == end).mean())  # type: ignore[arg-type]
        rest = known.filter(known != end)
        if number not in SENTINELS or share < SENTINEL_SHARE or rest.is_empty():
            continue
        near = float(rest.min() if other == "smallest" else rest.max())  # type: ignore[arg-type]
        spread = float(rest.max()) - float(rest.min())  # type: ignore[arg-type]
        if abs(number - near) > max(spread, 1.0):
            return (
                f"{name}: {number:g} stands in {share:.1%} of the rows, far from the other values; "
                "if it means missing, empty it in the source"
            )
    return ""


def _with_role(column: Column, values: pl.Series) -> Column:
    """Return a column of texts or numbers as an input, or as text that is only kept."""
    if column.type != "string":
        return msgspec.structs.replace(column, role="numeric")
    distinct = values.drop_nulls().n_unique()
    few = distinct <= MAXIMUM_CATEGORIES and values.len() / distinct >= ROWS_PER_CATEGORY
    if few and not (values.str.len_chars() > LONGEST_CATEGORY).any():
        return msgspec.structs.replace(column, role="categorical")
    return msgspec.structs.replace(column, role="text")


def input_column(column: Column, values: pl.Series) -> Column | str:
    """Return the contract of a column that may be an input, or the reason why it is left out.

    Args:
        column: its names and type.
        values: its cleaned values, shape (n,).
    """
    known = values.drop_nulls()
    if known.n_unique() < 2:  # noqa: PLR2004
        return f"it is constant ({known[0]})" if known.len() else "it is empty"
    if column.type == "timestamp":
        moments = known.dt.to_string("%Y-%m-%dT%H:%M:%S").sort()
        made = msgspec.structs.replace(
            column,
            description=f"Moment, {moments[0][:10]} to {moments[-1][:10]}.",
            example=moments[moments.len() // 2],
        )
        return _with_missing(made, values)
    if is_row_number(values):
        return "it counts the rows"
    chosen = _with_role(column, values)
    if chosen.role == "numeric":
        return _with_missing(numeric_column(chosen, values), values)
    if chosen.role == "categorical":
        return _with_missing(categorical_column(chosen, values), values)
    return msgspec.structs.replace(
        chosen,
        description=f"Text, {known.n_unique():,} different ones; not learned from.",
        nullable=True,
        maximum_missing_share=1.0,
        example=str(known[0])[:LONGEST_CATEGORY],
    )

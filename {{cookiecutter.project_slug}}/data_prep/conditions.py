"""The conditions that a contract or a setting declares, as expressions any engine evaluates."""

from collections.abc import Mapping

import narwhals as nw

from utils.config import Column, Condition, Contract

LARGEST_EXACT = 2**53


def finite(column: Column) -> nw.Expr:
    """Return a column in which NaN and infinite numbers, which engines order differently, miss."""
    value = nw.col(column.name)
    if column.type != "float":
        return value
    return nw.when(value.is_finite()).then(value).otherwise(nw.lit(None))


def _as_float(column: Column) -> nw.Expr:
    """Return a number as a float; where floats have gaps, order is kept though not distance."""
    if column.type == "float":
        return finite(column)
    return nw.col(column.name).clip(-LARGEST_EXACT, LARGEST_EXACT).cast(nw.Float64)


def _compared(left: Column, right: Column | float) -> tuple[nw.Expr, nw.Expr | int | float]:
    """Return the two sides of a comparison in one type."""
    if isinstance(right, Column):
        mixed = {left.type, right.type} == {"integer", "float"}
        return (_as_float(left), _as_float(right)) if mixed else (finite(left), finite(right))
    if left.type == "integer":
        whole = float(right).is_integer()
        return (finite(left), int(right)) if whole else (_as_float(left), right)
    return finite(left), float(right)


def _holds(condition: Condition, columns: Mapping[str, Column]) -> nw.Expr:
    left, right = columns[condition.left], condition.right
    if condition.relation in {"missing", "present"}:
        absent = nw.col(left.name).is_null()
        return absent if condition.relation == "missing" else ~absent
    if isinstance(right, tuple):
        inside = nw.col(left.name).is_in(list(right))
        # What an engine says of a missing value in a list differs: here it is always unknown.
        answer = inside if condition.relation == "in" else ~inside
        return nw.when(~nw.col(left.name).is_null()).then(answer).otherwise(nw.lit(None))
    first, second = _compared(left, columns[right] if isinstance(right, str) else right or 0)
    comparisons = {
        "<": first < second,
        "<=": first <= second,
        "==": first == second,
        "!=": first != second,
        ">=": first >= second,
        ">": first > second,
    }
    return comparisons[condition.relation]


def holds(condition: Condition, contract: Contract) -> nw.Expr:
    """Return an expression that is true where a condition holds, false where not or unknown."""
    return _holds(condition, {column.name: column for column in contract.columns}).fill_null(False)


def broken(condition: Condition, contract: Contract) -> nw.Expr:
    """Return an expression that is true where a condition fails, false elsewhere."""
    known = _holds(condition, {column.name: column for column in contract.columns})
    return ~known.fill_null(True)

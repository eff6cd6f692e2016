"""One record of the table as a type, made from the data contract, and valid example values.

The types decode JSON and are described by JSON Schema, so checking and documentation can't differ.
"""

import math
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from utils.config import Column

# Beyond this a JSON number no longer names one integer: 2^53 is also what 2^53 + 1 is read as.
LARGEST_EXACT_INTEGER = 2**53 - 1
MOMENT = "2026-01-31T12:00:00"


def new_identifier() -> int:
    """Return an identifier for a record that has none, above all numbers of rows.

    It is drawn by chance, so that services that know nothing of each other make different ones.
    """
    half = LARGEST_EXACT_INTEGER // 2 + 1
    return half + secrets.randbelow(half)


def _number_type(column: Column) -> Any:
    low, high = column.minimum, column.maximum
    if column.type == "float":
        return Annotated[float, msgspec.Meta(ge=low, le=high)]
    low = -LARGEST_EXACT_INTEGER if low is None else math.ceil(low)
    high = LARGEST_EXACT_INTEGER if high is None else math.floor(high)
    # JSON writers turn 3 into 3.0 at will, so an integer is a float without a fraction.
    return Annotated[float, msgspec.Meta(ge=low, le=high, multiple_of=1)]


def _value_type(column: Column) -> Any:
    if column.type == "timestamp":
        return Annotated[datetime, msgspec.Meta(extra_json_schema={"format": "date-time"})]
    if column.type != "string":
        return _number_type(column)
    if column.allowed:
        return Literal[column.allowed]
    # An identifier of blanks could never be joined with an outcome. Not \s, because Python and
    # JSON Schema differ in what they take for white space.
    pattern = "[^ ]" if column.role == "identifier" else None
    return Annotated[str, msgspec.Meta(pattern=pattern)]


def described(column: Column) -> str:
    """Return the description of a column with its unit."""
    return f"{column.description} Unit: {column.unit}." if column.unit else column.description


def example(column: Column) -> str | int | float:
    """Return a valid value of a column: its example, or one made from its type and range."""
    value = column.example
    if column.type == "timestamp":
        moment = str(value or MOMENT).replace(" ", "T")
        return moment if moment.endswith("Z") else f"{moment}Z"
    if value is None and column.allowed:
        value = column.allowed[0]
    if value is None:
        value = min(1.0, column.maximum or 1.0) if column.minimum is None else column.minimum
    if column.type == "string":
        return str(value)
    return math.ceil(float(value)) if column.type == "integer" else float(value)


def record_type(columns: Sequence[Column]) -> type[msgspec.Struct]:
    """Build the type of one record: a field per column, with its range and allowed values.

    Fields that may be missing default to None, a generated identifier to a new one. Attributes
    are named by position, because the name of a column need not be a Python identifier; the JSON
    has the names of the contract.
    """
    names = {f"column_{position}": column for position, column in enumerate(columns)}
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, column in names.items():
        meta = msgspec.Meta(description=described(column), examples=[example(column)])
        value = _value_type(column)
        if column.generated:
            made = msgspec.field(default_factory=new_identifier)
            fields.append((name, Annotated[value, meta], made))
        elif column.nullable:
            fields.append((name, Annotated[value | None, meta], None))
        else:
            fields.append((name, Annotated[value, meta]))
    return msgspec.defstruct(
        "Record",
        fields,
        rename={name: column.name for name, column in names.items()},
        forbid_unknown_fields=True,
        frozen=True,
        kw_only=True,
        gc=False,
    )


def record_example(columns: Sequence[Column]) -> dict[str, Any]:
    """Return a valid record, made of the examples of the columns that records bring."""
    return {column.name: example(column) for column in columns if not column.generated}


def as_integers(field: dict[str, Any]) -> None:
    """Describe whole numbers, which are decoded as floats, by the name JSON Schema has for them."""
    for kind in (field, *field.get("anyOf", ())):
        if kind.pop("multipleOf", None):
            kind["type"] = "integer"

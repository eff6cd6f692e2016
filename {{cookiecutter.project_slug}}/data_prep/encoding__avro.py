"""How records become Avro: the schema that they have, and the values that it asks for."""

import datetime as dt
import decimal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastavro.schema import fingerprint, to_parsing_canonical_form

from data_prep.formats import SCHEMA_SUFFIXES, Schema, as_text, read_schema
from utils.config import ProjectError

SCHEMA_FOLDER = Path("data/source")


def only_schema() -> tuple[Path, Schema]:
    """Return the only schema file in ``SCHEMA_FOLDER`` and the schema in it.

    Raises:
        ProjectError: there is none, there are several, or it is no Avro schema.
    """
    found = sorted(SCHEMA_FOLDER.glob(f"*{SCHEMA_SUFFIXES[0]}"))
    if len(found) != 1:
        raise ProjectError(
            f"{SCHEMA_FOLDER} holds {len(found)} schema files *{SCHEMA_SUFFIXES[0]}, but exactly "
            "one must say what a record looks like. Put it there."
        )
    return found[0], read_schema(found[0])


def fingerprint_bytes(schema: Schema) -> bytes:
    """Return the fingerprint by which Avro tells a schema from others: 8 bytes (CRC-64-AVRO)."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def encodable(table: pa.Table, schema: Schema) -> list[dict[str, Any]]:
    """Give each value the Python type that its field asks for.

    Args:
        table: records that have the fields of the schema.
        schema: that of a record.

    Returns:
        One mapping from field to value per record.

    Raises:
        LookupError: the table lacks a field.
        TypeError: a value can't become what its field asks for.
        ValueError: likewise.
    """
    columns = {}
    for field in schema["fields"]:
        convert = _converter(field["type"])
        columns[field["name"]] = [
            None if value is None else convert(value) for value in table[field["name"]].to_pylist()
        ]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _converter(kind: Schema) -> Callable[[Any], Any]:
    if isinstance(kind, list | tuple):
        others = [item for item in kind if item != "null"]
        return _converter(others[0]) if len(others) == 1 else lambda value: value
    if isinstance(kind, Mapping):
        logical = str(kind.get("logicalType", ""))
        if logical.startswith("timestamp"):
            return _as_moment
        return decimal.Decimal if logical == "decimal" else lambda value: value
    simple: dict[str, Callable[[Any], Any]] = {"string": as_text, "float": float, "double": float}
    return simple.get(kind, lambda value: value)


def _as_moment(value: Any) -> dt.datetime:
    moment: dt.datetime = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)

"""How records become Protocol Buffers: one message each, without its length."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor

from data_prep.formats import fields_of, message_class
from utils.config import ProjectError

FLOATS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}


def serialised(table: pa.Table, schema: Path) -> Iterator[bytes]:
    """Serialise each record; missing values are not set, and equal records give equal bytes.

    Args:
        table: records that have the fields of the schema.
        schema: the schema file.

    Raises:
        ProjectError: the file is not a usable schema, or the records don't fit it.
    """
    kind = message_class(schema)
    fields = fields_of(kind)
    try:
        columns = []
        for field in fields:
            convert = _converter(field)
            values = table[field.name].to_pylist()
            columns.append([None if value is None else convert(value) for value in values])
        names = [field.name for field in fields]
        for row in zip(*columns, strict=True):
            given = {
                name: value for name, value in zip(names, row, strict=True) if value is not None
            }
            yield kind(**given).SerializeToString(deterministic=True)
    except (TypeError, ValueError, LookupError) as error:
        raise ProjectError(
            f"The records do not fit {schema}: {error}. Correct that file."
        ) from error


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not field.is_repeated:
        return _text if field.type == FieldDescriptor.TYPE_STRING else lambda value: value
    if field.cpp_type in FLOATS and not field.is_repeated:
        return float
    return lambda value: value


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)

"""How records are written as comma-separated text, for the stand-in of the service."""

from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv


def write(table: pa.Table, stream: BinaryIO) -> None:
    """Write records with a header; missing values become empty."""
    plain = _writable(table)
    options = pacsv.WriteOptions(quoting_style="needed")
    with pacsv.CSVWriter(stream, plain.schema, write_options=options) as writer:
        writer.write_table(plain)


def _writable(table: pa.Table) -> pa.Table:
    """Turn nested values, which have no place in a row, into JSON text."""
    for number, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            texts = [
                None if value is None else msgspec.json.encode(value).decode()
                for value in table[number].to_pylist()
            ]
            table = table.set_column(number, field.name, pa.array(texts, pa.string()))
    return table

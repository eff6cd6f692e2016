"""Records for the tests of CSV, and how to write them without the code of this project."""

import csv
import io
from pathlib import Path

import pyarrow as pa
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def write(table: pa.Table, stream: io.BytesIO, schema: Path | None = None) -> None:
    """Write records with a header, every value in quotes; this format has no schema file."""
    del schema
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(table.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
    stream.write(text.getvalue().encode())

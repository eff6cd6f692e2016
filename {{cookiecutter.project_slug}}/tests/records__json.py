"""Records for the tests of JSON, and how to write them without the code of this project."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, max_value=1e15, min_value=-1e15)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Draw columns of equal length, one per type, with missing values."""
    rows = draw(st.integers(1, 8))
    kinds = {"n": INTEGERS, "x": NUMBERS, "s": TEXTS, "t": st.booleans()}
    return {
        name: draw(st.lists(kind | st.none(), min_size=rows, max_size=rows))
        for name, kind in kinds.items()
    }


def write(table: pa.Table, stream: BytesIO, schema: Path | None = None) -> None:
    """Write records as one object per line; this format has no schema file."""
    del schema
    stream.writelines(json.dumps(row).encode() + b"\n" for row in table.to_pylist())

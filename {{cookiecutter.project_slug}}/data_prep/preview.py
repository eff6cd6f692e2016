"""What another table looks like, before the project adopts it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from utils.config import ProjectError

# So many rows are looked at.
ROWS = 1_000_000
SOURCE_FOLDER = Path("data/source")
SEPARATORS = {";": "semicolons", "\t": "tabulators", "|": "bars"}


class Preview(NamedTuple):
    """A table that could be adopted.

    Attributes:
        records: its first rows with all columns.
        table: how it is called.
        source: what the section ``source`` of ``params.yaml`` has to say of it; None removes a key.
        copies: files to copy, by their place in the project.
        origin: where the records come from, for people.
    """

    records: pa.Table
    table: str
    source: dict[str, Any]
    copies: dict[Path, Path]
    origin: str


def gather(tables: Iterable[pa.Table], name: str) -> pa.Table:
    """Put the first rows together.

    Raises:
        ProjectError: there are none, columns share a name, or another character separates values.
    """
    gathered: list[pa.Table] = []
    for table in tables:
        repeated = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
        if repeated:
            raise ProjectError(
                f"{name} has more than one column named {', '.join(repeated)}. Rename all but one."
            )
        gathered.append(table)
        if sum(part.num_rows for part in gathered) >= ROWS:
            break
    if not any(table.num_rows for table in gathered):
        raise ProjectError(f"{name} has no records.")
    records = pa.concat_tables(gathered, promote_options="permissive")
    only = records.column_names[0] if records.num_columns == 1 else ""
    for sign, word in SEPARATORS.items():
        if sign in only:
            raise ProjectError(
                f"{name} separates its values by {word}, and this project reads commas. Write it "
                f"anew, with polars: pl.read_csv(PATH, separator={sign!r}).write_csv(PATH)."
            )
    return records.slice(0, ROWS)

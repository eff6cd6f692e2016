"""Storage: equal tables give equal bytes, however an engine cuts them."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from data_prep.storage import ROW_GROUP_ROWS, write_tables


def test_how_a_table_is_cut_does_not_show_in_the_file(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1).normal(size=ROW_GROUP_ROWS + 1)
    table = pa.table({"number": drawn, "text": [f"{number:.17g}" for number in drawn]})
    contents = set()
    for rows in (table.num_rows, 70_001, 3_001):
        pieces = (table.slice(start, rows) for start in range(0, table.num_rows, rows))
        assert write_tables(pieces, table.schema, tmp_path / "table.parquet") == table.num_rows
        contents.add((tmp_path / "table.parquet").read_bytes())
    assert len(contents) == 1

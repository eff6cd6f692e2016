"""Write request bodies, one JSON text a line: RECORDS BODIES PATH.

RECORDS is the number of records in each body; a body of one record is the record itself.
"""

import json
import sys
from pathlib import Path

import polars as pl


def main() -> None:
    """Write the bodies."""
    size, bodies, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    table = pl.read_parquet("data/recent.parquet").with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S")
    )
    records = [
        {name: value for name, value in record.items() if value is not None}
        for record in table.head(size * bodies).to_dicts()
    ]
    groups = [records[start : start + size] for start in range(0, len(records), size)]
    lines = [json.dumps(group[0] if size == 1 else {"records": group}) for group in groups]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps({"bodies": len(lines)}))


if __name__ == "__main__":
    main()

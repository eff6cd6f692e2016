"""Write a large table made from the project's sample: KIND ROWS PATH.

KIND is `raw` (text as it arrives, with all its dirt) or `records` (typed, as callers send them).
The rows are those of the sample again and again, with identifiers of their own and with amounts
that vary, so that neither compression nor a dictionary makes the work smaller than it is.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

VARIED = ["monthly_fee", "total_paid", "usage_hours_30d"]
ROW_GROUP_ROWS = 100_000


def repeated(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Repeat a table; a copy's identifiers are its own, so its duplicates stay duplicates."""
    copies = np.arange(rows) // len(table)
    result = table.iloc[np.arange(rows) % len(table)].reset_index(drop=True)
    # An identifier that is missing stays missing.
    known = result["customer_id"].str.startswith("C-")
    numbered = result["customer_id"] + "-" + pd.Series(copies).astype(str)
    result["customer_id"] = result["customer_id"].where(~known, numbered)
    return result


def varied(table: pd.DataFrame, *, text: bool) -> pd.DataFrame:
    """Change each clean amount by up to a tenth, in cents; what can't be parsed stays.

    Rows of one identifier change alike, so that it does not matter which duplicate is kept.
    """
    codes, identifiers = pd.factorize(table["customer_id"])
    factors = np.random.default_rng(1).uniform(0.9, 1.1, (len(VARIED), len(identifiers) + 1))
    for name, factor in zip(VARIED, factors, strict=True):
        numbers = pd.to_numeric(table[name], errors="coerce")
        changed = (numbers * factor[codes]).round(2)
        values = changed.astype(str) if text else changed
        table[name] = table[name].where(numbers.isna(), values)
    return table


def main() -> None:
    """Write the table."""
    kind, rows, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if kind == "raw":
        source = next(Path("data/source").glob("*.csv"))
        table = pd.read_csv(source, dtype=str, keep_default_na=False)
    else:
        table = pd.read_parquet("data/recent.parquet")
    made = varied(repeated(table, rows), text=kind == "raw")
    made.to_parquet(path, index=False, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    print(json.dumps({"rows": len(made)}))


if __name__ == "__main__":
    main()

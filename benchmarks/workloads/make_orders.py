"""Write a large typed table of orders, in bounded memory: ROWS PATH.

Identifiers come in no order, one row in fifty is a second record of an order that came before, and
a few texts and numbers need cleaning.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK_ROWS = 100_000
COPIED = 50
COLOURS = ["red", "green", "dark blue", "yellow", "white", "Navy", " red ", "n/a"]
SHARES = [0.3, 0.25, 0.2, 0.1, 0.09, 0.03, 0.02, 0.01]
SECONDS_PER_YEAR = 365 * 24 * 60 * 60
START = 1_704_067_200  # the beginning of 2024


def missing(generator: np.random.Generator, rows: int, share: float) -> np.ndarray:
    """Which of the rows have no value."""
    return generator.random(rows) < share


def orders(generator: np.random.Generator, numbers: np.ndarray) -> pa.Table:
    """Orders with these numbers."""
    rows = len(numbers)
    ordered = START + generator.integers(0, 2 * SECONDS_PER_YEAR, rows)
    paid = ordered + generator.exponential(3 * 24 * 60 * 60, rows).astype(np.int64)
    price = generator.lognormal(3, 1, rows).round(2)
    price[missing(generator, rows, 0.001)] = -1.0
    moment = pa.timestamp("us")
    return pa.table(
        {
            "order_id": pa.array([f"ORD-{number:010d}" for number in numbers], pa.string()),
            "ordered_at": pa.array(ordered * 1_000_000, pa.int64()).cast(moment),
            "paid_at": pa.array(
                paid * 1_000_000, pa.int64(), mask=missing(generator, rows, 0.05)
            ).cast(moment),
            "colour": pa.array(generator.choice(COLOURS, rows, p=SHARES)),
            "price": pa.array(price, mask=missing(generator, rows, 0.02)),
            "weight": pa.array(
                generator.gamma(2, 3, rows).round(3), mask=missing(generator, rows, 0.02)
            ),
            "pieces": pa.array(generator.poisson(2, rows), pa.int64()),
            "returned": pa.array((generator.random(rows) < 0.1).astype(np.int64)),  # noqa: PLR2004
        }
    )


def main() -> None:
    """Write the table."""
    rows, path = int(sys.argv[1]), Path(sys.argv[2])
    generator = np.random.default_rng(7)
    distinct = rows - rows // COPIED
    numbers = generator.permutation(distinct)
    numbers = np.concatenate([numbers, generator.choice(distinct, rows - distinct)])
    generator.shuffle(numbers)
    with pq.ParquetWriter(path, orders(generator, numbers[:0]).schema, compression="zstd") as file:
        for start in range(0, rows, CHUNK_ROWS):
            file.write_table(orders(generator, numbers[start : start + CHUNK_ROWS]))
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()

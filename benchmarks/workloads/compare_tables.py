"""Compare two tables: OURS THEIRS; fails unless ours holds every row and column of theirs."""

import json
import sys

import numpy as np
import pandas as pd

TOLERANCE = 1e-6


def main() -> None:
    """Print the largest difference between numbers, relative where they are above 1."""
    left, right = (pd.read_parquet(path) for path in sys.argv[1:3])
    if not set(right) <= set(left) or len(left) != len(right):
        sys.exit(f"{left.shape} {sorted(left)} against {right.shape} {sorted(right)}")
    largest = 0.0
    for name in right:
        ours, theirs = left[name], right[name]
        if pd.api.types.is_numeric_dtype(ours):
            a, b = (side.to_numpy(dtype=float, na_value=np.nan) for side in (ours, theirs))
            if not np.array_equal(np.isnan(a), np.isnan(b)):
                sys.exit(f"{name} is missing in different rows")
            relative = np.abs(a - b) / np.maximum(1.0, np.abs(a))
            largest = max(largest, float(np.nanmax(relative, initial=0.0)))
        elif not ours.astype(str).equals(theirs.astype(str)):
            sys.exit(f"{name} differs")
    if not largest <= TOLERANCE:
        sys.exit(f"numbers differ by {largest}")
    print(json.dumps({"largest_difference": largest}))


if __name__ == "__main__":
    main()

"""Hyperparameters of trees that fit a table of any size."""

import re

# A leaf of a tree never needs more than one in so many rows; of a range, the ends and the start.
LEAF_PARTS = {"": 100, "low": 100, "start": 50, "high": 20}
SMALLEST_LEAF = {"": 2, "low": 2, "start": 2, "high": 3}


def candidates_text(text: str, rows: int) -> str:
    """Return the settings with candidates that fit the table; other settings stay.

    Trees of a small table get smaller leaves. The quantile becomes the one that costs least when
    errors on both sides cost the same.

    Args:
        text: the settings.
        rows: of the table.
    """

    def limited(found: re.Match[str]) -> str:
        key = found["key"] or ""
        limit = max(SMALLEST_LEAF[key], rows // LEAF_PARTS[key])
        return f"{found['before']}{min(int(found['number']), limit)}"

    def leaf(found: re.Match[str]) -> str:
        pattern = r"(?P<before>(?:(?P<key>low|high|start): |^min_samples_leaf: ))(?P<number>\d+)"
        return re.sub(pattern, limited, found[0])

    text = re.sub(r"\bmin_samples_leaf: (?:\d+|\{[^}]*\})", leaf, text)
    return re.sub(r"\bquantile: [^\s,}]+", "quantile: 0.5", text)

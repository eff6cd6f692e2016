"""Texts, numbers and tables in Markdown."""

import re
from collections.abc import Sequence

LARGE = 1000
# Renderers read these as markup inside a table cell or a sentence.
SPECIAL = re.compile(r"([\\`*_\[\]<>|~$#&])")
BACKTICKS = re.compile("`+")


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return ``text`` set as code, on one line, whatever it holds."""
    line = " ".join(text.split()).replace("|", r"\|")
    fence = "`" * (max(map(len, BACKTICKS.findall(line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}" if line else "–"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None) -> str:
    """Return a number with four significant digits, or whole from 1,000 on."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.4g}"

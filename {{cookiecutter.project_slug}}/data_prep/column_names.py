"""Names of columns that every engine, file and service takes, and names that a person gave."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from utils.config import ProjectError

LONGEST_NAME = 60
SHOWN = 20
SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def safe_names(names: Sequence[str], reserved: Iterable[str]) -> dict[str, str]:
    """Return a name for each column that every engine, file and service takes.

    A plain name of ASCII letters, digits and underscores stays. Two names never differ in case
    alone, because some engines would take them for one.
    """
    taken = {name.lower() for name in reserved}
    chosen: dict[str, str] = {}
    for position, name in sorted(
        enumerate(names, start=1), key=lambda item: not SAFE.fullmatch(item[1])
    ):
        plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
        plain = plain.encode("ascii", "ignore").decode()
        safe = name
        if not SAFE.fullmatch(name) or len(name) > LONGEST_NAME:
            safe = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").lower()[:LONGEST_NAME]
        safe = safe or f"column_{position}"
        safe = f"column_{safe}" if safe[0].isdigit() else safe
        candidate, number = safe, 2
        while candidate.lower() in taken:
            candidate, number = f"{safe}_{number}", number + 1
        taken.add(candidate.lower())
        chosen[name] = candidate
    return {name: chosen[name] for name in names}


def known(name: str, names: Sequence[str], what: str) -> str:
    """Return a column that a person named, also with other capitals.

    Raises:
        ProjectError: there is none; close names are suggested.
    """
    if name in names:
        return name
    lowered = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=3)
    hint = f"Did you mean {' or '.join(lowered[found] for found in close)}?" if close else ""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise ProjectError(
        f"The records have no column {name!r} for {what}. "
        + (hint or f"They have {', '.join(names[:SHOWN])}{rest}.")
    )

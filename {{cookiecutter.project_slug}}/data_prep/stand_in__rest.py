"""The settings with which the stand-in of the source takes over a table."""

from data_prep.sample_source import NAME


def stand_in(table: str) -> dict[str, str | None]:
    """Return the settings with which the stand-in serves a table; None removes a setting."""
    del table
    return {"url": NAME, "since": None}

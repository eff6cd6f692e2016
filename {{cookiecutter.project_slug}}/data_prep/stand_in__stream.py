"""The settings with which the stand-in of the source takes over a table."""

from data_prep.sample_source import SAMPLE


def stand_in(table: str) -> dict[str, str | None]:
    """Return the settings with which the stand-in holds a table."""
    return {"bootstrap_servers": SAMPLE, "topic": table}

"""The schema that is copied with a file of records, and has to lie beside it."""

from pathlib import Path

from data_prep import formats
from utils.config import ProjectError


def schema_of(path: Path) -> list[Path]:
    """Return the schema file beside a file of records, compressed or not, with its name.

    Raises:
        ProjectError: there is none.
    """
    stem = path.name.partition(formats.SUFFIX)[0]
    named = [path.with_name(stem + suffix) for suffix in formats.SCHEMA_SUFFIXES]
    found = [schema for schema in named if schema.is_file()][:1]
    if not found:
        raise ProjectError(
            f"No schema lies beside {path}, and without one the records can't be read. Put it "
            f"there as {' or '.join(schema.name for schema in named)}."
        )
    return found

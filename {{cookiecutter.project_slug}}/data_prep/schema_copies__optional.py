"""The schema that is copied with a file of records, if one lies beside it."""

from pathlib import Path

from data_prep import formats


def schema_of(path: Path) -> list[Path]:
    """Return the schema file beside a file of records, compressed or not, if there is one."""
    stem = path.name.partition(formats.SUFFIX)[0]
    named = [path.with_name(stem + suffix) for suffix in formats.SCHEMA_SUFFIXES]
    return [schema for schema in named if schema.is_file()][:1]

"""Records of one HTTP answer that holds nothing but records."""

from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa

from data_prep import formats
from utils.config import ProjectError


class DamagedError(Exception):
    """The body is not what it should be; another attempt may bring a whole one."""


def parse(body: BinaryIO, name: str, path: str) -> tuple[list[pa.Table], Mapping[str, Any]]:
    """Read the body of an answer.

    Args:
        body: the whole body.
        name: what to call it in errors.
        path: of the records in the body; this format has none.

    Returns:
        The records, and nothing else that the body could hold.

    Raises:
        DamagedError: the body can't be read.
        ProjectError: ``path`` is not empty.
    """
    if path:
        raise ProjectError(
            f"source.records of params.yaml is {path!r}, but a body of {name} is nothing but "
            "records. Remove the setting."
        )
    if not body.read(1):
        return [], {}
    body.seek(0)
    try:
        return list(formats.read(body, name)), {}
    except ProjectError as error:
        raise DamagedError(str(error)) from error

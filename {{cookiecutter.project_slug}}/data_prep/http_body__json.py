"""Records and surroundings of one HTTP answer in JSON."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import msgspec
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
        path: dotted path to the list of records; empty if the body is that list.

    Returns:
        The records, and everything else that the body holds.

    Raises:
        DamagedError: the body can't be read.
        ProjectError: there is nothing at ``path``.
    """
    content = body.read()
    if not content.strip():
        return [], {}
    try:
        records, others = _split(msgspec.Raw(content), path.split(".") if path else [])
    except msgspec.DecodeError as error:
        raise DamagedError(f"the answer is not JSON: {error}") from error
    if records is None:
        raise ProjectError(
            f"{name} answered without {path!r}, where source.records of params.yaml expects the "
            "list of records."
        )
    if bytes(records).strip() in {b"null", b"[]"}:
        return [], others
    try:
        return list(formats.read(io.BytesIO(records), name)), others
    except ProjectError as error:
        raise DamagedError(str(error)) from error


def _split(
    content: msgspec.Raw | None, names: Sequence[str]
) -> tuple[msgspec.Raw | None, dict[str, Any]]:
    """Return what is at the path of ``names``, None if there is nothing, and all the rest."""
    if not names or content is None:
        return content, {}
    if not bytes(content).lstrip().startswith(b"{"):
        msgspec.json.decode(content)
        return None, {}
    members = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    inner, *further = names
    records, others = _split(members.pop(inner, None), further)
    decoded = {name: msgspec.json.decode(raw) for name, raw in members.items()}
    return records, {**decoded, inner: others}

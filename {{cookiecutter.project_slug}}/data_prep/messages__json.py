"""The messages of the stream: each one JSON object in UTF-8."""

from collections.abc import Sequence
from io import BytesIO

import polars as pl
import pyarrow as pa

from data_prep.formats import BYTE_ORDER_MARK, UnreadableError, one_line, parse_lines
from utils.config import Contract, ProjectError


def decode(messages: Sequence[bytes], contract: Contract) -> pa.Table:
    """Decode messages of one JSON object each.

    Args:
        messages: objects in UTF-8.
        contract: its nullable columns are there, all missing, even when no message has them.

    Returns:
        One row per message, with types as in ``data_prep.formats.read``.

    Raises:
        ProjectError: a message is not a JSON object.
    """
    lines = [one_line(message.removeprefix(BYTE_ORDER_MARK)) for message in messages]
    try:
        table = parse_lines(b"\n".join(lines), 0)
    except (UnreadableError, UnicodeDecodeError) as error:
        raise ProjectError(
            f"The messages are not all JSON: {error}. Check what is sent."
        ) from error
    if table.num_rows != len(messages):
        raise ProjectError("A message holds no JSON object, or several. Check what is sent.")
    for column in contract.columns:
        if column.nullable and column.source_name not in table.column_names:
            table = table.append_column(column.source_name, pa.nulls(len(messages)))
    return table


def encode(table: pa.Table, contract: Contract) -> list[bytes]:
    """Encode each record as one message, the inverse of ``decode``; missing values are null."""
    stream = BytesIO()
    selected = table.select([column.source_name for column in contract.recorded])
    pl.DataFrame(selected).write_ndjson(stream)
    return stream.getvalue().splitlines()

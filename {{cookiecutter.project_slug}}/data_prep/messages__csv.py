"""The messages of the stream: each one row of comma-separated text in UTF-8.

A message has no header; its values stand in the order of the contract.
"""

import csv
import io
from collections.abc import Sequence

import pyarrow as pa

from utils.config import Contract, ProjectError


def decode(messages: Sequence[bytes], contract: Contract) -> pa.Table:
    """Decode messages of one row each.

    Args:
        messages: rows without a header, with one value for each column that is recorded.
        contract: names the columns, in their order.

    Returns:
        One row per message, every column text.

    Raises:
        ProjectError: a message is not one row of that many UTF-8 values.
    """
    columns = [column.name for column in contract.recorded]
    rows = []
    for number, message in enumerate(messages, start=1):
        try:
            found = list(csv.reader(io.StringIO(message.decode(), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ProjectError(
                f"Message {number} is not a row of comma-separated UTF-8 text: {error}. "
                "Check what is sent."
            ) from error
        if len(found) != 1 or len(found[0]) != len(columns):
            raise ProjectError(
                f"Message {number} is not one row of the {len(columns)} values "
                f"{', '.join(columns)}. Check what is sent."
            )
        rows.append(found[0])
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pa.table(
        {
            column: pa.array(found, pa.string())
            for column, found in zip(columns, values, strict=True)
        }
    )


def encode(table: pa.Table, contract: Contract) -> list[bytes]:
    """Encode each record as one message, the inverse of ``decode``.

    Args:
        table: records whose columns are text, as they are read from a file.
        contract: says which columns are sent, and in which order.
    """
    columns = [table[column.source_name].to_pylist() for column in contract.recorded]
    messages = []
    for row in zip(*columns, strict=True):
        stream = io.StringIO(newline="")
        # a value is quoted only if it holds a character of the line end that is asked for
        csv.writer(stream, lineterminator="\r\n").writerow(row)
        messages.append(stream.getvalue().removesuffix("\r\n").encode())
    return messages

"""Messages of JSON: what comes back, what is refused."""

import pyarrow as pa
import pytest

from data_prep.messages import decode, encode
from utils.config import Column, Contract, ProjectError

SMALL = Contract(
    table="orders",
    description="One row per order.",
    provenance="Made for the tests.",
    columns=(
        Column("order_id", "identifier", "string", "Order number."),
        Column("pieces", "numeric", "integer", "Number of pieces.", nullable=True),
        Column("returned", "target", "integer", "1 if returned."),
    ),
)


def test_messages_are_objects() -> None:
    table = pa.table({"order_id": ["a", "ü\n"], "pieces": [2**60, None], "returned": [0, 1]})
    messages = encode(table, SMALL)
    assert decode(messages, SMALL).equals(table)
    assert decode([b'{\n"order_id": "a"}'], SMALL).to_pydict() == {
        "order_id": ["a"],
        "pieces": [None],
    }
    assert decode([], SMALL).num_rows == 0


@pytest.mark.parametrize("bad", [b"", b"{", b"1", b'{"a": 1}{"a": 2}', b'{"a": "\xff"}'])
def test_a_bad_message_is_an_error(bad: bytes) -> None:
    with pytest.raises(ProjectError, match="message"):
        decode([b'{"a": "x"}', bad], SMALL)

"""Messages of comma-separated text: what comes back, what is refused."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.messages import decode, encode
from tests.records import TEXTS
from utils.config import Column, Contract, ProjectError

SMALL = Contract(
    table="orders",
    description="One row per order.",
    provenance="Made for the tests.",
    columns=tuple(Column(f"c{number}", "identifier", "string", "A text.") for number in range(7)),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[TEXTS] * 7), max_size=5))
def test_messages_are_rows(rows: list[tuple[str, ...]]) -> None:
    names = [column.name for column in SMALL.columns]
    table = pa.table(
        {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)}
    )
    messages = encode(table, SMALL)
    assert len(messages) == len(rows)
    assert decode(messages, SMALL).equals(table)


@pytest.mark.parametrize("bad", [b"", b"1,2", b"\xff,1,2,3,4,5,6", b"1,2,3,4,5,6,7\n1,2,3,4,5,6,7"])
def test_a_bad_message_is_named(bad: bytes) -> None:
    with pytest.raises(ProjectError, match="Message 2"):
        decode([b"1,2,3,4,5,6,7", bad], SMALL)

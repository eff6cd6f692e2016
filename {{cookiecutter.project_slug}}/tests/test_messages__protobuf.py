"""Messages of Protocol Buffers: what comes back, what is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import formats
from data_prep.messages import decode, encode
from tests.records import ROW, SCHEMA, table_of
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


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The schema file of the records, the only one in the folder of schema files."""
    monkeypatch.setattr(formats, "SCHEMA_FOLDER", tmp_path)
    path = tmp_path / "t.proto"
    path.write_text(SCHEMA)
    return path


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.usefixtures("schema")
@given(rows=st.lists(ROW, max_size=8))
def test_what_is_encoded_is_decoded(rows: list[tuple[Any, ...]]) -> None:
    table = table_of(rows)
    messages = encode(table, SMALL)
    assert decode(messages, SMALL).equals(table)
    assert encode(table, SMALL) == messages


@pytest.mark.usefixtures("schema")
def test_bad_messages_are_named() -> None:
    good = encode(table_of([("a", 1, 2.0, None, None, 0)]), SMALL)[0]
    numbered = [b"\0\0\0\0\7\0" + good, b"\0\0\0\0\7\2\0" + good]
    assert decode(numbered, SMALL).equals(decode([good, good], SMALL))
    for bad in (b"{}", good[:-1], b"\0\0\0\0\7", b"\x7a\x00"):
        with pytest.raises(ProjectError, match="Message 2 of orders is not a record of"):
            decode([good, bad], SMALL)


@pytest.mark.usefixtures("schema")
def test_records_that_do_not_fit_are_an_error() -> None:
    table = table_of([("a", 1, 2.0, None, None, 0)])
    with pytest.raises(ProjectError, match="do not fit"):
        encode(table.drop_columns("price"), SMALL)
    with pytest.raises(ProjectError, match="lack pieces"):
        encode(table.drop_columns("pieces"), SMALL)

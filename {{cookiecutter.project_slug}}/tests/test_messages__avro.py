"""Messages of Avro: what comes back, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep import encoding
from data_prep.messages import decode, encode
from tests.records import FIELDS, ROW, record, table_of
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
    monkeypatch.setattr(encoding, "SCHEMA_FOLDER", tmp_path)
    path = tmp_path / "t.avsc"
    path.write_text(json.dumps(record(*FIELDS)))
    return path


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.usefixtures("schema")
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_what_is_encoded_is_decoded(rows: list[tuple[Any, ...]]) -> None:
    table = table_of(rows)
    messages = encode(table, SMALL)
    assert decode(messages, SMALL).to_pydict() == table.to_pydict()
    assert encode(table, SMALL) == messages


@pytest.mark.usefixtures("schema")
def test_bad_messages_are_named() -> None:
    good = encode(table_of([("a", 1, 2.0, None, 0)]), SMALL)[0]
    assert decode([b"\0\0\0\0\7" + good[10:]], SMALL).num_rows == 1
    for bad in (b"", b"{}", good[:-1], good + b"x", b"\xc3\x01" + b"0" * 8 + good[10:]):
        with pytest.raises(ProjectError, match="Message 2 of orders is not a record of"):
            decode([good, bad], SMALL)


def test_records_that_do_not_fit_are_an_error(schema: Path) -> None:
    table = table_of([(None, 1, 2.0, None, 0)])
    for bad in (table, table.drop_columns("price")):
        with pytest.raises(ProjectError, match="A record of orders does not fit"):
            encode(bad, SMALL)
    schema.unlink()
    for act in (lambda: decode([b""], SMALL), lambda: encode(table, SMALL)):
        with pytest.raises(ProjectError, match="holds 0 schema files"):
            act()

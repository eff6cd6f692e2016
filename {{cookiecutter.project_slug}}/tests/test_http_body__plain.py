"""Tests of HTTP answers that hold nothing but records."""

import io

import pytest

from data_prep import sample_source
from data_prep.http_body import DamagedError, parse
from tests.conftest import BUNDLED
from utils.config import ProjectError


def test_a_body_is_nothing_but_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BUNDLED)
    records = sample_source.records().slice(0, 5)
    tables, others = parse(io.BytesIO(sample_source.encoded(records)), "service", "")
    assert [row for table in tables for row in table.to_pylist()] == records.to_pylist()
    assert others == {}
    assert parse(io.BytesIO(b""), "service", "") == ([], {})


def test_damage_is_told_from_mistakes() -> None:
    with pytest.raises(DamagedError, match="service"):
        parse(io.BytesIO(b"\x00\xff\xfe{" * 40), "service", "")
    with pytest.raises(ProjectError, match="nothing but records"):
        parse(io.BytesIO(b""), "service", "items")

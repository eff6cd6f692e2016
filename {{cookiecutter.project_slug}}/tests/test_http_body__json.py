"""Tests of the parts of an HTTP answer in JSON."""

import io

import pytest

from data_prep.http_body import DamagedError, parse
from utils.config import ProjectError


def test_records_and_the_rest_are_told_apart() -> None:
    body = b'{"data": {"items": [{"a": 1}, {"a": 2}], "total": 9}, "next": "/records?page=2"}'
    (table,), others = parse(io.BytesIO(body), "service", "data.items")
    assert table.to_pylist() == [{"a": 1}, {"a": 2}]
    assert others == {"data": {"total": 9, "items": {}}, "next": "/records?page=2"}


@pytest.mark.parametrize("body", [b'[{"a": 1}]', b'{"a": 1}\n', b'{"a": 1}'])
def test_a_body_may_be_nothing_but_records(body: bytes) -> None:
    (table,), others = parse(io.BytesIO(body), "service", "")
    assert (table.to_pylist(), others) == ([{"a": 1}], {})


@pytest.mark.parametrize(
    ("body", "path"), [(b"", "items"), (b"[]", ""), (b'{"items": null}', "items")]
)
def test_there_may_be_no_records(body: bytes, path: str) -> None:
    assert parse(io.BytesIO(body), "service", path)[0] == []


@pytest.mark.parametrize("body", [b'{"error": "quota"}', b'{"items": {"b": []}}', b"[1]"])
def test_a_wrong_path_is_named(body: bytes) -> None:
    with pytest.raises(ProjectError, match=r"without 'items\.a'.*source\.records"):
        parse(io.BytesIO(body), "service", "items.a")


@pytest.mark.parametrize("body", [b'{"items": [{"a": 1}, {"a"', b"oops", b'{"items": [{"a": }]}'])
def test_damage_is_told_from_mistakes(body: bytes) -> None:
    with pytest.raises(DamagedError, match="JSON"):
        parse(io.BytesIO(body), "service", "items")

"""What is inferred from unknown columns, and the names that they get."""

from datetime import datetime

import polars as pl
import pytest

from data_prep.column_names import safe_names
from data_prep.inference import Found, infer
from tests.conftest import MARKERS
from utils.config import ProjectError


def found(name: str, values: list[object], pattern: str = "") -> tuple[str | None, str]:
    kind, form, _, _ = infer(pl.Series(name, values, strict=False), MARKERS, pattern)
    return kind, form


@pytest.mark.parametrize(
    ("values", "kind", "form"),
    [
        (["1", "2", "?", None], "integer", ""),
        (["1.0", "2.0"], "integer", ""),
        (["1.5", "2"], "float", ""),
        (["€ 1,200", "€ 13"], "integer", ""),
        (["3 km", "4.5 km"], "float", ""),
        (["3 km", "4 mi"], "string", ""),
        (["1,5", "2,75"], "string", ""),
        (["007", "011"], "string", ""),
        (["red", "blue"], "string", ""),
        (["2024-01-31", "2024-02-29T10:00:00"], "timestamp", ""),
        (["31/12/2024", "01/02/2024"], "timestamp", "%d/%m/%Y"),
        (["12/31/2024 10:00", "02/01/2024 23:59"], "timestamp", "%m/%d/%Y %H:%M"),
        (["12-Jan-24", "31-Dec-23"], "timestamp", "%d-%b-%y"),
        (["January 2, 2024", "May 31, 2024"], "timestamp", "%b %d, %Y"),
        (["Q1 1990", "Q2 1990"], "string", ""),
        ([1.0, 2.0, float("nan")], "integer", ""),
        ([1, 2], "integer", ""),
        ([True, False], "integer", ""),
        ([1.5, None], "float", ""),
        ([datetime(2024, 1, 1)], "timestamp", ""),
        ([None, None], "string", ""),
        ([b"x"], None, ""),
        ([{"a": 1}], None, ""),
    ],
)
def test_a_type_is_inferred_from_the_values(
    values: list[object], kind: str | None, form: str
) -> None:
    assert found("value", values) == (kind, form)


@pytest.mark.parametrize(
    ("name", "values", "form"),
    [
        ("created_at", [1706702700, 1706702760], "epoch_seconds"),
        ("timestamp", [1706702700123, 1706702760456], "epoch_milliseconds"),
        ("date", ["20240131", "20240229"], "%Y%m%d"),
        ("date", [20240131, 20240229], "%Y%m%d"),
    ],
)
def test_numbers_are_moments_where_the_name_says_so(
    name: str, values: list[object], form: str
) -> None:
    assert found(name, values) == ("timestamp", form)
    assert found("amount", [1706702700, 1706702760]) == ("integer", "")


def test_a_day_that_may_be_a_month_is_asked_for() -> None:
    ambiguous = ["01/02/2024", "03/04/2024"]
    with pytest.raises(ProjectError, match="FORMAT=when=%d/%m/%Y or FORMAT=when=%m/%d/%Y"):
        found("when", list(ambiguous))
    assert found("when", list(ambiguous), "%m/%d/%Y") == ("timestamp", "%m/%d/%Y")


def test_words_among_numbers_stand_for_missing_values() -> None:
    values = pl.Series("age", [*map(str, range(90)), *(["refused"] * 10)])
    assert infer(values, MARKERS).markers == ("refused",)
    assert infer(pl.Series("x", ["1", "a", "b", "c"]), MARKERS) == Found("string")


def test_names_are_made_safe_for_every_engine() -> None:
    given = [
        "plan",
        "Größe (cm)",
        "größe cm",
        "年齢",
        "2nd",
        "",
        "select",
        "score",
        "Plan",
        "a" * 90,
    ]
    found_names = safe_names(given, {"score"})
    assert list(found_names) == given
    made = list(found_names.values())
    assert made[:5] == ["plan", "grosse_cm", "grosse_cm_2", "column_4", "column_2nd"]
    assert made[5:9] == ["column_6", "select", "score_2", "Plan_2"]
    assert len({name.lower() for name in made}) == len(given)

"""Validation: counts, examples, severities, quarantine and reports, on the engines there are."""

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from data_prep.engine import Engine
from data_prep.pipeline import main
from data_prep.validation import Validation, describe, validate
from data_prep.validation_report import to_html
from tests.conftest import BUNDLED
from utils.config import (
    BROKEN_RULES,
    Column,
    Condition,
    Contract,
    ProjectError,
    Rule,
    Unique,
    load_contract,
    load_params,
)
from utils.files import read_json

BIG = 2**53 + 1
DAY, NEXT = datetime(2026, 1, 1), datetime(2026, 1, 2)
CONTRACT = Contract(
    table="orders",
    description="",
    provenance="",
    columns=(
        Column("id", "identifier", "string", ""),
        Column("sent", "timestamp", "timestamp", "", nullable=True, maximum_missing_share=0.5),
        Column("paid", "timestamp", "timestamp", ""),
        Column("x", "numeric", "float", "", nullable=True, minimum=0, maximum=10),
        Column("n", "numeric", "integer", "", nullable=True, maximum_missing_share=1, minimum=0.5),
        Column("kind", "categorical", "string", "", nullable=True, allowed=("a", "b")),
        Column("y", "target", "integer", "", allowed=(0, 1)),
    ),
    unique=(Unique(("kind", "n"), "warning"),),
    rules=(
        Rule("sent", "<=", "paid", description="Nothing is paid before it is sent."),
        Rule("n", ">", "x"),
        Rule("n", "<=", 2.5),
        Rule("x", "present", when=Condition("kind", "in", ("a",))),
        Rule("kind", "!=", "id"),
        Rule("y", "not in", (1,), when=Condition("n", "missing")),
    ),
)
ROWS: list[tuple[Any, ...]] = [
    ("p", DAY, NEXT, 1.0, 2, "a", 0),
    ("q", NEXT, DAY, -1.0, BIG, "b", 1),
    ("r", None, NEXT, math.nan, None, "a", 1),
    ("s", DAY, DAY, math.inf, 0, "c", 0),
    ("t", DAY, NEXT, None, -(2**62), "a", 2),
    ("t", DAY, None, 10.5, 2, "a", None),
    ("a", DAY, DAY, 10.0, None, "a", 0),
    ("ß\U0001f642", DAY, DAY, 1.0, 2, None, 0),
]
COUNTS = {
    "id must not be missing": 0,
    "sent must be missing in at most 50.0% of rows": 1,
    "paid must not be missing": 1,
    "x must be missing in at most 0.0% of rows": 1,
    "x must be a finite number": 2,
    "x must be at least 0": 1,
    "x must be at most 10": 1,
    "n must be missing in at most 100.0% of rows": 2,
    "n must be at least 0.5": 2,
    "kind must be missing in at most 0.0% of rows": 1,
    "kind must be one of a, b": 1,
    "y must not be missing": 1,
    "y must be one of 0, 1": 1,
    "id must occur once": 2,
    "kind and n must occur once together": 2,
    "sent <= paid": 1,
    "n > x": 1,
    "n <= 2.5": 1,
    "x is present where kind is a": 1,
    "kind != id": 1,
    "y is not 1 where n is missing": 1,
}
Open = Callable[[pa.Table], nw.LazyFrame[Any]]


def table(rows: list[tuple[Any, ...]], contract: Contract = CONTRACT) -> pa.Table:
    """Return rows as a table with the types of the contract."""
    types = {
        "string": pa.string(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "timestamp": pa.timestamp("us"),
    }
    columns = zip(*rows, strict=True)
    return pa.table(
        {
            column.name: pa.array(values, types[column.type])
            for column, values in zip(contract.columns, columns, strict=True)
        }
    )


def on_polars(rows: pa.Table) -> nw.LazyFrame[Any]:
    return nw.from_native(pl.DataFrame(rows).lazy())


def on_pandas(rows: pa.Table) -> nw.LazyFrame[Any]:
    native = rows.to_pandas(types_mapper=pd.ArrowDtype)
    frame: nw.LazyFrame[Any] = nw.from_native(native, eager_only=True).lazy()
    return frame


@pytest.fixture(params=["project", "pandas", "polars"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Open a table on the engine of this project, on pandas and on Polars."""
    if request.param != "project":
        yield {"pandas": on_pandas, "polars": on_polars}[request.param]
        return
    with Engine(load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").engine) as engine:

        def scan(rows: pa.Table) -> nw.LazyFrame[Any]:
            pq.write_table(rows, tmp_path / "rows.parquet")
            return engine.scan(tmp_path / "rows.parquet")

        yield scan


def rows_of(frame: nw.LazyFrame[Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.collect("pyarrow").to_arrow().to_pylist()
    return rows


def counted(result: Validation) -> dict[str, int]:
    return {rule.rule: rule.count for rule in result.report.rules}


def test_every_rule_is_counted_alike_on_every_engine(opened: Open) -> None:
    result = validate(opened(table(ROWS)), CONTRACT)
    assert counted(result) == COUNTS
    shares = {rule.rule: rule.share for rule in result.report.rules}
    assert shares["n > x"] == COUNTS["n > x"] / len(ROWS)
    expected = validate(on_polars(table(ROWS[::-1])), CONTRACT)
    as_json = [msgspec.json.encode(item.report) for item in (result, expected)]
    assert as_json[0] == as_json[1], "neither the engine nor the order of the rows changes a report"


def test_examples_are_the_first_rows_by_identifier_with_the_values_involved(opened: Open) -> None:
    many = [(f"k{i:02}", DAY, NEXT, 20.0 + i, 1, "a", 0) for i in range(30, 0, -1)]
    result = validate(opened(table(many)), CONTRACT)
    found = {rule.rule: rule.examples for rule in result.report.rules}
    assert found["x must be at most 10"] == [{"id": f"k{i:02}", "x": 20.0 + i} for i in range(1, 6)]
    assert found["n > x"][0] == {"id": "k01", "n": 1, "x": 21.0}


def test_a_table_that_keeps_the_contract_goes_on_whole(opened: Open) -> None:
    result = validate(opened(table(ROWS[:1])), CONTRACT)
    assert (result.report.status, result.report.passed) == ("kept", True)
    assert (result.quarantined, result.report.violations) == (None, [])
    assert result.report.summary() == f"1 rows keep all {len(COUNTS)} rules of the contract"
    assert len(rows_of(result.valid)) == 1


def test_bad_rows_are_set_apart_with_their_reasons_and_none_is_lost(opened: Open) -> None:
    rows = table(ROWS)
    result = validate(opened(rows), CONTRACT)
    assert result.quarantined is not None
    apart, valid = rows_of(result.quarantined), rows_of(result.valid)
    assert result.report.rows_quarantined == len(apart)
    # Missing values within or beyond their share, and warnings, are no reason to set a row apart.
    assert {row["id"] for row in valid} == {"p", "ß\U0001f642"}
    reasons = {row["id"]: row.pop(BROKEN_RULES) for row in apart}
    assert reasons["q"] == "x must be at least 0; sent <= paid; n <= 2.5"
    assert reasons["a"] == "kind != id"
    before = Counter(map(repr, rows.to_pylist()))
    assert Counter(map(repr, [*apart, *valid])) == before


@pytest.mark.parametrize(
    ("severity", "tolerated", "status", "apart"),
    [
        ("error", 0.0, "broken", 1),
        ("error", 0.5, "tolerated", 1),
        ("warning", 0.0, "warning", 0),
        ("warning", 0.5, "tolerated", 0),
    ],
)
def test_severity_and_tolerated_share_decide(
    severity: Any, tolerated: float, status: str, apart: int
) -> None:
    rule = Rule("sent", "<=", "paid", severity=severity, tolerated_share=tolerated)
    contract = msgspec.structs.replace(CONTRACT, rules=(rule,))
    rows = [ROWS[0], ("q", NEXT, DAY, 1.0, 1, "b", 1)]
    result = validate(on_polars(table(rows)), contract)
    assert result.report.status == status
    assert result.report.passed == (status != "broken")
    assert result.report.rows_quarantined == apart


def test_a_column_has_a_severity_for_its_own_rules() -> None:
    columns = tuple(
        msgspec.structs.replace(column, severity="warning") if column.name == "x" else column
        for column in CONTRACT.columns
    )
    contract = msgspec.structs.replace(CONTRACT, columns=columns, rules=())
    result = validate(on_polars(table([("p", DAY, NEXT, -1.0, 2, "a", 0)])), contract)
    assert result.report.status == "warning"
    assert result.quarantined is None


def test_missing_values_break_their_rule_only_above_the_share() -> None:
    contract = msgspec.structs.replace(CONTRACT, rules=(), unique=())
    some = [ROWS[0], ("q", None, NEXT, 1.0, 1, "a", 0)]
    assert validate(on_polars(table(some)), contract).report.status == "kept"
    all_missing = validate(on_polars(table(some[1:])), contract)
    assert all_missing.report.status == "broken"
    assert all_missing.report.violations[0].examples == [{"id": "q", "sent": None}]


def test_the_summary_stays_short_and_starts_with_the_gravest() -> None:
    rules = tuple(Rule("n", "<=", -number) for number in range(1, 30))
    contract = msgspec.structs.replace(CONTRACT, rules=rules)
    report = validate(on_polars(table(ROWS)), contract).report
    lines = report.summary().splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"... and {len(report.violations) - 10} more"
    assert lines[0] == describe(report.violations[0], len(ROWS))
    assert lines[0].startswith("broken: paid must not be missing, but 1 of 8 rows (12.5%) break it")


# reports


class Page(HTMLParser):
    """The elements of a page, with what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: Counter[str] = Counter()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and what it refers to."""
        self.found[tag] += 1
        self.loaded += [str(value) for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element ends."""
        assert self.open.pop() == tag, f"{tag} ends what it did not begin"


def test_the_page_is_whole_shows_every_rule_and_loads_nothing() -> None:
    evil = "<script>alert('x')</script>&\"'"
    rows = [(evil, NEXT, DAY, -1.0, 2, evil, 0)]
    contract = msgspec.structs.replace(CONTRACT, table=evil)
    report = validate(on_polars(table(rows)), contract).report
    text = to_html(report, "data/quarantine.parquet")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loaded == []
    assert page.found["script"] == page.found["img"] == page.found["link"] == 0
    assert not re.search(r"https?:|url\(|@import", text)
    assert page.found["h1"] == page.found["main"] == 1
    assert page.found["tr"] >= len(report.rules) + len(report.violations)
    assert page.found["caption"] == page.found["table"]
    assert "Nothing is paid before it is sent." in text
    assert "<html lang='en'>" in text


def test_the_page_of_a_table_without_faults_says_so() -> None:
    text = to_html(validate(on_polars(table(ROWS[:1])), CONTRACT).report, "q")
    assert "The table keeps its contract." in text
    assert "every row keeps every rule" in text


# the stage


@pytest.fixture
def stage(in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the cleaned table in which the stage can run."""
    for name in ("params.yaml", "schema.yaml"):
        (tmp_path / name).write_bytes((in_project / name).read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/clean.parquet").write_bytes((in_project / "data/clean.parquet").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pipeline", "validate"])
    return tmp_path


def breaking(folder: Path, rows: int) -> None:
    """Break the first declared rule of the contract in some rows of the cleaned table.

    The range of the rule's column is lifted, so that it is the only rule that breaks.
    """
    path = folder / "data/clean.parquet"
    frame = pl.read_parquet(path)
    rule = load_contract(folder / "schema.yaml").rules[0]
    schema = frame.schema
    is_moment = schema[rule.left] == pl.Datetime
    changed: dict[str, Any] = {rule.left: datetime(2999, 1, 1) if is_moment else 1e9}
    if rule.when is not None and isinstance(rule.when.right, tuple):
        changed[rule.when.left] = rule.when.right[0]
    first = pl.int_range(pl.len()) < rows
    contract = yaml.safe_load((folder / "schema.yaml").read_text(encoding="utf-8"))
    for column in contract["columns"]:
        if column["name"] == rule.left:
            column.pop("maximum", None)
    (folder / "schema.yaml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    frame.with_columns(
        pl.when(first).then(pl.lit(value, schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in changed.items()
    ).write_parquet(path)


def test_the_stage_keeps_a_good_table_without_a_copy(stage: Path) -> None:
    main()
    valid = stage / "data/valid.parquet"
    assert valid.read_bytes() == (stage / "data/clean.parquet").read_bytes()
    apart = pl.read_parquet(stage / "data/quarantine.parquet")
    assert apart.height == 0
    assert apart.columns == [*pl.read_parquet(valid).columns, BROKEN_RULES]


def test_the_stage_divides_a_table_within_what_is_tolerated(
    stage: Path, caplog: pytest.LogCaptureFixture
) -> None:
    breaking(stage, 3)
    main()
    clean, valid, apart = (
        pl.read_parquet(stage / f"data/{name}.parquet") for name in ("clean", "valid", "quarantine")
    )
    rule = load_contract().rules[0].describe()
    assert apart.height == 3
    assert all(rule in text for text in apart[BROKEN_RULES])
    together = pl.concat([valid, apart.drop(BROKEN_RULES)])
    assert together.sort(clean.columns).equals(clean.sort(clean.columns))
    assert read_json(stage / "reports/validation.json")["rows_quarantined"] == 3
    assert rule in caplog.text
    assert "data/quarantine.parquet" in (stage / "reports/validation.html").read_text()


def test_the_stage_stops_above_what_is_tolerated_and_leaves_the_reasons(stage: Path) -> None:
    breaking(stage, 700)
    rule = re.escape(load_contract().rules[0].describe())
    with pytest.raises(ProjectError, match=f"breaks the data contract:\nbroken: {rule}"):
        main()
    assert not (stage / "data/valid.parquet").exists()
    assert pl.read_parquet(stage / "data/quarantine.parquet").height == 700
    assert read_json(stage / "reports/validation.json")["status"] == "broken"
    assert (stage / "reports/validation.html").exists()

"""The data contract: what it refuses, every role through the whole project, and JSON Schema."""

from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import narwhals as nw
import polars as pl
import pytest
import yaml

from data_prep.cleaning import clean, standardise
from data_prep.feature_engineering import derive, feature_names
from data_prep.validation import validate
from data_viz.exploration import explore
from model_deployment.preprocessing import check_columns, model_inputs, standardise_records
from tests.conftest import BUNDLED, MARKERS, values
from utils import json_schema as exported
from utils.config import (
    SAMPLING_WEIGHT,
    Column,
    Condition,
    Contract,
    ProjectError,
    Recipe,
    Rule,
    Sampling,
    Unique,
    load_contract,
    load_params,
)
from utils.files import read_json
from utils.json_schema import json_schema
from utils.readme import sampling_text
from utils.records import record_example

NOTE = Column(
    "note", "text", "string", "What was written.", nullable=True, maximum_missing_share=0.1
)
HOUSE = Column("house", "group", "string", "Household of the customer.")
COUNT = Column("count", "weight", "float", "Rows this one stands for.", minimum=0)


@pytest.fixture
def wide(contract: Contract) -> Contract:
    """The small contract with a column of every role."""
    return msgspec.structs.replace(contract, columns=(*contract.columns, NOTE, HOUSE, COUNT))


def written(tmp_path: Path, contract: Contract) -> Path:
    """Write a contract as a person would, and return the file."""
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(msgspec.to_builtins(contract)), encoding="utf-8")
    return path


def test_a_contract_with_every_role_and_rule_is_read_as_written(
    tmp_path: Path, wide: Contract
) -> None:
    full = msgspec.structs.replace(
        wide,
        unique=(Unique(("house", "ordered_at"), "warning", 0.1),),
        rules=(
            Rule("ordered_at", "<=", "paid_at", tolerated_share=0.01, description="No credit."),
            Rule("price", ">", 0, when=Condition("colour", "in", ("red",)), severity="warning"),
            Rule("note", "missing", when=Condition("pieces", "==", 1)),
        ),
    )
    assert load_contract(written(tmp_path, full)) == full


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": (Rule("nowhere", "<", 1),)}, "names 'nowhere', which is not a column"),
        ({"rules": (Rule("price", "<", "nowhere"),)}, "names 'nowhere', which is not a column"),
        ({"rules": (Rule("price", "<", "colour"),)}, "compares number with string"),
        ({"rules": (Rule("paid_at", "<", 1),)}, "compares timestamp with number"),
        ({"rules": (Rule("colour", "<", "order_id"),)}, "orders texts"),
        ({"rules": (Rule("price", "<"),)}, "needs one column or number"),
        ({"rules": (Rule("price", "missing", 1),)}, "must have nothing on its right"),
        ({"rules": (Rule("colour", "in", "red"),)}, "needs a list of values|not a column"),
        ({"rules": (Rule("colour", "in", (1,)),)}, "do not fit the type string"),
        ({"rules": (Rule("price", "in", (1,)),)}, "do not fit the type float"),
        ({"rules": (Rule("price", ">", 0, tolerated_share=2.0),)}, "must lie between 0 and 1"),
        ({"rules": (Rule("price", ">", 0, when=Condition("x", "present")),)}, "names 'x'"),
        ({"unique": (Unique(("order_id", "x")),)}, "unique names 'x'"),
        ({"unique": (Unique(()),)}, "has no columns"),
        ({"columns": (Column("t", "text", "integer", ""),)}, "role text but the type integer"),
        ({"columns": (Column("g", "group", "float", ""),)}, "role group but the type float"),
        ({"columns": (HOUSE, Column("g", "group", "string", ""))}, "2 columns have the role group"),
        ({"columns": (Column("w", "weight", "float", "", nullable=True),)}, "not be nullable"),
        ({"columns": (Column("t", "text", "string", "", minimum=1),)}, "a range but the type"),
        ({"columns": (Column("t", "text", "string", "", allowed=(1,)),)}, "not of its type"),
        ({"columns": (Column("t", "text", "string", "", aliases={"a": "b"}),)}, "has aliases"),
        ({"columns": (Column("broken_rules", "text", "string", ""),)}, "that the pipeline adds"),
        ({"columns": (Column("g", "group", "string", "", assigned=True),)}, "'g' is assigned, but"),
        (
            {"columns": (Column("n", "numeric", "float", "", tolerated_share=-1.0),)},
            "tolerated_share of 'n' is -1.0",
        ),
        (
            {"columns": (Column("t", "text", "string", "", source="price"),)},
            "2 columns have the source 'price'",
        ),
        ({"columns": (Column("t", "text", "string", "", format="%Y"),)}, "only timestamps have"),
        (
            {"columns": (Column("t", "text", "string", "", generated=True),)},
            "only an identifier of type integer can be generated",
        ),
        (
            {"columns": (Column("t", "identifier", "integer", "", generated=True),)},
            "identifies a row alone",
        ),
    ],
)
def test_contracts_that_can_not_be_checked_are_refused(
    tmp_path: Path, contract: Contract, change: dict[str, Any], message: str
) -> None:
    if "columns" in change:
        change = {"columns": (*contract.columns, *change["columns"])}
    with pytest.raises(ProjectError, match=message):
        load_contract(written(tmp_path, msgspec.structs.replace(contract, **change)))


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"method": "random"}, "sampling.method random needs share"),
        ({"method": "weighted", "rows": 5}, "sampling.method weighted needs weight"),
        ({"method": "stratified", "by": ["id"], "rows": 1, "share": 0.5}, "needs share or rows"),
        ({"method": "none", "rows": 5}, "sampling.rows has no meaning for sampling.method none"),
        ({"method": "random", "share": 1.5}, "sampling.share is 1.5"),
        ({"method": "reservoir", "rows": -1}, "sampling.rows is -1"),
        ({"method": "stratified", "rows": 1, "by": ["nowhere"]}, "sampling.by names 'nowhere'"),
        ({"method": "importance", "rows": 1, "weight": "nowhere"}, "weight names 'nowhere'"),
        (
            {"method": "filter", "keep": [{"left": "nowhere", "relation": "present"}]},
            "names 'nowhere', which is not a column",
        ),
        (
            {"method": "weighted", "rows": 1, "weight": "nowhere", "missing_weight": -1.0},
            "missing_weight is -1.0",
        ),
        ({"method": "random", "share": 0.5, "missing_weight": 1.0}, "missing_weight has no mean"),
        ({"method": "dice"}, "Invalid enum value 'dice'"),
    ],
)
def test_bad_sampling_is_refused(tmp_path: Path, sampling: dict[str, Any], message: str) -> None:
    content = yaml.safe_load((BUNDLED / "params.yaml").read_text(encoding="utf-8"))
    content["sampling"] = {"seed": 1, **sampling}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ProjectError, match=message):
        load_params(path, BUNDLED / "schema.yaml")


def test_labels_and_an_assigned_target_go_together(tmp_path: Path) -> None:
    params = yaml.safe_load((BUNDLED / "params.yaml").read_text(encoding="utf-8"))
    contract = load_contract(BUNDLED / "schema.yaml")
    for assigned, labels, message in (
        (True, None, "is assigned, but there is no section labels"),
        (False, {}, "labels is set, but the target"),
    ):
        others = [column for column in contract.columns if column.role != "target"]
        answers = contract.with_role("target") or [Column("answer", "target", "float", "Answer.")]
        changed = [msgspec.structs.replace(column, assigned=assigned) for column in answers]
        columns = (*others, *changed)
        schema = written(tmp_path, msgspec.structs.replace(contract, columns=columns))
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump({**params, "labels": labels}), encoding="utf-8")
        with pytest.raises(ProjectError, match=message):
            load_params(path, schema)


# every role, from raw records to serving


def records(rows: int = 40) -> pl.DataFrame:
    """Raw records of the small contract with a column of every role."""
    number = range(rows)
    return pl.DataFrame(
        {
            "order_id": [f"A{i:02}" for i in number],
            "ordered_at": ["2026-03-01T10:30:00"] * rows,
            "paid_at": ["2026-03-03"] * rows,
            "colour": ["Red", "navy"] * (rows // 2),
            "price": [str(i) for i in number],
            "pieces": ["3"] * rows,
            "returned": ["0", "1"] * (rows // 2),
            "note": [f" Wrote  {'a' * i}, THANKS!" if i else None for i in number],
            "house": [f"H{i % 4}" for i in number],
            "count": ["1.5"] * rows,
        }
    )


def test_every_role_is_carried_as_far_as_it_is_of_use(wide: Contract, recipe: Recipe) -> None:
    steps = msgspec.structs.replace(recipe, contract=wide)
    cleaned = clean(nw.from_native(records(), eager_only=True), wide, MARKERS)
    assert validate(cleaned, wide).report.passed
    row = cleaned.filter(nw.col("order_id") == "A02").rows(named=True)[0]
    assert (row["note"], row["house"], row["count"]) == ("Wrote aa, THANKS!", "H2", 1.5)
    features = derive(cleaned.with_columns(nw.lit(2.0).alias(SAMPLING_WEIGHT)), steps)
    assert features.columns[-4:] == ["returned", "house", "count", SAMPLING_WEIGHT]
    assert "note" not in features.columns
    names = feature_names(steps)
    assert not {"note", "house", "count"} & {*names.numeric, *names.categorical}
    assert names == feature_names(recipe)


def test_serving_asks_for_nothing_that_no_model_takes(wide: Contract, recipe: Recipe) -> None:
    steps = msgspec.structs.replace(recipe, contract=wide)
    asked = [column.name for column in wide.inputs]
    assert asked == ["order_id", "ordered_at", "paid_at", "colour", "price", "pieces"]
    sent = records().select(asked)
    check_columns(sent.columns, steps)
    with_more = model_inputs(standardise_records(records(), steps), steps)
    without = model_inputs(standardise_records(sent, steps), steps)
    assert (with_more.numeric == without.numeric).all()
    assert (with_more.categorical == without.categorical).all()


def test_texts_and_groups_are_described(wide: Contract) -> None:
    cleaned = standardise(nw.from_native(records(), eager_only=True), wide.columns, MARKERS)
    found = explore(cleaned, wide)
    assert (found.text["note"].missing, found.text["note"].distinct) == (1, 39)
    assert found.text["note"].longest == len("Wrote , THANKS!") + 39
    assert "house has 4 groups; no model learns from it." in found.findings
    assert any(finding.startswith("note is free text: 39 different") for finding in found.findings)


def test_a_column_without_rules_is_accepted(contract: Contract) -> None:
    extended = msgspec.structs.replace(
        contract,
        columns=(
            *contract.columns,
            Column("free", "categorical", "string", "", nullable=True, maximum_missing_share=1),
        ),
    )
    rows = records().with_columns(free=pl.lit("whatever"))
    frame = standardise(nw.from_native(rows, eager_only=True), extended.columns, MARKERS)
    assert validate(frame, extended).report.passed
    assert values(frame, "free")[0] == "whatever"


# JSON Schema


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def test_the_schema_is_valid_and_describes_the_cleaned_records(in_project: Path) -> None:
    contract = load_contract()
    schema = json_schema(contract)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    names = [column.name for column in contract.columns]
    rows = pl.read_parquet(in_project / "data/valid.parquet", columns=names).head(300).to_dicts()
    for row in [*map(as_json, rows), record_example(contract.columns)]:
        assert [error.message for error in validator.iter_errors(row)] == []
    assert list(schema["properties"]) == names
    for rule in contract.rules:
        assert rule.describe() in schema["$comment"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"price": -1}, "minimum"),
        ({"price": 1e9}, "maximum"),
        ({"pieces": 1.5}, "anyOf"),
        ({"returned": 2}, "enum"),
        ({"colour": "pink"}, "anyOf"),
        ({"order_id": None}, "type"),
        ({"order_id": ...}, "required"),
        ({"note": 5}, "anyOf"),
        ({"more": 1}, "additionalProperties"),
    ],
)
def test_the_schema_refuses_what_the_contract_refuses(
    wide: Contract, change: dict[str, Any], why: str
) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(wide))
    good = record_example(wide.columns)
    assert validator.is_valid(good)
    assert validator.is_valid({**good, "note": None, "pieces": 3})
    bad = {name: value for name, value in {**good, **change}.items() if value is not ...}
    errors = [error.validator for error in validator.iter_errors(bad)]
    assert errors == [why] or (why in {"minimum", "maximum"} and errors == ["anyOf"])


def test_the_schema_carries_role_and_unit(wide: Contract) -> None:
    fields = json_schema(wide)["properties"]
    assert (fields["price"]["x-role"], fields["price"]["x-unit"]) == ("numeric", "EUR")
    assert fields["count"]["x-role"] == "weight"


def test_the_schema_is_exported(in_project: Path) -> None:
    exported.main()
    assert read_json(in_project / "reports/schema.json")["title"] == load_contract().table


# the README


@pytest.mark.parametrize(
    ("sampling", "text"),
    [
        (Sampling("none", 1), "all go on, without sampling."),
        (Sampling("random", 1, share=0.1), "a probability of 10.0%, 50 in all (seed 1)."),
        (Sampling("reservoir", 1, rows=50), "50 were drawn, each with the same probability"),
        (Sampling("stratified", 1, rows=5, by=("a", "b")), "from 2 strata by `a`, `b` (seed 1)."),
        (Sampling("weighted", 1, rows=50, weight="w"), "averages over them are not those"),
        (Sampling("importance", 1, rows=50, weight="w"), "`sampling_weight` says how many rows"),
        (
            Sampling("filter", 1, keep=(Condition("a", ">", 1), Condition("b", "present"))),
            r"kept by a filter (a \> 1 and b is present), which is no random sample",
        ),
    ],
)
def test_the_readme_says_how_rows_were_drawn(sampling: Sampling, text: str) -> None:
    report = {"rows_read": 1000, "rows_kept": 50, "strata": {"x": [10, 5], "y": [90, 5]}}
    found = sampling_text(sampling, report)
    assert found.startswith("Of 1,000 valid rows ")
    assert text in found


def test_the_readme_lists_rules_that_compare_columns(in_project: Path) -> None:
    text = (in_project / "README.md").read_text(encoding="utf-8")
    data = text.split("<!-- measured: data -->")[1].split("<!-- end: data -->")[0]
    for rule in load_contract().rules:
        assert rule.description in data

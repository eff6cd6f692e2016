"""The data contract as JSON Schema, for whoever writes or reads records elsewhere.

Usage: ``python -m utils.json_schema`` writes ``reports/schema.json`` (draft 2020-12), which
describes one cleaned record. What a schema of single records can't say, such as unique columns and
comparisons of columns, stands in its comment.
"""

import logging
from typing import Any

import msgspec

from utils.config import Contract, load_contract
from utils.files import write_json
from utils.logging import run
from utils.paths import REPORTS
from utils.records import as_integers, record_example, record_type

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA = REPORTS / "schema.json"

log = logging.getLogger(__name__)


def _beyond(contract: Contract) -> list[str]:
    """Return the rules that hold between records or between columns, in words."""
    unique = [contract.identifiers, *(list(item.columns) for item in contract.unique)]
    return [
        *(f"{' and '.join(names)} must occur once" for names in unique),
        *(
            rule.describe() + ("" if rule.when is None else f" where {rule.when.describe()}")
            for rule in contract.rules
        ),
    ]


def json_schema(contract: Contract) -> dict[str, Any]:
    """Describe one cleaned record of the table by JSON Schema, draft 2020-12.

    The annotations ``x-role`` and ``x-unit`` of a property are those of the contract.
    """
    components = msgspec.json.schema(record_type(contract.columns))["$defs"]
    record: dict[str, Any] = components["Record"]
    for column in contract.columns:
        field = record["properties"][column.name]
        as_integers(field)
        if column.allowed and column.type != "string":
            values = [*column.allowed, *([None] * column.nullable)]
            field["enum"] = values
        field["x-role"] = column.role
        if column.unit:
            field["x-unit"] = column.unit
    return {
        "$schema": DIALECT,
        **record,
        "title": contract.table,
        "description": contract.description,
        "$comment": "Beyond single values: " + "; ".join(_beyond(contract)) + ".",
        "examples": [record_example(contract.columns)],
    }


def main() -> None:
    """Write the contract of this project as JSON Schema."""
    write_json(SCHEMA, json_schema(load_contract()))
    log.info("exported", extra={"file": str(SCHEMA)})


if __name__ == "__main__":
    run(main)

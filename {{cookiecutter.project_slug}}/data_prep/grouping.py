"""A column that groups rows which belong together."""

import re

import msgspec

from data_prep.column_proposal import NAMED_AS_IDENTIFIER
from data_prep.drafting import Inputs, Remarks
from utils.config import Column

# What names a thing that has several rows; numbers and codes are often categories.
NAMED_AS_GROUP = re.compile(r"(?i:(^|[_\W])(ids?|uuid|guid)$)|(?<=[a-z])(Id|ID)$")
# So many groups can be dealt out.
GROUPS = 30


def group_rows(inputs: Inputs, remarks: Remarks) -> None:
    """Let a column that is named like an identifier and repeats itself group the rows."""
    for name, column in inputs.columns.items():
        known_values = inputs.values[name].drop_nulls()
        groups = known_values.n_unique()
        named = NAMED_AS_IDENTIFIER if column.role == "text" else NAMED_AS_GROUP
        few = groups < GROUPS and column.role != "text"
        named_so = column.type in {"string", "integer"} and named.search(column.source_name)
        if named_so and not few and groups < known_values.len():
            inputs.columns[name] = msgspec.structs.replace(
                Column(name, "group", column.type, "", source=column.source),
                description=f"Groups rows that belong together, {groups:,} groups.",
                nullable=column.nullable,
                maximum_missing_share=column.maximum_missing_share,
                example=column.example,
            )
            remarks.notes.append(f"{column.source_name} groups rows; no model learns from it")
            return

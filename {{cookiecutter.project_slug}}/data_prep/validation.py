"""Validation: does a cleaned table keep what the data contract promises?"""

from collections.abc import Iterator
from typing import Any

import msgspec
import narwhals as nw

from data_prep.storage import Frame
from utils.config import Column, Contract

EXAMPLES = 5


class Violation(msgspec.Struct, frozen=True):
    """A rule of the contract that some rows break."""

    column: str
    rule: str
    count: int
    share: float
    examples: list[dict[str, Any]]


class ValidationReport(msgspec.Struct, frozen=True):
    """The outcome of a validation."""

    rows: int
    rules: int
    violations: list[Violation]

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return not self.violations

    def summary(self) -> str:
        """Describe each broken rule in one line: column, rule, count, share, example rows."""
        if self.passed:
            return f"{self.rows} rows keep all {self.rules} rules of the contract"
        lines = [
            f"{item.column}: {item.rule}, broken by {item.count} of {self.rows} rows "
            f"({item.share:.1%}), for example {item.examples}"
            for item in self.violations
        ]
        return "\n".join(lines)


def _row_rules(column: Column) -> Iterator[tuple[str, nw.Expr]]:
    """Yield (rule, expression that is true for a row breaking it)."""
    value = nw.col(column.name)
    if not column.nullable:
        yield "must not be missing", value.is_null()
    if column.minimum is not None:
        yield f"must be at least {column.minimum:g}", value < column.minimum
    if column.maximum is not None:
        yield f"must be at most {column.maximum:g}", value > column.maximum
    if column.allowed:
        allowed = ", ".join(map(str, column.allowed))
        yield f"must be one of {allowed}", ~value.is_null() & ~value.is_in(list(column.allowed))


def validate(frame: Frame, contract: Contract) -> ValidationReport:
    """Check every rule of the contract.

    Args:
        frame: the cleaned table.
        contract: the rules: missing values, ranges, allowed values, unique identifiers.

    Returns:
        The number of rules checked, and for each broken rule the column, the count and share of
        rows, and up to five example rows by identifier.
    """
    rows = frame.shape[0]
    keys = contract.identifiers
    rules = [(column, *rule) for column in contract.columns for rule in _row_rules(column)]
    rules.append(
        (
            contract.with_role("identifier")[0],
            "must identify one row only",
            nw.struct(*keys).is_duplicated() if len(keys) > 1 else nw.col(keys[0]).is_duplicated(),
        )
    )
    counts = frame.select(
        *(
            rule[2].fill_null(False).cast(nw.Int64).sum().alias(str(i))
            for i, rule in enumerate(rules)
        )
    ).row(0)
    violations = []
    for (column, rule, broken), count in zip(rules, counts, strict=True):
        if count:
            shown = [*keys, column.name] if column.name not in keys else keys
            examples = frame.filter(broken).select(shown).head(EXAMPLES).rows(named=True)
            violations.append(Violation(column.name, rule, int(count), count / rows, examples))
    tolerated = [column for column in contract.columns if column.nullable]
    for column in tolerated:
        count = int(frame[column.name].is_null().sum())
        if count > column.maximum_missing_share * rows:
            rule = f"must be missing in at most {column.maximum_missing_share:.1%} of rows"
            absent = frame.filter(nw.col(column.name).is_null()).select(keys).head(EXAMPLES)
            violations.append(
                Violation(column.name, rule, count, count / rows, absent.rows(named=True))
            )
    return ValidationReport(rows, len(rules) + len(tolerated), violations)

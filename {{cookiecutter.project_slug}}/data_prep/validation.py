"""Validation: does a cleaned table keep what the data contract promises?

Every rule is an expression that is true for a row breaking it, so one aggregation on any engine
counts all of them; a second pass, only if a rule is broken, looks for examples. Rows that break a
rule of severity error are set apart; the pipeline ends if they are more than the rule tolerates.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec
import narwhals as nw
import pyarrow as pa

from data_prep.conditions import broken, finite, holds
from utils.config import BROKEN_RULES, Column, Contract, Severity

EXAMPLES = 5
SHOWN = 10
# Names of columns inside a query; no result has them.
FLAG = "__rule_{}"
RULE = "__rule"
ROWS = "__rows"

Frame = nw.LazyFrame[Any]
Status = Literal["kept", "tolerated", "warning", "broken"]


class Check(NamedTuple):
    """One rule of the contract, ready to be counted.

    ``rule`` names its columns, because quarantined rows carry it. ``sets_apart`` is false where a
    single row is not to blame, as for a share of missing values.
    """

    columns: list[str]
    rule: str
    broken: nw.Expr
    severity: Severity
    tolerated_share: float
    sets_apart: bool = True
    unique: bool = False
    description: str = ""


class RuleResult(msgspec.Struct, frozen=True):
    """How one rule fared: rows that break it, their share, and the first of them by identifier.

    ``broken`` is more than tolerated of an error, ``warning`` of a warning.
    """

    rule: str
    description: str
    columns: list[str]
    severity: Severity
    tolerated_share: float
    count: int
    share: float
    status: Status
    examples: list[dict[str, Any]]


class ValidationReport(msgspec.Struct, frozen=True):
    """The outcome of a validation; ``rows_quarantined`` break a rule of severity error."""

    table: str
    rows: int
    rows_quarantined: int
    status: Status
    rules: list[RuleResult]

    @property
    def passed(self) -> bool:
        """Whether no rule is broken by more rows than it tolerates, warnings aside."""
        return self.status != "broken"

    @property
    def violations(self) -> list[RuleResult]:
        """The rules that some row breaks, the gravest first."""
        order: list[Status] = ["broken", "warning", "tolerated"]
        found = [result for result in self.rules if result.status != "kept"]
        return sorted(found, key=lambda result: order.index(result.status))

    def summary(self) -> str:
        """Describe each rule that is not kept in one line, the gravest first and at most ten."""
        found = self.violations
        if not found:
            return f"{self.rows:,} rows keep all {len(self.rules)} rules of the contract"
        lines = [describe(result, self.rows) for result in found[:SHOWN]]
        return "\n".join([*lines, *([f"... and {len(found) - SHOWN} more"] * (len(found) > SHOWN))])


def describe(result: RuleResult, rows: int) -> str:
    """Return what broke a rule in one line: columns, rule, count, share, an example."""
    example = ""
    if result.examples:
        values = ", ".join(f"{name} {value}" for name, value in result.examples[0].items())
        example = f", for example {values}"
    tolerated = f", tolerated {result.tolerated_share:.1%}" if result.tolerated_share else ""
    return (
        f"{result.status}: {result.rule}, but {result.count:,} of {rows:,} rows "
        f"({result.share:.1%}{tolerated}) break it{example}"
    )


def _bound(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _column_checks(column: Column) -> Iterator[Check]:
    value = nw.col(column.name)
    missing = value.is_null()

    def check(rule: str, breaks: nw.Expr) -> Check:
        level = (column.severity, column.tolerated_share)
        return Check([column.name], f"{column.name} must {rule}", breaks, *level)

    if column.nullable:
        share = column.maximum_missing_share
        rarely = check(f"be missing in at most {share:.1%} of rows", missing)
        yield rarely._replace(tolerated_share=share, sets_apart=False)
    else:
        yield check("not be missing", missing)
    if column.type == "float":
        yield check("be a finite number", ~value.is_finite())
    # A bound of whole numbers is a whole number, because floats do not hold all of them.
    known = finite(column)
    whole = column.type == "integer"
    if column.minimum is not None:
        low = math.ceil(column.minimum) if whole else column.minimum
        yield check(f"be at least {_bound(column.minimum)}", known < low)
    if column.maximum is not None:
        high = math.floor(column.maximum) if whole else column.maximum
        yield check(f"be at most {_bound(column.maximum)}", known > high)
    if column.allowed:
        listed = ", ".join(map(str, column.allowed))
        yield check(f"be one of {listed}", ~missing & ~value.is_in(list(column.allowed)))


def _unique_check(
    columns: list[str], severity: Severity = "error", tolerated_share: float = 0.0
) -> Check:
    repeated = nw.len().over(*columns) > 1
    known = ~nw.any_horizontal(*(nw.col(name).is_null() for name in columns), ignore_nulls=True)
    rule = f"{' and '.join(columns)} must occur once{' together' * (len(columns) > 1)}"
    return Check(columns, rule, known & repeated, severity, tolerated_share, unique=True)


def checks(contract: Contract) -> list[Check]:
    """Return every rule of the contract: columns, identifiers, unique columns, declared rules."""
    found = [check for column in contract.columns for check in _column_checks(column)]
    found.append(_unique_check(contract.identifiers))
    found += [
        _unique_check(list(item.columns), item.severity, item.tolerated_share)
        for item in contract.unique
    ]
    for rule in contract.rules:
        fails = broken(rule, contract)
        if rule.when is not None:
            fails = fails & holds(rule.when, contract)
        columns = rule.columns if rule.when is None else [*rule.columns, *rule.when.columns]
        condition = "" if rule.when is None else f" where {rule.when.describe()}"
        found.append(
            Check(
                list(dict.fromkeys(columns)),
                f"{rule.describe()}{condition}",
                fails,
                rule.severity,
                rule.tolerated_share,
                description=rule.description,
            )
        )
    return found


def _collect(frame: Frame) -> pa.Table:
    return frame.collect(backend="pyarrow").to_arrow()


def _counts(frame: Frame, rules: list[Check]) -> tuple[int, list[int]]:
    """Count the rows, and those that break each rule, in one pass and one more per unique set."""
    sums = {
        FLAG.format(i): check.broken.fill_null(False).cast(nw.Int64).sum()
        for i, check in enumerate(rules)
        if not check.unique
    }
    counted = _collect(frame.select(nw.len().alias(ROWS), **sums)).to_pylist()[0]
    counts = []
    for i, check in enumerate(rules):
        if check.unique:
            known = frame.filter(*[~nw.col(name).is_null() for name in check.columns])
            groups = known.group_by(*check.columns).agg(nw.len().alias(ROWS))
            repeated = groups.filter(nw.col(ROWS) > 1).select(nw.col(ROWS).sum())
            counts.append(int(_collect(repeated)[ROWS][0].as_py() or 0))
        else:
            counts.append(int(counted[FLAG.format(i)] or 0))
    return int(counted[ROWS]), counts


def _examples(
    frame: Frame, rules: dict[int, Check], keys: list[str]
) -> dict[int, list[dict[str, Any]]]:
    """Return, per rule, the first rows by identifier that break it, in one query."""
    if not rules:
        return {}
    involved = [*keys, *(name for check in rules.values() for name in check.columns)]
    shown = list(dict.fromkeys(involved))
    parts = [
        frame.select(*shown, check.broken.alias(FLAG.format(i)))
        .filter(nw.col(FLAG.format(i)))
        .select(*shown, nw.lit(i, nw.Int64).alias(RULE))
        .sort(*shown)
        .head(EXAMPLES)
        for i, check in rules.items()
    ]
    order = [(name, "ascending") for name in (RULE, *shown)]
    found: dict[int, list[dict[str, Any]]] = {i: [] for i in rules}
    for row in _collect(nw.concat(parts)).sort_by(order).to_pylist():
        names = dict.fromkeys([*keys, *rules[row[RULE]].columns])
        found[row[RULE]].append({name: row[name] for name in names})
    return found


def _status(check: Check, count: int, share: float) -> Status:
    if share <= check.tolerated_share:
        # Up to that share, missing values are what the rule allows, not an exception from it.
        return "tolerated" if count and check.sets_apart else "kept"
    return "broken" if check.severity == "error" else "warning"


def _flagged(frame: Frame, rules: dict[int, Check]) -> Frame:
    return frame.with_columns(
        check.broken.fill_null(False).alias(FLAG.format(i)) for i, check in rules.items()
    )


class Validation(NamedTuple):
    """The report, and the table divided: what goes on, and what is set apart with the reasons.

    ``quarantined`` is None when no row is set apart; ``valid`` is then the whole table.
    """

    report: ValidationReport
    valid: Frame
    quarantined: Frame | None


def validate(table: Frame | nw.DataFrame[Any], contract: Contract) -> Validation:
    """Check every rule of the contract.

    Args:
        table: the cleaned table, on any engine.
        contract: the rules: missing values, ranges, allowed values, unique columns, comparisons.

    Returns:
        The report, and the two parts of the table, not yet computed. ``quarantined`` has the
        column ``broken_rules``, which names what a row breaks, divided by semicolons.
    """
    frame: Frame = table.lazy()
    rules = checks(contract)
    rows, counts = _counts(frame, rules)
    shares = [count / max(rows, 1) for count in counts]
    states = [_status(*item) for item in zip(rules, counts, shares, strict=True)]
    found = {i: check for i, check in enumerate(rules) if states[i] != "kept"}
    examples = _examples(frame, found, contract.identifiers)
    results = []
    for i, check in enumerate(rules):
        results.append(
            RuleResult(
                rule=check.rule,
                description=check.description,
                columns=check.columns,
                severity=check.severity,
                tolerated_share=check.tolerated_share,
                count=counts[i],
                share=shares[i],
                status=states[i],
                examples=examples.get(i, []),
            )
        )
    order: list[Status] = ["kept", "tolerated", "warning", "broken"]
    status = max(states, key=order.index)
    guilty = {
        i: check for i, check in found.items() if check.severity == "error" and check.sets_apart
    }
    valid, quarantined, apart = frame, None, 0
    if guilty:
        names = list(frame.collect_schema().names())
        flagged = _flagged(frame, guilty)
        flags = [nw.col(FLAG.format(i)) for i in guilty]
        bad = nw.any_horizontal(*flags, ignore_nulls=True)
        reasons = [
            nw.when(nw.col(FLAG.format(i))).then(nw.lit(f"{check.rule}; ")).otherwise(nw.lit(""))
            for i, check in guilty.items()
        ]
        valid = flagged.filter(~bad).select(*names)
        quarantined = (
            flagged.filter(bad)
            .with_columns(nw.concat_str(reasons).str.strip_chars("; ").alias(BROKEN_RULES))
            .select(*names, BROKEN_RULES)
        )
        apart = int(_collect(flagged.filter(bad).select(nw.len().alias(ROWS)))[ROWS][0].as_py())
    report = ValidationReport(contract.table, rows, apart, status, results)
    return Validation(report, valid, quarantined)

"""Entries of files changed in place, so that comments and everything else stay as they are."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from utils.config import Column, Contract, ProjectError

WIDTH = 100
INDENT = "  "
# The order in which a column says what it is.
KEYS = [
    "name",
    "source",
    "role",
    "type",
    "format",
    "generated",
    "assigned",
    "unit",
    "description",
    "minimum",
    "maximum",
    "allowed",
    "aliases",
    "nullable",
    "maximum_missing_share",
    "severity",
    "tolerated_share",
    "example",
]


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Begin a deeper level."""
        del indentless
        super().increase_indent(flow, False)


def _flow(dumper: yaml.SafeDumper, values: Sequence[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(tuple, _flow)


def dump(value: object) -> str:
    """Return plain data as YAML; tuples stand in one line."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH, indent=2
    )


def inline(value: object) -> str:
    """Return plain data as YAML in one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
    )
    return text.removesuffix("...\n").strip()


def _column(column: Column) -> dict[str, Any]:
    """Return a column as plain data: what it is comes first, lists stand in one line."""
    plain: dict[str, Any] = msgspec.to_builtins(column)
    if column.allowed:
        plain["allowed"] = tuple(column.allowed)
    return {name: plain[name] for name in sorted(plain, key=KEYS.index)}


def contract_text(text: str, contract: Contract) -> str:
    """Return a data contract without rules as YAML, with the explanations that ``text`` has."""
    lines = text.splitlines()
    unique = [
        {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
        for entry in msgspec.to_builtins(contract.unique)
    ]
    parts: list[tuple[str, dict[str, Any]]] = [
        ("table", {name: getattr(contract, name) for name in ("table", "description")}),
        ("", {"provenance": contract.provenance}),
        ("", {"columns": [_column(column) for column in contract.columns]}),
        ("unique", {"unique": unique}),
        ("rules", {"rules": []}),
    ]
    written = [(_explanation(lines, key) if key else "") + dump(part) for key, part in parts]
    if contract.series is not None:
        series = inline(msgspec.to_builtins(contract.series))
        written.insert(2, f"{_explanation(lines, 'series')}series: {series}\n")
    return "".join(written)


def _explanation(lines: Sequence[str], key: str) -> str:
    """Return the comments above a section."""
    return "".join(f"{line}\n" for line in lines[slice(*_section(lines, key)[:2])])


def _section(lines: Sequence[str], key: str) -> tuple[int, int, int]:
    """Return where the comment above a section, the section and what follows it begin."""
    begins = [number for number, line in enumerate(lines) if re.match(rf"{re.escape(key)}:", line)]
    if len(begins) != 1:
        raise ProjectError(f"A file to be changed has no section {key}. Restore it from git.")
    begin = begins[0]
    end = begin + 1
    while end < len(lines) and (lines[end].startswith(" ") or not lines[end]):
        end += 1
    while not lines[end - 1]:
        end -= 1
    comment = begin
    while comment and lines[comment - 1].startswith("#"):
        comment -= 1
    return comment, begin, end


def replace_section(text: str, key: str, body: Sequence[str], comment: str = "") -> str:
    """Return YAML with the content of a top-level section replaced.

    Args:
        text: the file.
        key: the section.
        body: its new lines, indented by two; the comments above the section stay.
        comment: takes the place of the comments above the section, if given.

    Raises:
        ProjectError: there is no such section.
    """
    lines = text.splitlines()
    above, begin, end = _section(lines, key)
    head = [f"# {comment}"] if comment else lines[above:begin]
    return "\n".join([*lines[:above], *head, f"{key}:", *body, *lines[end:]]) + "\n"


def set_entries(text: str, key: str, entries: Mapping[str, Any]) -> str:
    """Return YAML with entries of a section set; None removes one, comments behind them stay.

    Raises:
        ProjectError: there is no such section.
    """
    lines = text.splitlines()
    _, begin, end = _section(lines, key)
    body = lines[begin + 1 : end]
    for name, value in entries.items():
        found = [
            number
            for number, line in enumerate(body)
            if re.match(rf"{INDENT}{re.escape(name)}:", line)
        ]
        line = f"{INDENT}{name}: {inline(value)}"
        if found:
            number = found[0]
            remark = re.search(r"\s#[^'\"]*$", body[number])
            last = number + 1
            while last < len(body) and body[last].startswith(INDENT + " "):
                last += 1
            if value is None:
                while number and body[number - 1].startswith(f"{INDENT}#"):
                    number -= 1  # the explanation of an entry goes with it
            body[number:last] = [] if value is None else [line + (remark[0] if remark else "")]
        elif value is not None:
            body.append(line)
    return "\n".join([*lines[: begin + 1], *body, *lines[end:]]) + "\n"


def replace_line(text: str, pattern: str, line: str) -> str:
    """Return text with the first line that matches a pattern replaced; as it is if none does."""
    return re.sub(pattern, lambda _: line, text, count=1, flags=re.MULTILINE)

"""Every file of the template, rendered for every combination of the answers it names.

What a file comes out as depends on these answers only, so this covers all combinations of all
answers, file by file.
"""

import ast
import csv
import io
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import yaml

from tests import template

FILES = [
    name
    for name in template.source_files()
    if not name.startswith(".template/") and not name.endswith(template.BINARY)
]
# GitHub's own expressions look like Jinja's.
GITHUB_EXPRESSION = re.compile(r"\$\{\{[^{}]*\}\}")


class AnyTag(yaml.SafeLoader):
    """Reads YAML with application tags such as GitLab's `!reference`."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


AnyTag.add_multi_constructor("!", _untagged)


def parse_csv(text: str) -> None:
    """Every row has as many fields as the header, whose names are unique."""
    header, *rows = csv.reader(io.StringIO(text))
    assert len(set(header)) == len(header)
    assert rows
    assert {len(row) for row in rows} == {len(header)}


def parse_yaml(text: str) -> None:
    """Well-formed YAML without repeated keys, which the loader would silently merge."""
    loader = AnyTag(text)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, yaml.MappingNode):
            keys = [key.value for key, _ in current.value if isinstance(key, yaml.ScalarNode)]
            assert len(set(keys)) == len(keys), f"repeated key in {keys}"
            pending += [value for _, value in current.value]
        elif isinstance(current, yaml.SequenceNode):
            pending += current.value


def parse_makefile(text: str) -> None:
    """Make reads the file and finds the commands of its help target."""
    # Nothing is run, not even what finds the interpreter: only the syntax counts here.
    command = ["make", "--dry-run", "--file=-", "SHELL=true", "help"]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def parse_notebook(text: str) -> None:
    """A valid notebook without outputs."""
    notebook = nbformat.from_dict(json.loads(text))  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]


def parse_dockerfile(text: str) -> None:
    """Starts from a base image, and no instruction ends in a continuation to nowhere."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines[0].split()[0] in {"FROM", "ARG"}
    assert not lines[-1].endswith("\\")


PARSERS: dict[str, Callable[[str], object]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".lock": parse_yaml,
    ".json": json.loads,
    ".ipynb": parse_notebook,
    ".csv": parse_csv,
    "Makefile": parse_makefile,
    "Dockerfile": parse_dockerfile,
}


def parser_of(name: str) -> Callable[[str], object] | None:
    """The parser for a file, by its name or its suffix."""
    path = Path(name)
    if name.endswith(template.DATA) and path.suffix != ".csv":
        return None
    return PARSERS.get(path.name) or PARSERS.get(path.suffix)


def leftovers(name: str, text: str) -> list[str]:
    """Traces that rendering leaves when something is wrong."""
    found = []
    if not name.endswith(template.COPIED):
        plain = GITHUB_EXPRESSION.sub("", text)
        found += [mark for mark in ("{{", "}}", "{%", "%}", "# {", "{#") if mark in plain]
        found += ["cookiecutter."] if "cookiecutter." in plain else []
    if not name.endswith(template.DATA):
        if re.search(r"\n{4,}", text):
            found.append("three blank lines")
        if re.search(r"[ \t]+$", text, flags=re.MULTILINE):
            found.append("space at the end of a line")
    if "\r" in text:
        found.append("carriage return")
    # A package marker or an empty folder's placeholder may be empty.
    if text and (not text.endswith("\n") or text.endswith("\n\n") or text.startswith("\n")):
        found.append("blank line at the start or end, or no line end")
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_variant_of_a_file_is_well_formed(name: str) -> None:
    """Parses by its format, and no trace of the template is left."""
    seen = set()
    for final, answers in template.variants(name):
        if name.endswith(template.COPIED):
            text = (template.SOURCE / name).read_text(encoding="utf-8")
        else:
            text = template.render_file(name, answers)
        if (final, text) in seen:
            continue
        seen.add((final, text))
        problems = leftovers(final, text)
        assert not problems, f"{final} for {answers}: {problems}"
        parse = parser_of(final)
        if parse is not None:
            try:
                parse(text)
            except Exception as error:
                raise AssertionError(f"{final} for {answers}: {error}") from error


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a {{ b }}\n", "{{"),
        ("# {% if a %}\n", "{%"),
        ("a\n\n\n\nb\n", "three blank lines"),
        ("a \n", "space at the end of a line"),
        ("a", "blank line at the start or end, or no line end"),
    ],
)
def test_traces_are_recognised(text: str, problem: str) -> None:
    """The check itself sees what it is there for."""
    assert problem in leftovers("README.md", text)
    assert not leftovers("ci.yml", "run: ${{ matrix.python }}\n")

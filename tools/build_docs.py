"""Writes the parts of the documentation that follow from the questions and the manifest.

These are the table of options in `README.md`, between two marks, and the whole of
`docs/options.md`.

    python tools/build_docs.py            write them
    python tools/build_docs.py --check    exit with 1 if one of them is out of date
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cookiecutter.prompt import render_variable
from cookiecutter.utils import create_env_with_context

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
OPTIONS = ROOT / "docs" / "options.md"
FOLDER = ROOT / "{{cookiecutter.project_slug}}"
START, END = "<!-- options: written by tools/build_docs.py -->", "<!-- end: options -->"
# Copied without rendering, so no answer can change their text.
COPIED = {".py", ".ipynb", ".csv", ".db", ".parquet", ".avro", ".avsc", ".pb", ".proto"}
CACHE = re.compile(r"__pycache__|\..*_cache|\.template")

INTRODUCTION = """# Options

<!-- written by tools/build_docs.py from cookiecutter.json and the manifest -->

Every question the template asks, in its order, with what each answer changes. The first choice is
the default. A question is asked only if its answer changes which files are rendered or what they
say; everything that only changes behaviour is a setting in the project's `params.yaml` and can be
changed at any time.

To answer later or differently, see [Updating a project](updating-a-project.md)."""

Context = Mapping[str, Any]


def load_context() -> dict[str, Any]:
    """Read the questions with their defaults and prompts."""
    context: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return context


def load_manifest() -> dict[str, Any]:
    """Read which files belong to which answers."""
    path = FOLDER / ".template" / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def questions(context: Context) -> list[str]:
    """Names of what is asked, in order."""
    return [name for name in context if not name.startswith("_")]


def question(context: Context, name: str) -> str:
    """How a question is put to people."""
    prompt = context["__prompts__"][name]
    return str(prompt["__prompt__"] if isinstance(prompt, dict) else prompt)


def meaning(context: Context, name: str, choice: str) -> str:
    """What a choice means, without the choice itself; empty when there is nothing to say."""
    label = str(context["__prompts__"][name][choice])
    return label.removeprefix(choice).removeprefix(":").strip()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def defaults(context: Context, given: Mapping[str, str]) -> dict[str, str]:
    """The answers that pressing Enter gives, after the given ones."""
    env = create_env_with_context({"cookiecutter": context})
    answers: dict[str, str] = {}
    for name in questions(context):
        value = context[name]
        first = value[0] if isinstance(value, list) else render_variable(env, value, answers)
        answers[name] = given.get(name, first)
    return answers


def owned_files(manifest: Mapping[str, Any], name: str, choice: str) -> list[str]:
    """Final names of the files that exist in this form only with this choice."""
    found = []
    for rule in manifest["owned"]:
        if choice in rule["when"].get(name, []):
            others = [
                f"`{option}` {' or '.join(f'`{other}`' for other in choices)}"
                for option, choices in rule["when"].items()
                if option != name
            ]
            suffix = f" (with {', '.join(others)})" if others else ""
            found += [f"`{final}`{suffix}" for final in rule["files"].values()]
    return sorted(found)


def mentions(name: str) -> list[str]:
    """Final names of the rendered files whose text depends on an answer."""
    uses = re.compile(rf"cookiecutter\.{name}\b".encode())
    found = []
    for path in sorted(FOLDER.rglob("*")):
        relative = path.relative_to(FOLDER)
        is_text = path.is_file() and path.suffix not in COPIED
        is_cache = any(CACHE.fullmatch(part) for part in relative.parts)
        if is_text and not is_cache and uses.search(path.read_bytes()):
            found.append(f"`{re.sub('__[^/]*$', '', relative.as_posix())}`")
    return list(dict.fromkeys(found))


def readme_table(context: Context) -> str:
    """One row per question."""
    rows = []
    for name in questions(context):
        choices = context[name]
        listed = ", ".join(f"`{choice}`" for choice in choices) if isinstance(choices, list) else ""
        rows.append([f"`{name}`", question(context, name), listed or "text"])
    return table(["Option", "Question", "Choices, the default first"], rows)


def option_section(context: Context, manifest: Mapping[str, Any], name: str) -> str:
    """What one question decides."""
    lines = [f"## `{name}`", "", f"{question(context, name)}.".replace("?.", "?"), ""]
    choices = context[name]
    if isinstance(choices, list):
        owned = {choice: owned_files(manifest, name, choice) for choice in choices}
        header = ["Choice", "Means", "Files of its own"]
        rows = [
            [f"`{choice}`", meaning(context, name, choice), ", ".join(owned[choice])]
            for choice in choices
        ]
        # a column that is empty in every row only takes room
        used = [column for column in range(3) if any(row[column] for row in rows)]
        lines.append(
            table([header[column] for column in used], [[row[c] for c in used] for row in rows])
        )
    else:
        values = {
            defaults(context, {"task": task})[name]: task for task in reversed(context["task"])
        }
        shown = [f"{value} (`{task}`)" for value, task in reversed(values.items())]
        lines.append(f"Default: {'; '.join(shown) if len(values) > 1 else next(iter(values))}.")
    named = mentions(name)
    if named:
        lines += ["", f"Changes the text of {', '.join(named)}."]
    return "\n".join(lines)


def refused_section(manifest: Mapping[str, Any]) -> str:
    """The combinations that are refused, with the reasons."""
    lines = ["## Refused combinations", ""]
    for rule in manifest["refused"]:
        when = ", ".join(
            f"`{option}` {' or '.join(f'`{choice}`' for choice in choices)}"
            for option, choices in rule["when"].items()
        )
        lines.append(f"- {when}: {rule['reason']}")
    return "\n".join(lines if manifest["refused"] else [*lines, "None: every combination works."])


def options_page(context: Context, manifest: Mapping[str, Any]) -> str:
    """The text of `docs/options.md`."""
    sections = [option_section(context, manifest, name) for name in questions(context)]
    return "\n\n".join([INTRODUCTION, *sections, refused_section(manifest)]) + "\n"


def with_table(readme: str, written: str) -> str:
    """The README with the table between its marks replaced.

    Raises:
        ValueError: The marks are missing.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"README.md lacks the marks {START} and {END}")
    return f"{before}{START}\n\n{written}\n\n{END}{after}"


def build() -> dict[Path, str]:
    """What each file should hold."""
    context = load_context()
    readme = README.read_text(encoding="utf-8")
    return {
        README: with_table(readme, readme_table(context)),
        OPTIONS: options_page(context, load_manifest()),
    }


def main() -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    arguments = parser.parse_args()
    old = [
        path
        for path, text in build().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if arguments.check:
        for path in old:
            print(f"{path.name} is out of date. Run python tools/build_docs.py.", file=sys.stderr)
        return 1 if old else 0
    for path, text in build().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

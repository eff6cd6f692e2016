"""Adoption: the project becomes one for another table, without a change to its code.

Usage: ``python -m utils.adopt --data PATH``, with what a person can say of the table as options;
``--help`` lists them. Types, roles and valid values of the columns are inferred; the data contract,
the settings, the README and the data are written after a look at the difference. The bundled sample
moves to ``tests/sample``, on which the tests go on running. Nothing changes if the table is
refused, and git undoes what was written.
"""

import argparse
import difflib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import narwhals as nw
import polars as pl

from data_prep.adoptable import preview
from data_prep.cleaning import clean
from data_prep.preview import ROWS, SOURCE_FOLDER, Preview
from data_prep.proposal import Proposal, propose
from data_prep.raw_store import Batch, append
from data_prep.storage import read_table
from data_prep.task_proposal import OPTIONS, USAGE
from data_prep.validation import validate
from data_prep.wishes import Wishes, listed
from model_deployment.postprocessing import output_columns
from utils.adopted import descriptions, settings_text
from utils.config import (
    PARAMS_PATH,
    SCHEMA_PATH,
    Column,
    Contract,
    Params,
    Project,
    ProjectError,
    load_contract,
    load_params,
)
from utils.files import atomic_path
from utils.logging import run
from utils.markdown import escape
from utils.readme import README, replace_parts
from utils.rewriting import contract_text, inline, replace_line, replace_section, set_entries

PYPROJECT = Path("pyproject.toml")
SAMPLE_FOLDER = Path("tests/sample")
UNITS = ("B", "kB", "MB", "GB")
THOUSAND = 1000
# Targets with more values have no answers that are named like them.
FEW = 200
BINARY = Column("target", "target", "integer", "", allowed=(0, 1))


class Change(NamedTuple):
    """What adoption does to the files of the project.

    Attributes:
        texts: new contents by path.
        copies: files to copy, by their place in the project.
        moves: files of the project that move, with where to.
    """

    texts: dict[Path, str]
    copies: dict[Path, Path]
    moves: dict[Path, Path]


# What is written


def _entries(values: Mapping[str, Any]) -> list[str]:
    return [f"    {name}: {inline(value)}" for name, value in values.items()]


def _mapping(name: str, values: Mapping[str, Any]) -> list[str]:
    return [f"  {name}:", *_entries(values)] if values else [f"  {name}: {{}}"]


def params_text(
    text: str, params: Params, proposal: Proposal, source: Mapping[str, Any], name: str
) -> str:
    """Return the settings for an adopted table; comments stay.

    Args:
        text: the settings as they are.
        params: the same, read.
        proposal: what was inferred.
        source: entries of the section ``source``.
        name: a new name of the project, empty to keep it.
    """
    contract = proposal.contract
    described = descriptions(contract)
    project = {"name": name or params.project.name, **described}
    text = set_entries(text, "project", project)
    text = set_entries(text, "source", source)
    if proposal.markers:
        markers = [*params.data.missing_markers, *proposal.markers]
        text = set_entries(text, "data", {"missing_markers": markers})
    derived = msgspec.to_builtins(proposal.transformation)
    body = [
        *_mapping("elapsed_days", derived["elapsed_days"]),
        *_mapping("calendar", derived["calendar"]),
        f"  logarithm: {inline(list(derived['logarithm']))}",
    ]
    text = replace_section(text, "transformation", body)
    ratios = msgspec.to_builtins(proposal.features)["ratios"]
    text = replace_section(text, "features", _mapping("ratios", ratios))
    held_out = {
        "time": "the newest rows are held out; or: random",
        "random": "the rows held out are drawn; or time: the newest",
        "group": "whole groups of rows are held out; or: random, or time: the newest",
    }
    if proposal.split != params.split.method:
        line = f"  method: {proposal.split} # {held_out[proposal.split]}"
        text = replace_line(text, r"^  method: (?:time|random|group)( #.*)?$", line)
    text = set_entries(text, "evaluation", {"segments": list(proposal.segments)})
    text = set_entries(text, "monitoring", {"minimum_rows": proposal.minimum_rows})
    for section, entries in proposal.settings.items():
        text = set_entries(text, section, entries)
    return settings_text(text, params, proposal)


def readme_text(text: str, contract: Contract, name: str, project: Project) -> str:
    """Return the README with a new problem statement, and without the results of another table.

    Args:
        text: the README as it is.
        contract: what the new table is.
        name: a new name of the project, empty to keep it.
        project: what the project was about.
    """
    said = {key: f"{escape(value)}." for key, value in descriptions(contract).items()}
    if name:
        text = text.replace(f"# {escape(project.name)}\n", f"# {escape(name)}\n", 1)
    for former in (escape(project.description), project.description):
        text = replace_line(text, rf"^{re.escape(former)}\.?$", said["description"])
    text = replace_line(text, r"^- \*\*Input\.\*\* .*$", f"- **Input.** {said['model_input']}")
    text = replace_line(text, r"^- \*\*Output\.\*\* .*$", f"- **Output.** {said['model_output']}")
    measured = re.findall(r"<!-- measured: (\w+) -->", text)
    parts = dict.fromkeys(measured, "`make run` writes this part.")
    rows = [
        f"| `{column.name}` | {column.role} | {column.type} | {escape(column.description)} |"
        for column in contract.columns
    ]
    dictionary = ["| Column | Role | Type | Meaning |", "|---|---|---|---|", *rows]
    about = f"{escape(contract.description)} {escape(contract.provenance)}"
    parts["data"] = "\n".join(
        ["`make run` writes what cleaning did here.", "", about, "", *dictionary]
    )
    return replace_parts(text, parts)


def change(root: Path, found: Preview, proposal: Proposal, params: Params, name: str) -> Change:
    """Return what has to be written for an adopted table.

    Args:
        root: the project.
        found: the table, as it was looked at.
        proposal: what was inferred from it.
        params: the settings as they are.
        name: a new name of the project, empty to keep it.
    """
    contract = proposal.contract
    before = {
        path: (root / path).read_text(encoding="utf-8")
        for path in (SCHEMA_PATH, PARAMS_PATH, README, PYPROJECT)
    }
    description = (
        f"description = {msgspec.json.encode(descriptions(contract)['description']).decode()}"
    )
    texts = {
        SCHEMA_PATH: contract_text(before[SCHEMA_PATH], contract),
        PARAMS_PATH: params_text(before[PARAMS_PATH], params, proposal, found.source, name),
        README: readme_text(before[README], contract, name, params.project),
        PYPROJECT: replace_line(before[PYPROJECT], r"^description = .*$", description),
    }
    moves: dict[Path, Path] = {}
    if not (root / SAMPLE_FOLDER).exists():
        # the tests keep the table that they were written for
        for path in (SCHEMA_PATH, PARAMS_PATH):
            texts[SAMPLE_FOLDER / path] = before[path]
        moves = {
            path.relative_to(root): SAMPLE_FOLDER / path.relative_to(root)
            for path in sorted((root / SOURCE_FOLDER).glob("*"))
            if path.is_file()
        }
    return Change(texts, found.copies, moves)


# Checks


def check_undoable(root: Path) -> None:
    """Check that git can undo what adoption changes.

    Raises:
        ProjectError: there is no commit yet, or a file to be changed differs from it.
    """
    touched = [SCHEMA_PATH, PARAMS_PATH, README, PYPROJECT, SOURCE_FOLDER, SAMPLE_FOLDER]
    advice = 'Commit first, so that git can undo the adoption: git add -A && git commit -m "Before"'
    git = shutil.which("git")
    if git is None:
        raise ProjectError("git was not found. Install it, so that the adoption can be undone.")
    for command in (
        [git, "rev-parse", "--verify", "--quiet", "HEAD"],
        [git, "status", "--porcelain", "--", *map(str, touched)],
    ):
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise ProjectError(f"The project has no commit yet. {advice}.")
    if done.stdout.strip():
        files = ", ".join(sorted(line[3:] for line in done.stdout.splitlines())[:5])
        raise ProjectError(f"Files that adoption changes are not committed: {files}. {advice}.")


def check_proposal(changed: Change, found: Preview) -> None:
    """Check that the new settings are valid and that the looked-at rows keep the new contract.

    Raises:
        ProjectError: they don't, so that the table can't be adopted as it is.
    """
    with TemporaryDirectory() as folder:
        written = Path(folder)
        for path in (SCHEMA_PATH, PARAMS_PATH):
            (written / path).write_text(changed.texts[path], encoding="utf-8")
        contract = load_contract(written / SCHEMA_PATH)
        params = load_params(written / PARAMS_PATH, written / SCHEMA_PATH)
        append(written / "raw", Batch(found.records, {}), contract, found.table)
        raw = nw.from_native(pl.DataFrame(read_table(written / "raw")), eager_only=True)
    report = validate(clean(raw, contract, params.data.missing_markers), contract).report
    if not report.passed:
        raise ProjectError(f"The records do not keep the inferred contract: {report.summary()}")


# Showing and writing


def _size(path: Path) -> str:
    size, unit = float(path.stat().st_size), 0
    while size >= THOUSAND and unit < len(UNITS) - 1:
        size, unit = size / THOUSAND, unit + 1
    return f"{size:.3g} {UNITS[unit]}"


def difference(changed: Change, root: Path) -> str:
    """Return what would change, as a unified diff."""
    shown = []
    for path, text in changed.texts.items():
        if SAMPLE_FOLDER in path.parents:
            shown.append(f"copy: {path.relative_to(SAMPLE_FOLDER)} -> {path}\n")
            continue
        before = (root / path).read_text(encoding="utf-8").splitlines(keepends=True)
        lines = text.splitlines(keepends=True)
        shown += difflib.unified_diff(before, lines, f"a/{path}", f"b/{path}")
    shown += [f"move: {path} -> {place}\n" for path, place in changed.moves.items()]
    shown += [
        f"copy: {path} -> {place} ({_size(path)})\n" for place, path in changed.copies.items()
    ]
    return "".join(shown)


@contextmanager
def _all_or_nothing(paths: list[Path]) -> Iterator[dict[Path, Path]]:
    """Yield a temporary path for each; they take their places together at the end."""
    if not paths:
        yield {}
        return
    first, *rest = paths
    with atomic_path(first) as temporary, _all_or_nothing(rest) as others:
        yield {first: temporary, **others}


def write(changed: Change, root: Path) -> None:
    """Write what was shown: everything beside its place first, then all of it takes its place."""
    texts = {root / path: text for path, text in changed.texts.items()}
    copies = {root / place: path for place, path in changed.copies.items()}
    with _all_or_nothing([*texts, *copies]) as temporary:
        for place, text in texts.items():
            temporary[place].write_text(text, encoding="utf-8", newline="\n")
        for place, path in copies.items():
            shutil.copyfile(path, temporary[place])
        for path, place in changed.moves.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / path).replace(root / place)


# The command


def _formats(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, sign, pattern = text.rpartition("=")
        if not sign:
            raise ProjectError(f"FORMAT {text!r} is not written as COLUMN=PATTERN.")
        found[name] = pattern
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the table: a path, URL or database")
    parser.add_argument("--target", default="", help="the column that the model is about")
    parser.add_argument("--task", default="", help="what the project is for, to check it")
    parser.add_argument(
        "--table", default="", help="table of a database, or a name for the records"
    )
    parser.add_argument(
        "--id", default="", help="columns that identify a row, with commas; inferred"
    )
    parser.add_argument("--time", default="", help="column that orders rows, or none; inferred")
    parser.add_argument("--ignore", default="", help="columns to leave out, with commas")
    parser.add_argument(
        "--format", default=[], action="append", help="COLUMN=PATTERN of its moments"
    )
    for name, meaning in OPTIONS.items():
        parser.add_argument(f"--{name}", default="", help=meaning)
    parser.add_argument("--name", default="", help="a new name of the project")
    parser.add_argument("--yes", default=False, action="store_true", help="write without asking")
    return parser.parse_args()


def agreed() -> bool:
    """Ask whether to write.

    Raises:
        ProjectError: nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise ProjectError("Nothing was changed. Run it again with YES=1 to write this.")
    return input("Write these changes? [y/N] ").strip().lower() in {"y", "yes"}


def answered(records: pl.DataFrame, target: str) -> frozenset[str]:
    """Return the names that columns of answers have, which no column of the records may have."""
    classes: list[str] = []
    if target in records.columns and records[target].n_unique() <= FEW:
        classes = sorted({str(value) for value in records[target]})
    several = Column("target", "target", "string", "", allowed=(*classes, "0", "1", "2"))
    names = {answer.name for answer in [*output_columns(several), *output_columns(BINARY)]}
    return frozenset({*names, "score", "model_version"})


def wishes(arguments: argparse.Namespace, params: Params, records: pl.DataFrame) -> Wishes:
    """Return what a person said, checked against what the project is for.

    Raises:
        ProjectError: the task is not that of the project, or a format has no column.
    """
    task = params.project.task
    if arguments.task not in {"", task}:
        raise ProjectError(
            f"This project is rendered for {task}. For TASK={arguments.task}, render another one: "
            f"`cookiecutter TEMPLATE task={arguments.task}`, and adopt the table there."
        )
    return Wishes(
        target=arguments.target,
        task=task,
        explicit=bool(arguments.task),
        identifiers=listed(arguments.id),
        time=arguments.time,
        ignored=listed(arguments.ignore),
        formats=_formats(arguments.format),
        reserved=answered(records, arguments.target),
        options={name: getattr(arguments, name) for name in OPTIONS},
    )


def main() -> None:
    """Look at the table, show what would change, ask, and write it."""
    arguments, root = _arguments(), Path()
    if not arguments.data:
        raise ProjectError(f"Say which table: {USAGE}.")
    params = load_params()
    check_undoable(root)
    found = preview(arguments.data, arguments.table)
    origin = found.origin.partition("?")[0]  # the query of a URL may hold a secret
    records = pl.DataFrame(found.records)
    proposal = propose(
        records,
        wishes(arguments, params, records),
        found.table,
        origin,
        params.data.missing_markers,
    )
    changed = change(root, found, proposal, params, arguments.name)
    check_proposal(changed, found)
    looked_at = f"{found.records.num_rows:,} rows"
    if found.records.num_rows == ROWS:
        looked_at = f"the first {looked_at}"
    notes = "\n".join(f"- {note}" for note in proposal.notes)
    print(difference(changed, root))  # noqa: T201
    print(f"Looked at {looked_at}:\n{notes}\n")  # noqa: T201
    if not arguments.yes and not agreed():
        print("Nothing was changed.")  # noqa: T201
        return
    write(changed, root)
    print("The project is adopted. `make run` trains on it; git restores what was before.")  # noqa: T201


if __name__ == "__main__":
    run(main)

"""Chooses the files of a rendered project from the answers given to the template.

Every variant of a file is rendered; the manifest says which answers each belongs to. The chosen
variants move to their final names and all others go. Files the manifest does not list stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

Answers = Mapping[str, object]
When = Mapping[str, Sequence[str]]


class Owned(TypedDict):
    """Files that belong to some answers: rendered path -> final path."""

    when: When
    files: Mapping[str, str]


class Refused(TypedDict):
    """A combination of answers that has no working project, and why."""

    when: When
    reason: str


class Manifest(TypedDict):
    """The whole declaration: which files belong to which answers, and what is refused."""

    owned: Sequence[Owned]
    refused: Sequence[Refused]


class SelectionError(Exception):
    """The manifest, the answers and the rendered files do not fit together."""


@dataclass(frozen=True)
class Plan:
    """What happens to the listed files.

    Attributes:
        kept: (rendered path, final path) of each chosen file; equal when it stays in place.
        dropped: Rendered paths of the variants that were not chosen.
    """

    kept: tuple[tuple[str, str], ...]
    dropped: tuple[str, ...]


def holds(when: When, answers: Answers) -> bool:
    """Whether every option named in `when` was answered with one of its listed choices.

    Raises:
        SelectionError: `when` names an option that has no answer.
    """
    unknown = sorted(set(when) - set(answers))
    if unknown:
        raise SelectionError(f"the manifest asks for options without an answer: {unknown}")
    return all(answers[option] in choices for option, choices in when.items())


def refusals(manifest: Manifest, answers: Answers) -> list[str]:
    """Reasons why these answers have no project; empty when they are fine."""
    return [rule["reason"] for rule in manifest["refused"] if holds(rule["when"], answers)]


def plan(manifest: Manifest, answers: Answers) -> Plan:
    """Decide which variants stay, and under which names, without touching any file.

    A file listed under several conditions stays when any of them holds.

    Raises:
        SelectionError: The answers are refused, a file has two final names, or two files have one.
    """
    reasons = refusals(manifest, answers)
    if reasons:
        raise SelectionError("; ".join(reasons))
    listed: set[str] = set()
    kept: dict[str, str] = {}
    owners: dict[str, str] = {}
    for rule in manifest["owned"]:
        listed |= set(rule["files"])
        if not holds(rule["when"], answers):
            continue
        for source, final in rule["files"].items():
            if kept.setdefault(source, final) != final:
                raise SelectionError(f"{source} has two final names: {kept[source]} and {final}")
            if owners.setdefault(final, source) != source:
                raise SelectionError(f"{owners[final]} and {source} both become {final}")
    # A file whose name a chosen variant takes is replaced by the move. Not dropping it is what
    # makes a second run harmless.
    dropped = listed - set(kept) - set(owners)
    return Plan(kept=tuple(sorted(kept.items())), dropped=tuple(sorted(dropped)))


def apply(root: Path, decided: Plan) -> None:
    """Carry out a plan in the folder `root`; a second time changes nothing.

    Raises:
        SelectionError: A chosen file is neither at its rendered nor at its final path.
        OSError: A file could not be moved or removed.
    """
    lost = [
        source
        for source, final in decided.kept
        if not (root / source).is_file() and not (root / final).is_file()
    ]
    if lost:
        raise SelectionError(f"files named in the manifest were not rendered: {lost}")
    for source in decided.dropped:
        (root / source).unlink(missing_ok=True)
    for source, final in decided.kept:
        if source != final and (root / source).is_file():
            (root / final).parent.mkdir(parents=True, exist_ok=True)
            (root / source).replace(root / final)
    for source in (*decided.dropped, *(source for source, _ in decided.kept)):
        _remove_empty_folders(root, (root / source).parent)


def _remove_empty_folders(root: Path, folder: Path) -> None:
    """Remove `folder` and its parents below `root` as long as they are empty."""
    while folder != root and not (folder.is_dir() and any(folder.iterdir())):
        if folder.is_dir():
            folder.rmdir()
        folder = folder.parent

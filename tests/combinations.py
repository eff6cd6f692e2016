"""Few combinations of answers that cover every interaction of a given strength.

Popular pairwise libraries lose feasible tuples once combinations are refused. This one is complete
by construction: every row starts from a tuple that is still uncovered.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

Options = Mapping[str, Sequence[str]]
Row = dict[str, str]
When = Mapping[str, Sequence[str]]
Tuple = tuple[tuple[str, str], ...]


def violates(row: Mapping[str, str], refused: Sequence[When]) -> bool:
    """Whether the options answered so far already match a refused combination."""
    return any(all(row.get(option) in when[option] for option in when) for when in refused)


def complete_row(row: Row, options: Options, refused: Sequence[When]) -> Row | None:
    """A valid answer to all options that extends `row`, or None when there is none."""
    if violates(row, refused):
        return None
    missing = next((option for option in options if option not in row), None)
    if missing is None:
        return row
    for choice in options[missing]:
        found = complete_row({**row, missing: choice}, options, refused)
        if found is not None:
            return found
    return None


def tuples(options: Options, strength: int) -> Iterator[Tuple]:
    """Every combination of choices of every `strength` options, in a fixed order."""
    for names in combinations(options, min(strength, len(options))):
        for choices in product(*(options[name] for name in names)):
            yield tuple(zip(names, choices, strict=True))


def feasible_tuples(options: Options, strength: int, refused: Sequence[When]) -> list[Tuple]:
    """The tuples that occur in at least one valid combination."""
    return [
        chosen
        for chosen in tuples(options, strength)
        if complete_row(dict(chosen), options, refused) is not None
    ]


def covering_array(
    options: Options,
    strength: int,
    refused: Sequence[When] = (),
    given: Sequence[Mapping[str, str]] = (),
) -> list[Row]:
    """Valid combinations in which every feasible tuple of `strength` choices occurs.

    Args:
        options: Name and choices of each option.
        strength: How many options interact at most.
        refused: Conditions (option -> choices); a row matching all of one is not valid.
        given: Rows that exist already; what they cover need not occur again.

    Returns:
        Rows that each answer all options; the same rows for the same arguments.
    """
    strength = min(strength, len(options))
    # A dict and not a set: the order of sets of strings changes from run to run.
    uncovered = {
        frozenset(chosen): chosen for chosen in feasible_tuples(options, strength, refused)
    }
    for existing in given:
        _cover(existing, options, strength, uncovered)
    rows = []
    while uncovered:
        row: Row = dict(next(iter(uncovered.values())))
        for name in options:
            if name not in row:
                row[name] = _best_choice(row, name, options, refused, uncovered)
        _cover(row, options, strength, uncovered)
        rows.append({name: row[name] for name in options})
    return rows


def _cover(
    row: Mapping[str, str],
    options: Options,
    strength: int,
    uncovered: dict[frozenset[tuple[str, str]], Tuple],
) -> None:
    """Take from `uncovered` what a row covers."""
    for names in combinations(options, strength):
        uncovered.pop(frozenset((name, row[name]) for name in names), None)


def _best_choice(
    row: Row,
    name: str,
    options: Options,
    refused: Sequence[When],
    uncovered: Mapping[frozenset[tuple[str, str]], Tuple],
) -> str:
    """The choice for `name` that covers most open tuples and leaves a valid row possible."""
    strength = len(next(iter(uncovered)))
    feasible = [
        choice
        for choice in options[name]
        if complete_row({**row, name: choice}, options, refused) is not None
    ]

    def gain(choice: str) -> int:
        return sum(
            frozenset((*others, (name, choice))) in uncovered
            for others in combinations(row.items(), strength - 1)
        )

    return max(feasible, key=gain)

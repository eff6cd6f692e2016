"""The explanation of the model in Markdown: what it uses, how, and where it errs."""

from collections.abc import Iterable
from typing import Any

from utils.markdown import escape, number, table

SHOWN_COLUMNS = 12
SHOWN_SEGMENTS = 10
SHOWN_ERRORS = 5

Report = dict[str, Any]


def interval(estimate: dict[str, float | None]) -> str:
    """Return an estimate with its confidence interval, a dash for one that is not defined."""
    if estimate["value"] is None:
        return "–"
    return f"{number(estimate['value'])} ({number(estimate['low'])} to {number(estimate['high'])})"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def matters(item: dict[str, float | None]) -> bool:
    """Whether the model is worse for certain without a column."""
    return item["low"] is not None and item["low"] > 0


def importance_sentence(report: Report) -> str:
    """Name the columns that the model lives on, and those that make no measurable difference."""
    used = [item["column"] for item in report["importance"] if matters(item)]
    idle = [item["column"] for item in report["importance"] if not matters(item)]
    said = (
        f"The model lives mostly on {_code(used[:3])}."
        if used
        else "No single column makes a measurable difference to the model."
    )
    if used and idle:
        word = "makes" if len(idle) == 1 else "make"
        said += f" {_code(idle)} {word} no measurable difference."
    return said


def _importance_lines(report: Report) -> list[str]:
    unit = f" ({escape(report['unit'])})" if report["unit"] else ""
    shown = [item for item in report["importance"] if item["value"] is not None][:SHOWN_COLUMNS]
    return [
        f"*What the model uses.* {importance_sentence(report)} A column counts as much as the "
        f"{report['metric']} gets worse when its values are shuffled between "
        f"{report['rows_shuffled']:,} held-out rows, so that they no longer fit; intervals hold "
        f"with {report['confidence']:.0%} confidence. Columns that say nearly the same share their "
        "importance, because each stands in for the other.",
        "",
        table(
            ["Column", f"How much worse the {report['metric']}{unit} gets", "Measurable"],
            [
                [f"`{item['column']}`", interval(item), "yes" if matters(item) else "no"]
                for item in shown
            ],
        ),
    ]


def _place(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{number(value)} {escape(unit)}".rstrip()


def _curve_sentence(curve: Report) -> str:
    values, unit = curve["values"], curve["unit"]
    means = next(iter(curve["answers"].values()))
    low = min(range(len(means)), key=lambda at: means[at])
    high = max(range(len(means)), key=lambda at: means[at])
    ends = f"{number(means[0])} at {_place(values[0], unit)} to {number(means[-1])} at "
    ends += _place(values[-1], unit)
    if isinstance(values[0], str) or {low, high} != {0, len(means) - 1}:
        ends = f"{number(means[low])} at {_place(values[low], unit)} (the lowest) to "
        ends += f"{number(means[high])} at {_place(values[high], unit)} (the highest)"
    return f"- `{curve['input']}`: from {ends}."


def _curve_lines(report: Report) -> list[str]:
    if not report["curves"]:
        return []
    names = list(report["curves"][0]["answers"])
    shown = f"Mean {escape(names[0])}:"
    if len(names) > 1:
        every = report["answers"]
        few = len(names) < every
        which = f"the {len(names)} most frequent of {every} answers" if few else "all answers"
        shown = (
            f"The figure shows {which}; below is the mean {escape(names[0])}, the most frequent:"
        )
    return [
        "*How the answers move.* Each input is set to other values in all held-out rows while the "
        "rest stays as it is. That is what the model would answer, not what would happen: a cause "
        f"is not shown by it. {shown}",
        "",
        *map(_curve_sentence, report["curves"]),
    ]


def _measured(report: Report) -> bool:
    """Whether the rows have outcomes, so that the model can err."""
    return all(item["outcome"] is not None for item in report["largest_errors"])


def _segment_lines(report: Report) -> list[str]:
    found = report["segments"]["segments"]
    errs = _measured(report)
    higher = f"higher in {escape(report['loss'][:1].lower() + report['loss'][1:])}"
    asks, worse = ("Where it errs", "worse") if errs else ("Where rows stand out", higher)
    looked = f"{report['segments']['looked_at']:,} segments (one input, or two of the most "
    looked += "important ones)"
    if not found:
        return [
            f"*{asks}.* Of {looked} none is {worse} than the rest beyond chance, with a "
            "correction for looking at so many."
        ]
    header = ["Segment", "Rows", "Share of the rows", f"{report['loss']} there", "Elsewhere"]
    header += ["Share of the total loss"]
    rows = [
        [
            " and ".join(
                f"`{name}` = {escape(label)}" for name, label in item["conditions"].items()
            ),
            f"{item['rows']:,}",
            f"{item['share_of_rows']:.1%}",
            number(item["loss"]),
            number(item["loss_elsewhere"]),
            f"{item['share_of_loss']:.1%}",
        ]
        for item in found[:SHOWN_SEGMENTS]
    ]
    more = f"; the first {SHOWN_SEGMENTS} are listed" if len(found) > len(rows) else ""
    why = (
        " Rows whose outcome nobody could foretell lose more as well; where that is not the "
        "reason, more rows like these, or a column that tells them apart, would help the most."
        if errs
        else ""
    )
    return [
        f"*{asks}.* Of {looked}, {len(found)} {'is' if len(found) == 1 else 'are'} {worse} "
        f"than the rest beyond chance, with a correction for looking at so many{more}.{why}",
        "",
        table(header, rows),
    ]


def _error_lines(report: Report) -> list[str]:
    listed = report["largest_errors"]
    if not listed:
        return []
    errs = _measured(report)
    header = [*(f"`{name}`" for name in listed[0]["key"]), *["Outcome"] * errs]
    header += [*map(str.capitalize, map(escape, listed[0]["answers"])), *["Loss"] * errs]
    rows = [
        [
            *(escape(value) for value in item["key"].values()),
            *([_place(item["outcome"], "")] if errs else []),
            *(_place(value, "") for value in item["answers"].values()),
            *([number(item["loss"])] if errs else []),
        ]
        for item in listed[:SHOWN_ERRORS]
    ]
    return [
        f"*The {'largest errors' if errs else 'rows that stand out most'}*, of {len(listed)} that "
        f"are kept with all their inputs in "
        "`data/largest_errors.csv`:",
        "",
        table(header, rows),
    ]


def explanation_part(report: Report, figures: str) -> str:
    """Say what the model uses, how its answers move, and where it errs.

    Args:
        report: what ``model_training.explanation`` wrote.
        figures: the figures in Markdown.
    """
    parts = [_importance_lines(report), _curve_lines(report), [figures]]
    parts += [_segment_lines(report), _error_lines(report)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)

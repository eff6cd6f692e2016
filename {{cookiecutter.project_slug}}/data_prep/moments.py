"""Moments in other forms than ISO 8601, brought into it on any engine.

A format is a pattern of strptime with directives of ``PARTS``, such as ``%d/%m/%Y``, or one of the
counts since 1970. Engines differ in what their parsers take and in how a replacement names a group,
so text is cut into its parts by removing what stands before and after each.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import narwhals as nw

from data_prep.portable import keep
from utils.config import ProjectError

Step = Callable[[nw.Expr], nw.Expr]

SECONDS, MILLISECONDS = "epoch_seconds", "epoch_milliseconds"
DIRECTIVE = re.compile("(%[A-Za-z])")
# What each directive stands for, and the lower-case text that it matches.
PARTS = {
    "%Y": ("year", "[0-9]{4}"),
    "%y": ("short year", "[0-9]{2}"),
    "%m": ("month", "[0-9]{1,2}"),
    "%b": ("month name", "[a-z]{3,9}"),
    "%d": ("day", "[0-9]{1,2}"),
    "%H": ("hour", "[0-9]{1,2}"),
    "%I": ("hour", "[0-9]{1,2}"),
    "%M": ("minute", "[0-9]{1,2}"),
    "%S": ("second", "[0-9]{1,2}"),
    "%p": ("half", "[ap]m"),
}
ISO = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[t ].*)?$"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EPOCH = datetime(1970, 1, 1)
# The last second that all engines know: the end of the year 9999.
LAST_SECOND = 253_402_300_799


class Part(NamedTuple):
    """A part of a moment, with what of the text lies before and after it, as expressions."""

    name: str
    before: str
    after: str


class Form(NamedTuple):
    """A format, ready for reading: its parts, and the expression that a whole text matches."""

    parts: dict[str, Part]
    whole: str


def form(pattern: str) -> Form:
    """Read a pattern of strptime, for lower-case text.

    A number has one or two digits, and two where no other character divides it from the next.

    Raises:
        ProjectError: the pattern is none that can be read, such as one without a year.
    """
    pieces = [piece for piece in DIRECTIVE.split(pattern.replace("%B", "%b")) if piece]
    names = [PARTS[piece][0] for piece in pieces if piece in PARTS]
    once = len(set(names)) == len(names)
    months = {"month", "month name"} & set(names)
    years = {"year", "short year"} & set(names)
    twelve = ("%I" in pieces) == ("%p" in pieces)
    known = all(piece in PARTS or "%" not in piece for piece in pieces)
    if not (known and once and twelve and len(months) == len(years) == 1):
        raise ProjectError(
            f"The format {pattern!r} in schema.yaml can't be read. Write {SECONDS}, {MILLISECONDS} "
            f"or a pattern of {', '.join(PARTS)} with one year and one month, such as %d/%m/%Y."
        )
    texts = []
    for position, piece in enumerate(pieces):
        around = pieces[max(position - 1, 0) : position + 2]
        divided = sum(neighbour in PARTS for neighbour in around) == 1
        text = PARTS[piece][1] if piece in PARTS else re.escape(piece.lower())
        texts.append(text if divided else text.replace("{1,2}", "{2}"))
    parts = {
        PARTS[piece][0]: Part(
            PARTS[piece][0],
            f"^{''.join(texts[:position])}",
            f"{''.join(texts[position + 1 :])}$",
        )
        for position, piece in enumerate(pieces)
        if piece in PARTS
    }
    return Form(parts, f"^{''.join(texts)}$")


def _cut(value: nw.Expr, part: Part) -> nw.Expr:
    return value.str.replace_all(part.before, "").str.replace_all(part.after, "")


def _two_digits(value: nw.Expr) -> nw.Expr:
    short = value.str.contains("^[0-9]$")
    return nw.when(short).then(nw.concat_str([nw.lit("0"), value])).otherwise(value)


def _named(value: nw.Expr, numbers: dict[str, str]) -> nw.Expr:
    """Return what the texts of a table stand for, missing for a text that is not there."""
    return value.replace_strict(
        list(numbers), list(numbers.values()), default=None, return_dtype=nw.String
    )


def _hour(value: nw.Expr, parts: dict[str, Part]) -> nw.Expr:
    hour = _two_digits(_cut(value, parts["hour"]))
    if "half" not in parts:
        return hour
    numbers = {
        f"{number or 12:02}{half}": f"{number + later:02}"
        for half, later in (("am", 0), ("pm", 12))
        for number in range(12)
    }
    return _named(nw.concat_str([hour, _cut(value, parts["half"])]), numbers)


def _year(value: nw.Expr, parts: dict[str, Part]) -> nw.Expr:
    if "year" in parts:
        return _cut(value, parts["year"])
    short = _cut(value, parts["short year"])
    # the rule of POSIX: 69 to 99 lie in the last century
    last = short.str.contains("^(?:69|[7-9][0-9])$")
    century = nw.when(last).then(nw.lit("19")).otherwise(nw.lit("20"))
    return nw.concat_str([century, short])


def _month(value: nw.Expr, parts: dict[str, Part]) -> nw.Expr:
    if "month" in parts:
        return _two_digits(_cut(value, parts["month"]))
    numbers = {name: f"{number:02}" for number, name in enumerate(MONTHS, start=1)}
    return _named(_cut(value, parts["month name"]).str.slice(0, 3), numbers)


def _iso(value: nw.Expr, found: Form) -> nw.Expr:
    def number(name: str, absent: str) -> nw.Expr:
        part = found.parts.get(name)
        return _two_digits(_cut(value, part)) if part else nw.lit(absent)

    hour = _hour(value, found.parts) if "hour" in found.parts else nw.lit("00")
    texts = [
        _year(value, found.parts),
        nw.lit("-"),
        _month(value, found.parts),
        nw.lit("-"),
        number("day", "01"),
        nw.lit(" "),
        hour,
        nw.lit(":"),
        number("minute", "00"),
        nw.lit(":"),
        number("second", "00"),
    ]
    return nw.concat_str(texts)


def to_iso(pattern: str) -> list[Step]:
    """Return the steps that turn texts in a format into ISO 8601; others become missing.

    ISO 8601 itself stays, because cleaned records that are written to a file have it, and so do
    days that don't exist.

    Raises:
        ProjectError: the format can't be read.
    """
    found = form(pattern)

    def converted(value: nw.Expr) -> nw.Expr:
        return nw.when(value.str.contains(ISO)).then(value).otherwise(_iso(value, found))

    return [
        lambda value: value.str.to_lowercase(),
        lambda value: keep(value, value.str.contains(f"{found.whole}|{ISO}")),
        converted,
        lambda value: value.str.to_uppercase(),
    ]


def from_epoch(pattern: str, implementation: nw.Implementation) -> list[Step]:
    """Return the steps that turn whole numbers since 1970 into moments; negative ones are missing.

    Not every engine casts a number of microseconds to a moment; the others add seconds to 1970.
    """
    per_second = 1000 if pattern == MILLISECONDS else 1

    def seconds(value: nw.Expr) -> nw.Expr:
        known = keep(value, (value >= 0) & (value <= LAST_SECOND * per_second))
        if per_second == 1:
            return known
        if not implementation.is_spark_like():
            return known // per_second
        # what is left divides without a rest, so it is exact on the way through floats, too
        return ((known - known % per_second) / per_second).cast(nw.Int64)

    def moment(value: nw.Expr) -> nw.Expr:
        if implementation.is_pandas_like() or implementation.is_polars():
            return (value * 1_000_000).cast(nw.Datetime("us"))
        if implementation.is_spark_like():
            return value.cast(nw.Datetime("us", "UTC")).cast(nw.Datetime("us"))
        return nw.lit(EPOCH) + value * nw.lit(timedelta(seconds=1))

    return [seconds, moment]

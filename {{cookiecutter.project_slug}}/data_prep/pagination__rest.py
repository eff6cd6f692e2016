"""Pagination: which request gets the next page, for the styles that HTTP services use."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from utils.config import ProjectError

# How far records may have moved towards the end between two pages to still be recognised.
REMEMBERED_RECORDS = 50

Request = dict[str, Any]  # what distinguishes the request of a page, JSON-able


class Single(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="style", tag="single"
):
    """One answer holds everything."""


class NextLink(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="style", tag="next_link"
):
    """The body holds the address of the next page under the dotted ``path``."""

    path: str


class LinkHeader(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="style", tag="link_header"
):
    """The header Link holds the address of the next page, with ``rel="next"``."""


class Cursor(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="style", tag="cursor"
):
    """The body holds under ``path`` what the next request sends as ``parameter``."""

    path: str
    parameter: str


class PageNumber(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="style", tag="page_number"
):
    """Pages are numbered from ``first``; the one after the last is empty or not found."""

    parameter: str
    first: int = 1


class Offset(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="style", tag="offset"
):
    """A request says how many records to skip and how many to send at most."""

    offset_parameter: str
    limit_parameter: str
    limit: Annotated[int, msgspec.Meta(ge=2)]


Pagination = Single | NextLink | LinkHeader | Cursor | PageNumber | Offset


class Page(NamedTuple):
    """What decides about the page that follows.

    Attributes:
        next_link: target of the header Link; empty without one.
        body: the decoded body, where it is a JSON object.
        digests: fingerprint of each record.
    """

    next_link: str
    body: Mapping[str, Any]
    digests: Sequence[str]


class MovedError(Exception):
    """The records moved between two pages, so that some may have been skipped."""


def first(style: Pagination) -> Request:
    """Return the request of the first page."""
    match style:
        case PageNumber():
            return {"page": style.first}
        case Offset():
            return {"offset": 0, "last": []}
        case _:
            return {}


def parameters(style: Pagination, request: Request) -> dict[str, str]:
    """Return the query parameters that a request adds to the address of the source."""
    match style:
        case PageNumber():
            return {style.parameter: str(request["page"])}
        case Cursor() if "cursor" in request:
            return {style.parameter: str(request["cursor"])}
        case Offset():
            return {
                style.offset_parameter: str(_start(request)),
                style.limit_parameter: str(style.limit),
            }
        case _:
            return {}


def following(style: Pagination, request: Request, page: Page) -> Request | None:
    """Return the request of the page after ``page``, None after the last one.

    Raises:
        MovedError: the last record of the page before is missing where it has to be.
        ProjectError: the body does not hold what the style needs.
    """
    match style:
        case Single():
            return None
        case LinkHeader():
            return {"link": page.next_link} if page.next_link else None
        case NextLink():
            link = _member(page, style.path)
            return {"link": str(link)} if link else None
        case Cursor():
            cursor = _member(page, style.path)
            return {"cursor": cursor} if cursor or cursor == 0 else None
        case PageNumber():
            return {"page": request["page"] + 1} if page.digests else None
        case Offset():
            return _following_offset(request, page)


def _start(request: Request) -> int:
    # Each page begins with the last record of the page before, as proof that nothing moved.
    return max(int(request["offset"]) - 1, 0)


def repeated(request: Request, digests: Sequence[str]) -> int:
    """Return how many records at the beginning of a page the page before held as well.

    Raises:
        MovedError: the last record of the page before is missing where it has to be.
    """
    last = request.get("last", [])
    if not last:
        return 0
    for count in range(1, len(last) + 1):
        if list(digests[:count]) == last[-count:]:
            if count == len(digests) == len(last) > 1:
                break  # the same page, as if the offset had not been looked at
            return count
    raise MovedError


def _following_offset(request: Request, page: Page) -> Request | None:
    if repeated(request, page.digests) == len(page.digests):
        return None
    return {
        "offset": _start(request) + len(page.digests),
        "last": list(page.digests[-REMEMBERED_RECORDS:]),
    }


def _member(page: Page, path: str) -> Any:
    value: Any = page.body
    for name in path.split("."):
        if not isinstance(value, Mapping):
            raise ProjectError(
                f"The answer holds no object with {path!r}, which source.pagination of params.yaml "
                "names."
            )
        value = value.get(name)
        if value is None:
            return None
    return value

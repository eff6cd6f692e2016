"""Source of the raw records: the pages of a service that answers over HTTP.

A walk asks for page after page; the position after each names the request of the next one, so that
an interrupted retrieval goes on where it was. A later retrieval asks for what is new (``since``),
or, where the service can't say, walks again and replaces the records.
"""

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import httpx2
import msgspec
import pyarrow as pa

from data_prep import formats, sample_source
from data_prep.http_body import DamagedError, parse
from data_prep.http_client import (
    Answer,
    Authentication,
    Client,
    Limits,
    NotFoundError,
    RetriableError,
    shown,
)
from data_prep.pagination import (
    MovedError,
    Page,
    PageNumber,
    Pagination,
    Request,
    Single,
    first,
    following,
    parameters,
    repeated,
)
from data_prep.raw_store import Batch, Position
from utils.config import Contract, ProjectError

FORMAT = formats.SUFFIX.removeprefix(".")
LOGGER = logging.getLogger(__name__)

MAXIMUM_WALKS = 3
MAXIMUM_EQUAL_PAGES = 3
REMEMBERED_AT_WATERMARK = 1000
Mark = str | int | float


class Since(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query parameter that asks for records from a value on, and the column it is about.

    The value itself has to be included in the answer: records that were retrieved before are
    recognised and dropped.
    """

    parameter: str
    column: str


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``source`` of ``params.yaml``.

    Attributes:
        url: address of the records, or ``sample``.
        parameters: sent with each request.
        records: dotted path to the list of records in a body; empty if the body is the list.
    """

    url: str
    parameters: dict[str, str | int | float] = msgspec.field(default_factory=dict)
    records: str = ""
    pagination: Pagination = msgspec.field(default_factory=Single)
    authentication: Authentication | None = None
    since: Since | None = None
    limits: Limits = msgspec.field(default_factory=Limits)


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a walk is, which is what a position holds.

    Attributes:
        settings: fingerprint of the settings that decide about the records.
        since: the value that the walk asks from.
        request: the next page; None when the walk is complete.
        watermark: the largest value of the column of ``since`` so far, as the source writes it.
        known: fingerprints of the records with the value of the watermark.
    """

    settings: str
    since: Mark | None = None
    request: Request | None = None
    watermark: Mark | None = None
    known: tuple[str, ...] = ()


def describe(settings: Settings) -> str:
    """Return where the records come from, never a credential."""
    return settings.url if settings.url == sample_source.NAME else shown(settings.url)


def batches(settings: Settings, contract: Contract, position: Position | None) -> Iterator[Batch]:
    """Yield the records after ``position``, one batch a page.

    Args:
        settings: section ``source`` of ``params.yaml``.
        contract: its columns tell records apart.
        position: of the last batch that was stored.

    Raises:
        ProjectError: the service can't be reached, refuses, has no records, or its answers don't
            fit the settings.
    """
    fingerprint = _digest(
        [settings.url, settings.parameters, settings.records, settings.pagination, settings.since]
    )
    start = Place(fingerprint, request=first(settings.pagination))
    place = start if position is None else msgspec.convert(position, Place)
    with (
        sample_source.reachable(settings.url) as url,
        Client(url, settings.authentication, settings.limits) as client,
    ):
        names = [column.source_name for column in contract.recorded]
        walk = _Walk(client, url, settings, names)
        if place.settings == fingerprint:
            if place is not start and place.request is not None:
                interrupted = walk.batches(place)
                if (batch := next(interrupted, None)) is not None:
                    yield batch
                    yield from interrupted
                    return
            if settings.since is not None and place.watermark is not None:
                yield from walk.batches(
                    msgspec.structs.replace(place, since=place.watermark, request=start.request)
                )
                return
        number = 0
        for number, batch in enumerate(walk.batches(start), 1):
            yield batch._replace(restart=position is not None and number == 1)
        if not number:
            raise ProjectError(f"{describe(settings)} has no records.")


class _Walk:
    """Page after page of one source."""

    def __init__(self, client: Client, url: str, settings: Settings, columns: list[str]) -> None:
        self._client = client
        self._url = url
        self._settings = settings
        self._columns = columns

    def batches(self, place: Place) -> Iterator[Batch]:
        """Yield the records of the pages from ``place`` on.

        A page is held back until the next one is known, because the position after the last
        records has to say that the walk is complete.
        """
        for number in range(MAXIMUM_WALKS):
            try:
                held: Batch | None = None
                for batch in self._pages(place):
                    if held is not None and batch.records.num_rows:
                        yield held
                        held = batch
                    elif held is not None:
                        held = held._replace(position=batch.position)
                    elif batch.records.num_rows:
                        held = batch
                if held is not None:
                    yield held
                return
            except MovedError:
                if held is not None:
                    yield held
                LOGGER.warning(
                    "records moved while they were read, reading them again",
                    extra={"source": describe(self._settings), "walk": number + 1},
                )
                place = msgspec.structs.replace(place, request=first(self._settings.pagination))
        raise ProjectError(
            f"The records of {describe(self._settings)} moved between pages in {MAXIMUM_WALKS} "
            "walks, so some may be missing. Ask for them in the order of a column that never "
            "changes (source.parameters of params.yaml), or use another pagination."
        )

    def _pages(self, place: Place) -> Iterator[Batch]:
        settings = self._settings
        asked: set[str] = set()
        before: list[str] = []
        equal = 1
        while place.request is not None:
            asked.add(_digest(place.request))
            if len(asked) > settings.limits.maximum_pages:
                raise ProjectError(
                    f"{describe(settings)} has more than {settings.limits.maximum_pages} pages. If "
                    "that is right, raise source.limits.maximum_pages of params.yaml."
                )
            records, page = self._fetch(place)
            digests = list(page.digests)
            equal = equal + 1 if digests and digests == before else 1
            request = following(settings.pagination, place.request, page)
            if equal == MAXIMUM_EQUAL_PAGES or (request and _digest(request) in asked):
                raise ProjectError(
                    f"{describe(settings)} answers the same page again and again. Check "
                    "source.pagination of params.yaml."
                )
            before = digests
            known = set(place.known)
            begin = repeated(place.request, digests)
            keep = [n >= begin and digest not in known for n, digest in enumerate(digests)]
            place = self._advanced(place, request, records, digests)
            yield Batch(
                records if all(keep) else records.filter(pa.array(keep)),
                msgspec.to_builtins(place),
            )

    def _fetch(self, place: Place) -> tuple[pa.Table, Page]:
        settings, request = self._settings, place.request or {}
        link = request.get("link")
        if link is None:
            query = {name: str(value) for name, value in settings.parameters.items()}
            if settings.since is not None and place.since is not None:
                query[settings.since.parameter] = str(place.since)
            query |= parameters(settings.pagination, request)
            address = str(httpx2.URL(self._url).copy_merge_params(query)) if query else self._url
        else:
            address = self._client.follow(self._url, link)
        try:
            return self._client.fetch(address, self._read)
        except NotFoundError:
            style = settings.pagination
            if isinstance(style, PageNumber) and request["page"] > style.first:
                return pa.table({}), Page("", {}, [])
            raise

    def _read(self, answer: Answer) -> tuple[pa.Table, Page]:
        if answer.kind in {"text/html", "application/xhtml+xml"}:
            raise ProjectError(
                f"{shown(answer.url)} answered with a web page instead of records. Check "
                "source.url and source.authentication of params.yaml."
            )
        try:
            tables, others = parse(answer.body, shown(answer.url), self._settings.records)
        except DamagedError as error:
            raise RetriableError(str(error)) from None
        records = _together(tables)
        next_link = self._stored(answer.url, answer.next_link)
        return records, Page(next_link, others, self._digests(records))

    def _stored(self, url: str, link: str) -> str:
        """Return a link as it is stored: without credentials, and relative to the own host."""
        if not link:
            return ""
        target = httpx2.URL(self._client.follow(url, link))
        own = httpx2.URL(self._url)
        if (target.scheme, target.host, target.port) == (own.scheme, own.host, own.port):
            return target.raw_path.decode()
        return str(target)

    def _digests(self, records: pa.Table) -> list[str]:
        names = [name for name in self._columns if name in records.column_names]
        rows = records.select(names).to_pylist()
        return [_digest(row) for row in rows]

    def _advanced(
        self, place: Place, request: Request | None, records: pa.Table, digests: list[str]
    ) -> Place:
        place = msgspec.structs.replace(place, request=request)
        since = self._settings.since
        if since is None or not digests:
            return place
        if since.column not in records.column_names:
            raise ProjectError(
                f"The records of {describe(self._settings)} have no column {since.column!r}, "
                f"which source.since of params.yaml names. They have "
                f"{', '.join(records.column_names)}."
            )
        watermark, known = place.watermark, place.known
        for value, mark in zip(records[since.column].to_pylist(), digests, strict=True):
            written = value.isoformat() if isinstance(value, datetime) else value
            order = _order(written)
            if order is None:
                continue
            largest = _order(watermark)
            if largest is None or order > largest:
                watermark, known = written, (mark,)
            elif order == largest and mark not in known and len(known) < REMEMBERED_AT_WATERMARK:
                known = (*known, mark)
        return msgspec.structs.replace(place, watermark=watermark, known=known)


def _together(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the tables of one page as one; a column of several types becomes text."""
    types: dict[str, set[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        types.setdefault(field.name, set()).add(field.type)
    texts = {name for name, kinds in types.items() if len(kinds - {pa.null()}) > 1}
    return pa.concat_tables(
        [
            table.cast(
                pa.schema(
                    [
                        pa.field(field.name, pa.string()) if field.name in texts else field
                        for field in table.schema
                    ]
                )
            )
            for table in tables
        ]
        or [pa.table({})],
        promote_options="default",
    )


def _order(value: object) -> float | None:
    """Return a number that orders values of a watermark: numbers and ISO 8601 moments."""
    if isinstance(value, int | float):
        return None if math.isnan(value) else value
    if not isinstance(value, str):
        return None
    for read in (int, float, _seconds):
        try:
            order = read(value)
        except ValueError:
            continue
        return None if math.isnan(order) else order
    return None


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _digest(value: object) -> str:
    encoded = msgspec.json.encode(value, enc_hook=str, order="sorted")
    return hashlib.blake2b(encoded, digest_size=8).hexdigest()

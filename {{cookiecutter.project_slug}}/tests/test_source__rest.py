"""Tests of retrieval over HTTP against a real server that misbehaves."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep import raw_store, sample_source
from data_prep.http_client import Basic, Bearer, KeyHeader, KeyQuery, Limits, retry_after
from data_prep.pagination import (
    Cursor,
    LinkHeader,
    MovedError,
    NextLink,
    Offset,
    Page,
    PageNumber,
    Single,
    following,
)
from data_prep.retrieval import retrieve, update_manifest
from data_prep.source import Settings, Since, describe
from tests.conftest import BUNDLED, ROOT
from utils.config import Contract, ProjectError, convert, load_contract

LIMITS = Limits(
    requests_per_second=10_000,
    attempts=4,
    backoff_seconds=0.001,
    maximum_wait_seconds=1,
    timeout_seconds=5,
)
SECRET = "s3cr3t-t0ken"  # noqa: S105
ROWS, PAGE = 60, 10


class Asked(NamedTuple):
    """A request as the server sees it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Reply(NamedTuple):
    """What the server does; with a ``pause`` it sends one byte at a time."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    sent: int | None = None
    delay: float = 0
    pause: float = 0


Behaviour = Callable[[Asked], Reply]


class Service:
    """A local HTTP server that behaves as it is told."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.behaviour: Behaviour = lambda _: Reply(status=500)
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                )
                service.asked.append(asked)
                reply = service.behaviour(asked)
                time.sleep(reply.delay)
                if reply.status == 0:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(reply.body)))
                for name, value in reply.headers:
                    self.send_header(name, value)
                with suppress(ConnectionError):  # the client does not wait for slow answers
                    self.end_headers()
                    sent = reply.body[: reply.sent]
                    step = 1 if reply.pause else max(len(sent), 1)
                    for begin in range(0, len(sent), step):
                        self.wfile.write(sent[begin : begin + step])
                        time.sleep(reply.pause)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/records"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Some records of the sample, no two alike, oldest first."""
    before = Path.cwd()
    os.chdir(BUNDLED)
    try:
        records = sample_source.records()
        column = timestamps(load_contract())
    finally:
        os.chdir(before)
    kept: dict[str, int] = {}
    for number, value in enumerate(records[column].to_pylist()):
        if len(kept) < ROWS and str(value)[:2] == "20":
            kept.setdefault(str(value).replace(" ", "T"), number)
    return records.take([kept[moment] for moment in sorted(kept)])


@pytest.fixture
def sample_contract() -> Contract:
    return load_contract(BUNDLED / "schema.yaml")


def timestamps(contract: Contract) -> str:
    return contract.with_role("timestamp")[0].name


def body(table: pa.Table) -> bytes:
    return sample_source.encoded(table)


def numbered(table: pa.Table) -> Behaviour:
    """Pages by number."""
    return lambda asked: Reply(body(table.slice((int(asked.query["page"]) - 1) * PAGE, PAGE)))


def linked(table: pa.Table) -> Behaviour:
    """Pages by links in a header."""

    def behaviour(asked: Asked) -> Reply:
        begin = int(asked.query.get("begin", 0))
        more = begin + PAGE < table.num_rows
        query = urlencode({**asked.query, "begin": begin + PAGE})
        link = f'<{asked.path}?{query}>; rel="next"'
        return Reply(body(table.slice(begin, PAGE)), headers=(("Link", link),) if more else ())

    return behaviour


def skipping(table: Callable[[], pa.Table]) -> Behaviour:
    """Pages by offset and limit, of a table that may change between pages."""
    return lambda asked: Reply(
        body(table().slice(int(asked.query["offset"]), int(asked.query["limit"])))
    )


def failing_first(behaviour: Behaviour, *failures: Reply) -> Behaviour:
    """The second request fails in the ways given before it succeeds."""
    left = list(failures)
    count = 0

    def failing(asked: Asked) -> Reply:
        nonlocal count
        count += 1
        return left.pop(0) if count > 1 and left else behaviour(asked)

    return failing


def settings(service: Service, **changes: Any) -> Settings:
    defaults = {"pagination": LinkHeader(), "limits": LIMITS}
    return Settings(service.url, **{**defaults, **changes})


def stored(folder: Path) -> list[tuple[str, ...]]:
    rows = [row for part in raw_store.parts(folder) for row in pq.read_table(part).to_pylist()]
    return [tuple(str(value) for value in row.values()) for row in rows]


def expected(table: pa.Table, contract: Contract, folder: Path) -> list[tuple[str, ...]]:
    raw_store.append(folder, raw_store.Batch(table, {}), contract, "expected")
    return stored(folder)


NUMBERED = PageNumber("page")
SKIPPING = Offset("offset", "limit", PAGE)


@pytest.mark.parametrize(
    ("pagination", "behaviour"),
    [
        (LinkHeader(), linked),
        (NUMBERED, numbered),
        (SKIPPING, lambda table: skipping(lambda: table)),
        (Single(), lambda table: lambda _: Reply(body(table))),
    ],
)
def test_every_page_is_retrieved_once(
    *,
    service: Service,
    table: pa.Table,
    sample_contract: Contract,
    tmp_path: Path,
    pagination: Any,
    behaviour: Callable[[pa.Table], Behaviour],
) -> None:
    service.behaviour = behaviour(table)
    chosen = settings(service, pagination=pagination)
    assert retrieve(chosen, sample_contract, tmp_path / "raw") == ROWS
    assert stored(tmp_path / "raw") == expected(table, sample_contract, tmp_path / "expected")


def test_the_end_of_numbered_pages_may_be_not_found(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    pages = numbered(table)
    service.behaviour = lambda asked: (
        Reply(status=404) if int(asked.query["page"]) > ROWS / PAGE else pages(asked)
    )
    chosen = settings(service, pagination=NUMBERED)
    assert retrieve(chosen, sample_contract, tmp_path / "raw") == ROWS


PASSED = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=503),
        Reply(status=500, body=b"<html>oops</html>"),
        Reply(status=429, headers=(("Retry-After", "0"),)),
        Reply(status=429, headers=(("Retry-After", PASSED),)),
        Reply(status=0),
        Reply(b"0123456789" * 10, sent=50),
        Reply(b"not compressed", headers=(("Content-Encoding", "gzip"),)),
        Reply(delay=2),
    ],
    ids=["503", "500", "429", "429 date", "dropped", "truncated", "damaged", "slow"],
)
def test_passing_failures_cost_nothing_but_time(
    *,
    service: Service,
    table: pa.Table,
    sample_contract: Contract,
    tmp_path: Path,
    failure: Reply,
) -> None:
    failures = [failure] if failure.delay else [failure, failure]
    service.behaviour = failing_first(linked(table), *failures)
    limits = msgspec.structs.replace(LIMITS, timeout_seconds=0.5 if failure.delay else 5)
    assert retrieve(settings(service, limits=limits), sample_contract, tmp_path / "raw") == ROWS
    assert stored(tmp_path / "raw") == expected(table, sample_contract, tmp_path / "expected")
    assert len(service.asked) >= ROWS / PAGE + len(failures)


def test_a_server_is_waited_for_as_long_as_it_asks(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    patient = Reply(status=429, headers=(("Retry-After", "1"),))
    service.behaviour = failing_first(linked(table), patient)
    begin = time.monotonic()
    assert retrieve(settings(service), sample_contract, tmp_path / "raw") == ROWS
    assert time.monotonic() - begin >= 1


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert retry_after("7", now) == 7
    assert retry_after("Sun, 01 Mar 2026 12:00:09 GMT", now) == 9
    assert retry_after("Sun, 01 Mar 2026 11:00:00 GMT", now) == 0
    assert retry_after("soon", now) == retry_after(None, now) == retry_after("-3", now) == 0


def test_requests_keep_to_the_rate(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    service.behaviour = linked(table)
    limits = msgspec.structs.replace(LIMITS, requests_per_second=50)
    begin = time.monotonic()
    retrieve(settings(service, limits=limits), sample_contract, tmp_path / "raw")
    assert time.monotonic() - begin >= (ROWS / PAGE - 1) / 50


REFUSED: list[tuple[Reply, dict[str, Any], str]] = [
    (Reply(status=503), {}, "failed 4 times, at last because .* status 503.*run again to continue"),
    (Reply(status=0), {}, "the connection broke"),
    (Reply(status=429, headers=(("Retry-After", "3600"),)), {}, "asks to wait 3600 s"),
    (Reply(status=401), {}, "refuses access .*No credential was sent"),
    (Reply(status=404), {}, "was not found"),
    (Reply(status=400), {}, "status 400"),
    (Reply(b"<html>", headers=(("Content-Type", "text/html; charset=utf-8"),)), {}, "a web page"),
    (Reply(b"\x00\xff\xfe{" * 40), {}, "failed 4 times, at last because"),
    (Reply(), {}, "has no records"),
    (Reply(status=302, headers=(("Location", "/records"),)), {}, "redirects more than 5 times"),
    (Reply(status=302, headers=(("Location", "file:///etc/passwd"),)), {}, "no http"),
    (
        Reply(b" " * 2000),
        {"limits": msgspec.structs.replace(LIMITS, maximum_megabytes=0.001)},
        "more than 0.001 MB",
    ),
]


@pytest.mark.parametrize(("reply", "changes", "message"), REFUSED)
def test_errors_say_what_to_do(
    *,
    service: Service,
    sample_contract: Contract,
    tmp_path: Path,
    reply: Reply,
    changes: dict[str, Any],
    message: str,
) -> None:
    service.behaviour = lambda _: reply
    with pytest.raises(ProjectError, match=message):
        retrieve(settings(service, **changes), sample_contract, tmp_path / "raw")
    assert not raw_store.parts(tmp_path / "raw")


def test_a_service_that_is_not_there_is_an_error(
    service: Service, sample_contract: Contract, tmp_path: Path
) -> None:
    chosen = msgspec.structs.replace(settings(service), url="http://127.0.0.1:9/records")
    with pytest.raises(ProjectError, match="no connection could be made"):
        retrieve(chosen, sample_contract, tmp_path / "raw")


@pytest.mark.parametrize("url", ["ftp://host/records", "records", "http://me:pw-123@host/records"])
def test_only_plain_http_addresses_are_asked(
    sample_contract: Contract, tmp_path: Path, url: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        retrieve(Settings(url), sample_contract, tmp_path / "raw")
    assert "pw-123" not in str(caught.value)


def test_slow_drops_do_not_keep_an_answer_open(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    """Each byte comes in time, but all of them would take minutes."""
    limits = msgspec.structs.replace(LIMITS, timeout_seconds=0.4, attempts=1)
    service.behaviour = lambda _: Reply(body(table), pause=0.1)
    with pytest.raises(ProjectError, match=r"longer than 0\.4 s"):
        retrieve(settings(service, limits=limits), sample_contract, tmp_path / "raw")


@pytest.mark.parametrize(
    "pagination", [LinkHeader(), NUMBERED, Offset("offset", "limit", PAGE)], ids=str
)
def test_endless_pagination_ends(
    service: Service,
    table: pa.Table,
    sample_contract: Contract,
    tmp_path: Path,
    pagination: Any,
) -> None:
    """A server that ignores the page asked for, or links in a circle."""
    link = (("Link", '</records?page=1>; rel="next"'),)
    service.behaviour = lambda _: Reply(body(table.slice(0, PAGE)), headers=link)
    with pytest.raises(ProjectError, match=r"same page again|moved between pages"):
        retrieve(settings(service, pagination=pagination), sample_contract, tmp_path / "raw")
    assert len(service.asked) < 10


def test_pages_are_bounded(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    service.behaviour = linked(table)
    limits = msgspec.structs.replace(LIMITS, maximum_pages=3)
    with pytest.raises(ProjectError, match="more than 3 pages"):
        retrieve(settings(service, limits=limits), sample_contract, tmp_path / "raw")


def test_rows_that_arrive_between_pages_are_not_lost(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    """Records inserted in front move others to the next page, where they are recognised."""

    def growing() -> pa.Table:
        return table if len(service.asked) > 2 else table.slice(3)

    service.behaviour = skipping(growing)
    retrieve(settings(service, pagination=SKIPPING), sample_contract, tmp_path / "raw")
    everything = expected(table.slice(3), sample_contract, tmp_path / "expected")
    assert stored(tmp_path / "raw") == everything


def test_rows_that_vanish_between_pages_start_another_walk(
    service: Service,
    table: pa.Table,
    sample_contract: Contract,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the check the record that moved into the page before would be skipped."""

    def shrinking() -> pa.Table:
        return table if len(service.asked) <= 2 else table.slice(1)

    service.behaviour = skipping(shrinking)
    retrieve(settings(service, pagination=SKIPPING), sample_contract, tmp_path / "raw")
    assert set(stored(tmp_path / "raw")) == set(
        expected(table, sample_contract, tmp_path / "expected")
    )
    assert "records moved while they were read" in caplog.text


def test_rows_in_no_order_are_an_error(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    def shuffled() -> pa.Table:
        turn = len(service.asked) * 7 % ROWS
        return pa.concat_tables([table.slice(turn), table.slice(0, turn)])

    service.behaviour = skipping(shuffled)
    with pytest.raises(ProjectError, match="moved between pages in 3 walks"):
        retrieve(settings(service, pagination=SKIPPING), sample_contract, tmp_path / "raw")


def test_a_failed_retrieval_continues_after_the_last_page(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    working = linked(table)
    service.behaviour = lambda asked: (
        Reply(status=503) if asked.query.get("begin") == "40" else working(asked)
    )
    with pytest.raises(ProjectError):
        retrieve(settings(service), sample_contract, tmp_path / "raw")
    assert len(stored(tmp_path / "raw")) == 30
    service.asked.clear()
    service.behaviour = working
    retrieve(settings(service), sample_contract, tmp_path / "raw")
    assert [asked.query["begin"] for asked in service.asked] == ["30", "40", "50"]
    assert stored(tmp_path / "raw") == expected(table, sample_contract, tmp_path / "expected")


def test_a_killed_retrieval_continues_without_loss_or_repetition(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    """Killed while the server holds the fifth page, when three of four pages are stored."""
    code = (
        "import sys; from pathlib import Path; from data_prep.retrieval import retrieve\n"
        "from data_prep.source import Settings; from data_prep.pagination import LinkHeader\n"
        "from utils.config import load_contract\n"
        "settings = Settings(sys.argv[1], pagination=LinkHeader())\n"
        "retrieve(settings, load_contract(Path(sys.argv[3])), Path(sys.argv[2]))"
    )
    working = linked(table)
    child: list[subprocess.Popen[bytes]] = []

    def killing(asked: Asked) -> Reply:
        if asked.query.get("begin") == "40":
            child[0].send_signal(signal.SIGKILL)
        return working(asked)

    service.behaviour = killing
    arguments = [sys.executable, "-c", code, service.url, str(tmp_path / "raw")]
    arguments.append(str(BUNDLED / "schema.yaml"))
    child.append(subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.DEVNULL))
    assert child[0].wait(60) == -signal.SIGKILL
    assert len(stored(tmp_path / "raw")) == 30
    service.behaviour = working
    retrieve(settings(service), sample_contract, tmp_path / "raw")
    assert stored(tmp_path / "raw") == expected(table, sample_contract, tmp_path / "expected")


def newer(table: pa.Table, column: str) -> Behaviour:
    """Pages by links, of the records from the parameter ``since`` on."""
    moments = [str(value).replace(" ", "T") for value in table[column].to_pylist()]

    def behaviour(asked: Asked) -> Reply:
        since = asked.query.get("since", "").replace(" ", "T")
        chosen = table.filter(pa.array([moment >= since for moment in moments]))
        return linked(chosen)(asked)

    return behaviour


def test_only_what_is_new_is_asked_for(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    column, raw = timestamps(sample_contract), tmp_path / "raw"
    chosen = settings(service, since=Since("since", column))
    service.behaviour = newer(table.slice(0, 40), column)
    assert retrieve(chosen, sample_contract, raw) == 40
    manifest = update_manifest(tmp_path / "manifest.json", raw, describe(chosen), 40)
    before = [(path.name, path.read_bytes()) for path in raw_store.parts(raw)]
    assert retrieve(chosen, sample_contract, raw) == 0
    assert [(path.name, path.read_bytes()) for path in raw_store.parts(raw)] == before
    assert update_manifest(tmp_path / "manifest.json", raw, describe(chosen), 0) == manifest
    service.behaviour = newer(table, column)
    service.asked.clear()
    assert retrieve(chosen, sample_contract, raw) == 20
    assert service.asked[0].query["since"]
    assert len(service.asked) == 3
    assert stored(raw) == expected(table, sample_contract, tmp_path / "expected")


def test_without_since_everything_is_replaced_by_the_same_bytes(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    service.behaviour = linked(table)
    raw = tmp_path / "raw"
    retrieve(settings(service), sample_contract, raw)
    before = [(path.name, path.read_bytes()) for path in raw_store.parts(raw)]
    retrieve(settings(service), sample_contract, raw)
    assert [(path.name, path.read_bytes()) for path in raw_store.parts(raw)] == before
    service.behaviour = linked(table.slice(5))
    retrieve(settings(service), sample_contract, raw)
    assert stored(raw) == expected(table.slice(5), sample_contract, tmp_path / "expected")


def test_a_watermark_needs_its_column(
    service: Service, table: pa.Table, sample_contract: Contract, tmp_path: Path
) -> None:
    service.behaviour = linked(table)
    with pytest.raises(ProjectError, match="have no column 'updated'"):
        retrieve(
            settings(service, since=Since("since", "updated")), sample_contract, tmp_path / "raw"
        )


AUTHENTICATIONS: list[tuple[Any, Callable[[Asked], bool]]] = [
    (Bearer("TOKEN"), lambda asked: asked.headers.get("authorization") == f"Bearer {SECRET}"),
    (
        Basic("SERVICE_USER", "TOKEN"),
        lambda asked: (
            asked.headers.get("authorization") == "Basic bWU6czNjcjN0LXQwa2Vu"  # me:s3cr3t-t0ken
        ),
    ),
    (KeyHeader("X-Key", "TOKEN"), lambda asked: asked.headers.get("x-key") == SECRET),
    (KeyQuery("key", "TOKEN"), lambda asked: asked.query.get("key") == SECRET),
]


@pytest.mark.parametrize(("authentication", "authorised"), AUTHENTICATIONS)
def test_credentials_are_sent_and_never_seen(
    *,
    service: Service,
    table: pa.Table,
    sample_contract: Contract,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    authentication: Any,
    authorised: Callable[[Asked], bool],
) -> None:
    """Not in logs, standard output, errors, manifest or raw store; retries included."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("SERVICE_USER", "me")
    pages = linked(table)

    def guarded(asked: Asked) -> Reply:
        if not authorised(asked):
            return Reply(status=401)
        return pages(asked)  # whose links repeat the query, and the key in it

    service.behaviour = failing_first(guarded, Reply(status=503))
    chosen = settings(service, authentication=authentication)
    raw, manifest = tmp_path / "raw", tmp_path / "manifest.json"
    assert retrieve(chosen, sample_contract, raw) == ROWS
    update_manifest(manifest, raw, describe(chosen), ROWS)
    service.behaviour = lambda _: Reply(SECRET.encode(), status=401)
    with pytest.raises(ProjectError, match="environment variable") as refused:
        retrieve(chosen, sample_contract, tmp_path / "refused")
    service.behaviour = lambda _: Reply(status=0)
    with pytest.raises(ProjectError) as broken:
        retrieve(chosen, sample_contract, tmp_path / "broken")
    texts = [caplog.text, *capfd.readouterr(), manifest.read_text(encoding="utf-8"), repr(chosen)]
    texts += [str(vars(record)) for record in caplog.records]
    for caught in (refused, broken):
        texts += traceback.format_exception(caught.value)
    texts += [path.read_bytes().decode("latin-1") for path in raw_store.parts(raw)]
    assert "trying again" in caplog.text
    assert not [text for text in texts if SECRET in text or "czNjcjN0" in text]


def test_a_credential_has_to_be_set(
    service: Service, sample_contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    chosen = settings(service, authentication=Bearer("TOKEN"))
    with pytest.raises(ProjectError, match=r"TOKEN.*is not set"):
        retrieve(chosen, sample_contract, tmp_path / "raw")
    monkeypatch.setenv("TOKEN", f"{SECRET}\nX-Other: value")
    with pytest.raises(ProjectError, match="plain characters") as caught:
        retrieve(chosen, sample_contract, tmp_path / "raw")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("authentication", "authorised"), AUTHENTICATIONS)
def test_another_host_gets_no_credentials(
    *,
    service: Service,
    table: pa.Table,
    sample_contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    authentication: Any,
    authorised: Callable[[Asked], bool],
) -> None:
    """Neither by a redirect nor by a link to the next page."""
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("SERVICE_USER", "me")
    other = Service()
    try:
        other.behaviour = linked(table)
        chosen = settings(service, authentication=authentication)
        service.behaviour = lambda asked: Reply(
            status=302, headers=(("Location", f"{other.url}?key={asked.query.get('key')}"),)
        )
        retrieve(chosen, sample_contract, tmp_path / "redirected")
        service.behaviour = lambda _: Reply(
            body(table.slice(0, PAGE)),
            headers=(("Link", f'<{other.url}?begin={PAGE}>; rel="next"'),),
        )
        retrieve(chosen, sample_contract, tmp_path / "linked")
    finally:
        other.close()
    assert all(authorised(asked) for asked in service.asked)
    assert len(other.asked) > ROWS / PAGE
    for asked in other.asked:
        assert SECRET not in str(asked)
        assert not {"authorization", "x-key"} & set(asked.headers)


def test_links_and_cursors_in_a_body() -> None:
    page = Page("", {"paging": {"next": "/records?page=2", "cursor": 0}, "last": None}, ["a"])
    assert following(NextLink("paging.next"), {}, page) == {"link": "/records?page=2"}
    assert following(NextLink("last"), {}, page) is None
    assert following(NextLink("paging.none"), {}, page) is None
    assert following(Cursor("paging.cursor", "after"), {}, page) == {"cursor": 0}
    assert following(Cursor("last", "after"), {}, page) is None
    with pytest.raises(ProjectError, match=r"no object with 'paging.next.more'"):
        following(NextLink("paging.next.more"), {}, page)


def test_offsets_notice_what_moved() -> None:
    style = Offset("offset", "limit", 3)
    second = following(style, {"offset": 0, "last": []}, Page("", {}, ["a", "b", "c"]))
    assert second == {"offset": 3, "last": ["a", "b", "c"]}
    assert following(style, second, Page("", {}, ["c", "d", "e"])) == {
        "offset": 5,
        "last": ["c", "d", "e"],
    }
    assert following(style, second, Page("", {}, ["c"])) is None
    for moved in (["d", "e"], []):
        with pytest.raises(MovedError):
            following(style, second, Page("", {}, moved))


def test_settings_are_checked() -> None:
    with pytest.raises(ProjectError, match=r"params\.yaml: source"):
        convert({"url": "x", "pagination": {"style": "y"}}, Settings, "params.yaml: source")


def test_the_sample_is_served_and_a_second_retrieval_finds_nothing_new(
    sample_contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BUNDLED)
    chosen = Settings(
        "sample",
        pagination=LinkHeader(),
        since=Since("since", timestamps(sample_contract)),
        limits=LIMITS,
    )
    assert describe(chosen) == "sample"
    assert retrieve(chosen, sample_contract, tmp_path / "raw") == sample_source.records().num_rows
    assert retrieve(chosen, sample_contract, tmp_path / "raw") == 0

"""Answers over HTTP: authenticated, retried, and bounded in rate, time and size.

Credentials are read from environment variables, are sent to the host of ``source.url`` only, and
are never part of an address that is logged or shown.
"""

import base64
import functools
import logging
import math
import os
import ssl
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Annotated, BinaryIO, NamedTuple, Self, TypeVar

import httpx2
import msgspec
import tenacity

from utils.config import ProjectError

LOGGER = logging.getLogger(__name__)
# It logs every address, with the key that may be part of its query.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.WARNING)

MAXIMUM_REDIRECTS = 5
TRANSIENT = {408, 425, 429}
UNAUTHORISED = {401, 403}
NOT_FOUND = 404
SERVER_ERROR = 500
SUCCESS = range(200, 300)
T = TypeVar("T")
Positive = Annotated[float, msgspec.Meta(gt=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class Bearer(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="style",
    tag="bearer",
):
    """A token in the header Authorization."""

    token_variable: str


class Basic(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="style",
    tag="basic",
):
    """User and password in the header Authorization."""

    user_variable: str
    password_variable: str


class KeyHeader(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="style",
    tag="key_header",
):
    """A key in a header of its own."""

    header: str
    key_variable: str


class KeyQuery(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="style",
    tag="key_query",
):
    """A key in the query of the address."""

    parameter: str
    key_variable: str


Authentication = Bearer | Basic | KeyHeader | KeyQuery


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How patient and how considerate requests are.

    Attributes:
        requests_per_second: at most, retries included.
        attempts: of one request, the first included.
        backoff_seconds: wait before the second attempt; doubles with each further one.
        maximum_wait_seconds: longest wait, also of one that the server asks for.
        timeout_seconds: for connecting, and for a whole answer.
        maximum_megabytes: size of one answer, decompressed.
        maximum_pages: of one retrieval.
    """

    requests_per_second: Positive = 5
    attempts: AtLeastOne = 6
    backoff_seconds: Positive = 1
    maximum_wait_seconds: Positive = 60
    timeout_seconds: Positive = 60
    maximum_megabytes: Positive = 64
    maximum_pages: AtLeastOne = 100_000


class Answer(NamedTuple):
    """A successful answer.

    Attributes:
        url: where it came from in the end, without credentials.
        kind: the media type, in lower case and without parameters.
        next_link: target of the header Link with ``rel="next"``; empty without one.
        body: a temporary file at its beginning.
    """

    url: str
    kind: str
    next_link: str
    body: BinaryIO


class RetriableError(Exception):
    """What another attempt may mend; ``wait`` is how many seconds the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class NotFoundError(ProjectError):
    """The address does not exist."""


def shown(url: str) -> str:
    """Return an address without user, password and query, which may hold credentials."""
    parts = httpx2.URL(url)
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.host}{port}{parts.path}"


def checked(url: str) -> str:
    """Return an address that can be requested.

    Raises:
        ProjectError: it is no http or https address, or holds a user or password.
    """
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        parts = httpx2.URL("")
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise ProjectError(
            "source.url of params.yaml, or a link in an answer, is no http:// or https:// address."
        )
    if parts.userinfo:
        raise ProjectError(
            f"The address {shown(url)} holds a user or password. Name the environment variables "
            "that hold them under source.authentication of params.yaml instead."
        )
    return url


def retry_after(value: str | None, now: datetime) -> float:
    """Return how many seconds the header Retry-After asks to wait: a number or a date."""
    if not value:
        return 0
    try:
        return max(float(int(value)), 0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0)


def secret(variable: str) -> str:
    """Return a credential from the environment.

    Raises:
        ProjectError: the variable is not set or holds what no header can carry.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ProjectError(
            f"The environment variable {variable}, which source.authentication of params.yaml "
            "names, is not set. Set it to the credential and run again."
        )
    if not (value.isascii() and value.isprintable()):
        raise ProjectError(f"The environment variable {variable} holds more than plain characters.")
    return value


def credentials(chosen: Authentication | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and the query parameters that authenticate a request."""
    match chosen:
        case Bearer():
            return {"Authorization": f"Bearer {secret(chosen.token_variable)}"}, {}
        case Basic():
            pair = f"{secret(chosen.user_variable)}:{secret(chosen.password_variable)}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {}
        case KeyHeader():
            return {chosen.header: secret(chosen.key_variable)}, {}
        case KeyQuery():
            return {}, {chosen.parameter: secret(chosen.key_variable)}
        case None:
            return {}, {}


@functools.cache
def _trusted() -> ssl.SSLContext:
    # Reading the certificates takes longer than a request.
    return httpx2.create_ssl_context()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = httpx2.URL(url)
    return parts.scheme, parts.host, parts.port


def _failure(error: httpx2.HTTPError, limits: Limits) -> RetriableError | ProjectError:
    """Say what happened without the library's own text, which may hold the address."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ProjectError("the certificate of the server could not be verified")
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return ProjectError("the request could not be written")
    if isinstance(error, httpx2.TimeoutException):
        return RetriableError(f"no answer came within {limits.timeout_seconds:g} s")
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        return RetriableError("no connection could be made")
    if isinstance(error, httpx2.DecodingError):
        return RetriableError("the compressed answer was damaged")
    return RetriableError("the connection broke before the answer was complete")


class Client:
    """Requests to one source; a context manager."""

    def __init__(self, url: str, authentication: Authentication | None, limits: Limits) -> None:
        self._origin = _origin(checked(url))
        self._headers, self._query = credentials(authentication)
        self._limits = limits
        self._next_request = 0.0
        self._client = httpx2.Client(
            timeout=limits.timeout_seconds, follow_redirects=False, verify=_trusted()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def public(self, url: str) -> str:
        """Return an address of the source's answers without the credentials it may repeat."""
        parts = httpx2.URL(url)
        values = {*self._query.values(), *self._headers.values()}
        for name, value in parts.params.multi_items():
            if name in self._query or value in values:
                parts = parts.copy_remove_param(name)
        return str(parts)

    def fetch(self, url: str, read: Callable[[Answer], T]) -> T:
        """Request an address until ``read`` has made something of the answer.

        Args:
            url: the address; credentials are added when it is of the source's own host.
            read: may raise RetriableError when the body is damaged.

        Returns:
            What ``read`` returned.

        Raises:
            NotFoundError: the address does not exist.
            ProjectError: the request was refused, or failed as often as the limits allow.
        """
        limits = self._limits
        backoff = tenacity.wait_random_exponential(
            multiplier=limits.backoff_seconds, max=limits.maximum_wait_seconds
        )

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait if isinstance(error, RetriableError) else 0
            return asked + backoff(state)

        def announce(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            LOGGER.warning(
                "request failed, trying again",
                extra={
                    "address": shown(url),
                    "reason": str(error),
                    "attempt": state.attempt_number,
                    "wait_seconds": round(state.upcoming_sleep, 2),
                },
            )

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(limits.attempts),
            wait=wait,
            retry=tenacity.retry_if_exception_type(RetriableError),
            before_sleep=announce,
            reraise=True,
        )
        try:
            result: T = retrying(self._attempt, checked(url), read)
        except RetriableError as error:
            raise ProjectError(
                f"{shown(url)} failed {limits.attempts} times, at last because {error}. What was "
                "retrieved is stored: run again to continue, and see source.limits of params.yaml."
            ) from None
        return result

    def _attempt(self, url: str, read: Callable[[Answer], T]) -> T:
        with tempfile.TemporaryFile() as body:
            try:
                answer = self._download(url, body)
            except httpx2.HTTPError as error:
                failure = _failure(error, self._limits)
                if isinstance(failure, ProjectError):
                    raise ProjectError(f"{shown(url)} failed: {failure}.") from None
                raise failure from None
            return read(answer)

    def _download(self, url: str, body: BinaryIO) -> Answer:
        place = url
        for _ in range(MAXIMUM_REDIRECTS + 1):
            self._keep_rate()
            end = time.monotonic() + self._limits.timeout_seconds
            own = _origin(place) == self._origin
            address = httpx2.URL(place)
            if own and self._query:
                address = address.copy_merge_params(self._query)
            with self._client.stream(
                "GET", address, headers=self._headers if own else {}
            ) as response:
                if response.has_redirect_location:
                    place = self.follow(place, response.headers["location"])
                    continue
                self._check(place, response)
                self._store(place, response, body, end)
                return Answer(
                    url=place,
                    kind=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
                    next_link=response.links.get("next", {}).get("url", ""),
                    body=body,
                )
        raise ProjectError(f"{shown(url)} redirects more than {MAXIMUM_REDIRECTS} times.")

    def follow(self, url: str, link: str) -> str:
        """Return the address that a link of the answer from ``url`` leads to.

        Raises:
            ProjectError: the link is no address, or leads from https to http.
        """
        try:
            target = checked(str(httpx2.URL(url).join(link)))
        except httpx2.InvalidURL:
            raise ProjectError(f"{shown(url)} answered with a link that is no address.") from None
        if url.startswith("https:") and not target.startswith("https:"):
            raise ProjectError(f"{shown(url)} leads from https to the unencrypted {shown(target)}.")
        return self.public(target)

    def _keep_rate(self) -> None:
        now = time.monotonic()
        time.sleep(max(self._next_request - now, 0))
        self._next_request = max(now, self._next_request) + 1 / self._limits.requests_per_second

    def _check(self, url: str, response: httpx2.Response) -> None:
        status = response.status_code
        if status in SUCCESS:
            return
        if status in TRANSIENT or status >= SERVER_ERROR:
            asked = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
            if asked > self._limits.maximum_wait_seconds:
                raise ProjectError(
                    f"{shown(url)} asks to wait {math.ceil(asked)} s (status {status}), longer "
                    "than source.limits.maximum_wait_seconds of params.yaml. Run again after that "
                    "time: retrieval continues from the last stored page."
                )
            raise RetriableError(f"the server answered with status {status}", asked)
        if status in UNAUTHORISED:
            sent = _origin(url) == self._origin and (self._headers or self._query)
            raise ProjectError(
                f"{shown(url)} refuses access (status {status}). "
                + (
                    "Check the credential in the environment variable that source.authentication "
                    "of params.yaml names, and its rights."
                    if sent
                    else "No credential was sent: see source.authentication of params.yaml; it "
                    "holds for the host of source.url only."
                )
            )
        if status == NOT_FOUND:
            raise NotFoundError(
                f"{shown(url)} was not found (status 404). Check source.url of params.yaml."
            )
        raise ProjectError(
            f"{shown(url)} answered with status {status}. Check source.url and source.parameters "
            "of params.yaml."
        )

    def _store(self, url: str, response: httpx2.Response, body: BinaryIO, end: float) -> None:
        body.seek(0)
        body.truncate()
        limit = self._limits.maximum_megabytes * 1e6
        for chunk in response.iter_bytes():
            body.write(chunk)
            if body.tell() > limit:
                raise ProjectError(
                    f"{shown(url)} answered with more than {self._limits.maximum_megabytes:g} MB. "
                    "Ask for fewer records a page, or raise source.limits.maximum_megabytes of "
                    "params.yaml."
                )
            if time.monotonic() > end:
                raise RetriableError(
                    f"the answer took longer than {self._limits.timeout_seconds:g} s"
                )
        body.seek(0)

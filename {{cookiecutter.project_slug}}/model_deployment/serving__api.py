"""The prediction service: records in, predictions out, over HTTP.

Usage: ``python -m model_deployment.serving [--host HOST] [--port PORT] [--models FOLDER]
[--log FOLDER]``. The environment variables HOST and PORT override ``params.yaml``. The service
follows ``models/live.json``: a newly published version is verified, warmed and swapped in without
dropping a request; a damaged one is refused while the old one goes on answering.
"""

import os

# Requests are small: handing their work to other threads costs more than it saves. Polars reads
# this when it is imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import argparse
import asyncio
import logging
import re
import secrets
from asyncio import Future
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import msgspec
import polars as pl
import uvicorn
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_deployment.artefact import MODELS, POINTER
from model_deployment.openapi import (
    ErrorAnswer,
    FeatureList,
    ModelDescription,
    Problem,
    Status,
    document,
)
from model_deployment.prediction_log import PredictionLog
from model_deployment.request_plan import (
    Answer,
    Model,
    RecordError,
    Row,
    load_model,
    to_frame,
    to_rows,
)
from utils.config import ProjectError, convert, load_params
from utils.logging import run

LOG = Path("data/served")
# A generous size of one record as JSON; with the number of records it limits the body.
RECORD_BYTES = 4096
SWAP_SECONDS = 1.0
SHUTDOWN_SECONDS = 10
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Codes of errors that the framework raises by their status.
CODES = {404: "not_found", 405: "method_not_allowed"}
SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

T = TypeVar("T")

log = logging.getLogger(__name__)
access = logging.getLogger("access")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``serving`` section of ``params.yaml``."""

    host: str
    port: int
    maximum_records: int
    log_rows: int
    log_seconds: float


class RequestError(Exception):
    """A request that is refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Refuse with an HTTP status, a code for programs and a message for people."""
        super().__init__(message)
        self.status = status
        self.code = code


class Metrics:
    """What Prometheus reads."""

    def __init__(self) -> None:
        """Register all metrics in a registry of their own."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "http_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Time from a request to its answer.",
            ["route"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.predictions = Counter(
            "predictions", "Records that got a prediction.", registry=self.registry
        )
        self.batch_rows = Histogram(
            "prediction_batch_rows",
            "Records scored together.",
            buckets=ROWS_BUCKETS,
            registry=self.registry,
        )
        self.model = Gauge(
            "model_info", "1 for the live model.", ["version", "estimator"], registry=self.registry
        )
        self.refused = Counter(
            "model_refused", "Published models that were refused.", registry=self.registry
        )


class Waiting(NamedTuple):
    """The records of one request, waiting to be scored."""

    model: Model
    rows: list[Row]
    result: Future[list[dict[str, Any]]]


class Batcher:
    """Scores the records of requests that are there at the same moment in one call.

    A request that finds the event loop idle is scored at once. While a batch is scored, others
    arrive; they make up the next batch. Nothing waits for a timer.
    """

    def __init__(self, limit: int, scored: Callable[[Model, pl.DataFrame, Answer], None]) -> None:
        """Prepare an empty batch.

        Args:
            limit: records scored in one call, unless a single request has more.
            scored: told about each scored batch.
        """
        self._limit = limit
        self._scored = scored
        self._waiting: deque[Waiting] = deque()

    async def predict(self, model: Model, rows: list[Row]) -> list[dict[str, Any]]:
        """Return the predictions by ``model``, one per row."""
        loop = asyncio.get_running_loop()
        result: Future[list[dict[str, Any]]] = loop.create_future()
        if not self._waiting:
            # Runs after every request that is ready now had its turn to join.
            loop.call_soon(self._score)
        self._waiting.append(Waiting(model, rows, result))
        return await result

    def _take(self) -> list[Waiting]:
        taken = [self._waiting.popleft()]
        rows = len(taken[0].rows)
        while self._waiting and self._waiting[0].model is taken[0].model:
            rows += len(self._waiting[0].rows)
            if rows > self._limit:
                break
            taken.append(self._waiting.popleft())
        return taken

    def _score(self) -> None:
        taken = self._take()
        model = taken[0].model
        try:
            batch = to_frame([row for item in taken for row in item.rows], model.schema)
            answer = model.answer(batch)
            predicted = iter(model.rows(batch, answer))
            self._scored(model, batch, answer)
        # Every request of the batch has to hear of it, whatever it is.
        except Exception as error:
            for item in taken:
                if not item.result.done():
                    item.result.set_exception(error)
        else:
            for item in taken:
                mine = [next(predicted) for _ in item.rows]
                if not item.result.done():
                    item.result.set_result(mine)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._score)


class Service:
    """The live model and what surrounds it."""

    def __init__(self, settings: Settings, models: Path, folder: Path) -> None:
        """Prepare a service without a model.

        Args:
            settings: limits and intervals.
            models: folder of the artefacts.
            folder: folder of the prediction log.
        """
        self.settings = settings
        self.model: Model | None = None
        self.description = b""
        self.metrics = Metrics()
        self.batcher = Batcher(settings.maximum_records, self._scored)
        self._models = models
        self._folder = folder
        self._seen: tuple[int, bytes] | None = None
        self._log: PredictionLog | None = None

    def _scored(self, model: Model, batch: pl.DataFrame, answer: Answer) -> None:
        self.metrics.predictions.inc(batch.height)
        self.metrics.batch_rows.observe(batch.height)
        if self._log is not None:
            self._log.add(model.artefact.metadata, batch, answer)

    def live(self) -> Model:
        """Return the live model.

        Raises:
            RequestError: none is loaded.
        """
        if self.model is None:
            raise RequestError(503, "not_ready", "No model is loaded; see the log of the service.")
        return self.model

    def _pointer(self) -> tuple[int, bytes] | None:
        path = self._models / POINTER
        try:
            return path.stat().st_mtime_ns, path.read_bytes()
        except OSError:
            return None

    def _load(self) -> tuple[Model, bytes]:
        model = load_model(self._models)
        described = document(model.artefact.metadata, self.settings.maximum_records)
        return model, msgspec.json.encode(described)

    async def refresh(self) -> None:
        """Load the model that the pointer names, if the pointer changed since the last look."""
        pointer = await asyncio.to_thread(self._pointer)
        if pointer is None or pointer == self._seen:
            return
        self._seen = pointer
        try:
            model, description = await asyncio.to_thread(self._load)
        # Whatever is wrong with a new model, the old one goes on answering.
        except Exception as error:
            self.metrics.refused.inc()
            known = isinstance(error, ProjectError)
            log.error("model refused", extra={"reason": str(error)}, exc_info=not known)
            return
        metadata = model.artefact.metadata
        self.model, self.description = model, description
        self.metrics.model.clear()
        self.metrics.model.labels(metadata.version, metadata.estimator).set(1)
        log.info("model loaded", extra={"version": metadata.version})

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(SWAP_SECONDS)
            await self.refresh()

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Load the model, follow the pointer and log predictions while the service runs."""
        del app
        await self.refresh()
        if self.model is None:
            log.warning("no model yet", extra={"pointer": str(self._models / POINTER)})
        settings = self.settings
        self._log = PredictionLog(
            self._folder, settings.log_rows, settings.log_seconds, self.metrics.registry
        )
        follower = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            follower.cancel()
            with suppress(asyncio.CancelledError):
                await follower
            await asyncio.to_thread(self._log.close)

    async def body(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises:
            RequestError: it is not declared as JSON, or too large.
        """
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared != "application/json":
            raise RequestError(
                415, "unsupported_media_type", "Send JSON with Content-Type: application/json."
            )
        limit = self.settings.maximum_records * RECORD_BYTES
        content = bytearray()
        try:
            async for chunk in request.stream():
                content += chunk
                if len(content) > limit:
                    raise RequestError(413, "too_large", f"The body is larger than {limit} bytes.")
        except ClientDisconnect as error:
            raise RequestError(400, "incomplete", "The body ended too early.") from error
        return bytes(content)

    async def predict(self, request: Request) -> Response:
        """Predict one record."""
        model = self.live()
        record = _decode(model, model.decode_record, await self.body(request))
        rows = to_rows([record], model.schema, "$")
        (prediction,) = await self.batcher.predict(model, rows)
        return _json(prediction)

    async def predict_batch(self, request: Request) -> Response:
        """Predict many records."""
        model = self.live()
        records = _decode(model, model.decode_batch, await self.body(request)).records
        maximum = self.settings.maximum_records
        if len(records) > maximum:
            raise RequestError(
                422, "too_many", f"{len(records)} records; at most {maximum} are taken at once."
            )
        rows = to_rows(records, model.schema, "$.records[{}]")
        return _json({"predictions": await self.batcher.predict(model, rows)})

    async def health(self, request: Request) -> Response:
        """Tell that the service is alive."""
        del request
        return _json(Status("alive"))

    async def ready(self, request: Request) -> Response:
        """Tell that the service can predict."""
        del request
        self.live()
        return _json(Status("ready"))

    async def describe_model(self, request: Request) -> Response:
        """Describe the live model."""
        del request
        metadata, names = self.live().artefact.metadata, self.live().artefact.scorer.names
        description = ModelDescription(
            version=metadata.version,
            name=metadata.project.name,
            task=metadata.project.task,
            estimator=metadata.estimator,
            metrics=dict(metadata.metrics),
            decision=metadata.decision,
            features=FeatureList(names.numeric, names.categorical),
            contract=metadata.recipe.contract,
        )
        return _json(description)

    async def openapi(self, request: Request) -> Response:
        """Describe the service."""
        del request
        self.live()
        return Response(self.description, media_type="application/json")

    async def prometheus(self, request: Request) -> Response:
        """Give the metrics."""
        del request
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _decode(model: Model, decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise RequestError(422, "invalid_record", model.explain(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, "malformed_json", f"The body is not JSON: {error}") from error


class Observe:
    """Names every request, logs and counts it, and hides the details of a failure."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        """Wrap an application.

        Args:
            app: what answers.
            metrics: where requests are counted.
            routes: known paths; others are counted together, so that no caller can add series.
        """
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["request_id"] = request_id
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, observed)
        except Exception:
            log.exception("request failed", extra={"request_id": request_id})
            if status:
                raise
            error = RequestError(500, "internal_error", "The service failed; its log says why.")
            await _problem(error, request_id)(scope, receive, observed)
        finally:
            seconds = perf_counter() - started
            method, path = scope["method"], scope["path"]
            route = path if path in self._routes else "other"
            self._metrics.requests.labels(route, method, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            fields = {"request_id": request_id, "method": method, "path": path, "status": status}
            access.info("request", extra={**fields, "milliseconds": round(seconds * 1000, 3)})


def _problem(error: RequestError, request_id: str) -> Response:
    return _json(ErrorAnswer(Problem(error.code, str(error), request_id)), error.status)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "refused")
        refused = RequestError(error.status_code, code, f"{error.detail}. See /openapi.json.")
        response = _problem(refused, request.scope["request_id"])
        response.headers.update(error.headers or {})
        return response
    if isinstance(error, RecordError):
        error = RequestError(422, "invalid_record", str(error))
    if not isinstance(error, RequestError):
        raise error
    return _problem(error, request.scope["request_id"])


def create_app(settings: Settings, models: Path = MODELS, folder: Path = LOG) -> Starlette:
    """Assemble the service.

    Args:
        settings: limits and intervals.
        models: folder of the artefacts.
        folder: folder of the prediction log.
    """
    service = Service(settings, models, folder)
    endpoints: dict[str, tuple[str, Callable[[Request], Awaitable[Response]]]] = {
        "/v1/predictions": ("POST", service.predict),
        "/v1/predictions/batch": ("POST", service.predict_batch),
        "/v1/model": ("GET", service.describe_model),
        "/health": ("GET", service.health),
        "/ready": ("GET", service.ready),
        "/metrics": ("GET", service.prometheus),
        "/openapi.json": ("GET", service.openapi),
    }
    app = Starlette(
        routes=[
            Route(path, endpoint, methods=[method])
            for path, (method, endpoint) in endpoints.items()
        ],
        middleware=[Middleware(Observe, metrics=service.metrics, routes=frozenset(endpoints))],
        exception_handlers={HTTPException: _refused, RequestError: _refused, RecordError: _refused},
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False
    return app


def main() -> None:
    """Serve until told to stop; requests under way are answered and the log is written."""
    settings = convert(load_params().serving, Settings, "params.yaml, section serving")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=os.environ.get("HOST") or settings.host)
    parser.add_argument("--port", type=int, default=os.environ.get("PORT") or settings.port)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the artefacts")
    parser.add_argument("--log", type=Path, default=LOG, help="folder of the prediction log")
    arguments = parser.parse_args()
    uvicorn.run(
        create_app(settings, arguments.models, arguments.log),
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    run(main)

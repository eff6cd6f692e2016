"""The prediction service: answers, limits, errors, swaps of the model, and its log."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from model_deployment import prediction_log, replay, serving
from model_deployment.artefact import GRAPH, METADATA, load_artefact, publish
from model_deployment.monitoring import read_recent
from model_deployment.openapi import document
from model_deployment.prediction_log import PredictionLog
from model_deployment.preprocessing import model_inputs, standardise_records
from model_deployment.request_plan import (
    Model,
    RequestPlan,
    load_model,
    prepare,
    request_schema,
    to_frame,
    to_rows,
)
from utils.config import Column, Contract, ProjectError, Recipe, load_params
from utils.files import write_json
from utils.outcome import Decision
from utils.records import LARGEST_EXACT_INTEGER, example, record_example, record_type

ONE, MANY = "/v1/predictions", "/v1/predictions/batch"
SETTINGS = serving.Settings(
    host="127.0.0.1", port=8000, maximum_records=50, log_rows=20, log_seconds=0.05
)
Json = dict[str, Any]


@pytest.fixture(scope="session")
def live(models: Path) -> Model:
    """The live model, prepared for requests."""
    return load_model(models)


@pytest.fixture(scope="session")
def rows(records: pl.DataFrame, live: Model) -> list[Json]:
    """Some records as JSON objects."""
    names = [column.name for column in live.artefact.metadata.recipe.contract.inputs]
    chosen = records.select(names).head(SETTINGS.maximum_records).to_dicts()
    decoded: list[Json] = json.loads(msgspec.json.encode(chosen))
    return decoded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the prediction log."""
    return tmp_path_factory.mktemp("log") / "predictions"


@pytest.fixture(scope="module")
def client(models: Path, folder: Path) -> Iterator[TestClient]:
    """A running service."""
    app = serving.create_app(SETTINGS, models, folder)
    with TestClient(app, raise_server_exceptions=False) as running:
        yield running


@pytest.fixture
def published(models: Path, tmp_path: Path) -> Path:
    """A copy of the artefacts that a test may change."""
    return Path(shutil.copytree(models, tmp_path / "models"))


@pytest.fixture
def following(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A service that follows the copy of the artefacts closely."""
    monkeypatch.setattr(serving, "SWAP_SECONDS", 0.01)
    with TestClient(serving.create_app(SETTINGS, published, tmp_path / "log")) as running:
        yield running


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def assert_same(found: list[Json], expected: list[Json]) -> None:
    """Compare predictions; a batch may round the last digit of a score differently."""
    replay.check_same(pl.DataFrame(found), pl.DataFrame(expected), "The answer")


def metric(client: TestClient, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def add_version(models: Path, version: str) -> None:
    """Add a copy of the live version under another name, and make it live."""
    source = models / json.loads((models / "live.json").read_text())["version"]
    shutil.copytree(source, models / version)
    metadata = json.loads((models / version / METADATA).read_text())
    write_json(models / version / METADATA, {**metadata, "version": version})
    publish(models, version)


def first(columns: list[Column], **wanted: object) -> Column:
    return next(c for c in columns if all(getattr(c, k) == v for k, v in wanted.items()))


def decode(contract: Contract, sent: list[Json]) -> list[msgspec.Struct]:
    """Decode records as the service does."""
    decoder = msgspec.json.Decoder(record_type(contract.inputs))
    return [decoder.decode(msgspec.json.encode(record)) for record in sent]


# the plan of a request


def awkward(contract: Contract) -> list[Json]:
    """Records that a request may hold and that are hard on cleaning and features."""
    plain = record_example(contract.inputs)
    found = [plain, {**plain, **{c.name: None for c in contract.inputs if c.nullable}}]
    for column in contract.inputs:
        options: list[object] = []
        if column.type == "timestamp":
            options = [
                "1969-12-31T23:59:59.999999",
                "2024-02-29T23:30:00-11:30",
                "0001-01-02 00:00",
            ]
            options[2] = "0001-01-02 00:00:00"
        elif column.type != "string":
            whole = column.type == "integer"
            low = -LARGEST_EXACT_INTEGER if column.minimum is None else column.minimum
            high = LARGEST_EXACT_INTEGER if column.maximum is None else column.maximum
            options = [low, high, *([] if whole else [(low + high) / 3])]
        elif column.allowed:
            options = list(column.allowed)
        else:
            options = ["  two \t words ", "N/A", "ÄRGER 🙂", "\u0000x", "-"]
        found += [{**plain, column.name: option} for option in options]
    return found


@pytest.mark.parametrize("which", ["project", "small"])
def test_the_plan_gives_what_preprocessing_gives(live: Model, recipe: Recipe, which: str) -> None:
    chosen = live.artefact.metadata.recipe if which == "project" else recipe
    schema = request_schema(chosen.contract)
    decoded = decode(chosen.contract, awkward(chosen.contract))
    batch = to_frame(to_rows(decoded, schema, "$[{}]"), schema)
    plan = RequestPlan(chosen, schema)
    expected = model_inputs(standardise_records(batch, chosen), chosen)
    for _ in range(2):
        found = plan.inputs(batch)
        np.testing.assert_array_equal(found.numeric, expected.numeric)
        np.testing.assert_array_equal(found.categorical, expected.categorical)
    single = plan.inputs(batch[3:4])
    np.testing.assert_array_equal(single.numeric, expected.numeric[3:4])


def test_moments_are_brought_to_utc(contract: Contract) -> None:
    schema = request_schema(contract)
    plain = record_example(contract.inputs)
    name = contract.with_role("timestamp")[0].name
    sent = [{**plain, name: "2026-03-01T01:30:00+02:00"}, {**plain, name: "2026-03-01 01:30:00"}]
    decoded = decode(contract, sent)
    found = to_frame(to_rows(decoded, schema, "$"), schema)[name].to_list()
    assert found == [datetime(2026, 2, 28, 23, 30), datetime(2026, 3, 1, 1, 30)]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("a", "identifier", "string", ""), "1.0"),
        (Column("a", "identifier", "integer", "", minimum=7), 7),
        (Column("a", "timestamp", "timestamp", "", example="2026-01-02 03:04:05"), "03:04:05Z"),
        (Column("a", "timestamp", "timestamp", ""), "T12:00:00Z"),
        (Column("a", "categorical", "string", "", allowed=("x", "y")), "x"),
        (Column("a", "numeric", "float", "", maximum=0.25), 0.25),
        (Column("a", "numeric", "integer", "", example=3), 3),
    ],
)
def test_every_column_has_an_example(column: Column, expected: object) -> None:
    value = example(column)
    assert value == expected or str(value).endswith(str(expected))
    assert isinstance(value, str) == (column.type in {"string", "timestamp"})


def test_an_example_that_breaks_its_own_rule_is_reported(live: Model) -> None:
    artefact = live.artefact
    contract = artefact.metadata.recipe.contract
    number = first(list(contract.columns), role="numeric", type="float")
    wrong = msgspec.structs.replace(number, example=float(number.maximum or 0) + 1)
    columns = tuple(wrong if column is number else column for column in contract.columns)
    changed = msgspec.structs.replace(contract, columns=columns)
    recipe = msgspec.structs.replace(artefact.metadata.recipe, contract=changed)
    metadata = msgspec.structs.replace(artefact.metadata, recipe=recipe)
    with pytest.raises(ProjectError, match=number.name):
        prepare(artefact._replace(metadata=metadata))


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, model_deployment.serving\n"
        "print(sorted({'pandas', 'sklearn', 'scipy', 'pyarrow', 'matplotlib'} & {*sys.modules}))"
    )
    root = Path(serving.__file__).parent.parent
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "[]"


# predictions


def test_a_record_gets_the_prediction_of_the_model(
    client: TestClient, live: Model, rows: list[Json], records: pl.DataFrame
) -> None:
    answer = client.post(ONE, json=rows[0])
    assert answer.status_code == 200
    expected = replay.expected_log(records.head(1), live.artefact).to_dicts()[0]
    assert_same([answer.json()], [{name: expected[name] for name in answer.json()}])
    assert answer.json()["model_version"] == live.artefact.metadata.version
    assert set(live.artefact.metadata.recipe.contract.identifiers) < set(answer.json())


def test_a_batch_gets_what_single_records_get(client: TestClient, rows: list[Json]) -> None:
    batch = client.post(MANY, json={"records": rows}).json()["predictions"]
    assert_same(batch, [client.post(ONE, json=row).json() for row in rows])


def test_missing_fields_and_null_are_the_same(
    client: TestClient, live: Model, rows: list[Json]
) -> None:
    nullable = {c.name for c in live.artefact.metadata.recipe.contract.inputs if c.nullable}
    short = {name: value for name, value in rows[0].items() if name not in nullable}
    full = {**short, **dict.fromkeys(nullable)}
    assert client.post(ONE, json=short).json() == client.post(ONE, json=full).json()


def test_whole_numbers_may_be_written_as_floats(
    client: TestClient, live: Model, rows: list[Json]
) -> None:
    whole = first(live.artefact.metadata.recipe.contract.inputs, role="numeric", type="integer")
    same = [{**rows[0], whole.name: value} for value in (2, 2.0)]
    assert client.post(ONE, json=same[0]).json() == client.post(ONE, json=same[1]).json()
    refused = client.post(ONE, json={**rows[0], whole.name: 2.5})
    assert refused.status_code == 422
    assert whole.name in refused.json()["error"]["message"]


def test_requests_of_the_same_moment_are_scored_together(
    live: Model, records: pl.DataFrame, rows: list[Json]
) -> None:
    scored: list[int] = []
    batcher = serving.Batcher(8, lambda _model, batch, _answer: scored.append(batch.height))
    decoded = [live.decode_record.decode(msgspec.json.encode(row)) for row in rows[:20]]
    prepared = to_rows(decoded, live.schema, "$")

    async def all_at_once() -> list[list[Json]]:
        waiting = (batcher.predict(live, [row]) for row in prepared)
        return await asyncio.gather(*waiting)

    answers = asyncio.run(all_at_once())
    assert scored == [8, 8, 4]
    key = live.artefact.metadata.recipe.contract.identifiers[0]
    assert [answer[0][key] for answer in answers] == records[key].head(20).to_list()


def test_a_failure_reaches_every_request_of_a_batch(live: Model, rows: list[Json]) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    batcher = serving.Batcher(8, broken)
    row = to_rows([live.decode_record.decode(msgspec.json.encode(rows[0]))], live.schema, "$")

    async def three() -> list[list[Json] | BaseException]:
        waiting = (batcher.predict(live, row) for _ in range(3))
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(answer) for answer in asyncio.run(three())] == [ZeroDivisionError] * 3


# refusals


def refused(answer: Any, status: int, code: str) -> str:
    """Check the one shape of errors and return the message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    message: str = error["message"]
    return message


@pytest.mark.parametrize("path", [ONE, MANY])
@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a": 1', b"[" * 100_000, b'{"a": "\xff"}', b"\x00", b"nonsense"]
)
def test_what_is_not_json_is_refused(client: TestClient, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    code = {400: "malformed_json", 422: "invalid_record"}[answer.status_code]
    refused(answer, answer.status_code, code)
    # An array that never ends is of the wrong type before it is malformed.
    assert answer.status_code == 400 or body.startswith((b"[", b"{"))


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_refused(client: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    message = refused(
        client.post(ONE, content=b"{}", headers=headers), 415, "unsupported_media_type"
    )
    assert "application/json" in message


def test_a_charset_is_accepted(client: TestClient, rows: list[Json]) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post(ONE, content=json.dumps(rows[0]), headers=headers).status_code == 200


def broken_values(contract: Contract) -> list[tuple[str, object]]:
    """Values that break the contract, by column."""
    found: list[tuple[str, object]] = []
    for column in contract.inputs:
        if not column.nullable:
            found.append((column.name, None))
        if column.role == "identifier":
            found.append((column.name, "  " if column.type == "string" else 1.5))
        if column.type == "timestamp":
            late, early = "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+14:00"
            found += [(column.name, wrong) for wrong in ("2026-02-30T00:00:00", late, early, 5)]
        if column.role == "numeric":
            found += [(column.name, wrong) for wrong in ("1", True, [1])]
            if column.minimum is not None:
                found.append((column.name, column.minimum - 1))
            if column.maximum is not None:
                found.append((column.name, column.maximum + 1))
        if column.allowed:
            found += [(column.name, "no such category"), (column.name, 1)]
    return found


def test_a_record_that_breaks_the_contract_is_named(
    client: TestClient, live: Model, rows: list[Json]
) -> None:
    contract = live.artefact.metadata.recipe.contract
    for name, value in broken_values(contract):
        wrong = {**rows[0], name: value}
        message = refused(client.post(ONE, json=wrong), 422, "invalid_record")
        assert f"$.{name}" in message
        answer = client.post(MANY, json={"records": [rows[1], rows[2], wrong]})
        message = refused(answer, 422, "invalid_record")
        assert f"$.records[2].{name}" in message
        if value == "no such category":
            allowed = first(contract.inputs, name=name).allowed
            assert message.endswith(f"Allowed: {', '.join(map(str, allowed))}")


def test_unknown_and_absent_fields_are_named(
    client: TestClient, live: Model, rows: list[Json]
) -> None:
    message = refused(client.post(ONE, json={**rows[0], "shoe_size": 1}), 422, "invalid_record")
    assert "shoe_size" in message
    key = live.artefact.metadata.recipe.contract.identifiers[0]
    short = {name: value for name, value in rows[0].items() if name != key}
    assert key in refused(client.post(ONE, json=short), 422, "invalid_record")
    refused(client.post(MANY, json={"records": []}), 422, "invalid_record")
    refused(client.post(MANY, json=rows), 422, "invalid_record")


def test_limits_are_kept(client: TestClient, rows: list[Json]) -> None:
    many = [rows[0]] * (SETTINGS.maximum_records + 1)
    message = refused(client.post(MANY, json={"records": many}), 422, "too_many")
    assert str(SETTINGS.maximum_records) in message
    large = b" " * (SETTINGS.maximum_records * serving.RECORD_BYTES + 1)
    headers = {"content-type": "application/json"}
    for path in (ONE, MANY):
        refused(client.post(path, content=large, headers=headers), 413, "too_large")


def test_unknown_paths_and_methods_are_refused(client: TestClient) -> None:
    refused(client.get("/nothing"), 404, "not_found")
    refused(client.post(f"{ONE}/"), 404, "not_found")
    answer = client.get(ONE)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    refused(client.delete("/health"), 405, "method_not_allowed")


def test_request_ids_are_returned(client: TestClient) -> None:
    given = client.get("/health", headers={"x-request-id": "order-17.a_B"})
    assert given.headers["x-request-id"] == "order-17.a_B"
    for bad in (b"a b", b"x" * 65, "ünsafe".encode("latin-1"), b""):
        made = client.get("/health", headers={b"x-request-id": bad}).headers["x-request-id"]
        assert serving.REQUEST_ID.fullmatch(made)
        assert made != bad.decode("latin-1")


def test_a_failure_hides_its_details(
    client: TestClient,
    rows: list[Json],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the database")

    monkeypatch.setattr(serving, "to_frame", broken)
    answer = client.post(ONE, json=rows[0], headers={"x-request-id": "failing"})
    assert "secret" not in refused(answer, 500, "internal_error")
    failed = [record for record in caplog.records if record.exc_info]
    assert "secret" in str(failed[0].exc_info)
    assert vars(failed[0])["request_id"] == "failing"


def test_requests_are_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/nothing", headers={"x-request-id": "seen"})
    fields = vars(next(record for record in caplog.records if record.name == "access"))
    assert (fields["request_id"], fields["method"], fields["path"]) == ("seen", "GET", "/nothing")
    assert fields["status"] == 404
    assert fields["milliseconds"] >= 0


# what the service tells about itself


def test_health_and_model(client: TestClient, live: Model) -> None:
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").json() == {"status": "ready"}
    description = client.get("/v1/model").json()
    metadata = live.artefact.metadata
    assert description["version"] == metadata.version
    assert description["estimator"] == metadata.estimator
    assert description["features"]["numeric"] == live.artefact.scorer.names.numeric
    assert msgspec.convert(description["contract"], Contract) == metadata.recipe.contract
    assert msgspec.convert(description["decision"], Decision) == metadata.decision


def test_metrics_count(client: TestClient, live: Model, rows: list[Json]) -> None:
    route = f'http_requests_total{{method="POST",route="{MANY}",status="200"}}'
    names = ("predictions_total", "prediction_batch_rows_count", route)
    before = [metric(client, name) for name in names]
    client.post(MANY, json={"records": rows[:7]})
    after = [metric(client, name) for name in names]
    assert np.subtract(after, before).tolist() == [7, 1, 1]
    version = live.artefact.metadata.version
    info = f'model_info{{estimator="{live.artefact.metadata.estimator}",version="{version}"}}'
    assert metric(client, info) == 1
    client.get("/never/seen/before")
    text = client.get("/metrics").text
    assert "never" not in text
    assert 'http_request_duration_seconds_bucket{le="0.0005",route="/health"}' in text


def test_openapi_follows_the_contract(client: TestClient, live: Model) -> None:
    answer = client.get("/openapi.json").json()
    contract = live.artefact.metadata.recipe.contract
    record = answer["components"]["schemas"]["Record"]
    assert list(record["properties"]) == [column.name for column in contract.inputs]
    assert record["required"] == [c.name for c in contract.inputs if not c.nullable]
    assert record["additionalProperties"] is False
    types = {"string": "string", "timestamp": "string", "integer": "integer", "float": "number"}
    for column in contract.inputs:
        field = record["properties"][column.name]
        kinds = field.get("anyOf", [field])
        assert ({"type": "null"} in kinds) == column.nullable
        assert column.description in field["description"]
        assert column.unit in field["description"]
        if column.allowed:
            assert sorted(kinds[0]["enum"]) == sorted(column.allowed)
            continue
        assert kinds[0]["type"] == types[column.type]
        assert kinds[0].get("minimum") == column.minimum
        assert kinds[0].get("maximum") == column.maximum
        assert (kinds[0].get("format") == "date-time") == (column.type == "timestamp")
    batch = answer["components"]["schemas"]["Batch"]["properties"]["records"]
    assert (batch["minItems"], batch["maxItems"]) == (1, SETTINGS.maximum_records)


def test_openapi_examples_are_valid(client: TestClient, live: Model) -> None:
    answer = client.get("/openapi.json").json()
    assert set(answer["paths"]) | {"/openapi.json"} == {
        ONE,
        MANY,
        "/v1/model",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
    }
    for path in (ONE, MANY):
        content = answer["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        result = client.post(path, json=content["example"])
        assert result.status_code == 200
    (prediction,) = result.json()["predictions"]
    described = answer["components"]["schemas"]["Prediction"]
    assert list(described["properties"]) == list(prediction) == described["required"]
    again = document(live.artefact.metadata, SETTINGS.maximum_records)
    assert json.loads(msgspec.json.encode(again)) == answer


# records without an identifier


@pytest.fixture
def numbered(numbering: Path, tmp_path: Path) -> Iterator[TestClient]:
    """A service whose model was trained on records without an identifier."""
    with TestClient(serving.create_app(SETTINGS, numbering, tmp_path / "log")) as running:
        yield running


@pytest.fixture
def unnamed(live: Model, rows: list[Json]) -> list[Json]:
    """Records without their identifiers."""
    identifiers = live.artefact.metadata.recipe.contract.identifiers
    return [{name: row[name] for name in row if name not in identifiers} for row in rows]


def test_a_record_without_an_identifier_gets_one_and_the_answer_names_it(
    numbered: TestClient, client: TestClient, rows: list[Json], unnamed: list[Json], tmp_path: Path
) -> None:
    answers = [numbered.post(ONE, json=unnamed[0]).json() for _ in range(2)]
    answers += numbered.post(MANY, json={"records": unnamed}).json()["predictions"]
    made = [answer.pop("row_number") for answer in answers]
    assert len(set(made)) == len(unnamed) + 2
    assert all(LARGEST_EXACT_INTEGER // 2 < number <= LARGEST_EXACT_INTEGER for number in made)
    expected = [client.post(ONE, json=row).json() for row in (*rows[:1] * 2, *rows)]
    assert_same(answers, [{name: row[name] for name in answers[0]} for row in expected])
    assert within(20, lambda: metric(numbered, "prediction_log_rows_total") == len(made))
    assert read_recent(tmp_path / "log")["row_number"].to_list() == made


def test_a_record_may_bring_an_identifier_all_the_same(
    numbered: TestClient, unnamed: list[Json]
) -> None:
    sent = [{**unnamed[0], "row_number": 7}, unnamed[1]]
    first, second = numbered.post(MANY, json={"records": sent}).json()["predictions"]
    assert first["row_number"] == 7
    assert second["row_number"] > LARGEST_EXACT_INTEGER // 2
    refused = numbered.post(ONE, json={**unnamed[0], "row_number": None})
    assert refused.status_code == 422
    assert refused.json()["error"]["message"].endswith("at `$.row_number`")


@pytest.mark.parametrize("sign", [-1, 1])
def test_an_integer_that_another_one_is_read_as_is_refused(
    numbered: TestClient, unnamed: list[Json], sign: int
) -> None:
    largest = {**unnamed[0], "row_number": sign * LARGEST_EXACT_INTEGER}
    assert numbered.post(ONE, json=largest).json()["row_number"] == largest["row_number"]
    for more in (1, 2):
        sent = {**unnamed[0], "row_number": sign * (LARGEST_EXACT_INTEGER + more)}
        assert numbered.post(ONE, json=sent).status_code == 422


def test_the_description_says_that_no_identifier_is_needed(numbered: TestClient) -> None:
    answer = numbered.get("/openapi.json").json()
    record = answer["components"]["schemas"]["Record"]
    assert record["properties"]["row_number"]["type"] == "integer"
    assert "row_number" not in record["required"]
    assert "default" not in record["properties"]["row_number"]
    assert "row_number" in answer["components"]["schemas"]["Prediction"]["required"]
    content = answer["paths"][ONE]["post"]["requestBody"]["content"]["application/json"]
    assert "row_number" not in content["example"]
    assert numbered.post(ONE, json=content["example"]).status_code == 200


# swaps of the model


def test_a_service_without_a_model_waits_for_one(
    models: Path, tmp_path: Path, rows: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SWAP_SECONDS", 0.01)
    app = serving.create_app(SETTINGS, tmp_path / "models", tmp_path / "log")
    with TestClient(app) as client:
        assert client.get("/health").status_code == 200
        refused(client.get("/ready"), 503, "not_ready")
        for path in ("/v1/model", "/openapi.json"):
            refused(client.get(path), 503, "not_ready")
        refused(client.post(ONE, json=rows[0]), 503, "not_ready")
        shutil.copytree(models, tmp_path / "copied")
        (tmp_path / "copied").rename(tmp_path / "models")
        assert within(20, lambda: client.get("/ready").status_code == 200)
        assert client.post(ONE, json=rows[0]).status_code == 200


def test_a_new_version_is_swapped_in(
    following: TestClient, published: Path, rows: list[Json]
) -> None:
    before = following.post(ONE, json=rows[0]).json()
    add_version(published, "v000000000000")
    versions = set()
    while "v000000000000" not in versions:
        answer = following.post(ONE, json=rows[0])
        assert answer.status_code == 200
        versions.add(answer.json()["model_version"])
    assert versions <= {before["model_version"], "v000000000000"}
    after = following.post(ONE, json=rows[0]).json()
    assert after == {**before, "model_version": "v000000000000"}
    assert metric(following, "model_info") == 1


@pytest.mark.parametrize("name", [GRAPH, METADATA, "live.json"])
def test_a_damaged_version_is_refused(
    following: TestClient,
    published: Path,
    rows: list[Json],
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = following.post(ONE, json=rows[0]).json()
    # Complete before it goes live, as an export is.
    staged = Path(shutil.copytree(published, published.with_name("staged")))
    add_version(staged, "v000000000000")
    damaged = staged / name if name == "live.json" else staged / "v000000000000" / name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    shutil.copytree(staged / "v000000000000", published / "v000000000000")
    (staged / "live.json").replace(published / "live.json")
    assert within(20, lambda: metric(following, "model_refused_total") == 1)
    assert following.post(ONE, json=rows[0]).json() == before
    assert any(record.message == "model refused" for record in caplog.records)
    publish(published, before["model_version"])
    refusal = caplog.messages.index("model refused")
    assert within(20, lambda: "model loaded" in caplog.messages[refusal:])


def test_an_unexpected_error_of_a_new_version_is_survived(
    following: TestClient, published: Path, rows: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(models: Path) -> Model:
        raise MemoryError(models)

    monkeypatch.setattr(serving, "load_model", broken)
    add_version(published, "v000000000000")
    assert within(20, lambda: metric(following, "model_refused_total") == 1)
    assert following.post(ONE, json=rows[0]).status_code == 200


# the log of predictions


def test_the_log_holds_what_batch_scoring_would_write(
    live: Model, models: Path, records: pl.DataFrame, rows: list[Json], tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(SETTINGS, log_seconds=60)
    with TestClient(serving.create_app(settings, models, tmp_path / "log")) as client:
        for row in rows[:3]:
            client.post(ONE, json=row)
        client.post(MANY, json={"records": rows[3:]})
        # The rows are enough for a part before the time is up.
        assert within(20, lambda: metric(client, "prediction_log_rows_total") == len(rows))
        client.post(ONE, json=rows[0])
    logged = read_recent(tmp_path / "log")
    expected = replay.expected_log(records.head(len(rows)), live.artefact)
    assert logged.schema == expected.schema
    replay.check_same(logged.head(len(rows)), expected, "The log")
    replay.check_same(logged.tail(1), expected.head(1), "What stopping wrote")
    assert not [path for path in (tmp_path / "log").iterdir() if path.suffix != ".parquet"]


def test_rows_do_not_wait_longer_than_told(
    client: TestClient, folder: Path, rows: list[Json]
) -> None:
    parts = len(list(folder.glob("*.parquet")))
    client.post(ONE, json=rows[0])
    assert within(20, lambda: len(list(folder.glob("*.parquet"))) > parts)


def test_a_log_that_cannot_be_written_fails_no_request(
    models: Path, rows: list[Json], tmp_path: Path
) -> None:
    blocked = tmp_path / "log"
    blocked.write_text("in the way")
    with TestClient(serving.create_app(SETTINGS, models, blocked)) as client:
        assert client.post(ONE, json=rows[0]).status_code == 200
        assert within(20, lambda: metric(client, "prediction_log_failures_total") >= 1)
        assert client.post(ONE, json=rows[1]).status_code == 200
        blocked.unlink()
        assert within(20, lambda: metric(client, "prediction_log_rows_total") == 2)
    assert read_recent(blocked).height == 2


def test_two_models_are_logged_each_with_its_version(
    live: Model, records: pl.DataFrame, tmp_path: Path
) -> None:
    log = PredictionLog(tmp_path, 100, 60, CollectorRegistry())
    batch = records.select(pl.col(name).cast(dtype) for name, dtype in live.schema.items()).head(2)
    metadata = live.artefact.metadata
    other = msgspec.structs.replace(metadata, version="other")
    answer = live.answer(batch)
    for served in (metadata, other, metadata):
        log.add(served, batch, answer)
    log.close()
    counts = read_recent(tmp_path)["model_version"].value_counts().rows()
    assert dict(counts) == {metadata.version: 4, "other": 2}


def test_memory_of_the_log_is_bounded(
    live: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "ROWS_KEPT", 3)
    registry = CollectorRegistry()
    log = PredictionLog(tmp_path, 100, 60, registry)
    one = live.decode_record.decode(
        msgspec.json.encode(record_example(live.artefact.metadata.recipe.contract.inputs))
    )
    batch = to_frame(to_rows([one, one], live.schema, "$"), live.schema)
    for _ in range(3):
        log.add(live.artefact.metadata, batch, live.answer(batch))
    log.close()
    assert read_recent(tmp_path).height == 2
    assert registry.get_sample_value("prediction_log_dropped_rows_total") == 4


# the commands


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, None),
        ([], {"HOST": "0.0.0.0", "PORT": "81"}, ("0.0.0.0", 81)),  # noqa: S104
        (["--host", "::1", "--port", "82"], {"HOST": "a", "PORT": "81"}, ("::1", 82)),
    ],
)
def test_the_command_line_wins_over_the_environment_over_params(
    in_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    expected: tuple[str, int] | None,
) -> None:
    served: list[tuple[str, int]] = []
    monkeypatch.setattr(
        "uvicorn.run", lambda _app, **options: served.append((options["host"], options["port"]))
    )
    for name in ("HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["serving", *arguments])
    serving.main()
    settings = load_params(in_project / "params.yaml").serving
    assert served == [expected or (settings["host"], settings["port"])]


def test_replay_sends_every_record_and_repeats_itself(
    in_project: Path,
    records: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent, folder = tmp_path / "sent.parquet", tmp_path / "predictions"
    records.head(120).write_parquet(sent)
    folder.mkdir()
    shutil.copy(sent, folder / "part-old.parquet")
    monkeypatch.setattr("sys.argv", ["replay", "--records", str(sent), "--log", str(folder)])
    written = []
    for _ in range(2):
        replay.main()
        (part,) = folder.iterdir()
        written.append(part.read_bytes())
    assert written[0] == written[1]
    artefact = load_artefact(in_project / "models")
    expected = replay.expected_log(records.head(120), artefact)
    replay.check_same(pl.read_parquet(part), expected, "The log")
    assert "Example: {" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"sent.parquet", "predictions"}


def test_replay_leaves_other_folders_alone(
    models: Path, records: pl.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ProjectError, match=r"thesis\.tex"):
        replay.replay(records, models, tmp_path, 10)
    with pytest.raises(ProjectError, match="is a file"):
        replay.replay(records, models, tmp_path / "thesis.tex", 10)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_replay_reports_a_service_that_does_not_start(
    in_project: Path, records: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ProjectError, match=r"(?s)The service ended.*params\.yaml was not found"):
        replay.replay(records, in_project / "models", tmp_path / "predictions", 10)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_replay_refuses_unreadable_records(
    models: Path, records: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProjectError, match="no records"):
        replay.replay(records.head(0), models, tmp_path / "log", 10)
    arguments = ["replay", "--records", str(tmp_path / "none.parquet"), "--log", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(ProjectError, match="not a readable Parquet"):
        replay.main()


def test_replay_names_what_differs(live: Model, records: pl.DataFrame, tmp_path: Path) -> None:
    expected = replay.expected_log(records.head(5), live.artefact)
    score = next(name for name in reversed(expected.columns) if expected[name].dtype.is_float())
    key = live.artefact.metadata.recipe.contract.identifiers[0]
    for found, message in [
        (expected.head(4), "4 records instead of 5"),
        (expected.drop(key), "has the columns"),
        (expected.with_columns(pl.col(score) + 1), score),
        (expected.with_columns(pl.col(key).reverse()), key),
    ]:
        with pytest.raises(ProjectError, match=message):
            replay.check_same(found, expected, "The log")
    with pytest.raises(ProjectError, match="no prediction log"):
        replay.read_log(tmp_path, [key])


def test_replay_reports_refused_records(
    in_project: Path, records: pl.DataFrame, live: Model, tmp_path: Path
) -> None:
    del in_project
    contract = live.artefact.metadata.recipe.contract
    number = first(contract.inputs, role="numeric", type="float")
    wrong = records.head(2).with_columns(pl.lit(1e9).alias(number.name))
    with (
        replay.service(live.artefact.directory.parent, tmp_path / "log", tmp_path / "out") as port,
        pytest.raises(ProjectError, match=rf"status 422.*{number.name}"),
    ):
        replay.send(port, wrong, 10)


def test_what_is_not_the_service_is_reported() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests clean."""

    with HTTPServer((replay.HOST, 0), Page) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ProjectError, match="something else than JSON"):
            replay.request(server.server_port, "GET", "/ready")
        thread.join()

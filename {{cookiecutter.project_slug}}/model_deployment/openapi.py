"""The description of the service in OpenAPI 3.1, generated from the data contract."""

from typing import Annotated, Any, Literal

import msgspec

from model_deployment.artefact import Metadata
from model_deployment.postprocessing import output_columns
from model_deployment.request_plan import batch_type
from utils.config import Column, Contract
from utils.outcome import Decision
from utils.records import as_integers, described, record_example, record_type

JSON = "application/json"
REFERENCE = "#/components/schemas/{name}"
# Why a request is refused; each answers with the same shape.
PROBLEMS = {
    400: "The body is not JSON.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "A record breaks the contract, or there are too many; the message says which and why.",
    500: "The service failed; its log has the details under the request_id.",
    503: "No model is loaded.",
}


class Problem(msgspec.Struct, frozen=True):
    """What went wrong with a request."""

    code: str
    message: str
    request_id: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The one shape of all errors."""

    error: Problem


class Status(msgspec.Struct, frozen=True):
    """Whether the service is alive, or ready to predict."""

    status: Literal["alive", "ready"]


class FeatureList(msgspec.Struct, frozen=True):
    """The model's inputs in their order."""

    numeric: list[str]
    categorical: list[str]


class ModelDescription(msgspec.Struct, frozen=True):
    """The live model."""

    version: str
    name: str
    task: str
    estimator: str
    metrics: dict[str, float | None]
    decision: Decision
    features: FeatureList
    contract: Contract


def _answer_type(column: Column) -> Any:
    kind: Any = {"string": str, "integer": int}.get(column.type, float)
    meta = msgspec.Meta(
        description=described(column),
        ge=column.minimum,
        le=column.maximum,
        examples=None if column.example is None else [column.example],
    )
    return Annotated[Literal[column.allowed] if column.allowed else kind, meta]


def prediction_type(contract: Contract) -> type[msgspec.Struct]:
    """Build the type of one prediction: identifiers, the answer and the model's version."""
    columns = [*contract.with_role("identifier"), *output_columns(contract.target)]
    names = {f"column_{position}": column.name for position, column in enumerate(columns)}
    fields: list[tuple[str, Any]] = [
        *zip(names, map(_answer_type, columns), strict=True),
        ("model_version", str),
    ]
    return msgspec.defstruct("Prediction", fields, rename=names, kw_only=True)


def _content(name: str, **more: Any) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": REFERENCE.format(name=name)}, **more}}


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    header = {"$ref": "#/components/headers/RequestId"}
    return {"description": description, "headers": {"X-Request-ID": header}, "content": content}


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): _answer(PROBLEMS[status], _content("ErrorAnswer")) for status in statuses}


def _get(summary: str, content: dict[str, Any], *errors: int) -> dict[str, Any]:
    answers = {"200": _answer(summary, content), **_errors(*errors, 500)}
    return {"get": {"summary": summary, "responses": answers}}


def _post(summary: str, body: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    answers = {
        "200": _answer("Predictions, in the order of the records.", content),
        **_errors(*PROBLEMS),
    }
    request = {"required": True, "content": body}
    return {"post": {"summary": summary, "requestBody": request, "responses": answers}}


def document(metadata: Metadata, maximum_records: int) -> dict[str, Any]:
    """Describe the service that serves a model.

    Args:
        metadata: the live model.
        maximum_records: largest number of records in one request.

    Returns:
        An OpenAPI 3.1 document.
    """
    contract = metadata.recipe.contract
    record, prediction = record_type(contract.inputs), prediction_type(contract)
    predictions = msgspec.defstruct("Predictions", [("predictions", list[prediction])])  # type: ignore[valid-type]
    kinds = [batch_type(record, maximum_records), predictions, ErrorAnswer, Status]
    _, schemas = msgspec.json.schema_components([*kinds, ModelDescription], ref_template=REFERENCE)
    for field in schemas["Record"]["properties"].values():
        as_integers(field)
    example = record_example(contract.inputs)
    schemas["Record"]["description"] = contract.description
    schemas["Record"]["examples"] = [example]
    text = {"text/plain": {"schema": {"type": "string"}}}
    described_here = {JSON: {"schema": {"type": "object"}}}
    paths = {
        "/v1/predictions": _post(
            "Predict one record",
            _content("Record", example=example),
            _content("Prediction"),
        ),
        "/v1/predictions/batch": _post(
            f"Predict up to {maximum_records} records",
            _content("Batch", example={"records": [example]}),
            _content("Predictions"),
        ),
        "/v1/model": _get("The live model", _content("ModelDescription"), 503),
        "/health": _get("The service is alive", _content("Status")),
        "/ready": _get("The service has a model to predict with", _content("Status"), 503),
        "/metrics": _get("Metrics in the format of Prometheus", text),
        "/openapi.json": _get("This description", described_here, 503),
    }
    request_id = {"description": "Names the request in the log.", "schema": {"type": "string"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": metadata.project.name,
            "version": metadata.version,
            "description": metadata.project.description,
        },
        "paths": paths,
        "components": {"schemas": schemas, "headers": {"RequestId": request_id}},
    }

"""The way from a request to its answer, prepared once per model.

The contract becomes the types that requests are decoded into, and the functions that prepared the
training data become one compiled Polars plan. Building their expressions takes milliseconds,
running them a fraction of one, so a request only runs them.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from data_prep.cleaning import standardise
from data_prep.feature_engineering import derive, feature_names
from model_deployment.artefact import Artefact, load_artefact
from model_deployment.postprocessing import predictions
from model_deployment.preprocessing import ModelInputs, to_arrays
from utils.config import Column, Contract, ProjectError, Recipe
from utils.records import record_example, record_type

DTYPES = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "timestamp": pl.Datetime("us"),
}

Answer = dict[str, npt.NDArray[Any]]
Row = dict[str, Any]


class RecordError(ValueError):
    """A record that decodes but can't be used; the text names field and rule."""


def request_schema(contract: Contract) -> pl.Schema:
    """Return the columns of a batch of decoded requests."""
    return pl.Schema({column.name: DTYPES[column.type] for column in contract.inputs})


def batch_type(record: type[msgspec.Struct], maximum: int | None = None) -> type[msgspec.Struct]:
    """Build the type of a batch of records; ``maximum`` limits and documents their number."""
    records = Annotated[list[record], msgspec.Meta(min_length=1, max_length=maximum)]  # type: ignore[valid-type]
    return msgspec.defstruct("Batch", [("records", records)], forbid_unknown_fields=True)


def _in_utc(value: datetime, path: str) -> datetime:
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise RecordError(f"Timestamp out of range in UTC - at `{path}`") from error


def to_rows(records: Sequence[msgspec.Struct], schema: pl.Schema, path: str) -> list[Row]:
    """Return the values of decoded records by column: integers as such, timestamps in naive UTC.

    Args:
        records: decoded records.
        schema: names and types of their values.
        path: where the records are in the request, for error messages; ``{}`` is the position.

    Raises:
        RecordError: a timestamp has no value in UTC.
    """
    timestamps = [name for name, dtype in schema.items() if dtype == pl.Datetime]
    integers = [name for name, dtype in schema.items() if dtype == pl.Int64]
    rows = [dict(zip(schema, msgspec.structs.astuple(record), strict=True)) for record in records]
    for position, row in enumerate(rows):
        for name in timestamps:
            if row[name] is not None:
                row[name] = _in_utc(row[name], f"{path.format(position)}.{name}")
        for name in integers:
            if row[name] is not None:
                row[name] = int(row[name])
    return rows


def to_frame(rows: Sequence[Row], schema: pl.Schema) -> pl.DataFrame:
    """Return the values of records as a table."""
    return pl.from_dicts(rows, schema=schema)


def _free_text(recipe: Recipe) -> list[Column]:
    """Return the categories that a request may write in more than their standard form.

    Whatever the type of a request enforces is in standard form already: numbers in their range,
    naive timestamps, and allowed values that standardising leaves as they are.
    """

    def changes(column: Column) -> bool:
        written = pl.DataFrame({column.name: list(map(str, column.allowed))})
        frame = nw.from_native(written, eager_only=True)
        return not standardise(frame, [column], recipe.missing_markers).to_native().equals(written)

    return [
        column
        for column in recipe.contract.with_role("categorical")
        if not column.allowed or changes(column)
    ]


class RequestPlan:
    """Cleaning and features of a recipe, compiled once and run on one batch at a time.

    A batch has to hold decoded records: ranges and allowed values are taken as kept. Not safe for
    threads: the batch is handed over in an attribute.
    """

    def __init__(self, recipe: Recipe, schema: pl.Schema) -> None:
        """Compile the plan.

        Args:
            recipe: what turns records into features.
            schema: columns and types of the batches.
        """
        self._names = feature_names(recipe)
        self._batch = schema.to_frame()
        source = nw.from_native(register_io_source(self._source, schema=schema))
        standardised = standardise(source, _free_text(recipe), recipe.missing_markers)
        features = derive(standardised, recipe).to_native()
        self._plan = features.select(*self._names.numeric, *self._names.categorical)

    def _source(
        self,
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        del batch_size
        batch = self._batch if with_columns is None else self._batch.select(with_columns)
        batch = batch if predicate is None else batch.filter(predicate)
        yield batch if n_rows is None else batch.head(n_rows)

    def inputs(self, batch: pl.DataFrame) -> ModelInputs:
        """Return the inputs of the model for a batch that has the schema of the plan."""
        self._batch = batch
        features = self._plan.collect(optimizations=pl.QueryOptFlags.none())
        return to_arrays(features, self._names)


class Model(NamedTuple):
    """A verified model with everything a request needs, swapped as one."""

    artefact: Artefact
    schema: pl.Schema
    plan: RequestPlan
    record: type[msgspec.Struct]
    decode_record: msgspec.json.Decoder[msgspec.Struct]
    decode_batch: msgspec.json.Decoder[Any]

    def answer(self, batch: pl.DataFrame) -> Answer:
        """Return the columns of the answer, each of shape (n,), for a batch of n records."""
        scores = self.artefact.scorer.score(*self.plan.inputs(batch))
        return predictions(scores, self.artefact.metadata.decision)

    def rows(self, batch: pl.DataFrame, answer: Answer) -> list[dict[str, Any]]:
        """Return one prediction per record: its identifiers, the answer, the model's version."""
        metadata = self.artefact.metadata
        identifiers = metadata.recipe.contract.identifiers
        names = [*identifiers, *answer, "model_version"]
        columns = [
            *(batch[name].to_list() for name in identifiers),
            *(values.tolist() for values in answer.values()),
            [metadata.version] * batch.height,
        ]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def explain(self, error: Exception) -> str:
        """Return the text of a refused record, with the allowed values where they matter."""
        text = str(error)
        for column in self.artefact.metadata.recipe.contract.inputs:
            if column.allowed and text.endswith(f".{column.name}`"):
                return f"{text}. Allowed: {', '.join(map(str, column.allowed))}"
        return text


def prepare(artefact: Artefact) -> Model:
    """Prepare a model for requests and answer one example, so that the first request is fast.

    Raises:
        ProjectError: the model does not answer the example of its own contract.
    """
    contract = artefact.metadata.recipe.contract
    record = record_type(contract.inputs)
    schema = request_schema(contract)
    model = Model(
        artefact=artefact,
        schema=schema,
        plan=RequestPlan(artefact.metadata.recipe, schema),
        record=record,
        decode_record=msgspec.json.Decoder(record),
        decode_batch=msgspec.json.Decoder(batch_type(record)),
    )
    try:
        first = model.decode_record.decode(msgspec.json.encode(record_example(contract.inputs)))
        answer = model.answer(to_frame(to_rows([first], schema, "$"), schema))
    except msgspec.ValidationError as error:
        raise ProjectError(f"schema.yaml: an example breaks its own rule: {error}.") from error
    numbers = [values for values in answer.values() if values.dtype.kind == "f"]
    if not np.isfinite(np.concatenate(numbers)).all():
        raise ProjectError(f"Model {artefact.metadata.version} answers its example with {answer}.")
    return model


def load_model(models: Path) -> Model:
    """Load, verify and warm the live model.

    Raises:
        ProjectError: there is none, or it is not the one that was exported.
    """
    return prepare(load_artefact(models))

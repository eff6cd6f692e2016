"""Batch scoring as a Spark job: the same model and the same code, on all machines of a cluster.

Usage: ``python -m model_deployment.scoring_job --input RECORDS --output PREDICTIONS``. The input is
a Parquet file or a folder of them, the output one Parquet file, ordered by identifier. Each worker
loads the verified artefact once and scores batch by batch, so memory does not grow with the rows.
"""

import argparse
import functools
import importlib
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pyarrow as pa
from pyspark.sql import functions
from pyspark.sql.pandas.types import from_arrow_schema

from data_prep.engine import Engine
from data_prep.storage import plain_schema
from model_deployment.artefact import MODELS, Artefact, load_artefact, load_version
from model_deployment.serving import as_contract, score_chunk
from utils.config import Contract, ProjectError, load_params
from utils.logging import run

ROOT = Path(__file__).resolve().parent.parent

log = logging.getLogger(__name__)


@functools.cache
def _artefact(models: Path, version: str) -> Artefact:
    """Return a version, verified and opened once per worker."""
    return load_version(models, version)


def numbered(records: nw.LazyFrame[Any], contract: Contract) -> nw.LazyFrame[Any]:
    """Return records with the identifier that the contract generates, if they come without one.

    The numbers grow in the order of the rows and leave gaps between the parts of the table.
    """
    present = records.collect_schema().names()
    made = [
        column for column in contract.columns if column.generated and column.name not in present
    ]
    frame = records.to_native()
    for column in made:
        frame = frame.withColumn(column.name, functions.monotonically_increasing_id() + 1)
    complete: nw.LazyFrame[Any] = nw.from_native(frame)
    return complete


def score_batches(
    batches: Iterable[pa.RecordBatch], models: Path, version: str, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield the scored records of each batch; runs in the workers."""
    artefact = _artefact(models, version)
    for batch in batches:
        if batch.num_rows:
            records = as_contract(pl.DataFrame(batch), artefact.metadata.recipe, 0)
            yield from score_chunk(records, artefact).to_arrow().cast(schema).to_batches()


def score(source: Path, destination: Path, models: Path, engine: Engine) -> int:
    """Score a table into another, atomically.

    Args:
        source: Parquet with every input column of the contract, a file or a folder.
        destination: the Parquet file to write, replaced only when all rows are scored; ordered by
            identifier and, where these are equal, by the other columns.
        models: folder of the artefacts; all workers use the version that is live at the start.
        engine: runs the job.

    Returns:
        The number of rows scored.

    Raises:
        ProjectError: the input can't be read, is empty or lacks columns; nothing is written then.
    """
    if destination.suffix != ".parquet":
        raise ProjectError(f"{destination} has another format than Parquet: use .parquet.")
    artefact = load_artefact(models)
    recipe = artefact.metadata.recipe
    records = numbered(engine.scan(source), recipe.contract)
    first = pl.DataFrame(engine.collect(records.head(1)))
    if first.is_empty():
        raise ProjectError(f"{source} has no rows to score.")
    scored_first = score_chunk(as_contract(first, recipe, 0), artefact)
    schema = plain_schema(scored_first.to_arrow().schema)
    root, folder, version = str(ROOT), models.resolve(), artefact.metadata.version

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # only after this does a worker know where the modules of the project are
        if root not in sys.path:
            sys.path.insert(0, root)
        job = importlib.import_module("model_deployment.scoring_job")
        yield from job.score_batches(batches, folder, version, schema)

    types = from_arrow_schema(schema, prefer_timestamp_ntz=True)
    scored = nw.from_native(engine.in_workers(records.to_native(), work, types))
    identifiers = recipe.contract.identifiers
    others = [name for name in schema.names if name not in identifiers]
    return engine.write(scored, destination, [*identifiers, *others])


def main() -> None:
    """Score the table named on the command line with the live model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="records, Parquet or a folder")
    parser.add_argument("--output", type=Path, required=True, help="predictions, Parquet")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the artefacts")
    arguments = parser.parse_args()
    with Engine(load_params().engine) as engine:
        rows = score(arguments.input, arguments.output, arguments.models, engine)
    log.info("scored", extra={"rows": rows, "output": str(arguments.output)})


if __name__ == "__main__":
    run(main)

"""Batch scoring: a table of records in, the same records with predictions out.

Usage: ``python -m model_deployment.serving --input RECORDS --output PREDICTIONS``. Both are CSV or
Parquet files by their ending. The table is read, scored and written chunk by chunk, so memory does
not grow with the number of rows, and the output appears only when it is complete.
"""

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from tqdm import tqdm

from model_deployment.artefact import MODELS, Artefact, load_artefact
from model_deployment.postprocessing import predictions
from model_deployment.preprocessing import check_columns, model_inputs, standardise_records
from utils.config import ProjectError, Recipe, convert, load_params
from utils.files import atomic_path
from utils.logging import run

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``serving`` section of ``params.yaml``."""

    chunk_rows: int
    threads: int


def as_contract(records: pl.DataFrame, recipe: Recipe, rows_before: int) -> pl.DataFrame:
    """Return records by the names of the contract, numbered where the contract numbers them.

    Args:
        records: records with the names of their source or of the contract.
        recipe: the contract.
        rows_before: how many records of the same file came before.
    """
    names = {
        column.source_name: column.name
        for column in recipe.contract.inputs
        if column.name not in records.columns and column.source_name in records.columns
    }
    numbers = pl.int_range(rows_before + 1, rows_before + records.height + 1, eager=True)
    made = [
        numbers.alias(column.name)
        for column in recipe.contract.inputs
        if column.generated and column.name not in records.columns
    ]
    return records.rename(names).with_columns(made)


def _csv_chunks(path: Path, chunk_rows: int) -> Iterator[pa.RecordBatch]:
    with path.open(encoding="utf-8-sig") as stream:
        header = stream.readline().rstrip("\r\n")
    names = pa.csv.read_csv(pa.py_buffer(header.encode() + b"\n")).column_names if header else []
    if not names:
        raise ProjectError(f"{path} is empty: its first line has to name the columns.")
    options = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    # A row takes some 10 to 1,000 bytes; blocks of this size hold chunks of about the size asked.
    block = pa.csv.ReadOptions(block_size=max(1 << 20, chunk_rows * 100))
    yield from pa.csv.open_csv(path, read_options=block, convert_options=options)


def _parquet_chunks(path: Path, chunk_rows: int) -> Iterator[pa.RecordBatch]:
    with pa.parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=chunk_rows)


READERS: dict[str, Callable[[Path, int], Iterator[pa.RecordBatch]]] = {
    ".csv": _csv_chunks,
    ".parquet": _parquet_chunks,
}
WRITERS: dict[str, Callable[[Path, pa.Schema], AbstractContextManager[Any]]] = {
    ".csv": pa.csv.CSVWriter,
    ".parquet": pa.parquet.ParquetWriter,
}


def read_chunks(path: Path, chunk_rows: int) -> Iterator[pl.DataFrame]:
    """Yield the table in chunks of about ``chunk_rows`` rows; CSV values stay text.

    Raises:
        ProjectError: the file is missing, malformed or of an unknown format.
    """
    if path.suffix not in READERS:
        raise ProjectError(f"{path} has the unknown format {path.suffix!r}: use .csv or .parquet.")
    if not path.is_file():
        raise ProjectError(f"{path} was not found. Check the path given as --input.")
    try:
        for batch in READERS[path.suffix](path, chunk_rows):
            yield pl.DataFrame(batch)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ProjectError(f"{path} is not a readable {path.suffix[1:]} file: {error}") from error


def score_chunk(records: pl.DataFrame, artefact: Artefact) -> pl.DataFrame:
    """Return the standardised records with the columns of the answer and the model version."""
    recipe = artefact.metadata.recipe
    check_columns(records.columns, recipe)
    standardised = standardise_records(records, recipe)
    scores = artefact.scorer.score(*model_inputs(standardised, recipe))
    answer = predictions(scores, artefact.metadata.decision)
    return standardised.with_columns(
        *(pl.Series(name, values) for name, values in answer.items()),
        pl.lit(artefact.metadata.version).alias("model_version"),
    )


def unusable_values(
    records: pl.DataFrame, standardised: pl.DataFrame, recipe: Recipe
) -> dict[str, int]:
    """Count, per column, the values that say something but nothing the contract can use."""
    counts = {}
    for column in recipe.contract.inputs:
        raw = records[column.name]
        absent = raw.is_null()
        if raw.dtype == pl.String:
            absent |= raw.str.strip_chars().str.to_lowercase().is_in(recipe.missing_markers)
        counts[column.name] = int((standardised[column.name].is_null() & ~absent).sum())
    return counts


def score_file(source: Path, destination: Path, artefact: Artefact, chunk_rows: int) -> int:
    """Score a file into another, atomically.

    Args:
        source: CSV or Parquet with every input column of the contract.
        destination: CSV or Parquet to write; replaced only when all rows are scored.
        artefact: the model.
        chunk_rows: rows held in memory at once, about.

    Returns:
        The number of rows scored.

    Raises:
        ProjectError: the input can't be read or lacks columns; nothing is written then.
    """
    if destination.suffix not in WRITERS:
        raise ProjectError(
            f"{destination} has the unknown format {destination.suffix!r}: use .csv or .parquet."
        )
    rows = 0
    recipe = artefact.metadata.recipe
    unusable: dict[str, int] = {}
    chunks = read_chunks(source, chunk_rows)
    first = next(chunks, None)
    if first is None or first.is_empty():
        raise ProjectError(f"{source} has no rows to score.")
    first = as_contract(first, recipe, 0)
    scored = score_chunk(first, artefact).to_arrow()
    with (
        atomic_path(destination) as temporary,
        WRITERS[destination.suffix](temporary, scored.schema) as writer,
        tqdm(desc="scored", unit=" rows", unit_scale=True) as progress,
    ):
        chunk: pl.DataFrame | None = first
        while chunk is not None:
            result = score_chunk(chunk, artefact) if rows else pl.DataFrame(scored)
            writer.write_table(result.to_arrow().cast(scored.schema))
            for name, count in unusable_values(chunk, result, recipe).items():
                unusable[name] = unusable.get(name, 0) + count
            rows += chunk.height
            progress.update(chunk.height)
            following = next(chunks, None)
            chunk = None if following is None else as_contract(following, recipe, rows)
    lost = {name: count for name, count in unusable.items() if count > 0}
    if lost:
        log.warning("values that could not be used were treated as missing", extra=lost)
    return rows


def main() -> None:
    """Score the file named on the command line with the live model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="records, CSV or Parquet")
    parser.add_argument("--output", type=Path, required=True, help="predictions, CSV or Parquet")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the artefacts")
    arguments = parser.parse_args()
    settings = convert(load_params().serving, Settings, "params.yaml, section serving")
    artefact = load_artefact(arguments.models, threads=settings.threads)
    rows = score_file(arguments.input, arguments.output, artefact, settings.chunk_rows)
    extra = {"rows": rows, "output": str(arguments.output), "model": artefact.metadata.version}
    log.info("scored", extra=extra)


if __name__ == "__main__":
    run(main)

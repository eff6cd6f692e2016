"""Labels and records brought together, whoever or whatever assigned the labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from data_prep.engine import Engine
from data_prep.label_model import Array, decode
from data_prep.storage import write_tables
from utils.config import Contract, ProjectError
from utils.files import atomic_path
from utils.paths import CLEAN, RECORDS, REPORTS

LABELS = Path("data/labels.parquet")
DISPUTED = REPORTS / "disputed_labels.csv"
LABEL_REPORT = REPORTS / "labels.json"
LABEL_TEXT = REPORTS / "labels.md"
LABEL_CONFIDENCE = "label_confidence"


def read_given(path: Path, names: Sequence[str]) -> pl.DataFrame:
    """Read labels that people gave from a CSV file, every column text without blanks around it.

    Args:
        path: the file.
        names: columns that it must have.

    Raises:
        ProjectError: the file is missing, is no CSV or lacks a column.
    """
    try:
        table = pl.read_csv(path, infer_schema=False)
    except FileNotFoundError as error:
        raise ProjectError(
            f"{path} was not found. Put it there, or name another file under labels in params.yaml."
        ) from error
    except pl.exceptions.PolarsError as error:
        raise ProjectError(f"{path} is not readable as CSV: {error}.") from error
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ProjectError(
            f"{path} lacks the column(s) {', '.join(missing)}. It has {', '.join(table.columns)}."
        )
    return table.select(pl.col(names).str.strip_chars())


def positions(records: pl.DataFrame, given: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the row of the record that each given row is about, shape (n,); -1 if there is none.

    Args:
        records: the identifiers of all records.
        given: rows with the same columns as text, and others.
    """
    keys = records.columns
    numbered = records.select(pl.col(keys).cast(pl.String)).with_row_index("row of the record")
    found = given.select(keys).join(numbered, on=keys, how="left", maintain_order="left")
    return found["row of the record"].cast(pl.Int64).fill_null(-1).to_numpy()


def read_decisions(path: Path, records: pl.DataFrame) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Read one decided label per record: the rows of the records, and the labels as text."""
    given = read_given(path, [*records.columns, "label"])
    given = given.unique(records.columns, keep="last", maintain_order=True)
    rows = positions(records, given)
    labels = given["label"].to_list()
    return rows[rows >= 0], [label for row, label in zip(rows, labels, strict=True) if row >= 0]


def write_labelled(
    engine: Engine, records: pl.DataFrame, contract: Contract, labels: Array, confidence: Array
) -> int:
    """Write the labels, and the records that have one with target and ``label_confidence``.

    Args:
        engine: joins the two.
        records: the identifiers of all records.
        contract: says what is assigned.
        labels: codes of the labels, shape (n,); NaN for records that go no further.
        confidence: of the labels, shape (n,).

    Returns:
        The number of labelled records.

    Raises:
        ProjectError: no record has a label.
    """
    there = ~np.isnan(labels)
    if not there.any():
        raise ProjectError("No record has a label. See the section labels in params.yaml.")
    target = contract.target
    kind = {"integer": pa.int64(), "float": pa.float64()}.get(target.type, pa.string())
    table = records.filter(there).to_arrow()
    table = table.append_column(target.name, pa.array(decode(labels[there], target), kind))
    table = table.append_column(LABEL_CONFIDENCE, pa.array(confidence[there]))
    write_tables([table], table.schema, LABELS)
    keys = contract.identifiers
    names = [column.name for column in contract.columns]
    names += [LABEL_CONFIDENCE] * (LABEL_CONFIDENCE not in names)
    unlabelled = engine.scan(RECORDS).select(
        column.name for column in contract.columns if not column.assigned
    )
    together = unlabelled.join(engine.scan(LABELS), on=keys, how="inner").select(names)
    return engine.write(together, CLEAN, keys)


def write_uncertain(
    path: Path, columns: dict[str, Any], confidence: Array, threshold: float
) -> int:
    """Write the labels that are less certain than the threshold to a CSV file, those first.

    Args:
        path: the file, for whoever looks into them.
        columns: what it shows of each record: identifiers, votes, label.
        confidence: of the labels, shape (n,); NaN where there is none.
        threshold: confidence from which on a label is left alone.

    Returns:
        The number of such labels.
    """
    table = pl.DataFrame(columns).with_columns(pl.Series("confidence", confidence).round(4))
    doubtful = table.filter(~np.isnan(confidence) & (confidence < threshold))
    doubtful = doubtful.sort("confidence", maintain_order=True)
    with atomic_path(path) as temporary:
        doubtful.write_csv(temporary)
    return doubtful.height

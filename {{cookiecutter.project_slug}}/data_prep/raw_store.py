"""The raw store: records as they came, in Parquet parts that also say where the source goes on.

A part holds records and, in its metadata, the position after them: one file, which appears whole or
not at all. What concerns several parts is prepared in a folder of its own, which then takes the
place of the store. So a process killed at any moment loses no record and keeps none twice; whoever
opens the store next finishes or drops what was begun, by calling ``recover``.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from utils.config import Column, Contract, ProjectError
from utils.files import atomic_path

Position = dict[str, Any]

# A part stops growing from here on.
PART_ROWS = 1_000_000
# More parts than this below half of that are merged.
SMALL_PARTS = 32
READ_ROWS = 65_536
TEXT = pa.string()
MOMENT = pa.timestamp("us")
NUMBERS = (pa.int64(), pa.float64())
# How the types of the contract are kept when the records say nothing else.
DECLARED = {"integer": pa.int64(), "float": pa.float64(), "timestamp": MOMENT}


class Batch(NamedTuple):
    """Records of a source with the position from which the source continues after them.

    Attributes:
        records: any Arrow types; columns may be more than those of the contract.
        position: JSON-able; what it holds is the source's own business.
        restart: earlier records no longer hold: the raw store begins anew with this batch.
    """

    records: pa.Table
    position: Position
    restart: bool = False


class Description(NamedTuple):
    """What a raw store holds; ``sha256`` depends on rows and types, not on how parts are cut."""

    rows: int
    columns: int
    parts: int
    sha256: str


class Origin(msgspec.Struct, frozen=True):
    """The metadata of a part: where its records came from, and what comes after them."""

    source: str
    position: Position


def parts(folder: Path) -> list[Path]:
    """Return the parts of a store in the order in which they came."""
    return sorted(folder.glob("part-*.parquet"))


def _beside(folder: Path, purpose: str) -> Path:
    return folder.with_name(f".{folder.name.lstrip('.')}.{purpose}")


def _restarted(folder: Path) -> Path:
    """Where a store that begins anew grows until it is complete."""
    return _beside(folder, "restarted")


def _active(folder: Path) -> Path:
    restarted = _restarted(folder)
    return restarted if parts(restarted) else folder


def _discard(folder: Path) -> None:
    """Remove a folder; at no moment it is there with some of its files."""
    rubbish = _beside(folder, "rubbish")
    shutil.rmtree(rubbish, ignore_errors=True)
    if folder.exists():
        folder.rename(rubbish)
        shutil.rmtree(rubbish)


def _replace(folder: Path, replacement: Path) -> None:
    """Let a complete folder take the place of another.

    From the first line on the replacement counts, even if the process ends before the last.
    """
    replacement.rename(_beside(folder, "ready"))
    _finish_replacing(folder)


def _finish_replacing(folder: Path) -> None:
    ready = _beside(folder, "ready")
    if ready.exists():
        _discard(folder)
        ready.rename(folder)


def recover(folder: Path) -> None:
    """Finish or drop what a process left undone that was killed while it changed the store."""
    for store in (_restarted(folder), folder):
        _finish_replacing(store)
        shutil.rmtree(_beside(store, "rubbish"), ignore_errors=True)
        shutil.rmtree(_beside(store, "building"), ignore_errors=True)
        for unfinished in store.glob(".part-*"):
            unfinished.unlink()


def _read_origin(part: Path) -> Origin:
    return msgspec.json.decode(pq.read_metadata(part).metadata[b"origin"], type=Origin)


def _origin(folder: Path) -> Origin | None:
    existing = parts(folder)
    if not existing:
        return None
    try:
        return _read_origin(existing[-1])
    except (pa.ArrowInvalid, KeyError, msgspec.DecodeError) as error:
        raise ProjectError(
            f"{existing[-1]} was not written by retrieval. Delete the folder {folder} and run "
            "`make run`, which reads the source anew."
        ) from error


def _continues(folder: Path, contract: Contract, source: str) -> bool:
    """Say whether a store holds records of this source with the columns of the contract."""
    origin = _origin(folder)
    if origin is None or origin.source != source:
        return False
    held = _schema(parts(folder)[-1])
    return set(held.names) == {column.name for column in contract.columns}


def position(folder: Path, contract: Contract, source: str) -> Position | None:
    """Return where the source continues.

    None asks for all records: the store is empty, or what it holds came from another source or
    under a contract with other columns, and will be replaced.

    Raises:
        ProjectError: the folder holds a part that is damaged or came from elsewhere.
    """
    active = _active(folder)
    origin = _origin(active)
    if origin is None or not _continues(active, contract, source):
        return None
    return origin.position


def append(folder: Path, batch: Batch, contract: Contract, source: str) -> int:
    """Add the records of a batch and, in the same step, remember its position.

    A batch that begins the store anew, and all after it, wait beside the store until ``finish``.

    Args:
        folder: the store.
        batch: what the source gave.
        contract: names the columns to keep.
        source: where the records come from; records of two sources never mix.

    Returns:
        The number of rows added.

    Raises:
        ProjectError: the records lack a column of the contract.
    """
    records = normalise(batch.records, contract, source)
    active = _active(folder)
    begins_anew = batch.restart or not _continues(active, contract, source)
    if begins_anew and parts(active):
        active = _restarted(folder)
        _discard(active)
    existing = parts(active)
    records = _numbered(records, contract, sum(map(_rows, existing)))
    if existing:
        records = _fit(active, records)
    number = int(existing[-1].stem.removeprefix("part-")) + 1 if existing else 1
    _write(_part(active, number), [records], records.schema, Origin(source, batch.position))
    return int(records.num_rows)


def _numbered(records: pa.Table, contract: Contract, before: int) -> pa.Table:
    """Return records with the identifier that is generated, if one is: the number of the row."""
    made = [column for column in contract.columns if column.generated]
    for column in made:
        numbers = pa.array(np.arange(before + 1, before + records.num_rows + 1))
        records = records.append_column(column.name, numbers)
    return records.select([column.name for column in contract.columns])


def finish(folder: Path) -> None:
    """Let a store that began anew replace the earlier one, and merge small parts."""
    restarted = _restarted(folder)
    if parts(restarted):
        _replace(folder, restarted)
    small = [path for path in parts(folder) if _rows(path) < PART_ROWS / 2]
    if len(small) > SMALL_PARTS:
        _compact(folder)


def rows(folder: Path) -> int:
    """Return the number of rows that the store has or, if it began anew, will have."""
    return sum(map(_rows, parts(_active(folder))))


def describe(folder: Path) -> Description:
    """Count and fingerprint the store, reading it once in bounded memory."""
    existing = parts(folder)
    schema = _schema(existing[0])
    # Per column, one for which values are missing or how long they are, one for the values.
    digests = [(hashlib.sha256(), hashlib.sha256()) for _ in schema]
    count = 0
    for path in existing:
        for batch in pq.ParquetFile(path).iter_batches(READ_ROWS):
            count += batch.num_rows
            for (shapes, values), column in zip(digests, batch.columns, strict=True):
                for digest, content in zip((shapes, values), _content(column), strict=True):
                    digest.update(content)
    whole = hashlib.sha256()
    for field, (shapes, values) in zip(schema, digests, strict=True):
        whole.update(f"{field.name}\n{field.type}\n".encode())
        whole.update(shapes.digest() + values.digest())
    return Description(count, len(schema), len(existing), whole.hexdigest())


def _content(column: pa.Array) -> tuple[bytes, bytes]:
    """Return what tells missing values or lengths, and the values, as bytes."""
    if column.type == TEXT:
        lengths = pc.fill_null(pc.binary_length(column), -1).cast(pa.int64())
        data = pc.binary_join(
            pa.ListArray.from_arrays([0, len(column)], pc.fill_null(column, "")), ""
        )
        return lengths.to_numpy().tobytes(), data[0].as_buffer().to_pybytes()
    plain = column.cast(pa.int64()) if column.type == MOMENT else column
    missing = np.asarray(plain.is_null(), dtype=np.bool_)
    return missing.tobytes(), pc.fill_null(plain, 0).to_numpy().tobytes()


def normalise(records: pa.Table, contract: Contract, source: str) -> pa.Table:
    """Return the contract's columns, by its names, with the few types that the store has.

    An assigned column that the records lack is missing in all of them.
    Whole numbers, numbers, text, and moments in UTC without time zone. Lists and structures become
    JSON text. Values never change: a number that its type would not hold exactly becomes text. A
    generated identifier is left to ``append``.

    Raises:
        ProjectError: a column of the contract is missing, is there more than once, or has a type
            that can't be kept.
    """
    columns = [column for column in contract.columns if not column.generated]
    names = records.column_names
    if not names and not records.num_rows:
        # a source may move on without records, and then knows no columns
        records = pa.table({column.name: pa.nulls(0) for column in columns})
        names = records.column_names
    # records that were normalised before have the names of the contract already
    found = {
        column.name: column.source_name if column.source_name in names else column.name
        for column in columns
    }
    missing = [
        column.source_name for column in contract.recorded if found[column.name] not in names
    ]
    if missing:
        raise ProjectError(
            f"{source} lacks the column(s) {', '.join(missing)} that schema.yaml declares. "
            f"It has {', '.join(names) or 'none'}."
        )
    repeated = [name for name in found.values() if names.count(name) > 1]
    if repeated:
        raise ProjectError(f"{source} has more than one column named {', '.join(repeated)}.")
    plain = {}
    for column in columns:
        name = found[column.name]
        values = records[name] if name in names else pa.chunked_array([pa.nulls(records.num_rows)])
        try:
            plain[column.name] = _plain(values, column)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ProjectError(
                f"{source}: column {column.source_name} has the type {values.type}, which is "
                "neither number, text, moment nor a structure of these. Convert it in the source."
            ) from error
    return pa.table(plain)


def _plain(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Return a column with one of the store's types, that of the contract where it is exact."""
    declared = DECLARED.get(column.type, TEXT)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(declared)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # the cast away from a time zone keeps the moment in UTC; finer than microseconds is cut
        return values.cast(MOMENT, safe=False)
    if pa.types.is_floating(kind):
        return values.cast(pa.float64())
    if pa.types.is_boolean(kind) and declared in NUMBERS:
        return values.cast(pa.int64())
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        try:
            return values.cast(pa.float64() if declared == pa.float64() else pa.int64())
        except pa.ArrowInvalid:
            pass  # a number that the type doesn't hold exactly stays whole as text
    return _text(values)


def _text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_nested(kind):
        texts = [
            None if value is None else json.dumps(value, ensure_ascii=False, default=str)
            for value in values.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, TEXT)])
    return values.cast(TEXT)


def _fit(folder: Path, records: pa.Table) -> pa.Table:
    """Return records with the types of the store, after making text what doesn't fit."""
    held = _schema(parts(folder)[-1])
    fitted, unfit = {}, set()
    for field in held:
        values = records[field.name]
        try:
            fitted[field.name] = values.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            unfit.add(field.name)
        if not _alike(values.type, field.type):
            unfit.add(field.name)
    if not unfit:
        return pa.table(fitted, held)
    wider = pa.schema(
        [pa.field(field.name, TEXT) if field.name in unfit else field for field in held]
    )
    _rebuild(folder, [[path] for path in parts(folder)], wider)
    return records.cast(wider)


def _alike(found: pa.DataType, held: pa.DataType) -> bool:
    """Say whether values keep their meaning when they are cast, if the cast succeeds.

    Arrow would read text as a number or a moment, and a moment as a number.
    """
    return held in (found, TEXT) or (found in NUMBERS and held in NUMBERS)


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:08d}.parquet"


def _schema(path: Path) -> pa.Schema:
    return pq.read_schema(path).remove_metadata()


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _tables(paths: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(READ_ROWS):
            yield pa.Table.from_batches([batch]).cast(schema)


def _write(
    path: Path, tables: Iterator[pa.Table] | list[pa.Table], schema: pa.Schema, origin: Origin
) -> None:
    with atomic_path(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd", store_schema=False) as writer:
            for table in tables:
                writer.write_table(table)
            writer.add_key_value_metadata({"origin": msgspec.json.encode(origin).decode()})
        # renamed before its content is on disk, a part could be empty after a power failure
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())


def _rebuild(folder: Path, groups: Sequence[Sequence[Path]], schema: pa.Schema) -> None:
    """Rewrite a store: each group of neighbouring parts becomes one part with these types."""
    building = _beside(folder, "building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    for number, group in enumerate(groups, start=1):
        path = _part(building, number)
        if len(group) == 1 and _schema(group[0]) == schema:
            _link(group[0], path)
        else:
            _write(path, _tables(group, schema), schema, _read_origin(group[-1]))
    _replace(folder, building)


def _link(path: Path, other: Path) -> None:
    """Give a file a second name, or copy it where the file system has no second names."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copy2(path, other)


def groups_to_merge(sizes: Sequence[int]) -> list[int]:
    """Cut parts into groups that become one part each.

    Args:
        sizes: rows of each part, in order.

    Returns:
        How many neighbouring parts go into each group. Parts of half the wanted size or more stay
        alone.
    """
    groups: list[int] = []
    total = PART_ROWS
    for size in sizes:
        small = size < PART_ROWS / 2
        if small and total + size <= PART_ROWS:
            groups[-1] += 1
            total += size
        else:
            groups.append(1)
            total = size if small else PART_ROWS
    return groups


def _compact(folder: Path) -> None:
    existing = parts(folder)
    waiting = iter(existing)
    groups = [
        [next(waiting) for _ in range(count)]
        for count in groups_to_merge([_rows(path) for path in existing])
    ]
    _rebuild(folder, groups, _schema(existing[0]))

"""Sampling: which of the valid rows go on, drawn so that the same settings draw the same rows.

Each row has a number between 0 and 1 that follows from the seed and its identifier alone, so what
is drawn depends neither on the engine, nor on the order of the rows, nor on how a table is divided.
Rows are read in batches; what is held in memory is the sample at most.

Sources: Efraimidis and Spirakis (2006) for draws in proportion to a weight; Cohen and Kaplan
(2007), Summarizing data using bottom-k sketches, for the weights of such a sample.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import narwhals as nw
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_prep.conditions import holds
from data_prep.storage import write_tables
from utils.config import SAMPLING_WEIGHT, Condition, Contract, ProjectError, Sampling
from utils.files import link

BATCH_ROWS = 100_000
WORD = 8
# Between the values that name a stratum; no value has it.
DIVIDER = "\x1f"
# Methods whose rows carry how many rows they stand for; of the others all stand for as many.
CARRYING = {"stratified", "importance"}

Words = npt.NDArray[np.uint64]
Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Batches = Callable[[], Iterable[pa.Table]]


class SamplingReport(msgspec.Struct, frozen=True):
    """What was drawn; ``weights_total`` estimates ``rows_read`` where rows carry weights."""

    method: str
    seed: int
    rows_read: int
    rows_kept: int
    strata: dict[str, tuple[int, int]]
    weights_total: float | None


# The number of a row


def _mix(values: Words) -> Words:
    """Scramble 64-bit words, shape (n,), so that each bit depends on all (SplitMix64)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _hash_texts(column: pa.Array, start: Words) -> Words:
    """Hash the bytes of texts, shape (n,), eight at a time for all rows that have so many."""
    texts = column.cast(pa.large_binary())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
    data = texts.buffers()[2]
    content = np.frombuffer(data or b"", np.uint8)
    content = np.concatenate([content, np.zeros(WORD, np.uint8)])
    lengths = np.diff(offsets)
    hashed = _mix(start ^ lengths.astype(np.uint64))
    rows = np.flatnonzero(lengths > 0)
    position = 0
    while rows.size:
        first = offsets[rows] + position
        block = content[first[:, None] + np.arange(WORD)]
        block[np.arange(WORD) >= (lengths[rows] - position)[:, None]] = 0
        words = block.view("<u8")[:, 0].astype(np.uint64)
        hashed[rows] = _mix(hashed[rows] ^ words)
        position += WORD
        rows = rows[lengths[rows] > position]
    return hashed


def _hash_column(column: pa.ChunkedArray, start: Words) -> Words:
    whole = pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_timestamp(whole.type):
        whole = whole.cast(pa.timestamp("us")).cast(pa.int64())
    if pa.types.is_integer(whole.type):
        numbers = whole.fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return _mix(start ^ numbers.astype(np.int64).view(np.uint64))
    return _hash_texts(whole.cast(pa.large_string()).fill_null(""), start)


def priorities(table: pa.Table, keys: Iterable[str], seed: int) -> Array:
    """Return a number in (0, 1) per row, shape (n,), that follows from seed and identifier alone.

    Args:
        table: rows with the columns ``keys``: texts, integers or timestamps.
        keys: the columns that identify a row.
        seed: another seed gives numbers that have nothing to do with these.
    """
    # 64-bit arithmetic is meant to wrap around.
    with np.errstate(over="ignore"):
        hashed = _mix(np.full(table.num_rows, seed % 2**64, np.uint64))
        for name in keys:
            hashed = _hash_column(table[name], hashed)
        return ((hashed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


# The smallest ranks


class _Kept(NamedTuple):
    rows: pa.Table
    codes: Codes
    ranks: Array


def _smallest(kept: _Kept, limits: Codes) -> _Kept:
    """Keep the rows with the smallest ranks, ``limits[code]`` of each stratum, in their order."""
    order = np.lexsort((kept.ranks, kept.codes))
    codes = kept.codes[order]
    starts = np.searchsorted(codes, np.arange(limits.size))
    chosen = np.sort(order[np.arange(codes.size) - starts[codes] < limits[codes]])
    return _Kept(kept.rows.take(pa.array(chosen)), kept.codes[chosen], kept.ranks[chosen])


def bottom(parts: Iterable[tuple[pa.Table, Codes, Array]], limits: Codes) -> _Kept | None:
    """Hold the rows with the smallest ranks of each stratum in one pass.

    Args:
        parts: rows, with the number of their stratum and their rank, both of shape (n,).
        limits: rows to keep of each stratum, shape (strata,).

    Returns:
        The rows kept; None if there are no parts. At most twice as many and one part are held.
    """
    kept: _Kept | None = None
    waiting: list[_Kept] = []
    room = int(limits.sum()) + BATCH_ROWS
    for rows, codes, ranks in parts:
        waiting.append(_Kept(rows, codes, ranks))
        if sum(item.ranks.size for item in waiting) >= room:
            kept = _smallest(_joined([*([kept] if kept else []), *waiting]), limits)
            waiting = []
    everything = [*([kept] if kept else []), *waiting]
    return _smallest(_joined(everything), limits) if everything else None


def _joined(items: list[_Kept]) -> _Kept:
    return _Kept(
        pa.concat_tables([item.rows for item in items]),
        np.concatenate([item.codes for item in items]),
        np.concatenate([item.ranks for item in items]),
    )


# The methods


def _single(ranks: Array) -> Codes:
    return np.zeros(ranks.size, np.int64)


def random_sample(batches: Batches, keys: list[str], settings: Sampling) -> Iterator[pa.Table]:
    """Yield each row with the probability ``share``, independently of the others."""
    for rows in batches():
        drawn = priorities(rows, keys, settings.seed) < (settings.share or 0)
        yield rows.filter(pa.array(drawn))


def filter_sample(
    batches: Batches, conditions: Iterable[Condition], contract: Contract
) -> Iterator[pa.Table]:
    """Yield the rows for which every condition holds; chance has no part in it."""
    for rows in batches():
        frame = nw.from_native(pl.DataFrame(rows), eager_only=True)
        kept = frame.select(
            nw.all_horizontal(*(holds(item, contract) for item in conditions), ignore_nulls=True)
        ).to_numpy()[:, 0]
        yield rows.filter(pa.array(kept.astype(bool)))


def reservoir_sample(batches: Batches, keys: list[str], settings: Sampling) -> pa.Table | None:
    """Return ``rows`` rows, each set of so many with the same probability, in one pass."""

    def parts() -> Iterator[tuple[pa.Table, Codes, Array]]:
        for rows in batches():
            ranks = priorities(rows, keys, settings.seed)
            yield rows, _single(ranks), ranks

    kept = bottom(parts(), np.array([settings.rows]))
    return kept.rows if kept else None


def _strata(rows: pa.Table, by: Iterable[str]) -> pa.ChunkedArray:
    """Return the name of each row's stratum: its values, ``missing`` where there is none."""
    texts = [pc.fill_null(pc.cast(rows[name], pa.string()), "missing") for name in by]
    return pc.binary_join_element_wise(*texts, DIVIDER)


def allocate(sizes: Codes, total: int) -> Codes:
    """Divide ``total`` among strata in proportion to their sizes, both of shape (strata,).

    The largest remainders are rounded up, and every stratum has one row at least, for which the
    largest give way; so the sum is exact unless there are more strata than rows to divide.
    """
    exact = sizes * (total / sizes.sum())
    given: Codes = np.maximum(np.floor(exact).astype(np.int64), 1)
    missing = total - int(given.sum())
    if missing > 0:
        given[np.argsort(given - exact, kind="stable")[:missing]] += 1
    for _ in range(-missing):
        given[np.argmax(given)] -= given.max() > 1
    return given


class Drawn(NamedTuple):
    """The rows of a sample, with the rows of each stratum: there are, and were drawn."""

    rows: pa.Table
    strata: dict[str, tuple[int, int]]


def stratified_sample(batches: Batches, keys: list[str], settings: Sampling) -> Drawn:
    """Draw from each stratum on its own: ``share`` of its rows, or ``rows`` of them.

    A first pass counts the strata, a second draws. Rows carry the number of rows they stand for.
    """
    counts: dict[str, int] = {}
    for rows in batches():
        for found in pc.value_counts(_strata(rows, settings.by)).to_pylist():
            counts[found["values"]] = counts.get(found["values"], 0) + found["counts"]
    names = sorted(counts)
    sizes = np.array([counts[name] for name in names])
    if settings.share:
        limits = allocate(sizes, round(settings.share * int(sizes.sum())))
    else:
        limits = np.minimum(sizes, settings.rows or 0)

    def parts() -> Iterator[tuple[pa.Table, Codes, Array]]:
        for rows in batches():
            codes = pc.index_in(_strata(rows, settings.by), pa.array(names)).to_numpy()
            yield rows, codes.astype(np.int64), priorities(rows, keys, settings.seed)

    kept = bottom(parts(), limits)
    if kept is None:
        raise ProjectError("There are no rows to sample from.")
    strata = {
        name.replace(DIVIDER, ", "): (int(size), int(limit))
        for name, size, limit in zip(names, sizes, limits, strict=True)
    }
    return Drawn(_weighted(kept.rows, (sizes / limits)[kept.codes]), strata)


def _weighted(rows: pa.Table, weights: Array) -> pa.Table:
    return rows.append_column(SAMPLING_WEIGHT, pa.array(weights))


def _weights(rows: pa.Table, settings: Sampling, *, positive: bool) -> Array:
    """Return the weights by which rows are drawn, shape (n,).

    Raises:
        ProjectError: one is missing or negative, or zero although the sample has to stand for it.
    """
    column = rows[settings.weight or ""]
    if settings.missing_weight is not None:
        column = pc.fill_null(column.cast(pa.float64()), settings.missing_weight)
    weights: Array = column.to_numpy().astype(np.float64)
    bad = ~np.isfinite(weights) | (weights < 0) | (positive & (weights == 0))
    if bad.any():
        raise ProjectError(
            f"sampling.weight {settings.weight!r} is missing, negative or zero in "
            f"{int(bad.sum()):,} of {weights.size:,} rows. Name a column that has a positive "
            "number in each row, or set missing_weight to what counts where it is missing."
        )
    return weights


def weighted_sample(
    batches: Batches, keys: list[str], settings: Sampling, count: int, *, carry: bool
) -> pa.Table | None:
    """Draw ``count`` rows one after another, each in proportion to its weight among those left.

    Args:
        batches: the rows, read once.
        keys: the columns that identify a row.
        settings: names the weight and the seed.
        count: rows to draw.
        carry: add how many rows each stands for, so that weighted sums estimate those of all rows
            without bias; this needs positive weights.
    """

    def parts() -> Iterator[tuple[pa.Table, Codes, Array]]:
        for rows in batches():
            weights = _weights(rows, settings, positive=carry)
            drawable = weights > 0
            ranks = np.full(weights.size, np.inf)
            waits = -np.log(priorities(rows, keys, settings.seed))
            np.divide(waits, weights, out=ranks, where=drawable)
            chosen = pa.array(drawable)
            yield rows.filter(chosen), _single(ranks[drawable]), ranks[drawable]

    kept = bottom(parts(), np.array([count + 1]))
    if kept is None or not carry:
        return kept and _smallest(kept, np.array([count])).rows
    if kept.ranks.size <= count:
        return _weighted(kept.rows, np.ones(kept.ranks.size))
    # Given the rank of the first row left out, a row is drawn when its rank is below that.
    limit = float(kept.ranks.max())
    drawn = _smallest(kept, np.array([count]))
    probability = -np.expm1(-_weights(drawn.rows, settings, positive=True) * limit)
    return _weighted(drawn.rows, 1 / probability)


# A file into another


def _batches(source: Path) -> Batches:
    def read() -> Iterator[pa.Table]:
        with pq.ParquetFile(source) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield pa.Table.from_batches([batch])

    return read


def draw(
    batches: Batches, rows: int, contract: Contract, settings: Sampling
) -> tuple[Iterable[pa.Table], dict[str, tuple[int, int]]]:
    """Return the rows that ``settings`` draw, and the size and sample of each stratum."""
    keys = contract.identifiers
    count = settings.rows or round((settings.share or 0) * rows)
    table: pa.Table | None
    match settings.method:
        case "random":
            return random_sample(batches, keys, settings), {}
        case "filter":
            return filter_sample(batches, settings.keep, contract), {}
        case "stratified":
            drawn = stratified_sample(batches, keys, settings)
            return [drawn.rows], drawn.strata
        case "reservoir":
            table = reservoir_sample(batches, keys, settings)
        case method:
            carry = method == "importance"
            table = weighted_sample(batches, keys, settings, count, carry=carry)
    return [] if table is None else [table], {}


def sample(source: Path, path: Path, contract: Contract, settings: Sampling) -> SamplingReport:
    """Draw rows of a Parquet file into another, atomically and in the order they had.

    Args:
        source: the valid rows.
        path: the file to write; for the method ``none`` the same file under another name.
        contract: names the identifiers.
        settings: how to draw.

    Raises:
        ProjectError: no row is drawn, or a weight can't be used.
    """
    rows = int(pq.read_metadata(source).num_rows)
    if settings.method == "none":
        link(source, path)
        return SamplingReport(settings.method, settings.seed, rows, rows, {}, None)
    parts, strata = draw(_batches(source), rows, contract, settings)
    schema = pq.read_schema(source)
    if settings.method in CARRYING:
        schema = schema.append(pa.field(SAMPLING_WEIGHT, pa.float64()))
    kept = write_tables(parts, schema, path)
    if not kept:
        path.unlink()
        raise ProjectError(
            f"sampling.method {settings.method} keeps none of {rows:,} rows. Change the section "
            "sampling of params.yaml."
        )
    total = None
    if settings.method in CARRYING:
        total = float(pc.sum(pq.read_table(path, columns=[SAMPLING_WEIGHT])[0]).as_py())
    return SamplingReport(settings.method, settings.seed, rows, kept, strata, total)

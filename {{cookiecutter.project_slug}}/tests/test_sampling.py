"""Sampling: who is drawn follows from seed and identifier alone, with the probabilities promised.

Statistical tests run over fixed seeds, so they pass or fail always. Each is sized so that a sampler
that draws as promised would fail with a probability of about one in a thousand.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from data_prep import sampling
from data_prep.pipeline import main
from data_prep.sampling import allocate, priorities, sample
from utils.config import SAMPLING_WEIGHT, Column, Condition, Contract, ProjectError, Sampling
from utils.files import read_json

ROWS = 60
SEEDS = 1000
ALPHA = 1e-3
CONTRACT = Contract(
    table="t",
    description="",
    provenance="",
    columns=(
        Column("id", "identifier", "string", ""),
        Column("size", "numeric", "float", ""),
        Column("kind", "categorical", "string", "", nullable=True),
        Column("y", "target", "integer", ""),
    ),
)


@cache
def population(rows: int = ROWS) -> pa.Table:
    """A table of sizes that differ by a factor of ten, in strata of unequal size."""
    number = np.arange(rows)
    return pa.table(
        {
            "id": [f"row {i}" for i in number],
            "size": 1 + 9 * (number % 10) / 9,
            "kind": [None if i % 7 == 0 else "ab"[int(i % 4 == 0)] for i in number],
            "y": number % 2,
        }
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "valid.parquet"
    pq.write_table(population(), path)
    return path


def drawn(source: Path, settings: Sampling) -> pl.DataFrame:
    """Return the sample that ``settings`` draw from a file."""
    path = source.with_name("sample.parquet")
    report = sample(source, path, CONTRACT, settings)
    found = pl.read_parquet(path)
    assert found.height == report.rows_kept
    return found


def in_memory(settings: Sampling, table: pa.Table | None = None) -> pa.Table:
    """Return the sample of a table, without files, for tests over many seeds."""
    rows = population() if table is None else table
    parts, _ = sampling.draw(lambda: [rows], rows.num_rows, CONTRACT, settings)
    return pa.concat_tables(parts)


SETTINGS = {
    "random": Sampling("random", 3, share=0.4),
    "reservoir": Sampling("reservoir", 3, rows=20),
    "stratified by share": Sampling("stratified", 3, share=0.3, by=("kind", "y")),
    "stratified by rows": Sampling("stratified", 3, rows=4, by=("kind",)),
    "weighted": Sampling("weighted", 3, rows=15, weight="size"),
    "importance": Sampling("importance", 3, share=0.25, weight="size"),
    "filter": Sampling("filter", 3, keep=(Condition("kind", "in", ("a",)),)),
}
each = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


# what is drawn depends on seed and identifier alone


@each
def test_division_and_order_of_the_rows_change_nothing(
    source: Path, settings: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drawn(source, settings)
    content = source.with_name("sample.parquet").read_bytes()
    monkeypatch.setattr(sampling, "BATCH_ROWS", 7)
    assert drawn(source, settings).equals(before)
    assert source.with_name("sample.parquet").read_bytes() == content
    shuffled = pl.read_parquet(source).sample(fraction=1, shuffle=True, seed=1)
    shuffled.write_parquet(source, row_group_size=11)
    again = drawn(source, settings)
    assert again["id"].to_list() != before["id"].to_list(), "the order is that of the file"
    assert again.sort("id").equals(before.sort("id"))


@each
def test_another_seed_draws_other_rows(source: Path, settings: Sampling) -> None:
    if settings.method == "filter":
        pytest.skip("chance has no part in a filter")
    other = Sampling(**{**_fields(settings), "seed": 4})
    assert set(drawn(source, settings)["id"]) != set(drawn(source, other)["id"])


def _fields(settings: Sampling) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def scrambled(value: int) -> int:
    """SplitMix64 in plain Python, as published."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
    return value ^ (value >> 31)


def number_of(text: str, seed: int) -> float:
    """The number of a row, byte by byte."""
    content = text.encode()
    hashed: int = scrambled(scrambled(seed) ^ len(content))
    for start in range(0, len(content), 8):
        hashed = scrambled(hashed ^ int.from_bytes(content[start : start + 8], "little"))
    return float(((hashed >> 11) + 0.5) / 2**53)


def test_the_number_of_a_row_is_the_same_everywhere_and_for_ever() -> None:
    ids = ["", "a", "C-000123", "Zürich \U0001f642", "x" * 100, "b" * 17]
    found = priorities(pa.table({"id": ids}), ["id"], 1)
    assert found.tolist() == [number_of(text, 1) for text in ids]
    assert found[2] == 0.3620271137300763


def test_layout_and_width_of_identifiers_change_no_number() -> None:
    texts = ["ab", "", "longer than eight bytes", "ü"]
    moments = [datetime(2026, 1, day, 3) for day in range(1, 5)]
    plain = pa.table({"a": texts, "b": pa.array([1, -2, 2**62, 0]), "c": moments})
    sliced = pa.table({"a": pa.array(["skipped", *texts], pa.large_string())}).slice(1, 2)
    assert priorities(sliced, ["a"], 5).tolist() == priorities(plain, ["a"], 5)[:2].tolist()
    encoded = plain.set_column(0, "a", pa.array(texts).dictionary_encode())
    seconds = encoded.set_column(2, "c", plain["c"].cast(pa.timestamp("ms")))
    keys = ["a", "b", "c"]
    assert priorities(seconds, keys, 5).tolist() == priorities(plain, keys, 5).tolist()
    assert len(set(priorities(plain, keys, 5))) == 4
    assert priorities(plain, keys, 5).tolist() != priorities(plain, keys[::-1], 5).tolist()


@pytest.mark.parametrize("kind", ["text", "number"])
def test_numbers_of_rows_are_uniform_and_independent_of_seed_and_neighbour(kind: str) -> None:
    count = 20_000
    ids = [f"C-{i:06}" for i in range(count)] if kind == "text" else np.arange(count)
    table = pa.table({"id": ids})
    one, two = priorities(table, ["id"], 1), priorities(table, ["id"], 2)
    assert stats.kstest(one, "uniform").pvalue > ALPHA
    for pair in ((one, two), (one[1:], one[:-1])):
        cells, _, _ = np.histogram2d(*pair, bins=10, range=[[0, 1], [0, 1]])
        assert stats.chisquare(cells.ravel()).pvalue > ALPHA


# the probabilities


def frequencies(settings: Sampling, seeds: int = SEEDS) -> npt.NDArray[np.int64]:
    """Count how often each row is drawn over many seeds, shape (rows,)."""
    number = {name: i for i, name in enumerate(population()["id"].to_pylist())}
    counts = np.zeros(ROWS, np.int64)
    for seed in range(seeds):
        found = in_memory(Sampling(**{**_fields(settings), "seed": seed}))
        counts[[number[name] for name in found["id"].to_pylist()]] += 1
    return counts


def deviation(counts: npt.NDArray[np.int64], expected: npt.NDArray[np.float64]) -> float:
    """Return the p-value of the largest of all deviations from the inclusion probabilities.

    The counts of one row over seeds are binomial; Bonferroni's bound makes the largest of them a
    valid test although rows depend on each other within a draw.
    """
    tests = [
        float(stats.binomtest(int(count), SEEDS, float(probability)).pvalue)
        for count, probability in zip(counts, expected, strict=True)
    ]
    return min(1.0, len(tests) * min(tests))


def test_random_and_reservoir_draw_every_row_alike() -> None:
    random = frequencies(Sampling("random", 0, share=0.3))
    assert deviation(random, np.full(ROWS, 0.3)) > ALPHA
    reservoir = frequencies(Sampling("reservoir", 0, rows=15))
    assert reservoir.sum() == 15 * SEEDS
    assert deviation(reservoir, np.full(ROWS, 0.25)) > ALPHA
    assert deviation(reservoir, np.full(ROWS, 0.3)) < ALPHA, "the test is able to fail"


def test_rows_of_a_random_sample_are_drawn_independently_of_each_other() -> None:
    sizes = [in_memory(Sampling("random", seed, share=0.3)).num_rows for seed in range(SEEDS)]
    variance, expected = np.var(sizes, ddof=1), ROWS * 0.3 * 0.7
    tail = stats.chi2(SEEDS - 1).cdf((SEEDS - 1) * variance / expected)
    assert ALPHA / 2 < tail < 1 - ALPHA / 2


def test_strata_are_drawn_from_in_their_proportions() -> None:
    kinds = np.array([str(kind) for kind in population()["kind"].to_pylist()])
    sizes = Counter(kinds)
    counts = frequencies(Sampling("stratified", 0, rows=4, by=("kind",)))
    assert deviation(counts, np.array([4 / sizes[kind] for kind in kinds])) > ALPHA


def test_weighted_draws_have_the_probabilities_of_successive_draws() -> None:
    """With two draws the probability of a row is known in closed form."""
    weights = population()["size"].to_numpy()
    share = weights / weights.sum()
    second = share * (np.sum(share / (1 - share)) - share / (1 - share))
    counts = frequencies(Sampling("weighted", 0, rows=2, weight="size"))
    assert deviation(counts, share + second) > ALPHA
    assert deviation(counts, np.full(ROWS, 2 / ROWS)) < ALPHA, "the test is able to fail"


@pytest.mark.parametrize(
    "settings",
    [
        Sampling("importance", 0, rows=12, weight="size"),
        Sampling("stratified", 0, rows=4, by=("kind",)),
    ],
    ids=lambda settings: settings.method,
)
def test_weighted_totals_are_unbiased(settings: Sampling) -> None:
    table = population()
    value = np.arange(ROWS) ** 1.5
    by_id = dict(zip(table["id"].to_pylist(), value, strict=True))
    totals, counts, plain = [], [], []
    for seed in range(SEEDS):
        found = in_memory(Sampling(**{**_fields(settings), "seed": seed}))
        values = np.array([by_id[name] for name in found["id"].to_pylist()])
        weights = found[SAMPLING_WEIGHT].to_numpy()
        totals.append(values @ weights)
        counts.append(weights.sum())
        plain.append(values.mean() * ROWS)
    for estimates, truth in ((totals, value.sum()), (counts, ROWS)):
        error = np.std(estimates, ddof=1) / np.sqrt(SEEDS)
        assert abs(np.mean(estimates) - truth) <= 3.3 * error + 1e-9
    error = np.std(plain, ddof=1) / np.sqrt(SEEDS)
    assert abs(np.mean(plain) - value.sum()) > 3.3 * error, "without the weights it is biased"


# sizes, limits and refusals


def test_allocation_is_exact_and_leaves_no_stratum_out() -> None:
    sizes = np.array([1, 333, 333, 333])
    assert allocate(sizes, 10).tolist() == [1, 3, 3, 3]
    for total in (100, 101, 555, 999, 1000):
        given = allocate(sizes, total)
        assert given.sum() == total
        assert (given <= sizes).all()


def test_sizes_are_those_asked_for(source: Path) -> None:
    assert drawn(source, SETTINGS["reservoir"]).height == 20
    assert drawn(source, SETTINGS["importance"]).height == 15
    strata = drawn(source, SETTINGS["stratified by rows"])["kind"].value_counts()
    assert strata["count"].to_list() == [4, 4, 4]
    assert drawn(source, Sampling("reservoir", 1, rows=1000)).height == ROWS
    everything = drawn(source, Sampling("importance", 1, rows=1000, weight="size"))
    assert everything[SAMPLING_WEIGHT].unique().to_list() == [1.0]


def test_a_reservoir_holds_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "BATCH_ROWS", 10)
    held: list[int] = []
    original = sampling._joined

    def watched(items: list[Any]) -> Any:
        joined = original(items)
        held.append(joined.ranks.size)
        return joined

    monkeypatch.setattr(sampling, "_joined", watched)
    table = population(2000)
    read: list[int] = []

    def batches() -> Iterator[pa.Table]:
        for start in range(0, table.num_rows, 10):
            read.append(start)
            yield table.slice(start, 10)

    kept = sampling.reservoir_sample(batches, ["id"], Sampling("reservoir", 1, rows=30))
    assert kept is not None
    assert kept.num_rows == 30
    assert len(read) == 200, "one pass"
    assert max(held) <= 2 * 30 + 20


def test_nothing_is_copied_when_all_rows_go_on(source: Path) -> None:
    path = source.with_name("sample.parquet")
    report = sample(source, path, CONTRACT, Sampling("none", 1))
    assert (report.rows_read, report.rows_kept) == (ROWS, ROWS)
    assert path.samefile(source)


def test_all_rows_go_on_where_files_can_not_have_two_names(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not supported here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = source.with_name("sample.parquet")
    sample(source, path, CONTRACT, Sampling("none", 1))
    assert not path.samefile(source)
    assert path.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Sampling("filter", 1, keep=(Condition("size", ">", 99),)), "keeps none of 60 rows"),
        (Sampling("weighted", 1, rows=2, weight="bad"), "missing, negative or zero in 1 of 60"),
        (Sampling("importance", 1, rows=2, weight="y"), "missing, negative or zero in 30 of 60"),
    ],
)
def test_samples_that_can_not_be_drawn_are_refused(
    source: Path, settings: Sampling, message: str
) -> None:
    rows = pl.read_parquet(source).with_columns(
        bad=pl.when(pl.col("id") == "row 5").then(None).otherwise(1.0)
    )
    rows.write_parquet(source)
    with pytest.raises(ProjectError, match=message):
        sample(source, source.with_name("sample.parquet"), CONTRACT, settings)
    assert not source.with_name("sample.parquet").exists()


def test_a_missing_weight_can_be_given() -> None:
    """Whatever counts instead, weighted totals stay those of all rows."""
    table = population()
    gaps = table.set_column(
        1, "size", pa.array([None if i % 3 else 5.0 for i in range(ROWS)], pa.float64())
    )
    settings = Sampling("importance", 0, rows=12, weight="size", missing_weight=2.0)
    totals = []
    for seed in range(300):
        found = in_memory(Sampling(**{**_fields(settings), "seed": seed}), gaps)
        totals.append(found[SAMPLING_WEIGHT].to_numpy().sum())
    error = np.std(totals, ddof=1) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - ROWS) <= 3.3 * error


def test_rows_without_weight_are_never_drawn_in_proportion_to_it(source: Path) -> None:
    found = drawn(source, Sampling("weighted", 1, rows=50, weight="y"))
    assert found["y"].unique().to_list() == [1]
    assert found.height == 30


def test_a_filter_takes_comparisons_and_several_conditions(source: Path) -> None:
    conditions = (Condition("size", ">=", 5), Condition("kind", "present"))
    found = drawn(source, Sampling("filter", 1, keep=conditions))
    everything = pl.read_parquet(source)
    assert found.equals(everything.filter(pl.col("size") >= 5, pl.col("kind").is_not_null()))


def test_the_stage_draws_what_the_settings_say(
    in_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (in_project / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        text.replace("method: none", "method: reservoir\n  rows: 100"), encoding="utf-8"
    )
    (tmp_path / "schema.yaml").write_bytes((in_project / "schema.yaml").read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/valid.parquet").write_bytes((in_project / "data/valid.parquet").read_bytes())
    monkeypatch.setattr("sys.argv", ["pipeline", "sample"])
    main()
    assert pl.read_parquet(tmp_path / "data/sample.parquet").height == 100
    report = read_json(tmp_path / "reports/sampling.json")
    assert (report["method"], report["rows_kept"]) == ("reservoir", 100)

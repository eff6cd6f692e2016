"""The benchmarks run, and their page says what the results say; no time is ever asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import DOCUMENT, MEASUREMENTS, RESULTS
from benchmarks.document import Results, document, number, table
from benchmarks.measuring import FULL, QUICK, Case, Sample, Scale, interleaved, median, rounded
from benchmarks.places import ROOT
from benchmarks.tables import ENGINES

METRICS = {
    "render": {"seconds", "files"},
    "training": {"seconds", "render", "install", "run"},
    "preparation": {"seconds", "cpu", "peak_mib"},
    "engines": {"seconds", "cpu", "peak_mib"},
    "scoring": {"seconds", "cpu", "peak_mib"},
    "service": {"requests_per_second", "p50_ms", "p99_ms"},
}
# Contenders times settings.
SERIES = {"render": 4, "training": 2, "preparation": 6, "scoring": 6, "service": 12}


def load(path: Path) -> Results:
    """Read a results file."""
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    return results


def assert_complete(results: Results, scale: Scale) -> None:
    """Every measurement has all its series, with a value of every metric in every round."""
    largest = [most for _, _, most in ENGINES.values()]
    engines = sum(rows <= most for rows in scale.order_rows for most in largest)
    assert list(results["measurements"]) == list(MEASUREMENTS) == list(METRICS)
    for name, measurement in results["measurements"].items():
        assert len(measurement["series"]) == {**SERIES, "engines": engines}[name]
        for series in measurement["series"]:
            assert series["samples"]
            for sample in series["samples"]:
                assert set(sample) == METRICS[name]
                assert all(value > 0 for value in sample.values())


def test_page_says_what_the_results_say() -> None:
    """Nobody edited the page, nor the results without writing the page again."""
    results = load(RESULTS)
    assert_complete(results, FULL)
    assert DOCUMENT.read_text(encoding="utf-8") == document(results)


def test_rounds_alternate_and_keep_samples_apart() -> None:
    """A round runs every case once, and the next one runs them backwards."""
    order: list[str] = []

    def case(name: str, value: float) -> Case:
        def run() -> Sample:
            order.append(name)
            return {"seconds": value}

        return Case(name, "", run)

    series = interleaved([case("a", 1.0), case("b", 2.0)], rounds=3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert [median(item, "seconds") for item in series] == [1.0, 2.0]
    assert [len(item["samples"]) for item in series] == [3, 3]


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (99.96, "100.0"), (12.34, "12.3"), (0.0123, "0.012")]
)
def test_numbers_have_as_many_digits_as_mean_something(value: float, text: str) -> None:
    """Large ones are whole, small ones have two digits."""
    assert number(value) == text


def test_results_are_cut_to_five_digits() -> None:
    """At every depth, and only numbers with a fraction."""
    assert rounded({"a": [{"b": 1.23456789, "c": 1234567}]}) == {"a": [{"b": 1.2346, "c": 1234567}]}


def test_tables_align_numbers() -> None:
    """The first column is text."""
    assert table(["", "seconds"], [["x", "1"]]) == "|  | seconds |\n| --- | ---: |\n| x | 1 |"


@pytest.mark.run
def test_everything_is_measured(tmp_path: Path) -> None:
    """A quick run gives complete results and the page that belongs to them."""
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    paths = ["--results", str(results), "--document", str(page), "--build", str(tmp_path / "build")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, *paths], cwd=ROOT, env=environment, check=True)
    assert_complete(load(results), QUICK)
    assert page.read_text(encoding="utf-8") == document(load(results))

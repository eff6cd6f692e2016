"""The document that a results file gives; nothing in it is written by hand."""

from collections.abc import Sequence
from typing import TypedDict

from benchmarks.measuring import Measurement, Series, median

OURS = "this template"
LIMIT = "limit"
BY_HAND = "pandas by hand"
# The engine that is made for tables larger than memory.
LARGEST = "duckdb"
# Load average up to which a machine counts as undisturbed.
QUIET = 1.2
BUSY = """**The machine was busy with other work during this run**, which slows everything, the 99th
percentiles most. The ratios are what to look at."""


class Results(TypedDict):
    """The content of the results file."""

    machine: dict[str, str | float]
    versions: dict[str, str]
    measurements: dict[str, Measurement]


HEAD = """# Benchmarks

<!-- written by benchmarks/ from benchmarks/results.json -->

What a project of this template costs in time and memory, beside what else one would use and beside
the physical limit: what the same machine needs if there is nothing to compute. `make bench`
measures everything again and writes this page."""

METHOD = """Contenders of one table ran in turn, round after round, every other round in reverse
order; the tables show medians. Compare ratios rather than absolute numbers, and read gaps below
one and a half as ties. "Other cores" says how many cores the rest of the machine kept busy
meanwhile."""

RENDER = """## From nothing to a project

The command that renders a project without asking, started as a process of its own in an empty
folder. The limit starts Python and copies the files of our default project."""

RENDER_NOTES = """`create-ml-stack` also resolves the dependencies of its project and writes a lock
file, through the package index. `kedro new` uses the template it ships, without an example.
Templates that have to be fetched from the network at each rendering are left out: those of
cookiecutter-data-science, ZenML and Databricks, and the example projects of kedro."""

TRAINING = """## From nothing to a trained and evaluated model

Seconds to render, install and run, with all packages already downloaded: `make setup` and
`make run` here, `uv sync` and `uv run train --fast` there. kedro's own template brings no model."""

PREPARATION = """## Preparing data

Raw text in a Parquet file to model inputs in another: cleaning, removing duplicates, transforming
and engineering features. By hand is a script in plain pandas for this one table; the results of
both were compared first. The limit reads the input and writes it again. Imports are not timed;
memory is the peak of the whole process."""

ENGINES = """## Preparing data on each engine

A typed table of orders with eight columns, duplicates and values to clean, of growing size, to
model inputs: the same steps, run by the engine that the project was rendered with, with its own
settings (duckdb: 750 MB of working memory, two threads). By hand is a script in plain pandas for
this one table. "Rows in any order" leaves out the order by identifier that makes a second run give
the same bytes: the difference is what determinism costs. The limit reads the input and writes it
again."""

SCORING = """## Scoring files

Typed records in a Parquet file to the same records with predictions. By hand holds all rows in
memory, trusts every value and calls the trained scikit-learn model; the project checks and
standardises every value again, chunk by chunk. The predictions of both were compared first. The
limit reads and writes chunks. Loading the model is timed, imports are not; memory is the peak of
the whole process."""

SERVICE = """## Serving predictions

JSON over HTTP, each service one process, one under load at a time. The other side is the service
of the tutorials: FastAPI with a pydantic model, a data frame per request, the trained
scikit-learn model, one thread for linear algebra, no access log. Ours keeps its access log,
metrics and prediction log. Both served the same model and gave the same answers. The limit is
Starlette reading the request and returning a constant under the same server."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns after the first two are aligned right."""
    rule = ["---" if position < _texts(header) else "---:" for position in range(len(header))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rows])


def _texts(header: Sequence[str]) -> int:
    """How many leading columns hold text."""
    return 2 if header[0] == "size" else 1


def number(value: float) -> str:
    """A number with as many digits as mean something."""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.1f}"  # noqa: PLR2004


def _settings(measurement: Measurement) -> list[str]:
    return list(dict.fromkeys(series["setting"] for series in measurement["series"]))


def _of(measurement: Measurement, setting: str) -> list[Series]:
    return [series for series in measurement["series"] if series["setting"] == setting]


def _limit(group: Sequence[Series]) -> Series:
    return next(series for series in group if series["contender"].startswith(LIMIT))


def _rival(group: Sequence[Series]) -> Series:
    return next(
        series
        for series in group
        if series["contender"] != OURS and not series["contender"].startswith(LIMIT)
    )


def _own(group: Sequence[Series]) -> Series:
    return next(series for series in group if series["contender"] == OURS)


def _named(group: Sequence[Series], contender: str) -> Series:
    return next(series for series in group if series["contender"] == contender)


def _others(measurement: Measurement) -> str:
    rounds = len(measurement["series"][0]["samples"])
    others = measurement["others"]
    known = "not known" if others is None else f"{others}"
    return f"Rounds: {rounds}. Other cores: {known}."


def _rows_of(setting: str) -> int:
    return int(setting.split(maxsplit=1)[0].replace(",", ""))


def _render(measurement: Measurement) -> str:
    limit = median(_limit(measurement["series"]), "seconds")
    rows = [
        [
            series["contender"],
            f"{median(series, 'files'):.0f}",
            number(median(series, "seconds")),
            number(median(series, "seconds") / limit),
        ]
        for series in measurement["series"]
    ]
    shown = table(["", "files", "seconds", "times limit"], rows)
    return "\n\n".join([RENDER, shown, f"{RENDER_NOTES} {_others(measurement)}"])


def _training(measurement: Measurement) -> str:
    own = median(_own(measurement["series"]), "seconds")
    phases = ["render", "install", "run", "seconds"]
    rows = [
        [
            series["contender"],
            *(number(median(series, phase)) for phase in phases),
            number(median(series, "seconds") / own),
        ]
        for series in measurement["series"]
    ]
    notes = measurement["notes"]
    outcome = (
        f"The two do different work. Ours cleans and validates the bundled sample, compares four "
        f"candidates by cross-validation, evaluates the winner "
        f"({str(notes['model']).replace('_', ' ')}) on {notes['rows']:,} held-out rows "
        f"({notes['metric']} {notes['value']:.3f}, {notes['low']:.3f} to {notes['high']:.3f}, "
        f"naive baseline {notes['baseline']:.3f}), exports and verifies it, scores the held-out "
        f"records, and reports drift and figures. create-ml-stack fits one model to a sample of "
        f"digits. {_others(measurement)}"
    )
    shown = table(["", *phases[:-1], "all, seconds", "times ours"], rows)
    return "\n\n".join([TRAINING, shown, outcome])


def _tables(measurement: Measurement, introduction: str, verb: str) -> str:
    rows = []
    for setting in _settings(measurement):
        group = _of(measurement, setting)
        limit = median(_limit(group), "seconds")
        for series in group:
            seconds = median(series, "seconds")
            rows.append(
                [
                    setting,
                    series["contender"],
                    number(seconds),
                    number(_rows_of(setting) / seconds),
                    number(median(series, "cpu")),
                    number(median(series, "peak_mib")),
                    number(seconds / limit),
                ]
            )
    header = ["size", "", "seconds", "rows a second", "CPU seconds", "peak MiB", "times limit"]
    small, *_, large = _settings(measurement)
    group = _of(measurement, large)
    own, rival = _own(group), _rival(group)
    before = median(_own(_of(measurement, small)), "peak_mib")
    summary = (
        f"At {large}, {verb} with this template takes "
        f"{number(median(own, 'seconds') / median(rival, 'seconds'))} times as long as "
        f"{rival['contender']} and {number(median(own, 'peak_mib') / median(rival, 'peak_mib'))} "
        f"times as much memory. From {small} to {large}, the memory of this template grew by the "
        f"factor {number(median(own, 'peak_mib') / before)}, that of {rival['contender']} by "
        f"{number(median(rival, 'peak_mib') / median(_rival(_of(measurement, small)), 'peak_mib'))}"
        f". Results agree to {measurement['notes']['largest_difference']:.0e}. "
        f"{_others(measurement)}"
    )
    return "\n\n".join([introduction, table(header, rows), summary])


def _engines(measurement: Measurement) -> str:
    rows = []
    for setting in _settings(measurement):
        group = _of(measurement, setting)
        limit = median(_limit(group), "seconds")
        rival = _named(group, BY_HAND)
        for series in group:
            seconds = median(series, "seconds")
            rows.append(
                [
                    setting,
                    series["contender"],
                    number(seconds),
                    number(median(series, "cpu")),
                    number(median(series, "peak_mib")),
                    number(seconds / median(rival, "seconds")),
                    number(median(series, "peak_mib") / median(rival, "peak_mib")),
                    number(seconds / limit),
                ]
            )
    header = ["size", "", "seconds", "CPU seconds", "peak MiB"]
    header += ["times by hand", "memory times by hand", "times limit"]
    large = _settings(measurement)[-1]
    group = _of(measurement, large)
    engine, rival = _named(group, LARGEST), _named(group, BY_HAND)
    free = _named(group, f"{LARGEST}, rows in any order")
    summary = (
        f"At {large}, {LARGEST} takes "
        f"{number(median(engine, 'seconds') / median(rival, 'seconds'))} times as long as "
        f"{BY_HAND} and {number(median(engine, 'peak_mib') / median(rival, 'peak_mib'))} times as "
        f"much memory; with its rows in order it takes "
        f"{number(median(engine, 'seconds') / median(free, 'seconds'))} times as long as in any "
        f"order. Results of all engines agree with those by hand to "
        f"{measurement['notes']['largest_difference']:.0e}. {_others(measurement)}"
    )
    return "\n\n".join([ENGINES, table(header, rows), summary])


def _service(measurement: Measurement) -> str:
    rows = []
    ratios = []
    for setting in _settings(measurement):
        group = _of(measurement, setting)
        limit = median(_limit(group), "requests_per_second")
        for series in group:
            rate = median(series, "requests_per_second")
            rows.append(
                [
                    setting,
                    series["contender"],
                    number(rate),
                    number(median(series, "p50_ms")),
                    number(median(series, "p99_ms")),
                    f"{number(100 * rate / limit)} %",
                ]
            )
        rival = median(_rival(group), "requests_per_second")
        ratios.append(f"{number(median(_own(group), 'requests_per_second') / rival)} ({setting})")
    header = ["size", "", "requests a second", "p50 ms", "p99 ms", "of the limit"]
    notes = measurement["notes"]
    summary = (
        f"This template answers so many times the requests of the tutorial's service: "
        f"{', '.join(ratios)}. Load came from {notes['generator']} on the same machine, "
        f"{number(float(notes['seconds']))} s a round. Answers agree to "
        f"{notes['largest_difference']:.0e}. {_others(measurement)}"
    )
    return "\n\n".join([SERVICE, table(header, rows), summary])


def _circumstances(results: Results) -> str:
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    place = (
        f"Measured on {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} "
        f"GiB, {machine['system']}, Python {machine['python']}; the load average at the start was "
        f"{machine['load_average']}. Versions: {packages}."
    )
    if float(machine["load_average"]) > QUIET:
        place = f"{place}\n\n{BUSY}"
    return f"{METHOD}\n\n{place}"


def document(results: Results) -> str:
    """Write the page."""
    measured = results["measurements"]
    parts = [
        HEAD,
        _circumstances(results),
        _render(measured["render"]),
        _training(measured["training"]),
        _tables(measured["preparation"], PREPARATION, "preparing"),
        _engines(measured["engines"]),
        _tables(measured["scoring"], SCORING, "scoring"),
        _service(measured["service"]),
    ]
    return "\n\n".join(parts) + "\n"

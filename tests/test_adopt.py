"""Public tables of many kinds are adopted, or refused with a reason that a person can act on.

The tables ship inside packages of the template's environment. What is proposed for each is written,
read again and used to prepare the table; some are adopted by whole projects that then run. Two
sources other than files are among these; RUN_EVERY=1 adds the other sources, formats and engines.
"""

import ast
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import adopted_sources, template
from tests.test_run import (
    IDENTITY,
    LIMIT_SECONDS,
    Project,
    asking,
    stages_run,
    the_readme_is_filled_in,
    the_service_keeps_its_description,
)
from tools import demo

SCRIPT = Path(__file__).parent / "adopting.py"
# Adoption changes no code, so that what checks the code is run after it for these tasks only;
# RUN_EVERY=1 adds the others.
CHECKS = {
    "classification": ["check", "test"],
    "regression": ["check", "test"],
    "forecasting": ["test"],
}
EVERY = ["check", "test"] if os.environ.get("RUN_EVERY") else []


def tables() -> dict[str, list[str]]:
    """The names of the tables of the script by task; it can't be imported here."""
    for statement in ast.parse(SCRIPT.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "TABLES":
            found = statement.value
            assert isinstance(found, ast.Dict)
            return {
                ast.literal_eval(task): [ast.literal_eval(name) for name in of_task.keys if name]
                for task, of_task in zip(found.keys, found.values, strict=True)
                if task and isinstance(of_task, ast.Dict)
            }
    raise AssertionError("adopting.py has no TABLES")


TABLES = tables()

# Per table of adopting.py what has to be proposed: rows, and a part of the roles, formats or notes.
WORK: dict[str, dict[str, Any]] = {
    "iris: tiny, three classes": {
        "rows": 150,
        "classes": 3,
        "roles": {"sepal_length_cm": "numeric"},
    },
    "wine": {"rows": 178, "classes": 3},
    "digits: wide, ten classes": {"rows": 1797, "classes": 10},
    "breast cancer": {"rows": 569, "classes": 2},
    "rare tumours: 99 to 1": {"rows": 3606, "classes": 2, "split": "random"},
    "raw penguins: names with signs, constant columns, days": {
        "rows": 344,
        "classes": 3,
        "roles": {"culmen_length_mm": "numeric", "date_egg": "timestamp", "Comments": "text"},
        "notes": "Region is left out: it is constant",
    },
    "penguins: target with missing values": {
        "rows": 333,
        "classes": 2,
        "notes": "11 rows without the target are dropped",
    },
    "flights: 50 classes": {"classes": 50},
    "marriages: answers from 1 to 5": {"rows": 6366, "classes": 5},
    "diabetes": {"rows": 442, "classes": 0},
    "weather: days with slashes": {
        "rows": 1461,
        "formats": {"date": "%Y/%m/%d"},
        "split": "time",
    },
    "carbon dioxide: days as numbers, target with missing values": {
        "rows": 2225,
        "formats": {"date": "%Y%m%d"},
    },
    "employment: a column that says it all": {
        "notes": "private is left out: it predicts the target"
    },
    "flights: a million rows": {"split": "time", "roles": {"time_hour": "timestamp"}},
    "countries: alphabets": {
        "rows": 1704,
        "roles": {"column_1": "text", "grosse_der_welt": "categorical", "select": "numeric"},
    },
    "planes: mixed types": {"roles": {"mixture": "categorical"}},
    "temperatures: hours": {"formats": {"date": "%Y/%m/%d %H:%M:%S"}, "split": "time"},
    "weather: one series": {
        "rows": 1461,
        "series": {"by": None, "time": "date", "season": 7, "horizon": 14},
        "notes": "KEEP=precipitation,temp_min,wind,weather keeps what is known before its day",
    },
    "departures: three airports": {
        "rows": 1095,
        "series": {"by": "origin", "time": "day", "season": 7, "horizon": 14},
        "roles": {"weekday": "categorical", "departures": "target"},
        "notes": "known before their day: weekday (calendar)",
    },
    "iris without species": {"rows": 150, "targets": 0, "notes": "2 to 9 clusters are tried"},
    "penguins: signs, constant columns, days": {
        "rows": 344,
        "targets": 0,
        "roles": {"culmen_length_mm": "numeric", "Comments": "text"},
        "notes": "Region is left out: it is constant",
    },
    "marriages: answers": {"rows": 6366, "targets": 0},
    "credit cards: 72 rows": {"rows": 72, "targets": 0, "notes": "2 to 4 clusters are tried"},
    "rare tumours: known": {
        "rows": 3606,
        "classes": 2,
        "notes": "anomalies are the rows with 1 in malignant, 1.00%",
    },
    "tumours: a third are malignant": {"classes": 2, "notes": "37% are hardly unusual"},
    "weather: nothing is known": {"rows": 1461, "targets": 0, "split": "time"},
    "planes: nothing is known": {"rows": 3322, "targets": 0, "roles": {"tailnum": "identifier"}},
}
REFUSED = {
    "planes: rare classes": r"fewer than 10 rows, .*4 Cycle \(2\).*Merge them",
    "airports: all text": "No column is left that a model could learn from",
    "marriages: a number": "its task is regression, and this project is for classification",
    "riots: a class of two rows": r"classes with fewer than 10 rows",
    "penguins: a name twice": "more than one column named year. Rename all but one",
    "islands: no such target": "Did you mean body_mass_g",
    "islands: a target of names": "its task is classification, and this project is for regression",
    "hearts: too few rows": "40 rows have a value in the target survival; 50 are needed",
    "departures: airports and airlines": "origin and carrier tell series apart only together. Join",
    "shares: a value a month": "a month apart, and this project forecasts days. Provide daily",
    "carbon dioxide: a value a week": "a week apart, and this project forecasts days",
    "temperatures: a value an hour": "up to 24 rows, at different times.*Sum them up",
    "sunspots: years are no days": "No column tells the day of every row. Name a column of dates",
    "weather: too few days": "The rows span 55 days; 60 are needed",
    "weather: no number": "holds texts such as 'drizzle', and forecasts are numbers",
    "airports: all names": "No column is left that a model could learn from",
    "iris with species": "A clustering has no target.*IGNORE=target keeps the column",
    "iris: three classes": "has 3 different values.*leave TARGET out and say IGNORE=target",
    "planes: five of a kind": "tells 3 anomalies; 10 are needed",
}


@pytest.fixture(scope="module")
def results(bake: Callable[..., Path]) -> Callable[[str], dict[str, Any]]:
    """What becomes of each table, by task."""

    @cache
    def of(task: str) -> dict[str, Any]:
        project = bake(task=task)
        done = subprocess.run(
            [sys.executable, str(SCRIPT), task],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    tasks = {name: task for task, names in TABLES.items() for name in names}
    return lambda name: of(tasks[name])[name]


@pytest.mark.parametrize("name", WORK)
def test_a_public_table_is_adopted(results: Callable[[str], Any], name: str) -> None:
    """What is proposed can be written, read again and used, and says what is expected."""
    found, expected = results(name), WORK[name]
    assert found.get("refused") is None
    assert found["valid"]
    assert list(found["roles"].values()).count("target") == expected.get("targets", 1)
    for key in ("rows", "classes", "split", "series"):
        assert found[key] == expected.get(key, found[key])
    for key in ("roles", "formats"):
        assert expected.get(key, {}).items() <= found[key].items()
    assert any(note.startswith(expected.get("notes", "")) for note in found["notes"])


@pytest.mark.parametrize("name", REFUSED)
def test_a_public_table_is_refused_with_a_reason(results: Callable[[str], Any], name: str) -> None:
    """The reason names what is wrong and what to do."""
    assert re.search(REFUSED[name], results(name).get("refused", "it was taken"))


@pytest.mark.run
@pytest.mark.parametrize(
    ("task", "package", "table", "said"),
    [
        ("classification", "palmerpenguins", "data/penguins-raw.csv", ["TARGET=Species"]),
        ("regression", "vega_datasets", "_data/seattle-weather.csv", ["TARGET=temp_max"]),
        ("forecasting", "vega_datasets", "_data/seattle-weather.csv", ["TARGET=temp_max"]),
        ("clustering", "palmerpenguins", "data/penguins-raw.csv", ["IGNORE=Species"]),
        ("anomaly_detection", "vega_datasets", "_data/seattle-weather.csv", []),
    ],
)
def test_a_project_adopts_a_public_table_and_works(
    bake: Callable[..., Path], task: str, package: str, table: str, said: list[str]
) -> None:
    """From a fresh project to monitoring, with no edit."""
    project = bake(task=task)
    found = find_spec(package)
    assert found is not None
    path = Path(str(found.origin)).parent / table
    git = shutil.which("git")
    assert git is not None
    wanted = [f"DATA={path}", *said, "YES=1"]
    tested = [["make", target] for target in EVERY or CHECKS.get(task, [])]
    commands = [
        ["make", "setup"],
        [git, "add", "--all"],
        [git, "commit", "--quiet", "--message", "Before"],
        ["make", "adopt", *wanted],
        ["make", "run"],
        *tested,
        ["make", "score", f"INPUT={path}"],
        ["make", "monitor"],
    ]
    for command in commands:
        done = subprocess.run(
            command,
            cwd=project,
            env={**demo.environment(), **IDENTITY},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"


# Answers, and last the target among the columns of the penguins.
ANSWERS = ("task", "data_source", "data_format", "engine", "serving", "tracking")
SOURCES = [
    ("regression", "rest", "json", "pandas", "api", "dvclive", "body_mass_g"),
    ("classification", "sql", "csv", "polars", "batch", "dvclive", "sex"),
]
if os.environ.get("RUN_EVERY"):
    SOURCES += [
        ("classification", "file", "avro", "polars", "api", "mlflow", "species"),
        ("regression", "file", "protobuf", "duckdb", "batch", "dvclive", "body_mass_g"),
        ("classification", "rest", "csv", "duckdb", "batch", "mlflow", "species"),
        ("regression", "stream", "json", "polars", "api", "dvclive", "body_mass_g"),
        ("classification", "stream", "avro", "pandas", "batch", "dvclive", "species"),
        ("classification", "file", "json", "spark", "batch", "dvclive", "species"),
    ]
# The settings of the stand-in, and those of the source that takes its place.
STAND_IN = {
    "rest": r"  url: sample\n  pagination: .*\n",
    "stream": r"  bootstrap_servers: sample .*\n  topic: penguins\n",
}
REAL = {
    "rest": "  url: {address}\n  pagination: {{style: page_number, parameter: page}}\n{records}"
    "  authentication: {{style: bearer, token_variable: BIRDS_TOKEN}}\n",
    "stream": "  bootstrap_servers: {address}\n  topic: birds\n",
}


@contextmanager
def adoptable(project: Project, folder: Path) -> Iterator[list[str]]:
    """What to say to `make adopt` for the source of a project."""
    if project.answers["data_source"] == "sql":
        with adopted_sources.database(project.python, project.folder) as url:
            yield [f"DATA={url}", "TABLE=birds.penguins"]
    else:
        yield [f"DATA={adopted_sources.written(project.answers['data_format'], folder)}"]


def goes_on_to_the_source(project: Project) -> None:
    """With its address in the settings, the source itself is read, and again only asked."""
    source, data_format = (project.answers[name] for name in ("data_source", "data_format"))
    real = (
        adopted_sources.service(data_format)
        if source == "rest"
        else adopted_sources.topic(project.python, project.folder)
    )
    records = "  records: data.items\n" if data_format == "json" else ""
    stood_in = project.json("reports/retrieval.json")
    with real as address:
        settings = REAL[source].format(address=address, records=records)
        text, count = re.subn(STAND_IN[source], settings, project.text("params.yaml"))
        assert count == 1
        (project.folder / "params.yaml").write_text(text, encoding="utf-8")
        project.run("make", "run")
        assert stages_run(project.run("make", "run")) == {"retrieve"}
    arrived = project.json("reports/retrieval.json")
    assert arrived["source"] != stood_in["source"]
    assert arrived["rows"] == stood_in["rows"]


def records_without_an_identifier_are_served(project: Project, folder: Path) -> None:
    """A record as its owner has it is answered, with an identifier of its own."""
    if project.answers["serving"] == "api":
        answer = json.loads(demo.predict_api(project.folder))
        assert answer["row_number"] > 2**52
        the_service_keeps_its_description(project)
        where = ("--records", "data/recent.parquet", "--log", "data/served")
        project.run(project.python, "-m", "model_deployment.replay", *where)
        return
    records, scored = folder / "records.csv", project.folder / "data" / "scored.csv"
    records.write_text(adopted_sources.as_csv(adopted_sources.penguins()), encoding="utf-8")
    project.run("make", "score", f"INPUT={records}", f"OUTPUT={scored}")
    with scored.open(encoding="utf-8") as stream:
        numbers = [int(row["row_number"]) for row in csv.DictReader(stream)]
    assert numbers == list(range(1, 345))
    project.run("make", "score", f"INPUT={records}")


@pytest.mark.run
@pytest.mark.parametrize("row", SOURCES, ids=["-".join(row[1:4]) for row in SOURCES])
def test_a_project_adopts_records_of_its_source(
    bake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[str, ...]
) -> None:
    """Rows without an identifier, of birds that were seen more than once, from each source."""
    *chosen, target = row
    answers = dict(zip(ANSWERS, chosen, strict=True))
    if answers["engine"] == "spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    for name, value in {**IDENTITY, "BIRDS_TOKEN": adopted_sources.TOKEN}.items():
        monkeypatch.setenv(name, value)
    project = Project(bake(**answers), {n: c[0] for n, c in template.OPTIONS.items()} | answers)
    project.run("make", "setup")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Before")
    with adoptable(project, tmp_path) as wanted:
        said = project.run("make", "adopt", *wanted, f"TARGET={target}", "YES=1")
        assert "individual_id are held out together" in said
        project.run("make", "run")
        # without a column that grows, all records are read again; they are the same
        assert stages_run(project.run("make", "run")) == asking(project)
        project.run("make", "report")
    the_readme_is_filled_in(project)
    assert project.params()["split"]["method"] == "group"
    records_without_an_identifier_are_served(project, tmp_path)
    project.run("make", "monitor")
    if project.answers["data_source"] in REAL:
        goes_on_to_the_source(project)
    if os.environ.get("RUN_EVERY"):
        project.run("make", "check")
        project.run("make", "test")


def test_every_table_is_expected_to_work_or_to_be_refused() -> None:
    """The two lists of expectations hold each table of the script once, of every task."""
    named = [name for names in TABLES.values() for name in names]
    assert sorted(named) == sorted([*WORK, *REFUSED])
    assert set(template.OPTIONS["task"]) == TABLES.keys()

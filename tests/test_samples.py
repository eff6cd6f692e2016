"""The bundled tables: as generated, dirty in every announced way, repairable, truth known."""

import importlib
import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    adjusted_rand_score,
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests import template
from tools import make_samples
from tools.make_samples import Sample

TEMPLATE = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}"
MARKERS = {"", "n/a", "na", "null", "none", "-", "?", "unknown", "nan"}
HELD_OUT = 0.2

Floats = npt.NDArray[np.float64]


class Table(NamedTuple):
    """One table, what is promised about it, and the column whose distribution changes."""

    file: str
    schema: str
    make: Callable[[], Sample]
    shifted: str

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns of the contract."""
        text = template.render_file(self.schema, {})
        columns: list[dict[str, Any]] = yaml.safe_load(text)["columns"]
        return columns

    @property
    def name(self) -> str:
        """The name of the table, which its files have in every format."""
        return Path(self.file).stem

    def with_role(self, role: str) -> list[str]:
        """Names of the columns with a role, in the order of the contract."""
        return [column["name"] for column in self.columns if column["role"] == role]

    def committed(self) -> pd.DataFrame:
        """The file as text."""
        path = TEMPLATE / "data" / "source" / self.file
        return pd.read_csv(path, dtype=str, keep_default_na=False).astype(object)


SUBSCRIPTIONS = Table(
    "subscriptions.csv",
    "schema__classification.yaml",
    cache(make_samples.subscriptions),
    "channel",
)
DELIVERIES = Table(
    "deliveries.csv", "schema__regression.yaml", cache(make_samples.deliveries), "weather"
)
SALES = Table("sales.csv", "schema__forecasting.yaml", cache(make_samples.sales), "weather")
CUSTOMERS = Table(
    "customers.csv", "schema__clustering.yaml", cache(make_samples.customers), "country"
)
READINGS = Table(
    "readings.csv",
    "schema__anomaly_detection.yaml",
    cache(make_samples.readings),
    "work_shift",
)
# Those whose target people can assign, those whose rows are cases of their own, and all tables.
both = pytest.mark.parametrize(
    "table", [SUBSCRIPTIONS, DELIVERIES], ids=["subscriptions", "deliveries"]
)
cases = pytest.mark.parametrize(
    "table",
    [SUBSCRIPTIONS, DELIVERIES, CUSTOMERS, READINGS],
    ids=["subscriptions", "deliveries", "customers", "readings"],
)
every = pytest.mark.parametrize(
    "table",
    [SUBSCRIPTIONS, DELIVERIES, SALES, CUSTOMERS, READINGS],
    ids=["subscriptions", "deliveries", "sales", "customers", "readings"],
)


def cleaned_number(text: str, column: dict[str, Any]) -> float:
    """Parse a number however it is written; impossible values become missing."""
    found = re.fullmatch(r"€?\s*(-?[0-9.]+)\s*[a-z%]*", text.replace(",", ""))
    value = float(found[1]) if found else np.nan
    inside = column.get("minimum", -np.inf) <= value <= column.get("maximum", np.inf)
    return value if inside else np.nan


def cleaned(raw: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Repair a raw table by the rules of the contract, written independently of the project."""
    result = {}
    for column in table.columns:
        name = column["name"]
        text = raw[name].str.split().str.join(" ")
        if column["type"] == "timestamp":
            result[name] = pd.to_datetime(text.str.replace("T", " "), format="ISO8601")
        elif column["type"] in {"integer", "float"}:
            lower = text.str.lower()
            numbers = [np.nan if t in MARKERS else cleaned_number(t, column) for t in lower]
            result[name] = pd.Series(numbers, index=raw.index, dtype=float)
        elif column["role"] == "categorical":
            aliased = text.str.lower().replace(column["aliases"])
            result[name] = aliased.where(~aliased.isin(MARKERS))
        else:
            result[name] = text
    identifier, moment = table.with_role("identifier")[0], table.with_role("timestamp")[0]
    newest = pd.DataFrame(result).sort_values(moment).drop_duplicates(identifier, keep="last")
    return newest.sort_values(identifier).reset_index(drop=True)


def newest_last(table: Table) -> tuple[Sample, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the sample and the positions of the older and of the newest rows."""
    sample = table.make()
    moments = sample.clean[table.with_role("timestamp")[0]].to_numpy()
    order = np.argsort(moments, kind="stable")
    split = round(len(order) * (1 - HELD_OUT))
    return sample, order[:split], order[split:]


def inputs(table: Table, clean: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return simple features with the names of the numbers and of the categories."""
    categories = table.with_role("categorical")
    numbers = clean[table.with_role("numeric")].astype(float)
    logarithms = numbers.apply(np.log1p).add_prefix("log_")
    moment, *others = table.with_role("timestamp")
    times = pd.DataFrame({"hour": clean[moment].dt.hour, "weekday": clean[moment].dt.day_of_week})
    for other in others:
        days = (clean[moment] - clean[other]).dt.total_seconds() / 86_400
        times[f"log_days_since_{other}"] = np.log1p(days)
    texts = clean[categories].astype(object).fillna("missing")
    frame = pd.concat([numbers, logarithms, times.astype(float), texts], axis=1)
    return frame, [str(name) for name in frame if name not in categories], categories


def stability_index(older: pd.Series, newer: pd.Series) -> float:
    """Return the population stability index of ``newer`` against ``older``."""
    if older.dtype == object or isinstance(older.dtype, pd.StringDtype):
        bins_older, bins_newer = older.dropna(), newer.dropna()
    else:
        older, newer = older.dropna().astype(float), newer.dropna().astype(float)
        edges = np.unique(np.quantile(older, np.linspace(0.1, 0.9, 9)))
        bins_older = pd.Series(np.searchsorted(edges, older))
        bins_newer = pd.Series(np.searchsorted(edges, newer))
    expected = bins_older.value_counts(normalize=True)
    observed = bins_newer.value_counts(normalize=True).reindex(expected.index).fillna(1e-4)
    return float(((observed - expected) * np.log(observed / expected)).sum())


@every
def test_the_committed_files_are_what_the_generator_writes(table: Table) -> None:
    """The files can't be edited by hand, and stay small."""
    for name, content in make_samples.all_files(table.name, table.make()).items():
        assert make_samples.is_current(TEMPLATE / "data" / name, content), name
        # JSON repeats the names of the columns in every record
        assert len(content) < (2_400_000 if name.endswith(".json") else 1_000_000)


def test_the_command_writes_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command tells stale or absent files from current ones."""
    monkeypatch.setattr(make_samples, "TARGET_FOLDER", tmp_path)
    monkeypatch.setattr(make_samples, "SAMPLES", {DELIVERIES.name: DELIVERIES.make})
    assert make_samples.main(["--check"]) == 1
    assert "deliveries.csv differs" in capsys.readouterr().err
    assert make_samples.main([]) == 0
    assert make_samples.main(["--check"]) == 0
    for suffix in make_samples.SUFFIXES.values():
        path = tmp_path / "source" / f"{DELIVERIES.name}{suffix}"
        before = path.read_bytes()
        shutil.copy(TEMPLATE / "data" / "source" / f"{SUBSCRIPTIONS.name}{suffix}", path)
        assert make_samples.main(["--check"]) == 1
        path.write_bytes(before)


def test_another_seed_gives_another_table() -> None:
    """The seed is used."""
    assert not make_samples.deliveries(1).raw.equals(make_samples.deliveries(2).raw)


@every
def test_missing_values_are_written_in_many_ways(table: Table) -> None:
    """Every marker occurs, and no column lacks more than its contract tolerates."""
    raw = table.committed()
    for column in table.columns:
        share = raw[column["name"]].str.strip().str.lower().isin(MARKERS).mean()
        if column.get("nullable"):
            assert 0 < share < column["maximum_missing_share"]
        else:
            assert share == 0
    written = set(raw.to_numpy().ravel())
    assert set(make_samples.MISSING_MARKERS) <= written


@every
def test_categories_have_spaces_capitals_and_aliases(table: Table) -> None:
    """Each category column needs trimming, lower-casing and its aliases."""
    raw = table.committed()
    for column in table.columns:
        if column["role"] == "categorical":
            values = raw[column["name"]]
            allowed = values.str.strip().isin(column["allowed"])
            assert (values != values.str.strip()).any()
            assert (values.str.isupper() & values.str.lower().isin(column["allowed"])).any()
            assert values[~allowed].isin(column["aliases"]).any()
            assert set(column["aliases"].values()) <= set(column["allowed"])
            assert not set(column["aliases"]) & set(column["allowed"])


@cases
def test_numbers_have_units_separators_and_impossible_values(table: Table) -> None:
    """Numbers need parsing, and some are out of range."""
    raw = table.committed()
    written = {column["name"]: raw[column["name"]] for column in table.columns}
    numbers = pd.concat([written[name] for name in table.with_role("numeric")])
    assert numbers.str.fullmatch(r"\d+,\d{3}(\.\d+)?").any()
    assert numbers.str.fullmatch(r" [\d.]+").any()
    assert numbers.str.fullmatch(r"[\d.,]+ [a-z%]+").any()
    outliers = 0
    for column in table.columns:
        if column["role"] == "numeric":
            values = pd.to_numeric(written[column["name"]], errors="coerce")
            outliers += ((values < column["minimum"]) | (values > column["maximum"])).sum()
    assert 20 < outliers < 200


def test_amounts_have_currency_signs() -> None:
    """Money is sometimes written with its currency."""
    assert SUBSCRIPTIONS.committed()["monthly_fee"].str.fullmatch(r"€ \d+\.\d\d").any()


@every
def test_timestamps_have_three_spellings(table: Table) -> None:
    """Each timestamp column mixes days, ISO 8601 and a space as separator."""
    raw = table.committed()
    for name in table.with_role("timestamp"):
        for pattern in (r"\d{4}-\d\d-\d\d", r"[\d-]{10}T[\d:]{8}", r"[\d-]{10} [\d:]{8}"):
            assert raw[name].str.fullmatch(pattern).any()


@every
def test_rows_are_shuffled_and_repeated(table: Table) -> None:
    """Exact repetitions, repeated keys and padded identifiers all occur."""
    raw, identifier = table.committed(), table.with_role("identifier")[0]
    assert 0.01 < raw.duplicated().mean() < 0.02
    keys = raw.drop_duplicates()[identifier].str.strip()
    assert 0.002 < keys.duplicated().mean() < 0.01
    assert not raw[identifier].is_monotonic_increasing
    assert (raw[identifier] != raw[identifier].str.strip()).any()


@every
def test_older_versions_have_the_same_target_and_an_older_timestamp(table: Table) -> None:
    """Which version of a row is right is decided by its timestamp alone."""
    raw, identifier = table.committed().drop_duplicates(), table.with_role("identifier")[0]
    moment, targets = table.with_role("timestamp")[0], table.with_role("target")
    keys = raw[identifier].str.strip()
    moments = pd.to_datetime(raw[moment].str.replace("T", " "), format="ISO8601")
    versions = raw.assign(key=keys, moment=moments)[keys.duplicated(keep=False)].groupby("key")
    assert (versions[targets].nunique() == 1).all(axis=None)
    assert (versions["moment"].nunique() == 2).all()


@every
def test_cleaning_gives_the_clean_rows_back(table: Table) -> None:
    """Nothing is spoiled beyond repair."""
    clean = table.make().clean
    repaired = cleaned(table.committed(), table)
    assert len(clean) >= 4_000
    assert list(repaired) == list(clean)
    for name in clean:
        expected, found = clean[name], repaired[name]
        assert (expected.isna() == found.isna()).all(), name
        assert (expected.dropna().to_numpy() == found.dropna().to_numpy()).all(), name


@every
def test_clean_values_keep_the_contract(table: Table) -> None:
    """Types, ranges, allowed values and missing shares are as declared."""
    clean = table.make().clean
    assert list(clean) == [column["name"] for column in table.columns]
    for column in table.columns:
        values = clean[column["name"]].dropna()
        missing = 1 - len(values) / len(clean)
        assert missing <= column.get("maximum_missing_share", 0)
        if "allowed" in column:
            assert set(values) == set(column["allowed"])
        if "minimum" in column:
            assert values.between(column["minimum"], column["maximum"]).all()
        if column["role"] == "identifier":
            assert values.is_unique
        assert {"description", "example"} <= set(column)


def test_sign_up_comes_before_the_snapshot() -> None:
    """Durations make sense."""
    assert (make_samples.tenure_days(SUBSCRIPTIONS.make().clean) > 0).all()


def test_churn_follows_its_known_probability() -> None:
    """The target is drawn from the stated probability, also within groups."""
    sample = SUBSCRIPTIONS.make()
    probability = sample.truth["probability"].to_numpy()
    churned = sample.complete["churned"].to_numpy()
    assert (probability == make_samples.churn_probability(sample.complete)).all()
    assert 0.2 <= churned.mean() <= 0.3
    for group in np.array_split(np.argsort(probability), 5):
        error = np.sqrt((probability[group] * (1 - probability[group])).sum()) / len(group)
        assert abs(churned[group].mean() - probability[group].mean()) < 3 * error


def test_delivery_hours_follow_their_known_distribution() -> None:
    """The target has the stated median, mean and spread."""
    sample = DELIVERIES.make()
    hours = sample.complete["delivery_hours"].to_numpy()
    distribution = make_samples.delivery_distribution(sample.complete)
    assert (sample.truth["median"].to_numpy() == distribution.median).all()
    assert (sample.truth["mean"].to_numpy() == distribution.mean).all()
    assert abs((hours < distribution.median).mean() - 0.5) < 0.02
    assert abs((hours / distribution.mean).mean() - 1) < 0.01
    standard = np.log(hours / distribution.median) / distribution.spread
    assert abs(standard.std() - 1) < 0.03


def test_faults_follow_their_known_probability() -> None:
    """Readings are faulty as often as stated, also within groups."""
    sample = READINGS.make()
    probability = sample.truth["probability"].to_numpy()
    faulty = sample.complete["faulty"].to_numpy()
    assert (probability == make_samples.fault_probability(sample.complete)).all()
    assert abs(faulty.mean() - 0.025) < 0.008
    for low, high in ((0, 0.1), (0.1, 0.9), (0.9, 1.01)):
        group = (low <= probability) & (probability < high)
        error = np.sqrt((probability[group] * (1 - probability[group])).sum()) / group.sum()
        assert abs(faulty[group].mean() - probability[group].mean()) < 3 * error, low


def test_faults_of_most_kinds_show_only_in_combinations() -> None:
    """A distance that knows how numbers belong together finds what single numbers don't show."""
    complete = READINGS.make().complete
    numbers = complete[READINGS.with_role("numeric")].astype(float)
    deviations = ((numbers - numbers.median()) / numbers.std()).abs().max(axis=1)
    dummies = pd.get_dummies(complete["pump_model"], drop_first=True).astype(float)
    together = pd.concat([numbers, dummies], axis=1)
    distances = EmpiricalCovariance().fit(together).mahalanobis(together)
    single, joint, best = (
        average_precision_score(complete["faulty"], scores)
        for scores in (deviations, distances, READINGS.make().truth["probability"])
    )
    assert single < 0.5
    assert 0.85 < joint < best
    assert best > 0.98


@cases
def test_one_column_shifts_in_the_newest_fifth_and_nothing_else(table: Table) -> None:
    """Monitoring has exactly one true thing to report."""
    sample, older, newer = newest_last(table)
    frame, _, _ = inputs(table, sample.clean)
    for target in table.with_role("target"):
        frame[target] = sample.clean[target]
    for name in frame:
        values = sample.clean[name] if name in sample.clean else frame[name]
        index = stability_index(values.iloc[older], values.iloc[newer])
        if name == table.shifted:
            assert 0.15 < index < 0.3
        else:
            assert index < 0.05, name


def test_units_sold_follow_their_known_distribution() -> None:
    """The target has the stated median, mean and spread."""
    sample = SALES.make()
    units = sample.complete["units_sold"].to_numpy()
    distribution = make_samples.sales_distribution(sample.complete)
    assert (sample.truth["median"].to_numpy() == distribution.median).all()
    assert (sample.truth["mean"].to_numpy() == distribution.mean).all()
    assert abs((units < distribution.median).mean() - 0.5) < 0.02
    assert abs((units / distribution.mean).mean() - 1) < 0.01
    standard = np.log(units / distribution.median) / distribution.spread
    assert abs(standard.std() - 1) < 0.03


def test_every_shop_sells_on_every_day_and_the_file_grows_with_time() -> None:
    """The series are complete, and the file has the order in which days pass."""
    sample = SALES.make()
    shops = sample.complete.groupby("store")["sold_on"]
    assert (shops.nunique() == make_samples.SALES_DAYS).all()
    assert not sample.complete.duplicated(["store", "sold_on"]).any()
    raw = SALES.committed()
    days = pd.to_datetime(raw["sold_on"].str[:10])
    assert (days.cummax() - days).max() == pd.Timedelta(days=1), "an earlier version, a day before"
    assert 0.01 < raw.duplicated().mean() < 0.03


def test_the_weather_of_the_newest_days_differs_and_nothing_else() -> None:
    """Monitoring has exactly one true thing to report about the shops."""
    sample = SALES.make()
    newest = (sample.clean["sold_on"].max() - sample.clean["sold_on"]).dt.days
    newer = (newest < make_samples.SALES_DAYS_SHIFTED).to_numpy()
    for name in ("promotion", "weather", "discount_percent", "opening_hours"):
        index = stability_index(sample.clean[name][~newer], sample.clean[name][newer])
        assert (0.2 < index < 0.5) if name == SALES.shifted else index < 0.05, name


def test_customers_are_drawn_from_groups_that_the_table_does_not_name() -> None:
    """Each group has its share and its typical values, and no column tells it."""
    sample = CUSTOMERS.make()
    drawn = sample.truth["group"]
    for group in make_samples.CUSTOMER_GROUPS:
        inside = sample.complete[drawn.to_numpy() == group.name]
        assert abs(len(inside) / len(drawn) - group.share) < 0.02, group.name
        for name in ("discount_percent", "return_percent", "basket_eur"):
            error = 4 * group.spread[name] / np.sqrt(len(inside)) + 0.02 * group.typical[name]
            assert abs(inside[name].mean() - group.typical[name]) < error + 1, (group.name, name)
    assert "group" not in sample.raw
    assert not sample.complete.isin(set(drawn)).any(axis=None)


def test_groups_of_customers_can_be_found_and_not_by_one_column() -> None:
    """A simple model finds the hidden groups; slices of equal size do not."""
    sample, older, newer = newest_last(CUSTOMERS)
    frame, numbers, categories = inputs(CUSTOMERS, sample.clean)
    numbers = CUSTOMERS.with_role("numeric")
    model = make_pipeline(encoder(numbers, categories), KMeans(5, n_init=5, random_state=0))
    found = model.fit(frame.iloc[older]).predict(frame.iloc[newer])
    groups = sample.truth["group"].to_numpy()[newer]
    assert adjusted_rand_score(groups, found) > 0.95
    for name in numbers:
        slices = pd.qcut(
            sample.clean[name].iloc[newer].fillna(0), 5, labels=False, duplicates="drop"
        )
        assert adjusted_rand_score(groups, slices) < 0.6, name


def encoder(numbers: list[str], categories: list[str]) -> ColumnTransformer:
    """Return a transformer that imputes and scales numbers and encodes categories."""
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoded = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((scaled, numbers), (encoded, categories))


def test_a_simple_model_comes_close_to_the_best_churn_scores() -> None:
    """Within 3 % of the true probabilities, far from the base rate."""
    sample, older, newer = newest_last(SUBSCRIPTIONS)
    frame, numbers, categories = inputs(SUBSCRIPTIONS, sample.clean)
    churned = sample.clean["churned"].to_numpy()
    model = make_pipeline(encoder(numbers, categories), LogisticRegression(C=0.3, max_iter=2000))
    found = model.fit(frame.iloc[older], churned[older]).predict_proba(frame.iloc[newer])[:, 1]
    best = sample.truth["probability"].to_numpy()[newer]
    naive = np.full(len(newer), churned[older].mean())
    outcome = churned[newer]
    assert log_loss(outcome, found) < 1.03 * log_loss(outcome, best)
    assert brier_score_loss(outcome, found) < 1.03 * brier_score_loss(outcome, best)
    assert roc_auc_score(outcome, found) > 0.97 * roc_auc_score(outcome, best)
    assert log_loss(outcome, naive) > 1.15 * log_loss(outcome, best)


@pytest.mark.parametrize(
    ("regressor", "tolerance"),
    [
        (Ridge(), 0.05),
        (HistGradientBoostingRegressor(learning_rate=0.05, max_iter=300, max_leaf_nodes=4), 0.03),
    ],
    ids=["linear", "boosting"],
)
def test_a_simple_model_comes_close_to_the_best_delivery_scores(
    regressor: BaseEstimator, tolerance: float
) -> None:
    """Close to the true median and mean, far from one number for all."""
    sample, older, newer = newest_last(DELIVERIES)
    frame, numbers, categories = inputs(DELIVERIES, sample.clean)
    hours = sample.clean["delivery_hours"].to_numpy()
    model = make_pipeline(encoder(numbers, categories), regressor)
    found = model.fit(frame.iloc[older], hours[older]).predict(frame.iloc[newer])
    median = sample.truth["median"].to_numpy()[newer]
    mean = sample.truth["mean"].to_numpy()[newer]
    outcome, naive = hours[newer], np.full(len(newer), np.median(hours[older]))
    limit = 1 + tolerance
    best_error = mean_absolute_error(outcome, median)
    assert mean_absolute_error(outcome, found) < limit * best_error
    best_squared = root_mean_squared_error(outcome, mean)
    assert root_mean_squared_error(outcome, found) < limit * best_squared
    assert mean_absolute_error(outcome, naive) > 1.6 * best_error


def cleaned_from(table: Table, kind: str, content: bytes, folder: Path) -> pa.Table:
    """The clean table that a project of one format gets from the bundled file."""
    formats = make_samples.format_module(kind)
    cleaning = importlib.import_module("data_prep.cleaning")
    config = importlib.import_module("utils.config")
    schema = folder / "schema.yaml"
    schema.write_text(template.render_file(table.schema, {}), encoding="utf-8")
    contract = config.load_contract(schema)
    path = folder / f"{table.name}{make_samples.SUFFIXES[kind]}"
    path.write_bytes(content)
    raw = pa.concat_tables(formats.read(path), promote_options="permissive")
    store = importlib.import_module("data_prep.raw_store")
    raw = store.normalise(raw, contract, path.name)
    frame = nw.from_arrow(raw, backend="polars").lazy()
    clean: pa.Table = cleaning.clean(frame, contract, sorted(MARKERS)).collect().to_arrow()
    return clean


@every
@pytest.mark.parametrize("kind", [kind for kind in make_samples.SUFFIXES if kind != "csv"])
def test_every_format_gives_the_same_clean_table(table: Table, kind: str, tmp_path: Path) -> None:
    """Whatever is typed and whatever stays text in a format, cleaning undoes the difference."""
    source = TEMPLATE / "data" / "source"
    for suffix in make_samples.SCHEMA_SUFFIXES.values():
        shutil.copy(source / f"{table.name}{suffix}", tmp_path)
    clean = [
        cleaned_from(
            table,
            name,
            (source / f"{table.name}{make_samples.SUFFIXES[name]}").read_bytes(),
            tmp_path,
        )
        for name in ("csv", kind)
    ]
    assert clean[0].num_rows == len(table.make().clean)
    assert clean[0].equals(clean[1])


@every
@pytest.mark.parametrize("kind", [kind for kind in make_samples.SUFFIXES if kind != "csv"])
def test_typed_formats_stay_dirty_where_a_type_does_not_help(table: Table, kind: str) -> None:
    """Amounts keep their currencies, categories their spellings, and impossible values remain."""
    schema = make_samples.typed(table.make(), moments=kind != "json").schema
    texts = [field.name for field in schema if field.type == pa.string()]
    assert set(table.with_role("categorical")) <= set(texts)
    assert set(table.with_role("numeric")) & set(texts)
    assert set(table.with_role("numeric")) - set(texts)


def labels_of(table: Table) -> make_samples.Assigned:
    """The same table with its target taken out, and the labels that people gave."""
    return make_samples.assigned(table.name, table.make())


@both
def test_records_to_be_labelled_have_no_target_and_else_the_same(table: Table) -> None:
    """Only the target is gone, and one text is there in its place."""
    natural, found = table.make(), labels_of(table).sample
    target = table.with_role("target")[0]
    assert target not in found.raw
    text = found.raw.columns[-1]
    assert found.raw.drop(columns=text).equals(natural.raw.drop(columns=target))
    assert 0 < (found.raw[text] == "").mean() < 0.1
    answers = {"label_source": "hand"}
    columns = yaml.safe_load(template.render_file(table.schema, answers))["columns"]
    declared = [column["name"] for column in columns if not column.get("assigned")]
    assert declared == list(found.raw)
    assert [column["name"] for column in columns if column.get("assigned")] == [target]


@both
def test_annotators_are_as_good_as_announced(table: Table) -> None:
    """Qualities differ as written down, and nobody is perfect."""
    labels = labels_of(table)
    key = labels.annotations.columns[0]
    truth = labels.sample.truth.set_index(key)["outcome"]
    given = labels.annotations[labels.annotations["label"] != "?"]
    for annotator in make_samples.ANNOTATORS:
        mine = given[given["annotator"] == annotator.name]
        assert abs(len(mine) / len(given) - annotator.share) < 0.06
        outcome, said = truth.loc[mine[key]].to_numpy(), mine["label"].astype(float).to_numpy()
        if table is SUBSCRIPTIONS:
            for value, right in zip((1, 0), annotator.recognises, strict=True):
                found = (said == value)[outcome == value]
                error = np.sqrt(right * (1 - right) / len(found))
                assert abs(found.mean() - right) < 3.5 * error, annotator.name
        else:
            error = said - outcome
            assert abs(error.mean() - annotator.bias) < 0.2, annotator.name
            assert abs(error.std() / annotator.spread - 1) < 0.1, annotator.name


@both
def test_records_are_annotated_several_times_or_not_at_all(table: Table) -> None:
    """Most records have two labels or more, some have none, a few annotators think again."""
    labels = labels_of(table)
    key = labels.annotations.columns[0]
    latest = labels.annotations.drop_duplicates([key, "annotator"], keep="last")
    assert 0.005 < 1 - len(latest) / len(labels.annotations) < 0.02
    numbers = latest.groupby(key).size().reindex(labels.sample.truth[key], fill_value=0)
    shares = numbers.value_counts(normalize=True)
    for count, share in make_samples.LABELS_PER_RECORD.items():
        assert abs(shares[count] - share) < 0.02
    assert labels.annotations["annotated_at"].is_monotonic_increasing


@both
def test_decisions_of_experts_are_the_truth(table: Table) -> None:
    """The gold set is drawn at random, the adjudicated records are those in dispute."""
    labels = labels_of(table)
    key = labels.gold.columns[0]
    truth = labels.sample.truth.set_index(key)["outcome"]
    for decided in (labels.gold, labels.adjudicated):
        assert (truth.loc[decided[key]].to_numpy() == decided["label"].to_numpy()).all()
        assert decided[key].is_unique
    assert abs(labels.gold["label"].mean() / truth.mean() - 1) < 0.1
    assert len(labels.gold) == make_samples.GOLD
    assert len(labels.adjudicated) == make_samples.ADJUDICATED

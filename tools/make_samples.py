"""Make the tables that the template bundles, from a known truth.

Each table starts as complete rows whose target is drawn from a distribution that is an explicit
function of the row (``churn_probability``, ``delivery_distribution``, ``sales_distribution``). So
the best score that any model can reach is known, and tests can hold the trained model against it.
Values are then made missing, and what is left is written the way real exports look: several
spellings, units, missing markers, impossible numbers, duplicates. Cleaning by the data contract
undoes all of it.

Readings are made faulty at a known rate, in ways that change the row as known
(``fault_probability``). One table has no target: its rows are drawn from a few groups that differ
in size and shape (``CUSTOMER_GROUPS``), and the table does not say which, so tests can hold found
groups against them.

In the newest fifth of the time range (of the sales, in the newest eight weeks) one weakly
predictive column of each table changes its distribution, so that monitoring has something true to
report. Nothing else drifts, and the target given the row never does.

Each table comes as an SQLite database and in every format that a project can have, with the
schema file that Avro and Protocol Buffers need. CSV is text only. In the others a column has a
type if all of its values are that type once they are missing or have a thousands separator:
counts and measures become numbers, impossible ones too, missing markers become missing, and
timestamps become moments (JSON, which has none, keeps their spellings). What a type can't hold
stays as dirty as in the CSV: amounts with currencies and units, categories, identifiers.

For projects whose labels are assigned, each table of ``LABELLED`` comes once more without its
target, but with a text of what became known later (``assigned``), and with labels that people gave:
annotations by six annotators of known quality, decisions of an expert in cases of doubt and on a
random gold set.

``python tools/make_samples.py`` writes all files into the template, ``--check`` compares instead.
The result depends only on the seed as long as NumPy keeps its random streams; a test notices when
it doesn't. Compressed files are compared by what they hold, since compressors change.
"""

import argparse
import importlib
import io
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy import stats

ROWS = 5_900
SEED = 8
PROJECT = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}"
TARGET_FOLDER = PROJECT / "data"
START = np.datetime64("2025-07-01T00:00:00", "s")
SECONDS_PER_DAY = 86_400
DAYS = 365
# From this share of the time range on, one column has another distribution.
SHIFT_FROM = 0.8

MISSING_MARKERS = ("", "", "", "n/a", "N/A", "?", "unknown", "-", "null", "None")
EXACT_DUPLICATES = 0.015
OLDER_VERSIONS = 0.005
OUTLIERS = 0.003
DIRTY_CATEGORIES = 0.06
DIRTY_NUMBERS = 0.05
PADDED_IDENTIFIERS = 0.005
SPACED_TIMESTAMPS = 0.15
MIDNIGHT = 0.03

Floats = npt.NDArray[np.floating[Any]]


class Sample(NamedTuple):
    """One table at each step from the truth to the file.

    ``complete`` has every value that the truth depends on. ``clean`` is the same with some values
    missing, which is what cleaning ``raw`` gives back. Both are ordered by identifier, as is
    ``truth``: the identifier and either ``probability``, or ``median`` and ``mean``, or ``group``.
    ``raw`` holds text only, in the order of the file.
    """

    complete: pd.DataFrame
    clean: pd.DataFrame
    truth: pd.DataFrame
    raw: pd.DataFrame


@dataclass(frozen=True)
class Dirt:
    """How the export of one table spoils it.

    ``missing`` gives the share of missing values by column, ``outliers`` impossible values as they
    are written, ``spellings`` other ways to write a category, ``formats`` other ways to write a
    number, and ``decimals`` the decimal places of numbers (whole numbers are not listed). ``older``
    turns rows into earlier versions of themselves, with the same identifier and target.
    """

    identifier: str
    older: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
    missing: Mapping[str, float]
    outliers: Mapping[str, Sequence[str]]
    spellings: Mapping[str, Mapping[str, Sequence[str]]]
    formats: Mapping[str, str]
    decimals: Mapping[str, int] = field(default_factory=dict)


# ---------------------------------------------------------------- drawing


def _choose(
    rng: np.random.Generator, shares: Mapping[str, float], rows: int
) -> npt.NDArray[np.object_]:
    """Draw ``rows`` categories with the given shares, which add up to 1."""
    bounds = np.cumsum(list(shares.values()))
    picked = np.searchsorted(bounds[:-1], rng.random(rows), side="right")
    return np.array(list(shares), dtype=object)[picked]


def _identifiers(rng: np.random.Generator, prefix: str, digits: int, rows: int) -> list[str]:
    """Draw different identifiers that say nothing about the row, in ascending order."""
    numbers = np.sort(rng.choice(10**digits, size=rows, replace=False))
    return [f"{prefix}-{number:0{digits}d}" for number in numbers]


def _moments(
    rng: np.random.Generator, rows: int, first_hour: int, last_hour: int
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.bool_]]:
    """Draw moments between two hours of the days of a year, a few exactly at midnight.

    Returns:
        The moments, and whether each lies in the part of the range that is shifted.
    """
    day = rng.integers(0, DAYS, rows)
    second = rng.integers(first_hour * 3600, last_hour * 3600, rows)
    second[rng.random(rows) < MIDNIGHT] = 0
    offset = day * SECONDS_PER_DAY + second
    shifted = offset >= SHIFT_FROM * DAYS * SECONDS_PER_DAY
    return START + offset.astype("timedelta64[s]"), shifted


def _per_category(values: pd.Series, effects: Mapping[str, float]) -> Floats:
    return values.map(effects).to_numpy(dtype=np.float64)


# ---------------------------------------------------------------- subscriptions

CHANNELS = {"web": 0.40, "search": 0.28, "referral": 0.20, "partner": 0.12}
CHANNELS_SHIFTED = {"web": 0.32, "search": 0.23, "referral": 0.16, "partner": 0.29}
TYPICAL_HOURS_PER_SESSION = 0.9


def tenure_days(rows: pd.DataFrame) -> Floats:
    """Return the days from sign-up to snapshot."""
    tenure = rows["snapshot_at"] - rows["signup_at"]
    return (tenure.dt.total_seconds() / SECONDS_PER_DAY).to_numpy(dtype=np.float64)


def churn_probability(rows: pd.DataFrame) -> Floats:
    """Return the true P(churned = 1) of complete rows.

    Nearly all of it is additive in the log-odds. The exceptions: new customers who keep needing
    support, and premium customers who hardly use what they pay for.
    """
    tenure = tenure_days(rows)
    usage = rows["usage_hours_30d"].to_numpy(dtype=np.float64)
    sessions = rows["sessions_30d"].to_numpy(dtype=np.float64)
    tickets = rows["support_tickets_90d"].to_numpy(dtype=np.float64)
    idle = rows["days_since_login"].to_numpy(dtype=np.float64)
    failed = rows["failed_payments_12m"].to_numpy(dtype=np.float64)
    hours_per_session = np.where(
        sessions > 0, usage / np.maximum(sessions, 1), TYPICAL_HOURS_PER_SESSION
    )
    struggling_newcomer = (tenure < 150) & (tickets >= 2)  # noqa: PLR2004
    unused_premium = (rows["plan"] == "premium").to_numpy() & (usage < 8)  # noqa: PLR2004
    log_odds = (
        -1.85
        - 0.50 * (np.log1p(tenure) - 6)
        - 0.65 * (np.log1p(usage) - 2.5)
        + 0.40 * (np.log1p(idle) - 1.5)
        - 0.45 * (hours_per_session - TYPICAL_HOURS_PER_SESSION)
        + 0.28 * tickets
        + 0.55 * failed
        + 0.020 * (rows["monthly_fee"].to_numpy(dtype=np.float64) - 20)
        + _per_category(rows["plan"], {"basic": 0.35, "standard": 0.0, "premium": -0.40})
        + _per_category(
            rows["payment_method"],
            {"credit_card": 0.0, "direct_debit": -0.60, "wallet": 0.20, "invoice": 0.50},
        )
        + _per_category(rows["region"], {"north": 0.0, "east": 0.15, "south": -0.15, "west": 0.05})
        + _per_category(
            rows["channel"], {"web": 0.0, "search": 0.10, "referral": -0.20, "partner": 0.15}
        )
        + 0.65 * struggling_newcomer
        + 0.65 * unused_premium
    )
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)


def _subscription_rows(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Draw complete rows without a target; usage, sessions and logins agree with each other."""
    snapshot_at, shifted = _moments(rng, rows, 0, 6)
    tenure = np.clip(np.exp(rng.normal(5.9, 0.95, rows)), 30, 3_600)
    signup_at = snapshot_at - (tenure * SECONDS_PER_DAY).astype("timedelta64[s]")
    imported = rng.random(rows) < MIDNIGHT  # customers of whom only the day of sign-up is known
    signup_at = np.where(imported, signup_at.astype("datetime64[D]"), signup_at)

    plan = _choose(rng, {"basic": 0.42, "standard": 0.38, "premium": 0.20}, rows)
    list_price = pd.Series(plan).map({"basic": 9.9, "standard": 19.9, "premium": 39.9})
    fee = np.round(list_price.to_numpy() * np.exp(rng.normal(0, 0.18, rows)), 2)
    payment = _choose(
        rng, {"credit_card": 0.40, "direct_debit": 0.33, "wallet": 0.17, "invoice": 0.10}, rows
    )
    failure_rate = pd.Series(payment).map(
        {"credit_card": 0.45, "direct_debit": 0.20, "wallet": 0.30, "invoice": 0.60}
    )
    channel = np.where(shifted, _choose(rng, CHANNELS_SHIFTED, rows), _choose(rng, CHANNELS, rows))

    engagement = rng.normal(0, 1, rows)
    sessions = rng.poisson(np.exp(2.3 + 0.85 * engagement)).clip(0, 300)
    hours_per_session = np.exp(rng.normal(-0.25, 0.5, rows))
    usage = np.round(np.minimum(sessions * hours_per_session, 700), 1)
    # The last of the sessions of a month, if these are spread evenly over it.
    within_month = np.floor(30 * (1 - rng.random(rows) ** (1 / np.maximum(sessions, 1))))
    longer = np.floor(30 + rng.exponential(45, rows)).clip(30, 365)
    return pd.DataFrame(
        {
            "customer_id": _identifiers(rng, "C", 6, rows),
            "snapshot_at": snapshot_at,
            "signup_at": signup_at.astype("datetime64[s]"),
            "plan": plan,
            "payment_method": payment,
            "region": _choose(
                rng, {"north": 0.30, "east": 0.20, "south": 0.28, "west": 0.22}, rows
            ),
            "channel": channel,
            "monthly_fee": fee,
            "total_paid": np.round(fee * tenure / 30.4 * np.exp(rng.normal(0, 0.1, rows)), 2),
            "usage_hours_30d": usage,
            "sessions_30d": sessions,
            "support_tickets_90d": rng.poisson(0.8, rows),
            "days_since_login": np.where(sessions > 0, within_month, longer).astype(np.int64),
            "failed_payments_12m": rng.poisson(failure_rate.to_numpy()),
        }
    )


def _older_subscriptions(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the same customers one to three weeks before, with the usage of that time."""
    weeks = pd.to_timedelta(7 * rng.integers(1, 4, len(rows)), unit="D")
    usage = (rows["usage_hours_30d"] * rng.uniform(0.8, 1.2, len(rows))).round(1)
    return rows.assign(snapshot_at=rows["snapshot_at"] - weeks, usage_hours_30d=usage)


SUBSCRIPTION_DIRT = Dirt(
    identifier="customer_id",
    older=_older_subscriptions,
    missing={
        "plan": 0.010,
        "payment_method": 0.015,
        "region": 0.030,
        "channel": 0.030,
        "monthly_fee": 0.020,
        "total_paid": 0.035,
        "usage_hours_30d": 0.010,
        "sessions_30d": 0.010,
        "support_tickets_90d": 0.015,
        "days_since_login": 0.015,
        "failed_payments_12m": 0.015,
    },
    outliers={
        "monthly_fee": ("-19.90", "99999"),
        "total_paid": ("-1.00", "9999999"),
        "usage_hours_30d": ("-5.0", "8760"),
        "sessions_30d": ("-1", "999999"),
        "days_since_login": ("-3", "99999"),
    },
    spellings={
        "plan": {"basic": ["starter"], "standard": ["std"], "premium": ["pro", "prem"]},
        "payment_method": {
            "credit_card": ["credit card", "card"],
            "direct_debit": ["direct debit", "sepa"],
            "wallet": ["e-wallet"],
            "invoice": ["bill"],
        },
        "region": {"north": ["n."], "east": ["e."], "south": ["s."], "west": ["w."]},
        "channel": {"web": ["website"], "search": ["search ads"], "partner": ["reseller"]},
    },
    formats={
        "monthly_fee": "€ {}",
        "total_paid": "{} EUR",
        "usage_hours_30d": "{} h",
        "days_since_login": "{} days",
    },
    decimals={"monthly_fee": 2, "total_paid": 2, "usage_hours_30d": 1},
)


def subscriptions(seed: int = SEED) -> Sample:
    """Make the table of a subscription service: one row per customer, ``churned`` as the target.

    Args:
        seed: of the random numbers; the bundled file has the default.
    """
    rng = np.random.default_rng([seed, 1])
    complete = _subscription_rows(rng, ROWS)
    probability = churn_probability(complete)
    complete["churned"] = (rng.random(ROWS) < probability).astype(np.int64)
    truth = pd.DataFrame({"customer_id": complete["customer_id"], "probability": probability})
    return _spoiled(complete, truth, SUBSCRIPTION_DIRT, rng)


# ---------------------------------------------------------------- deliveries

WEATHER = {"dry": 0.62, "rain": 0.20, "fog": 0.10, "storm": 0.08}
WEATHER_SHIFTED = {"dry": 0.43, "rain": 0.39, "fog": 0.10, "storm": 0.08}
EVENING = 18
SATURDAY = 5


class Distribution(NamedTuple):
    """Median and mean of a log-normal distribution for each row, in hours."""

    median: Floats
    mean: Floats
    spread: Floats


def delivery_distribution(rows: pd.DataFrame) -> Distribution:
    """Return the true distribution of ``delivery_hours`` of complete rows.

    The hours are log-normal: median · exp(spread · standard normal). The median is a sum of
    effects with a few exceptions: express parcels feel the distance less, bikes suffer in a storm,
    warehouses get slow only when nearly full, and what arrives in the evening waits for the night.
    """
    log_distance = np.log1p(rows["distance_km"].to_numpy(dtype=np.float64))
    load = rows["warehouse_load_percent"].to_numpy(dtype=np.float64)
    experience = rows["courier_experience_months"].to_numpy(dtype=np.float64)
    weight = rows["weight_kg"].to_numpy(dtype=np.float64)
    volume = rows["volume_l"].to_numpy(dtype=np.float64)
    storm = (rows["weather"] == "storm").to_numpy()
    bike = (rows["vehicle"] == "bike").to_numpy()
    weekend = (rows["accepted_at"].dt.day_of_week >= SATURDAY).to_numpy()
    evening = (rows["accepted_at"].dt.hour >= EVENING).to_numpy()
    express = (rows["service"] == "express").to_numpy()
    median = (
        4.0
        + np.where(express, 2.1, 2.7) * log_distance
        + _per_category(rows["service"], {"economy": 17.0, "standard": 8.0, "express": 0.0})
        + _per_category(rows["region"], {"urban": 0.0, "suburban": 0.8, "rural": 2.5})
        + _per_category(rows["vehicle"], {"bike": -0.6, "van": 0.0, "truck": 2.0})
        + _per_category(rows["weather"], {"dry": 0.0, "rain": 0.4, "fog": 0.7, "storm": 2.5})
        + 0.10 * rows["stops_before"].to_numpy(dtype=np.float64)
        + 0.5 * np.log1p(weight)
        + 1.0 * (weight / volume)
        - 0.9 * np.log1p(experience)
        + 0.02 * load
        + 0.16 * np.maximum(load - 80, 0)
        + 3.0 * (storm & bike)
        + 2.0 * weekend
        + 1.5 * evening
    )
    spread = 0.18 + 0.07 * storm + 0.03 * (rows["region"] == "rural").to_numpy()
    return Distribution(median, median * np.exp(spread**2 / 2), spread)


def _delivery_rows(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Draw complete rows without a target; distance depends on region, vehicle on distance."""
    accepted_at, shifted = _moments(rng, rows, 7, 21)
    region = _choose(rng, {"urban": 0.48, "suburban": 0.32, "rural": 0.20}, rows)
    typical = pd.Series(region).map({"urban": 2.6, "suburban": 3.4, "rural": 4.3}).to_numpy()
    distance = np.clip(np.exp(rng.normal(typical, 0.9)), 0.3, 2_400)
    weight = np.clip(np.exp(rng.normal(1.0, 0.9, rows)), 0.1, 90)
    density = np.clip(np.exp(rng.normal(-1.3, 0.6, rows)), 0.02, 3)
    # Bikes serve near addresses with light parcels, trucks the far and the heavy ones.
    reach = np.log1p(distance) + 0.5 * np.log1p(weight) + rng.normal(0, 0.8, rows)
    vehicle = np.where(reach < 3.0, "bike", np.where(reach < 5.2, "van", "truck"))  # noqa: PLR2004
    weather = np.where(shifted, _choose(rng, WEATHER_SHIFTED, rows), _choose(rng, WEATHER, rows))
    return pd.DataFrame(
        {
            "parcel_id": _identifiers(rng, "P", 7, rows),
            "accepted_at": accepted_at,
            "service": _choose(rng, {"economy": 0.30, "standard": 0.45, "express": 0.25}, rows),
            "vehicle": vehicle.astype(object),
            "weather": weather,
            "region": region,
            "distance_km": np.round(distance, 1),
            "weight_kg": np.round(weight, 2),
            "volume_l": np.round(np.clip(weight / density, 0.5, 1_500), 1),
            "stops_before": rng.poisson(np.exp(rng.normal(2.6, 0.5, rows))).clip(0, 150),
            "courier_experience_months": np.floor(rng.exponential(30, rows)).clip(0, 400),
            "warehouse_load_percent": np.round(100 * rng.beta(5, 2.2, rows), 1),
        }
    ).astype({"stops_before": np.int64, "courier_experience_months": np.int64})


def _older_deliveries(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the same parcels as first registered: some minutes before, with a rough weight."""
    minutes = pd.to_timedelta(rng.integers(5, 55, len(rows)), unit="min")
    weight = (rows["weight_kg"] * rng.uniform(0.8, 1.2, len(rows))).clip(0.1, 90).round(2)
    return rows.assign(accepted_at=rows["accepted_at"] - minutes, weight_kg=weight)


DELIVERY_DIRT = Dirt(
    identifier="parcel_id",
    older=_older_deliveries,
    missing={
        "service": 0.005,
        "vehicle": 0.020,
        "weather": 0.020,
        "region": 0.020,
        "distance_km": 0.005,
        "weight_kg": 0.015,
        "volume_l": 0.030,
        "stops_before": 0.020,
        "courier_experience_months": 0.035,
        "warehouse_load_percent": 0.015,
    },
    outliers={
        "distance_km": ("-12.5", "999999"),
        "weight_kg": ("-1.00", "88888"),
        "volume_l": ("0", "1000000"),
        "stops_before": ("-2", "9999"),
        "courier_experience_months": ("-6", "9999"),
        "warehouse_load_percent": ("-1.0", "870.0"),
    },
    spellings={
        "service": {"economy": ["eco"], "standard": ["std"], "express": ["xpress", "exp"]},
        "vehicle": {"bike": ["cargo bike", "bicycle"], "truck": ["lorry"]},
        "weather": {"dry": ["clear"], "rain": ["rainy"], "fog": ["foggy"], "storm": ["stormy"]},
        "region": {"urban": ["city"], "suburban": ["suburb"], "rural": ["countryside"]},
    },
    formats={
        "distance_km": "{} km",
        "weight_kg": "{}kg",
        "volume_l": "{} l",
        "courier_experience_months": "{} months",
        "warehouse_load_percent": "{} %",
    },
    decimals={"distance_km": 1, "weight_kg": 2, "volume_l": 1, "warehouse_load_percent": 1}
    | {"delivery_hours": 2},
)


def deliveries(seed: int = SEED) -> Sample:
    """Make the table of a parcel carrier: one row per parcel, ``delivery_hours`` as the target.

    Args:
        seed: of the random numbers; the bundled file has the default.
    """
    rng = np.random.default_rng([seed, 2])
    complete = _delivery_rows(rng, ROWS)
    hours = delivery_distribution(complete)
    noise = np.exp(hours.spread * rng.normal(0, 1, ROWS))
    complete["delivery_hours"] = np.round(hours.median * noise, 2)
    truth = pd.DataFrame(
        {"parcel_id": complete["parcel_id"], "median": hours.median, "mean": hours.mean}
    )
    return _spoiled(complete, truth, DELIVERY_DIRT, rng)


# ---------------------------------------------------------------- sales

FIRST_DAY = np.datetime64("2025-01-06T00:00:00", "s")  # a Monday
SALES_DAYS = 500
# The weather of so many of the newest days differs.
SALES_DAYS_SHIFTED = 56
WEATHER_OF_SALES = {"dry": 0.66, "rain": 0.28, "storm": 0.06}
WEATHER_OF_SALES_SHIFTED = {"dry": 0.38, "rain": 0.52, "storm": 0.10}
PROMOTIONS = {"regular": 0.80, "leaflet": 0.14, "display": 0.06}
# The share of days on which a shop is open as long as usual.
USUAL_HOURS = 0.75
DISPERSION_OF_SALES = 0.22
DAYS_PER_YEAR = 365.25


class Store(NamedTuple):
    """What sells in a store: units on a usual day, growth per year, and the days it lives from.

    ``weekend`` is how much more is sold on Saturdays and Sundays than on other days, as a
    logarithm; ``season`` how much more in December than in June, half of it.
    """

    units: float
    growth: float
    weekend: float
    season: float


STORES = {
    "airport": Store(240, 0.08, 0.05, -0.03),
    "bridge": Store(90, 0.02, 0.25, 0.02),
    "castle": Store(130, -0.04, 0.45, -0.05),
    "garden": Store(75, 0.05, 0.35, -0.04),
    "harbour": Store(160, 0.00, 0.30, -0.02),
    "market": Store(320, 0.05, 0.20, 0.04),
    "mill": Store(60, -0.05, 0.10, 0.02),
    "park": Store(110, 0.06, 0.50, -0.04),
    "station": Store(280, 0.03, -0.40, 0.03),
    "tower": Store(200, 0.00, -0.30, 0.03),
}


def sales_distribution(rows: pd.DataFrame) -> Distribution:
    """Return the true distribution of ``units_sold`` of complete rows.

    The units are log-normal: median · exp(spread · standard normal). The median is a product: what
    the store sells, a growth that is the same each day, the time of the year, the day of the week,
    and what is known in advance, the promotion, its discount, the opening hours and the weather.
    """
    stores = rows["store"].map(STORES)
    units, growth, weekend, season = (
        np.array([store[place] for store in stores]) for place in range(len(Store._fields))
    )
    day = (rows["sold_on"].to_numpy() - FIRST_DAY).astype("timedelta64[D]").astype(np.float64)
    weekday = rows["sold_on"].dt.day_of_week.to_numpy()
    logarithm = (
        np.log(units)
        + growth * day / DAYS_PER_YEAR
        + season * np.cos(2 * np.pi * (day - 10) / DAYS_PER_YEAR)
        + weekend * (weekday >= SATURDAY)
        + np.array([-0.10, -0.05, 0.0, 0.02, 0.12, 0.05, -0.05])[weekday]
        + _per_category(rows["promotion"], {"regular": 0.0, "leaflet": 0.15, "display": 0.28})
        + _per_category(rows["weather"], {"dry": 0.0, "rain": -0.03, "storm": -0.08})
        + 0.006 * rows["discount_percent"].to_numpy(dtype=np.float64)
        + 0.5 * np.log(rows["opening_hours"].to_numpy(dtype=np.float64) / 10)
    )
    spread = np.full(len(rows), DISPERSION_OF_SALES)
    median = np.exp(logarithm)
    return Distribution(median, median * np.exp(spread**2 / 2), spread)


def _sales_rows(rng: np.random.Generator) -> pd.DataFrame:
    """Draw complete rows without a target: each store on each day, ordered by day."""
    rows = SALES_DAYS * len(STORES)
    day = np.repeat(np.arange(SALES_DAYS), len(STORES))
    shifted = day >= SALES_DAYS - SALES_DAYS_SHIFTED
    promotion = _choose(rng, PROMOTIONS, rows)
    other_hours = rng.choice([7.0, 8.0, 8.5, 9.0, 11.0, 12.0, 12.5, 13.0], rows)
    discount = np.where(promotion == "regular", 0.0, 5.0 * rng.integers(1, 6, rows))
    weather = np.where(
        shifted,
        _choose(rng, WEATHER_OF_SALES_SHIFTED, rows),
        _choose(rng, WEATHER_OF_SALES, rows),
    )
    return pd.DataFrame(
        {
            "sale_id": _identifiers(rng, "S", 6, rows),
            "sold_on": FIRST_DAY + (day * SECONDS_PER_DAY).astype("timedelta64[s]"),
            "store": np.tile(np.array(list(STORES), dtype=object), SALES_DAYS),
            "promotion": promotion,
            "weather": weather,
            "discount_percent": discount.astype(np.int64),
            "opening_hours": np.where(rng.random(rows) < USUAL_HOURS, 10.0, other_hours),
        }
    )


def _older_sales(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the same records as first entered: under the day before, with other hours."""
    hours = (rows["opening_hours"] - rng.choice([0.5, 1.0], len(rows))).round(1)
    return rows.assign(sold_on=rows["sold_on"] - pd.Timedelta(days=1), opening_hours=hours)


SALES_DIRT = Dirt(
    identifier="sale_id",
    older=_older_sales,
    missing={
        "promotion": 0.005,
        "weather": 0.020,
        "discount_percent": 0.010,
        "opening_hours": 0.015,
    },
    outliers={"discount_percent": ("-5", "500"), "opening_hours": ("-1.0", "99.0")},
    spellings={
        "store": {
            "airport": ["terminal"],
            "harbour": ["harbor"],
            "market": ["market hall"],
            "station": ["main station"],
        },
        "promotion": {"regular": ["no offer"], "leaflet": ["flyer"], "display": ["end cap"]},
        "weather": {"dry": ["clear"], "rain": ["rainy"], "storm": ["stormy"]},
    },
    formats={"discount_percent": "{} %"},
    decimals={"opening_hours": 1},
)


def sales(seed: int = SEED) -> Sample:
    """Make the table of a chain of shops: one row per store and day, ``units_sold`` as the target.

    The file is in the order of the days, as a growing export is; a correction stands beside what it
    corrects.

    Args:
        seed: of the random numbers; the bundled file has the default.
    """
    rng = np.random.default_rng([seed, 5])
    complete = _sales_rows(rng)
    units = sales_distribution(complete)
    noise = np.exp(units.spread * rng.normal(0, 1, len(complete)))
    complete["units_sold"] = np.round(units.median * noise).astype(np.int64)
    truth = pd.DataFrame(
        {"sale_id": complete["sale_id"], "median": units.median, "mean": units.mean}
    )
    sample = _spoiled(complete, truth, SALES_DIRT, rng)
    keys = sample.raw["sale_id"].str.strip()
    day = keys.map(complete.set_index("sale_id")["sold_on"]).to_numpy()
    # the versions of a record stay together
    place = pd.factorize(keys)[0]
    order = np.lexsort((place, day))
    return sample._replace(raw=sample.raw.iloc[order].reset_index(drop=True))


# ---------------------------------------------------------------- customers

COUNTRIES = {"germany": 0.55, "france": 0.30, "poland": 0.15}
COUNTRIES_SHIFTED = {"germany": 0.43, "france": 0.24, "poland": 0.33}
# How many orders and visits of a customer scatter together, beyond what the group explains.
ACTIVITY = 0.6


class CustomerGroup(NamedTuple):
    """A kind of customers: its share of all, what is typical of it, and how much that scatters.

    ``typical`` and ``spread`` are mean and standard deviation of each measure before it is cut to
    its range; the others are the shares of categories.
    """

    name: str
    share: float
    typical: Mapping[str, float]
    spread: Mapping[str, float]
    device: Mapping[str, float]
    payment: Mapping[str, float]


CUSTOMER_GROUPS = (
    CustomerGroup(
        "occasional",
        0.34,
        {"orders_12m": 4, "visits_30d": 5, "basket_eur": 60, "items_per_order": 2.2}
        | {"discount_percent": 15, "return_percent": 12, "days_since_order": 170},
        {"orders_12m": 1.6, "visits_30d": 2.2, "basket_eur": 16, "items_per_order": 0.6}
        | {"discount_percent": 7, "return_percent": 6, "days_since_order": 38},
        {"mobile": 0.45, "desktop": 0.45, "tablet": 0.10},
        {"card": 0.55, "wallet": 0.25, "invoice": 0.20},
    ),
    CustomerGroup(
        "bargain",
        0.26,
        {"orders_12m": 12, "visits_30d": 21, "basket_eur": 38, "items_per_order": 2.4}
        | {"discount_percent": 62, "return_percent": 12, "days_since_order": 45},
        {"orders_12m": 3, "visits_30d": 4, "basket_eur": 11, "items_per_order": 0.7}
        | {"discount_percent": 9, "return_percent": 6, "days_since_order": 18},
        {"mobile": 0.85, "desktop": 0.10, "tablet": 0.05},
        {"card": 0.25, "wallet": 0.65, "invoice": 0.10},
    ),
    CustomerGroup(
        "loyal",
        0.18,
        {"orders_12m": 34, "visits_30d": 26, "basket_eur": 72, "items_per_order": 3}
        | {"discount_percent": 12, "return_percent": 8, "days_since_order": 12},
        {"orders_12m": 5, "visits_30d": 5, "basket_eur": 17, "items_per_order": 0.8}
        | {"discount_percent": 6, "return_percent": 4, "days_since_order": 7},
        {"mobile": 0.65, "desktop": 0.30, "tablet": 0.05},
        {"card": 0.60, "wallet": 0.35, "invoice": 0.05},
    ),
    CustomerGroup(
        "returning",
        0.13,
        {"orders_12m": 14, "visits_30d": 15, "basket_eur": 130, "items_per_order": 5.5}
        | {"discount_percent": 20, "return_percent": 58, "days_since_order": 40},
        {"orders_12m": 3.5, "visits_30d": 4, "basket_eur": 26, "items_per_order": 1.1}
        | {"discount_percent": 8, "return_percent": 9, "days_since_order": 16},
        {"mobile": 0.50, "desktop": 0.20, "tablet": 0.30},
        {"card": 0.15, "wallet": 0.10, "invoice": 0.75},
    ),
    CustomerGroup(
        "bulk",
        0.09,
        {"orders_12m": 9, "visits_30d": 4, "basket_eur": 265, "items_per_order": 12}
        | {"discount_percent": 8, "return_percent": 5, "days_since_order": 55},
        {"orders_12m": 2.5, "visits_30d": 2, "basket_eur": 42, "items_per_order": 2}
        | {"discount_percent": 5, "return_percent": 3, "days_since_order": 22},
        {"mobile": 0.05, "desktop": 0.90, "tablet": 0.05},
        {"card": 0.15, "wallet": 0.05, "invoice": 0.80},
    ),
)
# Decimal places and the largest possible value of each measure; none is below its smallest.
CUSTOMER_MEASURES = {
    "orders_12m": (0, 1, 400),
    "visits_30d": (0, 0, 600),
    "basket_eur": (2, 3, 4_000),
    "items_per_order": (1, 1, 80),
    "discount_percent": (1, 0, 100),
    "return_percent": (1, 0, 100),
    "days_since_order": (0, 0, 365),
}


def _customer_rows(
    rng: np.random.Generator, rows: int
) -> tuple[pd.DataFrame, npt.NDArray[np.object_]]:
    """Draw complete rows, and the group that each was drawn from."""
    snapshot_at, shifted = _moments(rng, rows, 0, 6)
    groups = {group.name: group for group in CUSTOMER_GROUPS}
    drawn = _choose(rng, {name: group.share for name, group in groups.items()}, rows)
    active = rng.normal(0, 1, rows)
    measures: dict[str, Floats] = {}
    for name, (places, low, high) in CUSTOMER_MEASURES.items():
        typical, spread = (
            pd.Series(drawn).map({key: part[name] for key, part in table.items()}).to_numpy()
            for table in (
                {key: group.typical for key, group in groups.items()},
                {key: group.spread for key, group in groups.items()},
            )
        )
        own = rng.normal(0, 1, rows)
        together = ACTIVITY if name in {"orders_12m", "visits_30d"} else 0.0
        scatter = together * active + np.sqrt(1 - together**2) * own
        measures[name] = np.clip(np.round(typical + spread * scatter, places), low, high)
    categories = {}
    for column in ("device", "payment"):
        picked = np.empty(rows, dtype=object)
        for name, group in groups.items():
            of_group = drawn == name
            picked[of_group] = _choose(rng, getattr(group, column), int(of_group.sum()))
        categories[column] = picked
    country = np.where(
        shifted, _choose(rng, COUNTRIES_SHIFTED, rows), _choose(rng, COUNTRIES, rows)
    )
    table = pd.DataFrame(
        {
            "customer_id": _identifiers(rng, "K", 7, rows),
            "snapshot_at": snapshot_at,
            "country": country,
            **categories,
            **measures,
        }
    )
    whole = [name for name, (places, _, _) in CUSTOMER_MEASURES.items() if places == 0]
    return table.astype(dict.fromkeys(whole, np.int64)), drawn


def _older_customers(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the same customers as seen some days before, with fewer visits."""
    days = pd.to_timedelta(rng.integers(1, 20, len(rows)), unit="D")
    visits = np.floor(rows["visits_30d"] * rng.uniform(0.4, 0.9, len(rows))).astype("Int64")
    return rows.assign(snapshot_at=rows["snapshot_at"] - days, visits_30d=visits)


CUSTOMER_DIRT = Dirt(
    identifier="customer_id",
    older=_older_customers,
    missing={
        "country": 0.005,
        "device": 0.020,
        "payment": 0.015,
        "orders_12m": 0.005,
        "visits_30d": 0.030,
        "basket_eur": 0.010,
        "items_per_order": 0.015,
        "discount_percent": 0.015,
        "return_percent": 0.020,
        "days_since_order": 0.010,
    },
    outliers={
        "orders_12m": ("-1", "9999"),
        "visits_30d": ("-5", "99999"),
        "basket_eur": ("-10.00", "999,999.00"),
        "items_per_order": ("0.0", "5000.0"),
        "discount_percent": ("-3.0", "250.0"),
        "return_percent": ("-1.0", "101.0"),
        "days_since_order": ("-30", "40000"),
    },
    spellings={
        "country": {"germany": ["de"], "france": ["fr"], "poland": ["pl"]},
        "device": {"mobile": ["phone", "smartphone"], "desktop": ["pc"], "tablet": ["pad"]},
        "payment": {"card": ["credit card"], "wallet": ["e-wallet"], "invoice": ["bill"]},
    },
    formats={
        "basket_eur": "€ {}",
        "items_per_order": "{} items",
        "discount_percent": "{} %",
        "return_percent": "{} %",
        "days_since_order": "{} days",
    },
    decimals={"basket_eur": 2, "items_per_order": 1, "discount_percent": 1, "return_percent": 1},
)


def customers(seed: int = SEED) -> Sample:
    """Make the table of an online shop: one row per customer, without a target.

    Args:
        seed: of the random numbers; the bundled file has the default.
    """
    rng = np.random.default_rng([seed, 5])
    complete, groups = _customer_rows(rng, ROWS)
    truth = pd.DataFrame({"customer_id": complete["customer_id"], "group": groups})
    return _spoiled(complete, truth, CUSTOMER_DIRT, rng)


# ---------------------------------------------------------------- readings

READINGS = 4_200
SHIFTS = {"early": 0.40, "late": 0.36, "night": 0.24}
SHIFTS_SHIFTED = {"early": 0.27, "late": 0.25, "night": 0.48}
# What a model of pump adds to flow, pressure and power.
FLOW = {"compact": -6.0, "standard": 0.0, "large": 9.0}
PRESSURE = {"compact": 0.5, "standard": 0.0, "large": -0.6}
POWER = {"compact": -0.8, "standard": 0.0, "large": 1.1}


class Fault(NamedTuple):
    """What a fault does: it adds a number from ``low`` to ``high``, all alike, to one residual."""

    share: float
    low: float
    high: float


# A residual is what a measurement deviates from what the others let expect; it is normal, with this
# spread. Worn bearings show in the vibration alone. The other faults show only in how numbers go
# together.
SPREADS = {"flow": 1.5, "pressure": 0.16, "power": 0.28, "temperature": 1.6, "vibration": 0.25}
FAULTS = {
    "vibration": Fault(0.006, 1.0, 3.5),
    "flow": Fault(0.005, -16.0, -4.0),
    "pressure": Fault(0.004, -1.8, -0.4),
    "power": Fault(0.005, 0.8, 3.0),
    "temperature": Fault(0.005, 4.5, 18.0),
}
MEASURED = {
    "flow": ("flow_m3_h", 2),
    "pressure": ("pressure_bar", 3),
    "power": ("power_kw", 3),
    "temperature": ("bearing_temperature_c", 1),
    "vibration": ("vibration_mm_s", 3),
}


def expected_reading(name: str, rows: pd.DataFrame) -> Floats:
    """Return what a measurement of complete rows should be, given those before it.

    Speed follows the load, flow and pressure the speed, power both, the temperature of the bearing
    the power and that of the inlet, vibration the speed and the hours since the last service.
    """
    pump = rows["pump_model"]
    speed = rows["speed_rpm"].to_numpy(dtype=np.float64)
    if name == "flow":
        return np.asarray(-4 + 0.033 * speed + _per_category(pump, FLOW))
    if name == "pressure":
        return np.asarray(-1 + 0.0031 * speed + _per_category(pump, PRESSURE))
    if name == "vibration":
        hours = rows["hours_since_service"].to_numpy(dtype=np.float64)
        return np.asarray(1.6 + 0.0011 * (speed - 2_300) + 0.0002 * hours)
    if name == "power":
        flow, pressure = (
            rows[column].to_numpy(dtype=np.float64) for column in ("flow_m3_h", "pressure_bar")
        )
        return np.asarray(1.5 + 0.09 * flow + 0.9 * pressure + _per_category(pump, POWER))
    power = rows["power_kw"].to_numpy(dtype=np.float64)
    inlet = rows["inlet_temperature_c"].to_numpy(dtype=np.float64)
    return np.asarray(9 + 0.9 * inlet + 1.8 * power)


def residual(name: str, rows: pd.DataFrame) -> Floats:
    """Return what a measurement of complete rows deviates from what is expected."""
    measured = rows[MEASURED[name][0]].to_numpy(dtype=np.float64)
    return np.asarray(measured - expected_reading(name, rows))


def fault_probability(rows: pd.DataFrame) -> Floats:
    """Return the true P(faulty = 1) of complete rows, by the theorem of Bayes.

    A fault adds a number that is spread evenly from its ``low`` to its ``high``, so the density of
    a residual with it is a difference of two normal distribution functions.
    """
    usual = 1 - sum(fault.share for fault in FAULTS.values())
    odds = np.zeros(len(rows))
    for name, fault in FAULTS.items():
        spread = SPREADS[name]
        values = residual(name, rows)
        inside = stats.norm.cdf((values - fault.low) / spread)
        inside -= stats.norm.cdf((values - fault.high) / spread)
        plain = stats.norm.pdf(values / spread) / spread
        ratio = inside / (fault.high - fault.low) / np.maximum(plain, np.finfo(np.float64).tiny)
        odds += fault.share / usual * ratio
    return np.asarray(odds / (1 + odds), dtype=np.float64)


def _reading_rows(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Draw complete rows, each measurement after those that it depends on, and whether faulty."""
    measured_at, shifted = _moments(rng, rows, 0, 24)
    load = np.round(100 * rng.beta(4.5, 2.0, rows), 1)
    shares = [fault.share for fault in FAULTS.values()]
    kind = _choose(rng, dict(zip(["", *FAULTS], [1 - sum(shares), *shares], strict=True)), rows)
    table = pd.DataFrame(
        {
            "reading_id": _identifiers(rng, "R", 6, rows),
            "measured_at": measured_at,
            "pump_model": _choose(rng, {"compact": 0.28, "standard": 0.50, "large": 0.22}, rows),
            "medium": _choose(rng, {"water": 0.55, "brine": 0.25, "oil": 0.20}, rows),
            "work_shift": np.where(
                shifted, _choose(rng, SHIFTS_SHIFTED, rows), _choose(rng, SHIFTS, rows)
            ),
            "load_percent": load,
            "hours_since_service": np.floor(rng.uniform(0, 3_000, rows)),
            "inlet_temperature_c": np.round(rng.normal(17, 5, rows), 1),
            "speed_rpm": np.round(1_200 + 16 * load + rng.normal(0, 25, rows), 0),
        }
    )
    for name, (column, places) in MEASURED.items():
        fault = FAULTS[name]
        added = np.where(kind == name, rng.uniform(fault.low, fault.high, rows), 0)
        value = expected_reading(name, table) + rng.normal(0, SPREADS[name], rows) + added
        table[column] = np.round(value, places)
    table["faulty"] = (kind != "").astype(np.int64)
    return table.astype({"hours_since_service": np.int64, "speed_rpm": np.int64})


def _older_readings(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the same readings as first sent: some minutes before, with a rough load."""
    minutes = pd.to_timedelta(rng.integers(5, 55, len(rows)), unit="min")
    load = (rows["load_percent"] * rng.uniform(0.9, 1.1, len(rows))).clip(0, 100).round(1)
    return rows.assign(measured_at=rows["measured_at"] - minutes, load_percent=load)


READING_DIRT = Dirt(
    identifier="reading_id",
    older=_older_readings,
    missing={
        "pump_model": 0.005,
        "medium": 0.020,
        "work_shift": 0.020,
        "load_percent": 0.015,
        "hours_since_service": 0.030,
        "inlet_temperature_c": 0.020,
        "speed_rpm": 0.010,
        "flow_m3_h": 0.010,
        "pressure_bar": 0.010,
        "power_kw": 0.010,
        "bearing_temperature_c": 0.015,
        "vibration_mm_s": 0.010,
    },
    outliers={
        "load_percent": ("-1.0", "870.0"),
        "inlet_temperature_c": ("-273.0", "999.0"),
        "flow_m3_h": ("-1.00", "99999"),
        "pressure_bar": ("-9.000", "99999"),
        "power_kw": ("-1.000", "88888"),
        "bearing_temperature_c": ("-273.0", "999.0"),
    },
    spellings={
        "pump_model": {"compact": ["small"], "standard": ["std"], "large": ["xl"]},
        "medium": {"water": ["h2o"], "brine": ["salt water"], "oil": ["lube oil"]},
        "work_shift": {"early": ["morning"], "late": ["evening"], "night": ["nights"]},
    },
    formats={
        "load_percent": "{} %",
        "speed_rpm": "{} rpm",
        "flow_m3_h": "{} cbm",
        "pressure_bar": "{} bar",
        "power_kw": "{} kW",
        "hours_since_service": "{} h",
    },
    decimals={
        "load_percent": 1,
        "inlet_temperature_c": 1,
        "flow_m3_h": 2,
        "pressure_bar": 3,
        "power_kw": 3,
        "bearing_temperature_c": 1,
        "vibration_mm_s": 3,
    },
)


def readings(seed: int = SEED) -> Sample:
    """Make the table of a pumping station: one row per reading, ``faulty`` as known later.

    Args:
        seed: of the random numbers; the bundled file has the default.
    """
    rng = np.random.default_rng([seed, 5])
    complete = _reading_rows(rng, READINGS)
    truth = pd.DataFrame(
        {"reading_id": complete["reading_id"], "probability": fault_probability(complete)}
    )
    return _spoiled(complete, truth, READING_DIRT, rng)


# ---------------------------------------------------------------- labels assigned later

# What is known of a record after its outcome: the share of records with and without the outcome
# in whose follow-up a phrase stands. Given the outcome, the phrases are independent of each other.
FOLLOW_UP_PHRASES = {
    "cancelled by form": (0.55, 0.010),
    "asked to close the account": (0.30, 0.015),
    "asked for an upgrade": (0.01, 0.100),
    "exported data": (0.30, 0.030),
}
PAYMENTS = {
    1: {"payment received": 0.12, "payment failed": 0.40, "": 0.48},
    0: {"payment received": 0.85, "payment failed": 0.05, "": 0.10},
}
LOGINS = (0.7, 8.0)
FOLLOW_UP_MISSING = 0.02


def _follow_up(rng: np.random.Generator, churned: npt.NDArray[np.int64]) -> list[str]:
    """Write what each account did in the 30 days after the snapshot, whose outcome this betrays."""
    rows = churned.size
    leaves = churned == 1
    phrases = {
        phrase: rng.random(rows) < np.where(leaves, *shares)
        for phrase, shares in FOLLOW_UP_PHRASES.items()
    }
    payment = np.where(leaves, _choose(rng, PAYMENTS[1], rows), _choose(rng, PAYMENTS[0], rows))
    # most who stay use the service, a few are on holiday
    active = np.where(leaves, rng.random(rows) < 0.5, rng.random(rows) < 0.95)  # noqa: PLR2004
    logins = np.where(active, 1 + rng.poisson(np.where(leaves, *LOGINS)), 0)
    missing = rng.random(rows) < FOLLOW_UP_MISSING
    texts = []
    for row in range(rows):
        said = [f"logins {logins[row]}", payment[row]]
        said += [phrase for phrase, there in phrases.items() if there[row]]
        texts.append("" if missing[row] else "; ".join(filter(None, said)))
    return texts


class Clock(NamedTuple):
    """A source that tells when a parcel arrived: how often it does, and how wrong it is, in hours.

    A ``slip`` is an entry that is wrong altogether, such as the scan of another parcel.
    """

    phrase: str
    share: float
    bias: float
    spread: float
    slip: float


CLOCKS = (
    Clock("door scan {:.1f} h", 0.80, 0.0, 0.25, 0.02),
    Clock("app {:.1f} h", 0.70, 0.6, 0.90, 0.01),
    Clock("signature {:.1f} h", 0.55, 0.1, 0.50, 0.00),
    Clock("customer {:.0f} h", 0.20, -0.5, 3.00, 0.00),
)


def _tracking(rng: np.random.Generator, hours: Floats) -> list[str]:
    """Write what several clocks say about each delivery."""
    rows = hours.size
    said: list[list[str]] = [[] for _ in range(rows)]
    for clock in CLOCKS:
        there = rng.random(rows) < clock.share
        slipped = rng.random(rows) < clock.slip
        shown = hours + clock.bias + clock.spread * rng.normal(0, 1, rows)
        shown = np.maximum(np.where(slipped, hours * rng.uniform(0.2, 2.5, rows), shown), 0.1)
        for row in np.flatnonzero(there):
            said[row].append(clock.phrase.format(shown[row]))
    return ["; ".join(parts) for parts in said]


class Annotator(NamedTuple):
    """Someone who labels records.

    ``share`` is of all labels. Of a class: how often a 1 and a 0 is recognised. Of a number: by how
    many hours the answers are too high on average, and how they scatter.
    """

    name: str
    share: float
    recognises: tuple[float, float]
    bias: float
    spread: float


# Good ones, a cautious one, a suspicious one and a careless one.
ANNOTATORS = (
    Annotator("amir", 0.22, (0.97, 0.98), 0.0, 0.4),
    Annotator("bo", 0.20, (0.95, 0.97), 0.2, 0.6),
    Annotator("carla", 0.18, (0.93, 0.97), -0.3, 0.5),
    Annotator("dina", 0.16, (0.82, 0.99), -1.2, 0.8),
    Annotator("emil", 0.14, (0.96, 0.85), 1.5, 1.0),
    Annotator("fay", 0.10, (0.70, 0.75), 0.0, 4.0),
)
# How many annotators see a record.
LABELS_PER_RECORD = {0: 0.03, 1: 0.05, 2: 0.40, 3: 0.34, 4: 0.12, 5: 0.06}
REVISED = 0.01
UNDECIDED = 0.01
ADJUDICATED = 60
GOLD = 600
ANNOTATED_FROM = np.datetime64("2026-08-03T08:00:00", "s")


def _annotation(
    rng: np.random.Generator, annotator: Annotator, outcome: float, *, classes: bool
) -> str:
    if rng.random() < UNDECIDED:
        return "?"
    if classes:
        right = rng.random() < annotator.recognises[0 if outcome == 1 else 1]
        return str(int(outcome if right else 1 - outcome))
    return f"{max(outcome + annotator.bias + annotator.spread * rng.normal(), 0.1):.1f}"


class Assigned(NamedTuple):
    """A table whose target is not recorded, and the labels that people gave.

    ``annotations`` has several labels per record, ``adjudicated`` the decision of an expert where
    annotators had disagreed, ``gold`` that of an expert for records drawn at random. Both are the
    truth.
    """

    sample: Sample
    annotations: pd.DataFrame
    adjudicated: pd.DataFrame
    gold: pd.DataFrame


def assigned(name: str, sample: Sample, seed: int = SEED) -> Assigned:
    """Take the target out of a table, and tell it in other ways, none of which is always right.

    The table gets a text column with what became known after the outcome: enough to label a record
    by rules or by reading, but not known when a prediction is made.

    Args:
        name: of the table.
        sample: the table.
        seed: of the random numbers.
    """
    rng = np.random.default_rng([seed, 3 if name == "subscriptions" else 4])
    identifier, target = sample.complete.columns[[0, -1]]
    outcome = sample.complete[target].to_numpy()
    classes = name == "subscriptions"
    column, texts = (
        ("follow_up", _follow_up(rng, outcome))
        if classes
        else ("tracking", _tracking(rng, outcome))
    )
    known = dict(zip(sample.complete[identifier], texts, strict=True))
    raw = sample.raw.drop(columns=target)
    raw[column] = [known[key.strip()] for key in raw[identifier]]
    # an empty text is what cleaning makes missing
    clean = sample.clean.drop(columns=target).assign(**{column: texts})
    clean[column] = clean[column].where(clean[column] != "", None)
    complete = sample.complete.drop(columns=target).assign(**{column: texts})
    truth = sample.truth.assign(outcome=outcome)

    entries: list[tuple[str, str, str, int]] = []
    counts = list(LABELS_PER_RECORD)
    numbers = np.array(counts)[
        np.searchsorted(np.cumsum(list(LABELS_PER_RECORD.values()))[:-1], rng.random(ROWS), "right")
    ]
    shares = np.array([annotator.share for annotator in ANNOTATORS])
    argued = []
    for row, (key, value) in enumerate(zip(complete[identifier], outcome, strict=True)):
        chosen = rng.choice(len(ANNOTATORS), numbers[row], replace=False, p=shares)
        given = []
        for number in chosen:
            annotator = ANNOTATORS[number]
            # who thinks better of it labels again, later
            for again in range(1 + (rng.random() < REVISED)):
                label = _annotation(rng, annotator, value, classes=classes)
                moment = int(rng.integers(0, 20 * SECONDS_PER_DAY)) + again * SECONDS_PER_DAY
                entries.append((key, annotator.name, label, moment))
            given.append(label)
        spread = {float(label) for label in given if label != "?"}
        if spread and max(spread) - min(spread) >= (1 if classes else 4):
            argued.append(row)
    annotations = pd.DataFrame(entries, columns=[identifier, "annotator", "label", "second"])
    annotations = annotations.sort_values("second", kind="stable")
    moments = ANNOTATED_FROM + annotations.pop("second").to_numpy().astype("timedelta64[s]")
    annotations["annotated_at"] = pd.Series(moments, index=annotations.index).dt.strftime(
        "%Y-%m-%dT%H:%M:%S"
    )

    def decided(rows: npt.NDArray[np.int64]) -> pd.DataFrame:
        rows = np.sort(rows)
        return pd.DataFrame({identifier: complete[identifier].iloc[rows], "label": outcome[rows]})

    return Assigned(
        Sample(complete, clean, truth, raw),
        annotations,
        decided(rng.choice(np.array(argued), ADJUDICATED, replace=False)),
        decided(rng.choice(ROWS, GOLD, replace=False)),
    )


def label_files(name: str, labels: Assigned) -> dict[str, bytes]:
    """Return the files with the labels of one table that people gave."""
    tables = {
        "annotations": labels.annotations,
        "adjudicated": labels.adjudicated,
        "gold": labels.gold,
    }
    return {
        f"{kind}__{name}.csv": table.to_csv(index=False, lineterminator="\n").encode()
        for kind, table in tables.items()
    }


# ---------------------------------------------------------------- spoiling


def _spoiled(
    complete: pd.DataFrame, truth: pd.DataFrame, dirt: Dirt, rng: np.random.Generator
) -> Sample:
    """Make values missing at random, then write the table as a careless export would."""
    clean = complete.copy()
    impossible: dict[str, npt.NDArray[np.bool_]] = {}
    rows = len(complete)
    for column, share in dirt.missing.items():
        missing = rng.random(rows) < share
        impossible[column] = rng.random(rows) < (OUTLIERS if column in dirt.outliers else 0)
        clean[column] = _nullable(clean[column]).mask(missing | impossible[column])
    raw = _written(clean, dirt, rng)
    for column, values in dirt.outliers.items():
        wrong = impossible[column]
        raw.loc[wrong, column] = _choose(rng, dict.fromkeys(values, 1 / len(values)), wrong.sum())
    chosen = np.flatnonzero(rng.random(rows) < OLDER_VERSIONS)
    older = _written(dirt.older(clean.iloc[chosen], rng), dirt, rng)
    with_older = pd.concat([raw, older], ignore_index=True)
    repeated = with_older[rng.random(len(with_older)) < EXACT_DUPLICATES]
    everything = pd.concat([with_older, repeated], ignore_index=True)
    shuffled = everything.iloc[rng.permutation(len(everything))].reset_index(drop=True)
    return Sample(complete, clean, truth, shuffled)


def _nullable(values: pd.Series) -> pd.Series:
    """Give whole numbers a type that can hold missing values."""
    return values.astype("Int64") if pd.api.types.is_integer_dtype(values) else values


def _written(rows: pd.DataFrame, dirt: Dirt, rng: np.random.Generator) -> pd.DataFrame:
    """Write each value of a table as text, in clean and dirty spellings, with missing markers."""
    columns: dict[str, list[str]] = {}
    for name, values in rows.items():
        column = str(name)
        writer = _writer(column, values, dirt)
        draws = rng.random((len(values), 2))
        markers = rng.integers(0, len(MISSING_MARKERS), len(values))
        columns[column] = [
            MISSING_MARKERS[marker] if pd.isna(value) else writer(value, first, second)
            for value, (first, second), marker in zip(values, draws, markers, strict=True)
        ]
    return pd.DataFrame(columns, dtype=object)


def _writer(column: str, values: pd.Series, dirt: Dirt) -> Callable[[Any, float, float], str]:
    """Return the function that writes a value of ``column``, given two numbers from [0, 1)."""
    if column == dirt.identifier:
        return lambda value, first, _: f" {value} " if first < PADDED_IDENTIFIERS else value
    if column in dirt.spellings:
        return lambda value, first, second: _category(
            value, dirt.spellings[column].get(value, ()), first, second
        )
    if pd.api.types.is_datetime64_dtype(values):
        return _timestamp
    places = dirt.decimals.get(column, 0)
    pattern = dirt.formats.get(column, "{}") if column in dirt.missing else ""
    return lambda value, first, second: _number(value, places, pattern, first, second)


def _category(value: str, others: Sequence[str], first: float, second: float) -> str:
    if first >= DIRTY_CATEGORIES:
        return value
    spellings = (value.upper(), f" {value.title()} ", f"{value}  ", *others, *others)
    return spellings[int(second * len(spellings))]


def _timestamp(value: pd.Timestamp, first: float, second: float) -> str:
    midnight = value == value.normalize()
    if midnight and second < 0.5:  # noqa: PLR2004
        return value.strftime("%Y-%m-%d")
    separator = " " if first < SPACED_TIMESTAMPS else "T"
    return value.strftime(f"%Y-%m-%d{separator}%H:%M:%S")


def _number(value: float, places: int, pattern: str, first: float, second: float) -> str:
    separated = f"{value:,.{places}f}"  # thousands always are, where the column may be dirty
    if not pattern:
        return f"{value:.{places}f}"
    if first >= DIRTY_NUMBERS:
        return separated
    spellings = (f" {separated}", pattern.format(separated))
    return spellings[int(second * len(spellings))]


# ---------------------------------------------------------------- formats

SUFFIXES = {
    "csv": ".csv",
    "json": ".json",
    "parquet": ".parquet",
    "avro": ".avro",
    "protobuf": ".pb",
}
SCHEMA_SUFFIXES = {"avro": ".avsc", "protobuf": ".proto"}
MOMENT = pa.timestamp("us")
AVRO_TYPES: Mapping[pa.DataType, object] = {
    pa.string(): "string",
    pa.int64(): "long",
    pa.float64(): "double",
    MOMENT: {"type": "long", "logicalType": "timestamp-micros"},
}
PROTOBUF_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.float64(): "double",
    MOMENT: "google.protobuf.Timestamp",
}


def format_module(name: str) -> ModuleType:
    """Import the module by which a project reads a format, from the template."""
    if str(PROJECT) not in sys.path:
        sys.path.append(str(PROJECT))
    # each task has its own form of this module, and no form matters for reading and writing
    sys.modules.setdefault("utils.target", importlib.import_module("utils.target__number"))
    return importlib.import_module(f"data_prep.formats__{name}")


def writing_module(name: str) -> ModuleType:
    """Import the module by which a project writes a format, from the template."""
    format_module(name)
    parts = [
        part
        for part in ("formats", "encoding", "writing")
        if (PROJECT / f"data_prep/{part}__{name}.py").is_file()
    ]
    # each imports those before it by the names that they have in a project
    for part in parts:
        sys.modules[f"data_prep.{part}"] = importlib.import_module(f"data_prep.{part}__{name}")
    module = sys.modules["data_prep.writing"]
    for part in parts:
        del sys.modules[f"data_prep.{part}"]
    return module


def typed(sample: Sample, *, moments: bool) -> pa.Table:
    """Return the raw table with types where all of a column's values have one.

    Args:
        sample: the table.
        moments: whether timestamps become moments, or keep their spellings.
    """
    columns = {}
    for name in sample.raw:
        texts = [str(text) for text in sample.raw[name]]
        kind = sample.clean[name].dtype
        if pd.api.types.is_datetime64_dtype(kind):
            columns[name] = _moments_of(texts) if moments else pa.array(texts)
        elif pd.api.types.is_numeric_dtype(kind):
            columns[name] = _numbers_of(texts, whole=pd.api.types.is_integer_dtype(kind))
        else:
            columns[name] = pa.array(texts)
    return pa.table(columns)


def _moments_of(texts: Sequence[str]) -> pa.Array:
    return pa.array([pd.Timestamp(text).to_pydatetime() for text in texts], MOMENT)


def _numbers_of(texts: Sequence[str], *, whole: bool) -> pa.Array:
    plain = [text.strip().replace(",", "") for text in texts]
    try:
        numbers = [None if text in MISSING_MARKERS else float(text) for text in plain]
    except ValueError:
        return pa.array(texts)
    if whole:
        return pa.array([value if value is None else int(value) for value in numbers], pa.int64())
    return pa.array(numbers, pa.float64())


def avro_schema(table: pa.Table, name: str) -> str:
    """Return the Avro schema of a table, whose columns may all be missing but the moments."""
    fields = [
        {
            "name": field.name,
            "type": AVRO_TYPES[field.type]
            if field.type == MOMENT
            else ["null", AVRO_TYPES[field.type]],
        }
        for field in table.schema
    ]
    return json.dumps({"type": "record", "name": name, "fields": fields}, indent=2) + "\n"


def protobuf_schema(table: pa.Table, name: str) -> str:
    """Return the Protocol Buffers schema of a table, whose columns may all be missing."""
    fields = [
        f"  optional {PROTOBUF_TYPES[field.type]} {field.name} = {number};"
        for number, field in enumerate(table.schema, start=1)
    ]
    return "\n".join(
        [
            'syntax = "proto3";',
            "",
            'import "google/protobuf/timestamp.proto";',
            "",
            "// One record of the table.",
            f"message {name} {{",
            *fields,
            "}",
            "",
        ]
    )


# ---------------------------------------------------------------- files

SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "subscriptions": subscriptions,
    "deliveries": deliveries,
    "sales": sales,
    "customers": customers,
    "readings": readings,
}
# Those that also come without their target, for projects whose labels are assigned. The values of
# a series show themselves, so nobody has to label them.
LABELLED = ("subscriptions", "deliveries")


def csv_bytes(sample: Sample) -> bytes:
    """Return the raw table as the bytes of its CSV file: UTF-8, comma, one newline per row."""
    text: str = sample.raw.to_csv(index=False, lineterminator="\n")
    return text.encode()


# Written into each database in place of the version of the library that made it.
SQLITE_VERSION = 3_040_000
SQLITE_VERSION_BYTES = slice(96, 100)


def database_bytes(sample: Sample, table: str) -> bytes:
    """Return the raw table as the bytes of an SQLite file.

    Values are what the table's CSV file holds. A column in which most look like numbers has the
    affinity NUMERIC, so it holds numbers, and texts where they don't: as in many a real database,
    types are mixed. The rows are numbered by ``row_id``.
    """
    raw = sample.raw
    columns = ["row_id INTEGER PRIMARY KEY"]
    for name, values in raw.items():
        numeric = pd.to_numeric(values, errors="coerce").notna().mean() > 0.5  # noqa: PLR2004
        columns.append(f"{name} {'NUMERIC' if numeric else 'TEXT'}")
    places = ", ".join("?" * (1 + len(raw.columns)))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        connection.executemany(
            f"INSERT INTO {table} VALUES ({places})",  # noqa: S608 - names are our own
            raw.itertuples(name=None),
        )
        connection.commit()
        content = bytearray(connection.serialize())
    content[SQLITE_VERSION_BYTES] = SQLITE_VERSION.to_bytes(4, "big")
    return bytes(content)


def files(name: str, sample: Sample, suffix: str = "") -> dict[str, bytes]:
    """Return the files of one table in every format, with their schema files.

    Args:
        name: of the table; its files are called like it.
        sample: the table.
        suffix: what the names of the files have besides.
    """
    table = typed(sample, moments=True)
    record = name.capitalize()
    schemas = {
        "avro": avro_schema(table, record).encode(),
        "protobuf": protobuf_schema(table, record).encode(),
    }
    file = name + suffix
    contents = {f"{file}.csv": csv_bytes(sample), f"{file}.db": database_bytes(sample, name)}
    with TemporaryDirectory() as folder:
        for kind, ending in SUFFIXES.items():
            if kind == "csv":
                continue
            stream = io.BytesIO()
            rows = typed(sample, moments=False) if kind == "json" else table
            if kind in schemas:
                schema = Path(folder, file + SCHEMA_SUFFIXES[kind])
                schema.write_bytes(schemas[kind])
                writing_module(kind).write(rows, stream, schema)
                contents[schema.name] = schemas[kind]
            else:
                writing_module(kind).write(rows, stream)
            contents[f"{file}{ending}"] = stream.getvalue()
    return contents


def all_files(name: str, sample: Sample) -> dict[str, bytes]:
    """Return every file of one table below ``data``, by its path there.

    Args:
        name: of the table.
        sample: the table with its target.
    """
    if name not in LABELLED:
        return {f"source/{file}": content for file, content in files(name, sample).items()}
    labels = assigned(name, sample)
    tables = {**files(name, sample), **files(name, labels.sample, "__assigned")}
    return {
        **{f"source/{file}": content for file, content in tables.items()},
        **{f"labels/{file}": content for file, content in label_files(name, labels).items()},
    }


def is_current(path: Path, content: bytes) -> bool:
    """Say whether a file holds what it should: the same bytes, or if compressed, the same rows."""
    if not path.is_file():
        return False
    if path.suffix not in {".parquet", ".avro"}:
        return path.read_bytes() == content
    read = format_module(path.suffix.removeprefix(".")).read
    held, made = (pa.concat_tables(read(io.BytesIO(data))) for data in (path.read_bytes(), content))
    return bool(held.equals(made))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files of all tables, or with ``--check`` tell whether they are up to date."""
    parser = argparse.ArgumentParser(description="Make the tables that the template bundles.")
    parser.add_argument("--check", action="store_true", help="only compare, exit 1 if they differ")
    check = parser.parse_args(arguments).check
    status = 0
    for name, make in SAMPLES.items():
        for file, content in all_files(name, make()).items():
            path = TARGET_FOLDER / file
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            elif not is_current(path, content):
                print(f"{file} differs; run `python tools/make_samples.py`", file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())

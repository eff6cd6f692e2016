"""What is proposed for daily values of series, and which tables are refused."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_prep.drafting import ROW_NUMBER
from data_prep.known_ahead import follows_from_calendar
from data_prep.proposal import Proposal, propose
from data_prep.windows_proposal import Windows, propose_windows
from data_prep.wishes import Wishes
from tests.conftest import MARKERS
from utils import adopted
from utils.config import ProjectError, Unique

START = date(2024, 1, 1)
DAYS = 400


def visits(days: int = DAYS, step: int = 1) -> pl.DataFrame:
    """Visits of three museums, with what was and what was not known before the day."""
    generator = np.random.default_rng(5)
    rows = [
        {
            "Museum": museum,
            "day": START + timedelta(days=number * step),
            "number": code,
            "town": town,
            "weekday": f"{START + timedelta(days=number * step):%A}",
            "holiday": int(number % 31 == 0),
            "offer": "yes" if generator.random() < 0.3 else "no",
            "rain": round(float(generator.gamma(2)), 1),
            "visits": int(generator.poisson(40 * code)),
        }
        for number in range(days)
        for code, museum, town in ((1, "Art", "Old"), (2, "Cars", "New"), (3, "Trains", "New"))
    ]
    return pl.DataFrame(rows)


def proposed(records: pl.DataFrame, target: str = "visits", **more: Any) -> Proposal:
    given = {name: more.pop(name) for name in ("time", "identifiers", "ignored") if name in more}
    wishes = Wishes(target, "forecasting", options=more, **given)
    return propose(records, wishes, "visits", "visits.csv", MARKERS)


def roles(proposal: Proposal) -> dict[str, str]:
    return {column.name: column.role for column in proposal.contract.columns}


def one(records: pl.DataFrame) -> pl.DataFrame:
    """The rows of one museum, without what is then constant."""
    return records.filter(pl.col("Museum") == "Art").drop("Museum", "number", "town")


def test_series_are_proposed_with_what_is_known_ahead() -> None:
    made = proposed(visits())
    series = made.contract.series
    assert series is not None
    assert (series.by, series.time, series.season, series.horizon) == ("Museum", "day", 7, 14)
    assert made.contract.unique == (Unique(("Museum", "day"), tolerated_share=0.01),)
    assert roles(made) == {
        ROW_NUMBER: "identifier",
        "day": "timestamp",
        "Museum": "categorical",
        "number": "numeric",
        "town": "categorical",
        "weekday": "categorical",
        "holiday": "numeric",
        "visits": "target",
    }
    museum = next(column for column in made.contract.columns if column.name == "Museum")
    assert museum.allowed == ("art", "cars", "trains")
    assert made.split == "time"
    assert made.transformation.calendar == {"day": ("day", "weekday")}
    assert made.settings == {"split": {"test_share": 0.1, "folds": 5}}
    assert any(
        note.startswith("KEEP=offer,rain keeps what is known before its day") for note in made.notes
    )
    assert "Left out: offer, rain (nothing tells that" in made.contract.provenance
    words = adopted.descriptions(made.contract)
    assert words["description"] == (
        "How large visits of each Museum will be on each of the next 14 days"
    )
    assert words["model_input"] == ("One Museum on one day to come: number, town, weekday, holiday")


def test_a_person_says_what_is_known_ahead() -> None:
    made = proposed(visits(), keep="offer, rain", horizon="30", series="number")
    series = made.contract.series
    assert series is not None
    assert (series.by, series.horizon) == ("number", 30)
    columns = {column.name: column for column in made.contract.columns}
    assert {"offer", "rain"} <= columns.keys()
    assert (columns["number"].type, columns["number"].allowed) == ("string", ("1", "2", "3"))


def test_a_single_series_needs_no_column() -> None:
    made = proposed(one(visits(800)))
    series = made.contract.series
    assert series is not None
    assert series.by is None
    assert made.contract.unique == (Unique(("day",), tolerated_share=0.01),)
    assert made.transformation.calendar == {"day": ("day", "weekday", "month")}
    assert "Museum" not in roles(made)
    assert adopted.descriptions(made.contract)["model_input"] == (
        "One day to come: weekday, holiday"
    )


def test_two_columns_may_tell_series_apart_only_together() -> None:
    shops = [visits().with_columns(shop=pl.lit(shop)) for shop in ("inside", "outside")]
    with pytest.raises(ProjectError, match="shop and Museum tell series apart only together"):
        proposed(pl.concat(shops).drop("number", "town"))


def test_versions_of_a_row_are_one_value() -> None:
    records = visits().with_columns(entry_id=pl.int_range(pl.len()) + 500)
    changed = records.head(30).with_columns(visits=pl.col("visits") + 1)
    made = proposed(pl.concat([records, changed]))
    assert made.contract.identifiers == ["entry_id"]
    assert any("30 rows have the identifier of another row" in note for note in made.notes)


def test_values_follow_from_the_calendar_if_they_repeat() -> None:
    days = pl.date_range(START, START + timedelta(days=799), eager=True)
    monthly, odd = days.dt.month(), days.dt.day() % 2
    assert follows_from_calendar("value", monthly, days)
    assert follows_from_calendar("value", odd, days)
    first_year = days.head(300)
    assert not follows_from_calendar("value", first_year.dt.month(), first_year)
    assert follows_from_calendar("month", first_year.dt.month(), first_year)
    drawn = pl.Series(np.random.default_rng(1).normal(size=800))
    assert not follows_from_calendar("value", drawn, days)
    # what differs between series of the same day is no calendar
    twice = pl.concat([days, days])
    assert not follows_from_calendar("holiday", pl.Series(np.arange(1600) % 3), twice)


@pytest.mark.parametrize(
    ("days", "wished", "expected"),
    [
        (60, None, Windows(6, 1, 4)),
        (100, None, Windows(7, 1, 5)),
        (400, None, Windows(14, 3, 5)),
        (3000, None, Windows(14, 21, 5)),
        (400, 90, Windows(90, 1, 3)),
        (400, 1, Windows(1, 40, 5)),
    ],
)
def test_windows_fit_the_history(days: int, wished: int | None, expected: Windows) -> None:
    made = propose_windows(days, wished)
    assert made == expected
    assert made.horizon * (made.held_out + made.folds) + 28 <= days


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        (visits(), {"target": ""}, "Say which column is forecast: make adopt DATA=table TARGET="),
        (visits(), {"target": "offer"}, "holds texts such as 'no', and forecasts are numbers"),
        (visits().with_columns(visits=1), {}, "The target visits is 1 in all rows"),
        (visits().drop("day"), {}, "No column tells the day of every row. Name a column of dates"),
        (visits(), {"time": "none"}, "A forecast needs the day of each row"),
        (visits(), {"time": "rain"}, "TIME=rain does not give every row a day"),
        (visits(59), {}, "The rows span 59 days; 60 are needed"),
        (visits(60, 7), {}, "The values of visits are a week apart, and this project forecasts"),
        (visits(60, 31), {}, "a month apart"),
        (visits(60, 3), {}, "3 days apart"),
        (visits(), {"horizon": "200"}, "HORIZON=200 is too far ahead .* Up to 124 days"),
        (visits(), {"horizon": "two"}, "HORIZON=two is no number of days"),
        (visits(), {"series": "rain"}, "SERIES=rain can't tell series apart"),
        (visits(), {"series": "none"}, r"800 rows have the day of another row"),
        (visits(), {"series": "town"}, "400 rows have the town and day of another row"),
        (
            visits(),
            {"identifiers": ("day",)},
            "day tells the day, so it can't identify a row as well",
        ),
        (visits(), {"ignored": ("visits",)}, "IGNORE names visits, which is asked for, too"),
        (
            pl.concat([visits().drop("number"), visits().drop("number").head(9)]),
            {},
            "9 rows have the Museum and day of another row, and a series has one value per day",
        ),
        (
            visits().drop("Museum", "number", "town"),
            {},
            "A day has up to 3 rows, and no column tells the series apart",
        ),
        (
            pl.DataFrame(
                {
                    "at": [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(2000)],
                    "load": np.arange(2000) % 24,
                }
            ),
            {"target": "load"},
            "A day has up to 24 rows, at different times, and this project forecasts one value",
        ),
        (
            visits().with_columns(Museum=pl.int_range(pl.len()) % 600).drop("number", "town"),
            {"series": "Museum"},
            "Museum tells 600 series apart, and up to 200",
        ),
    ],
)
def test_tables_that_are_no_daily_series_are_refused(
    records: pl.DataFrame, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        proposed(records, **options)

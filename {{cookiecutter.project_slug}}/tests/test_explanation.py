"""Importance, partial dependence and error analysis: they find what was planted, and only that."""

from datetime import datetime, timedelta
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.csv as pc
import pytest
from scipy import stats

from data_prep.feature_engineering import derive, feature_names
from data_prep.storage import Frame, read_parquet
from data_viz.explanation_plots import curve_figure, importance_figure
from data_viz.summaries import numbers
from model_training import explanation
from model_training.data_preprocessing import model_inputs
from model_training.error_analysis import adjusted, bands, weak_segments
from model_training.explanation import some_rows, used_columns
from model_training.judged import Judged, Losses, measured
from model_training.partial_dependence import (
    Array,
    curve,
    grid,
    inputs_of,
    model_table,
    most_important,
    observed,
)
from model_training.permutation_importance import Importance, permutation_importance, shuffled
from model_training.row_losses import row_losses
from tests.conftest import BUNDLED, values
from tests.predictions import perfect
from utils.config import Explanation, Recipe, load_contract, load_params
from utils.explanation_part import explanation_part
from utils.files import read_json
from utils.metrics import METRICS, Metric, Value, load_value

ROWS = 300
SETTINGS = Explanation(
    rows=ROWS, repeats=3, resamples=60, curves=3, lines=5, segment_rows=20, listed_rows=5
)
NAN = float("nan")
TARGET = load_contract(BUNDLED / "schema.yaml").target


def squared_error(
    outcome: np.ndarray, predicted: np.ndarray, weights: np.ndarray, _value: Value
) -> float:
    return float(np.average((outcome - predicted) ** 2, weights=weights))


WEIGHTS = np.tile([1.0, 3.0], ROWS // 2)
ERROR = Metric("Squared error", "", False, squared_error)


@pytest.fixture
def value() -> Value:
    """What decisions or errors are worth in this project."""
    return load_value(load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml").value, TARGET)


@pytest.fixture
def orders() -> Frame:
    """Records of the small contract, as the pipeline reads them: pandas with Arrow types."""
    generator = np.random.default_rng(1)
    start = datetime(2026, 1, 5)
    ordered = [start + timedelta(hours=int(hour)) for hour in generator.integers(0, 2000, ROWS)]
    table = pl.DataFrame(
        {
            "order_id": [f"O-{row:04}" for row in range(ROWS)],
            "ordered_at": ordered,
            "paid_at": [
                None if row % 10 == 0 else moment + timedelta(days=row % 7)
                for row, moment in enumerate(ordered)
            ],
            "colour": [[None, "red", "dark blue"][row % 3] for row in range(ROWS)],
            "price": generator.uniform(1, 100, ROWS).round(2),
            "pieces": generator.integers(1, 9, ROWS),
        },
        schema_overrides={"ordered_at": pl.Datetime("us"), "paid_at": pl.Datetime("us")},
    )
    native = table.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
    return nw.from_native(native, eager_only=True)


def price_of(records: Frame) -> Array:
    return numbers(records, "price")


# Importance


def importance(
    records: Frame, value: Value, columns: list[str], seed: int = 7
) -> dict[str, Importance]:
    outcome = price_of(records)
    found = permutation_importance(
        price_of,
        records,
        Judged(outcome, outcome, np.ones(ROWS)),
        columns,
        units=np.arange(ROWS),
        metric=ERROR,
        value=value,
        settings=SETTINGS,
        confidence=0.95,
        seed=seed,
    )
    return {item.column: item for item in found}


def test_only_the_column_that_the_model_uses_is_important(orders: Frame, value: Value) -> None:
    found = importance(orders, value, ["colour", "price", "ordered_at"])
    assert next(iter(found)) == "price"
    # a shuffled column doubles the variance: E(x - y)² = 2 var(x)
    assert found["price"].value == pytest.approx(2 * price_of(orders).var(), rel=0.2)
    assert found["price"].low is not None
    assert found["price"].low > 0
    assert found["colour"] == Importance("colour", 0.0, 0.0, 0.0)


def test_importance_is_repeatable_and_keeps_the_records(orders: Frame, value: Value) -> None:
    before = orders.to_arrow()
    assert importance(orders, value, ["price"]) == importance(orders, value, ["price"])
    assert importance(orders, value, ["price"]) != importance(orders, value, ["price"], seed=8)
    assert orders.to_arrow().equals(before)


def test_a_shuffle_moves_one_column_and_keeps_its_values(orders: Frame) -> None:
    table = shuffled(orders, "price", 2, np.random.default_rng(0))
    assert values(table, "order_id") == values(orders, "order_id") * 2
    for part in (values(table, "price")[:ROWS], values(table, "price")[ROWS:]):
        assert part != values(orders, "price")
        assert sorted(part) == sorted(values(orders, "price"))


def test_what_is_derived_moves_with_its_source(orders: Frame, recipe: Recipe, value: Value) -> None:
    def logarithm(records: Frame) -> Array:
        return numbers(derive(records, recipe), "log_price")

    judged = Judged(logarithm(orders), logarithm(orders), np.ones(ROWS))
    assert used_columns(recipe) == ["ordered_at", "paid_at", "colour", "price", "pieces"]
    found = permutation_importance(
        logarithm,
        orders,
        judged,
        ["price", "pieces"],
        units=np.arange(ROWS),
        metric=ERROR,
        value=value,
        settings=SETTINGS,
        confidence=0.9,
        seed=1,
    )
    assert [item.value == 0 for item in found] == [False, True]


def test_importance_of_an_undefined_metric_is_undefined(orders: Frame, value: Value) -> None:
    nothing: Metric = Metric("nothing", "", True, lambda *_: NAN)
    judged = Judged(price_of(orders), price_of(orders), np.ones(ROWS))
    (found,) = permutation_importance(
        price_of,
        orders,
        judged,
        ["price"],
        units=np.arange(ROWS),
        metric=nothing,
        value=value,
        settings=SETTINGS,
        confidence=0.95,
        seed=1,
    )
    assert found == Importance("price", None, None, None)


# Partial dependence


def test_a_grid_covers_the_range_and_follows_the_rows() -> None:
    few = grid(np.array([1.0, 1.0, 1.0, 4.0, NAN]))
    assert few.tried == [1.0, 4.0]
    assert few.shares == [0.6, 0.2]
    many = grid(np.append(np.random.default_rng(0).exponential(1.0, 5000), 1e6))
    steps = np.array(many.tried, dtype=np.float64)
    assert steps.size > 15
    assert steps.max() < 20, "one far value does not stretch the grid"
    assert np.diff(steps)[0] < np.diff(steps)[-1], "finer where the rows are"
    assert sum(many.shares) == pytest.approx(0.99, abs=0.01)
    whole = grid(np.arange(1000.0)).tried
    assert all(float(step).is_integer() for step in whole)
    labels = grid(np.array(["b", "a", "b", "missing"], dtype=object))
    assert (labels.tried, labels.shares) == (["b", "a"], [0.5, 0.25])
    assert grid(np.array([NAN])).tried == []


def test_every_input_can_be_set(orders: Frame, recipe: Recipe) -> None:
    names = feature_names(recipe)

    def prepare(features: Frame) -> pd.DataFrame:
        return model_inputs(features, names)

    items = {item.name: item for item in inputs_of(recipe)}
    calendar = {"ordered_at_hour", "ordered_at_weekday", "ordered_at_month"}
    wanted: dict[str, object] = {
        "price": 7.5,
        "pieces": 3.0,
        "colour": "red",
        "days_to_pay": 2.5,
        "ordered_at_weekday": 3.0,
    }
    usual = prepare(derive(orders, recipe))
    moving = {
        "price": {"price", "log_price", "price_per_piece"},
        "pieces": {"pieces", "price_per_piece"},
        "colour": {"colour"},
        "days_to_pay": {"days_to_pay", "log_days_to_pay", *calendar},
        "ordered_at_weekday": {"ordered_at_weekday"},
    }
    for name, wish in wanted.items():
        filled = np.full(ROWS, wish, dtype=object if isinstance(wish, str) else np.float64)
        table = model_table(orders, items[name], filled, recipe, prepare)
        known = usual[name].notna().to_numpy() | (name in {"price", "pieces"})
        assert (table[name].to_numpy()[known] == wish).all(), name
        same = [column for column in usual.columns if column not in moving[name]]
        pd.testing.assert_frame_equal(table[same], usual[same])
    table = model_table(orders, items["price"], np.full(ROWS, 7.0), recipe, prepare)
    assert np.allclose(table["log_price"], np.log(8)), "what is derived moves along"


def test_a_curve_is_the_model_itself_where_inputs_do_not_interact(
    orders: Frame, recipe: Recipe
) -> None:
    names = feature_names(recipe)

    def answer(table: pd.DataFrame) -> dict[str, Array]:
        return {"answer": table["price"].to_numpy() * 2 + table["pieces"].to_numpy()}

    def prepare(features: Frame) -> pd.DataFrame:
        return model_inputs(features, names)

    items = {item.name: item for item in inputs_of(recipe)}
    found = curve(answer, prepare, orders, items["price"], recipe, weights=WEIGHTS, lines=4)
    steps = np.array(found.grid.tried, dtype=np.float64)
    pieces = np.average(observed(orders, items["pieces"], recipe).astype(float), weights=WEIGHTS)
    assert np.allclose(found.answers["answer"], 2 * steps + pieces)
    assert found.lines is not None
    assert found.lines.shape == (steps.size, 4)
    bars = curve(answer, prepare, orders, items["colour"], recipe, weights=WEIGHTS, lines=4)
    assert bars.grid.tried == ["dark blue", "red"]
    assert len(set(bars.answers["answer"])) == 1
    figure = curve_figure([found, bars])
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == [
        "price",
        "colour",
    ]


def test_several_answers_get_a_line_each(orders: Frame, recipe: Recipe) -> None:
    names = feature_names(recipe)

    def answer(table: pd.DataFrame) -> dict[str, Array]:
        price = table["price"].to_numpy()
        return {"low": price, "high": price + 1}

    items = {item.name: item for item in inputs_of(recipe)}
    drawn = [
        curve(
            answer,
            lambda frame: model_inputs(frame, names),
            orders,
            items[name],
            recipe,
            weights=WEIGHTS,
            lines=4,
        )
        for name in ("price", "colour")
    ]
    assert all(item.lines is None for item in drawn)
    figure = curve_figure(drawn)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["low", "high"]


def test_inputs_come_in_the_order_of_their_sources(orders: Frame, recipe: Recipe) -> None:
    found = most_important(inputs_of(recipe), ["paid_at", "price", "colour"], orders, recipe, 3)
    assert [item.name for item in found] == ["days_to_pay", "price", "colour"]
    constant = orders.with_columns(nw.lit(1.0).alias("price"))
    found = most_important(inputs_of(recipe), ["price", "colour"], constant, recipe, 3)
    assert [item.name for item in found] == ["colour"], "nothing can be seen of a constant"


# Error analysis


def test_p_values_are_adjusted_as_holm_says() -> None:
    # worked by hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, then never below the one before
    assert adjusted(np.array([0.03, 0.01, 0.02, 0.9])).tolist() == pytest.approx(
        [0.06, 0.04, 0.06, 0.9]
    )


def test_bands_hold_every_row_once() -> None:
    named = bands(np.array([NAN, *range(10)]), 2)
    assert named.tolist() == ["missing", *["0 to 4"] * 5, *["5 to 9"] * 5]
    assert set(bands(np.array([NAN, NAN]), 2)) == {"missing"}
    assert bands(np.array([1.0, 1.0]), 3).tolist() == ["1", "1"]


def test_a_planted_weakness_is_found_and_little_else() -> None:
    generator = np.random.default_rng(2)
    columns = {
        "age": generator.uniform(0, 100, 3000),
        "colour": generator.choice(np.array(["red", "blue"], dtype=object), 3000),
    }
    weak = (columns["age"] > 66) & (columns["colour"] == "red")
    losses = generator.exponential(1.0, 3000) * np.where(weak, 2.0, 1.0)
    found = weak_segments(
        columns,
        ["age", "colour"],
        Losses("loss", losses, np.ones(3000)),
        minimum_rows=50,
        significance=0.05,
    )
    worst = found.segments[0]
    assert worst.conditions["colour"] == "red"
    assert set(worst.conditions) == {"age", "colour"}
    assert worst.loss == pytest.approx(2, rel=0.15)
    assert worst.loss_elsewhere == pytest.approx(1, rel=0.1)
    assert worst.share_of_loss > worst.share_of_rows
    assert worst.p_value < 0.001
    assert len(found.segments) <= 4, "the same rows are not listed again and again"


def test_where_nothing_is_wrong_hardly_anything_is_named() -> None:
    named = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        columns = {str(number): generator.uniform(0, 1, 600) for number in range(4)}
        losses = Losses("loss", generator.exponential(1.0, 600) ** 2, np.ones(600))
        found = weak_segments(columns, ["0", "1"], losses, minimum_rows=30, significance=0.05)
        assert found.looked_at == 29
        named += bool(found.segments)
    assert named <= 3, "at most 5 % of the tables, with some room for chance"


def test_segments_of_few_rows_are_not_judged() -> None:
    columns = {"colour": np.array(["red"] * 5 + ["blue"] * 95, dtype=object)}
    losses = Losses("loss", np.array([9.0] * 5 + [1.0] * 95), np.ones(100))
    found = weak_segments(columns, [], losses, minimum_rows=20, significance=0.05)
    assert (found.looked_at, found.segments) == (0, [])
    found = weak_segments(columns, [], losses, minimum_rows=5, significance=0.05)
    assert [item.conditions for item in found.segments] == [{"colour": "red"}]


def test_a_segment_is_judged_by_weighted_means_and_rows_without_weight_are_not() -> None:
    generator = np.random.default_rng(5)
    columns = {"colour": np.array(["red", "blue"] * 200, dtype=object)}
    red = columns["colour"] == "red"
    losses = generator.exponential(1.0, 400) + np.where(red, 0.6, 0.0)
    even = weak_segments(
        columns, [], Losses("loss", losses, np.ones(400)), minimum_rows=50, significance=0.05
    )
    reference = stats.ttest_ind(losses[red], losses[~red], equal_var=False, alternative="greater")
    assert even.segments[0].p_value == pytest.approx(2 * reference.pvalue)
    heavy = np.where(losses < 1, 4.0, 1.0)
    found = weak_segments(
        columns, [], Losses("loss", losses, heavy), minimum_rows=50, significance=0.05
    ).segments[0]
    assert found.loss == pytest.approx(np.average(losses[red], weights=heavy[red]))
    assert found.share_of_rows == pytest.approx(heavy[red].sum() / heavy.sum())
    absent = Losses("loss", losses, np.where(red & (np.arange(400) > 50), 0.0, 1.0))
    none = weak_segments(columns, [], absent, minimum_rows=50, significance=0.05)
    assert none.looked_at == 0


# The stage


@pytest.mark.parametrize("name", METRICS)
def test_row_losses_add_up_to_a_metric(name: str, value: Value) -> None:
    outcome, right, *_ = perfect(6)
    weights = np.array([1.0, 2.0, 1.0, 0.5, 0.0, 1.0])
    judged = Judged(outcome, 0.7 * right + 0.3 * np.roll(right, 1, axis=0), weights)
    losses = row_losses(name, judged, value)
    everything = np.ones(6, dtype=np.bool_)
    assert losses.rows.min() >= 0
    total = losses.mean(everything)
    labels = {metric.label: metric for metric in METRICS.values()}
    if losses.label in labels and not labels[losses.label].greater_is_better:
        assert total == pytest.approx(measured(labels[losses.label], judged, value))
    best = row_losses(name, judged.answered(right), value)
    assert best.mean(everything) == pytest.approx(0, abs=1e-12)


def test_some_rows_are_drawn_once_each() -> None:
    assert some_rows(5, 9, 1).tolist() == [0, 1, 2, 3, 4]
    drawn = some_rows(1000, 10, 1)
    assert drawn.size == np.unique(drawn).size == 10
    assert (np.diff(drawn) > 0).all()


def test_the_report_is_what_the_model_says(in_project: Path) -> None:
    report = read_json(in_project / "reports/explanation.json")
    contract = load_contract()
    test = read_parquet(in_project / "data/test.parquet")
    assert report["rows"] == test.shape[0]
    assert report["rows_shuffled"] == min(200, test.shape[0])
    order = [item["value"] for item in report["importance"]]
    assert order == sorted(order, reverse=True)
    assert report["importance"][0]["low"] > 0, "the model uses something"
    written = pc.read_csv(in_project / "data/largest_errors.csv").to_pylist()
    targets = [column.name for column in contract.with_role("target")]
    assert {*contract.identifiers, *targets, "loss"} < set(written[0])
    losses = [item["loss"] for item in report["largest_errors"]]
    assert losses == sorted(losses, reverse=True)
    first = report["largest_errors"][0]
    keys = values(test, contract.identifiers[0])
    key = first["key"][contract.identifiers[0]]
    known = [dict(zip(keys, values(test, name), strict=True))[key] for name in targets]
    assert [first["outcome"]] == (known or [None])
    assert (in_project / "reports/figures/explanation/importance.png").is_file()


def test_explaining_again_gives_the_same_bytes(in_project: Path) -> None:
    paths = [
        in_project / "reports/explanation.json",
        in_project / "data/largest_errors.csv",
        *in_project.glob("reports/figures/explanation/*.png"),
    ]
    before = [path.read_bytes() for path in paths]
    explanation.main()
    assert [path.read_bytes() for path in paths] == before


def test_a_model_that_uses_nothing_is_explained_in_words() -> None:
    report = {
        "rows": 50,
        "rows_shuffled": 50,
        "metric": "Loss",
        "unit": "EUR",
        "confidence": 0.95,
        "importance": [{"column": "a", "value": 0.0, "low": -0.1, "high": 0.1}],
        "answers": 1,
        "curves": [],
        "loss": "Loss",
        "segments": {"looked_at": 3, "segments": []},
        "largest_errors": [],
    }
    text = explanation_part(report, "")
    assert "No single column makes a measurable difference" in text
    assert "none is worse than the rest beyond chance" in text
    items = [Importance("a", 0.0, -0.1, 0.1), Importance("b", None, None, None)]
    (axes,) = importance_figure(items, "Loss", "EUR").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a"]

"""Figures, findings and the dashboard: what they show is what the data says."""

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from streamlit.testing.v1 import AppTest

from data_prep.storage import Frame
from data_viz import exploration
from data_viz.dashboard import p_value_text, valid_values, with_unit
from data_viz.exploration import explore
from data_viz.exploration_plots import (
    category_figure,
    correlation_figure,
    distribution_figure,
    exploration_figures,
    missingness_figure,
    relation_figure,
    timeline_figure,
)
from data_viz.performance_plots import performance_figures
from data_viz.plot_utils import (
    BASELINE,
    BLUE,
    GREY,
    candidates_figure,
    column_label,
    histogram_edges,
    learning_curve_figure,
    save_figures,
)
from data_viz.summaries import (
    explained_share,
    group_edges,
    mean_interval,
    numbers,
    numeric_codes,
    numeric_groups,
    rank_correlations,
    relations,
    short,
    texts,
)
from tests.predictions import perfect
from utils.config import Column, Contract, load_contract, load_params
from utils.files import read_json
from utils.result_part import TITLE

PAGE = Path(__file__).resolve().parent.parent / "data_viz" / "dashboard.py"
ROWS = 400
NAN = float("nan")


class Score(NamedTuple):
    """A candidate's score."""

    name: str
    mean: float
    standard_error: float


@pytest.fixture
def orders() -> Frame:
    """Orders of which the dear ones are returned; pieces follow the price; 40 lack a colour."""
    price = np.arange(ROWS) / 2.0
    pieces = [None if row % 10 == 0 else row // 40 for row in range(ROWS)]
    start = datetime(2026, 1, 1)
    table = pl.DataFrame(
        {
            "order_id": [f"O-{row}" for row in range(ROWS)],
            # one order a day in an order that has nothing to do with the price
            "ordered_at": [start + timedelta(days=row * 7 % ROWS) for row in range(ROWS)],
            "paid_at": [None] * ROWS,
            "colour": [
                None if row % 10 == 5 else ["red", "dark blue"][row % 2] for row in range(ROWS)
            ],
            "price": price,
            "pieces": pieces,
            "returned": [int(row >= ROWS * 3 // 4) for row in range(ROWS)],
        },
        schema_overrides={"paid_at": pl.Datetime("us"), "pieces": pl.Int64},
    )
    return nw.from_native(table, eager_only=True)


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]


def heights(axes: Axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]


def labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def all_texts(figure: Figure) -> str:
    """Return everything a figure says, but for the numbers along the horizontal axes."""
    said = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        said += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        said += [text.get_text() for text in axes.texts] + labels(axes)
        legend = axes.get_legend()
        said += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(said)


# Numbers


def test_missing_values_are_nan_or_the_category_missing(orders: Frame) -> None:
    pieces = numbers(orders, "pieces")
    assert np.isnan(pieces[0])
    assert pieces[399] == 9
    assert texts(orders, "colour")[[5, 1, 0]].tolist() == ["missing", "dark blue", "red"]


def test_a_share_has_the_interval_of_wilson() -> None:
    found = mean_interval(np.array([1.0] + [0.0] * 9))
    assert found == pytest.approx((0.1, 0.0179, 0.4042), abs=1e-4)


def test_a_mean_has_the_interval_of_student() -> None:
    assert mean_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2, -0.4841, 4.4841), abs=1e-4)
    assert mean_interval(np.array([5.0])) == pytest.approx((5, NAN, NAN), nan_ok=True)


def test_few_distinct_values_make_one_group_each_unless_rows_are_few() -> None:
    values = np.repeat([0.0, 1.0, 2.0, 3.0], [50, 5, 30, 3])
    assert group_edges(values).tolist() == [1]
    assert group_edges(np.repeat([0.0, 1.0], [50, 40])).tolist() == [1]


def test_many_distinct_values_make_groups_of_equal_size() -> None:
    codes = numeric_codes(np.append(np.arange(800.0), NAN))
    assert np.bincount(codes[:-1]).tolist() == [100] * 8
    assert codes[-1] == -1


def test_groups_of_a_column_end_with_the_rows_where_it_is_missing() -> None:
    values = np.array([1.0] * 30 + [2.0] * 30 + [NAN] * 20)
    outcome = np.array([0.0] * 30 + [1.0] * 30 + [0.0, 1.0] * 10)
    groups = numeric_groups(values, outcome)
    assert [(group.label, group.rows, group.mean) for group in groups] == [
        ("1", 30, 0.0),
        ("2", 30, 1.0),
        ("missing", 20, 0.5),
    ]


@pytest.mark.parametrize(
    ("samples", "explained"),
    [([[0.0, 0.0], [1.0, 1.0]], 1.0), ([[0.0, 1.0], [0.0, 1.0]], 0.0), ([[1.0, 1.0]], 0.0)],
)
def test_explained_variance(samples: list[list[float]], explained: float) -> None:
    found, _ = explained_share([np.array(sample)[:, None] for sample in samples])
    assert found == pytest.approx(explained)


def test_explained_variance_of_classes_is_the_tau_of_goodman_and_kruskal() -> None:
    counts = np.array([[30, 10, 0], [10, 20, 30]])
    samples = [np.repeat(np.eye(3), row, axis=0) for row in counts]
    shares = counts / counts.sum()
    tau = (shares**2 / shares.sum(axis=1, keepdims=True)).sum() - (shares.sum(axis=0) ** 2).sum()
    tau /= 1 - (shares.sum(axis=0) ** 2).sum()
    found, p_value = explained_share(samples)
    assert found == pytest.approx(1 - (1 - tau) * 99 / 98)
    assert p_value < 1e-6


def test_histogram_gives_each_integer_a_bar_and_cuts_a_far_tail() -> None:
    assert histogram_edges(np.array([0.0, 1, 2]), integer=True).tolist() == [-0.5, 0.5, 1.5, 2.5]
    edges = histogram_edges(np.append(np.linspace(0, 1, 1000), 1000), integer=False)
    assert edges[-1] < 2
    assert histogram_edges(np.array([3.0, 3.0]), integer=False).tolist() == [2.5, 3.5]


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (15.0, "15"), (1204.4, "1,204"), (250_000, "250,000")]
)
def test_numbers_are_short_but_not_scientific(value: float, text: str) -> None:
    assert short(value) == text


def test_a_label_has_the_unit_unless_the_name_says_it() -> None:
    assert (
        column_label(Column("net_price", "numeric", "float", "", unit="EUR")) == "net price (EUR)"
    )
    assert column_label(Column("weight_kg", "numeric", "float", "", unit="kg")) == "weight kg"


# Figures of the data


def test_distributions_show_every_row_with_its_unit(orders: Frame, contract: Contract) -> None:
    figure = distribution_figure(orders, contract)
    target, price, pieces = figure.axes
    assert target.get_title(loc="left") == "returned (target)"
    assert heights(target) == [300, 100]
    assert (price.get_title(loc="left"), price.get_xlabel()) == ("price", "EUR")
    assert sum(heights(price)) == ROWS
    assert sum(heights(pieces)) == ROWS - 40
    assert price.get_ylabel() == "rows"


def test_a_column_without_values_says_so(orders: Frame, contract: Contract) -> None:
    empty = orders.with_columns(price=nw.lit(None, dtype=nw.Float64))
    figure = distribution_figure(empty, contract)
    assert "no values" in all_texts(figure)
    found = relations(empty, contract)
    assert "no values" in all_texts(relation_figure(found, contract, binary=True))
    assert np.isnan(explore(empty, contract).numeric["price"].mean)


def test_categories_show_counts_and_missing(orders: Frame, contract: Contract) -> None:
    (axes,) = category_figure(orders, contract).axes
    assert labels(axes) == ["red", "dark blue", "missing"]
    assert widths(axes) == [200, 160, 40]
    assert "40.0%" in [text.get_text() for text in axes.texts]


def test_many_categories_are_summed_up(orders: Frame, contract: Contract) -> None:
    many = pl.Series([f"c{row % 20:02}" for row in range(ROWS)])
    frame = orders.with_columns(colour=nw.from_native(many, series_only=True))
    (axes,) = category_figure(frame, contract).axes
    assert labels(axes)[-1] == "8 others"
    assert sum(widths(axes)) == ROWS


def test_missing_values_are_beside_what_the_contract_allows(
    orders: Frame, contract: Contract
) -> None:
    (axes,) = missingness_figure(orders, contract).axes
    found = dict(zip(labels(axes), widths(axes), strict=True))
    assert found["paid_at"] == 1
    assert found["pieces"] == found["colour"] == 0.1
    assert found["returned"] == 0
    limits = np.asarray(axes.collections[0].get_offsets())[:, 0]
    assert sorted(limits.tolist()) == [0, 0.5, 0.5, 0.5]
    assert axes.get_xlabel() == "share of rows"


def test_correlations_are_written_into_the_lower_triangle(
    orders: Frame, contract: Contract
) -> None:
    correlations = rank_correlations(orders, contract)
    axes = correlation_figure(correlations, contract.target.name).axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert len(written) == 3
    assert written[0, 0] == f"{correlations.to_numpy()[0, 1]:+.2f}" == "+0.99"
    assert labels(axes) == ["pieces", "returned"]


def test_relations_show_the_mean_of_the_target_per_group(orders: Frame, contract: Contract) -> None:
    found = relations(orders, contract)
    assert found[0].column == "price"
    assert found[-1].column == "colour"
    figure = relation_figure(found, contract, binary=True)
    assert title(figure).startswith("Share with returned = 1")
    price, pieces, colour = figure.axes
    overall, means = price.lines[:2]
    assert np.asarray(overall.get_ydata()).tolist() == [0.25, 0.25]
    assert np.asarray(means.get_ydata()).tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert price.get_xlabel() == "EUR"
    assert "missing" in [text.get_text() for text in pieces.texts]
    ticks = [label.get_text() for label in colour.get_xticklabels()]
    assert ticks == ["red", "dark blue", "missing"]


def test_timeline_shows_every_row(orders: Frame, contract: Contract) -> None:
    rows, target = timeline_figure(orders, contract).axes
    assert sum(heights(rows)) == ROWS
    assert rows.get_ylabel() == "rows per 17 days"
    assert target.get_ylabel() == "share with returned = 1"


def test_only_figures_for_existing_columns_are_drawn(orders: Frame, contract: Contract) -> None:
    columns = [column for column in contract.columns if column.role in {"identifier", "target"}]
    small = Contract("t", "", "", tuple(columns))
    found = exploration_figures(orders, small, [], rank_correlations(orders, small))
    assert list(found) == ["distributions", "missing_values"]


# Figures of the models


def test_learning_curve_shows_its_points() -> None:
    figure = learning_curve_figure([(100, 0.1, 0.3), (200, 0.15, 0.25)], "Error")
    (axes,) = figure.axes
    curves = {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in axes.lines}
    assert curves["training rows"] == [[100, 0.1], [200, 0.15]]
    assert curves["validation rows"] == [[100, 0.3], [200, 0.25]]
    assert axes.get_ylabel() == "Error"


@pytest.mark.parametrize("baseline", [0.1, 0.9])
def test_candidates_have_the_baseline_last_and_marked(baseline: float) -> None:
    scores = [Score("ridge", 0.5, 0.01), Score(BASELINE, baseline, 0.0), Score("forest", 0.6, 0.02)]
    (axes,) = candidates_figure(scores, "Error").axes
    assert labels(axes)[0] == BASELINE
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [np.asarray(line.get_xdata())[0] for line in dashed] == [baseline]
    colours = {line.get_color() for line in axes.lines if line.get_marker() == "o"}
    assert colours == {BLUE, GREY}
    assert axes.get_xlabel().startswith("Error")


@pytest.mark.usefixtures("in_project")
def test_performance_of_perfect_predictions() -> None:
    outcome, predicted, decision, name, words = perfect(100)
    target = load_contract().target
    figures = performance_figures(outcome, predicted, decision, target)
    assert words in all_texts(figures[name])
    for figure in figures.values():
        assert title(figure)
        shown = all_texts(figure)
        assert target.name in shown or target.name.replace("_", " ") in shown
        assert target.unit in shown


@pytest.mark.usefixtures("in_project")
def test_performance_of_constant_values_can_be_drawn(tmp_path: Path) -> None:
    outcome, predicted, decision, *_ = perfect(100)
    rows = np.zeros(50, dtype=np.int64)
    figures = performance_figures(outcome[rows], predicted[rows], decision, load_contract().target)
    save_figures(figures, tmp_path / "figures")
    assert len(list((tmp_path / "figures").iterdir())) == len(figures) >= 2


# Saving


def test_git_keeps_the_folder_of_no_figures(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    save_figures({}, folder)
    assert [path.name for path in folder.iterdir()] == [".gitkeep"]


def test_equal_figures_give_equal_bytes(orders: Frame, contract: Contract, tmp_path: Path) -> None:
    for name in ("first", "second"):
        found = relations(orders, contract)
        figures = exploration_figures(orders, contract, found, rank_correlations(orders, contract))
        save_figures(figures, tmp_path / name)
    first = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()}
    assert len(first) == 6
    assert all(content.startswith(b"\x89PNG") for content in first.values())


def test_saving_replaces_the_folder(tmp_path: Path) -> None:
    directory = tmp_path / "figures"
    save_figures({"old": Figure()}, directory)
    save_figures({"new": Figure()}, directory)
    assert [path.name for path in directory.iterdir()] == ["new.png"]
    assert list(tmp_path.iterdir()) == [directory]


def test_a_figure_that_fails_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "figures"
    save_figures({"old": Figure()}, directory)
    broken = Figure()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(broken, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figures({"new": Figure(), "broken": broken}, directory)
    assert [path.name for path in directory.iterdir()] == ["old.png"]
    assert list(tmp_path.iterdir()) == [directory]


# Findings


def test_findings_name_what_was_planted(orders: Frame, contract: Contract) -> None:
    findings = explore(orders, contract).findings
    assert findings[0] == "returned is 1 in 25.0% of the 400 training rows."
    assert findings[1].startswith("price alone explains ")
    assert "ranges from 0.0% (0 to 24.5 EUR) to 100.0%" in findings[1]
    joined = "\n".join(findings)
    assert "No clear relation to returned on its own: colour." in joined
    assert "price and pieces rank rows almost alike (Spearman +0.99)" in joined
    assert "Most missing values: pieces (10.0%), colour (10.0%)." in joined
    assert "2026-01-01 to 2027-02-04 by ordered_at; the share with returned = 1" in joined
    assert "shows no clear change" in joined
    assert "Long-tailed" not in joined


def test_findings_describe_a_number_as_target(orders: Frame, contract: Contract) -> None:
    target = Column("price", "target", "float", "", unit="EUR")
    kept = [column for column in contract.columns if column.name not in {"price", "returned"}]
    frame = orders.with_columns(price=nw.col("price") * 1000).sort("ordered_at")
    findings = explore(frame, Contract("t", "", "", (*kept, target))).findings
    assert findings[0] == (
        "price has a mean of 99,750 and a median of 99,750 EUR; "
        "nine in ten of the 400 training rows lie between 9,975 and 189,525 EUR."
    )


def test_a_change_over_time_and_a_long_tail_are_found(orders: Frame, contract: Contract) -> None:
    frame = orders.with_columns(
        ordered_at=nw.lit(datetime(2026, 1, 1)) + nw.col("price") * timedelta(days=1),
        price=(nw.col("price") / 20).exp(),
    )
    joined = "\n".join(explore(frame.sort("order_id"), contract).findings)
    assert "moved from 0.0% in the first quarter of the rows to 100.0% in the last" in joined
    assert re.search(r"Long-tailed.*price \(skewness", joined)


def test_exploration_saw_the_training_rows_only(project: Path) -> None:
    report = read_json(project / exploration.REPORT)
    train = pl.read_parquet(project / "data/train.parquet")
    name = report["target"] or next(iter(report["numeric"]))
    described = report["numeric"][name]
    assert report["rows"] == train.height == described["rows"]
    assert described["mean"] == pytest.approx(train[name].mean())
    stamp = report["period"]["column"]
    assert report["period"]["end"] == str(train[stamp].max()).replace(" ", "T")
    drawn = {path.stem for path in (project / exploration.FIGURES).iterdir()}
    assert {"distributions", "timeline"} <= drawn
    assert ("target_relations" in drawn) == load_contract(project / "schema.yaml").has_target


# Dashboard


def page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Return the dashboard opened in a folder."""
    monkeypatch.chdir(folder)
    opened = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not opened.exception
    return opened


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    return Path(shutil.copytree(project, tmp_path / "copy"))


def test_dashboard_shows_what_was_measured(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = page(project, monkeypatch)
    evaluation = read_json(project / "reports/evaluation.json")
    assert opened.title[0].value == load_params().project.name
    shown = {metric.label: metric.value for metric in opened.metric}
    for result in evaluation["metrics"]:
        assert shown[result["label"]].startswith(f"{result['model']['value']:.4g}")
    assert shown["Rows kept"] == f"{read_json(project / 'reports/cleaning.json')['rows_kept']:,}"
    texts_shown = "\n".join(element.value for element in opened.markdown)
    for finding in read_json(project / exploration.REPORT)["findings"]:
        assert finding in re.sub(r"\\(.)", r"\1", texts_shown)
    assert TITLE in [element.value for element in opened.subheader]
    candidates = next(
        table.value for table in opened.dataframe if "Candidate" in table.value.columns
    )
    selection = read_json(project / "reports/selection.json")
    assert candidates.loc[candidates[""] == "chosen", "Candidate"].tolist() == [
        selection["winner"].replace("_", " ")
    ]


def test_dashboard_shows_any_column(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = page(project, monkeypatch)
    contract = load_contract()
    first = [*contract.with_role("target"), *contract.with_role("numeric")][0]
    assert opened.selectbox[0].value == first.name
    for role in ("numeric", "categorical"):
        column = contract.with_role(role)[0]
        opened.selectbox[0].select(column.name).run()
        assert not opened.exception
        assert column.description in [
            re.sub(r"\\(.)", r"\1", caption.value) for caption in opened.caption
        ]


def test_dashboard_says_what_to_do_about_drift(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied / "reports/monitoring.json"
    report = read_json(path)
    report["status"] = report["columns"][0]["status"] = "alarm"
    report["columns"][0] |= {"p_value": 1e-30, "advice": "Ask the source."}
    report["model_version"] = "older"
    path.write_text(json.dumps(report), encoding="utf-8")
    opened = page(copied, monkeypatch)
    assert "columns drifted" in opened.error[0].value
    assert "make run" in opened.warning[0].value
    assert any("Ask the source." in element.value for element in opened.markdown)
    table = next(table.value for table in opened.dataframe if "p-value" in table.value.columns)
    assert len(table) == len(report["columns"])
    assert table["p-value"][0] == "< 0.001"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ({"low": None, "high": None}, "not compared"),
        ({"low": -1.0, "high": 1.0}, "no clear difference"),
        ({"low": -2.0, "high": -1.0}, "worse than the baseline"),
    ],
)
def test_dashboard_does_not_praise_a_model_without_reason(
    copied: Path, monkeypatch: pytest.MonkeyPatch, interval: dict[str, Any], words: str
) -> None:
    path = copied / "reports/evaluation.json"
    report = read_json(path)
    report["metrics"][0]["improvement"] |= interval
    path.write_text(json.dumps(report), encoding="utf-8")
    opened = page(copied, monkeypatch)
    assert any(words in element.value for element in opened.markdown)


def test_dashboard_shows_a_column_without_values(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = load_contract(copied / "schema.yaml").with_role("numeric")[0]
    path = copied / "data/sample.parquet"
    table = pl.read_parquet(path)
    table.with_columns(pl.lit(None, pl.Float64).alias(column.name)).write_parquet(path)
    opened = page(copied, monkeypatch)
    opened.selectbox[0].select(column.name).run()
    assert "no value" in opened.info[0].value


def test_dashboard_without_a_run_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = page(tmp_path, monkeypatch)
    assert len(opened.error) == 1
    assert "make run" in opened.error[0].value
    assert "evaluation.json" in opened.error[0].value


def test_dashboard_words() -> None:
    column = Column("price", "target", "float", "", unit="EUR", minimum=0, maximum=50_000)
    assert valid_values(column) == "from 0 to 50,000"
    assert valid_values(Column("c", "categorical", "string", "", allowed=("a", "b"))) == "a, b"
    assert with_unit(2.5, "EUR") == "2.5 EUR"
    assert with_unit(2.5, "") == "2.5"
    assert p_value_text(0.0123) == "0.012"

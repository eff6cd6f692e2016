"""A contract without a target: what is described, drawn and split without an outcome."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import narwhals as nw
import numpy as np
import polars as pl
import pytest

from data_prep.cleaning import usable
from data_prep.data_card import read_part
from data_prep.storage import Frame
from data_viz.exploration import explore
from data_viz.exploration_plots import exploration_figures
from data_viz.summaries import asked, rank_correlations, relations
from model_training.data_preprocessing import target
from model_training.splitting import split
from utils.config import NO_TARGET, Column, Contract, Split

ROWS = 60


@pytest.fixture
def unlabelled(contract: Contract) -> Contract:
    kept = tuple(column for column in contract.columns if column.role != "target")
    return msgspec.structs.replace(contract, columns=kept)


@pytest.fixture
def orders() -> Frame:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return nw.from_native(
        pl.DataFrame(
            {
                "order_id": [f"o{number:03}" for number in range(ROWS)],
                "ordered_at": [start + timedelta(days=number) for number in range(ROWS)],
                "paid_at": [start + timedelta(days=number + 1) for number in range(ROWS)],
                "colour": ["red", "dark blue"] * (ROWS // 2),
                "price": np.linspace(1, 50, ROWS),
                "pieces": np.arange(ROWS) % 7,
            }
        ),
        eager_only=True,
    )


def test_what_stands_for_a_missing_target_has_no_name(
    contract: Contract, unlabelled: Contract
) -> None:
    assert contract.has_target
    assert contract.target.name == "returned"
    assert not unlabelled.has_target
    assert unlabelled.target is NO_TARGET


def test_no_row_is_dropped_for_lack_of_a_target(orders: Frame, unlabelled: Contract) -> None:
    assert usable(orders, unlabelled).shape[0] == ROWS


def test_a_row_that_is_only_numbered_needs_no_other_column(orders: Frame) -> None:
    number = Column("row_number", "identifier", "integer", "", generated=True)
    price = Column("price", "numeric", "float", "", nullable=True)
    alone = Contract("orders", "", "", (number, price))
    numbered = orders.with_columns(price=nw.lit(None, nw.Float64)).with_row_index("row_number")
    assert usable(numbered, alone).shape[0] == ROWS


def test_the_exploration_asks_nothing_about_a_target(orders: Frame, unlabelled: Contract) -> None:
    assert asked(orders, unlabelled) == {}
    assert relations(orders, unlabelled) == []
    explored = explore(orders, unlabelled)
    assert explored.target == ""
    assert set(explored.numeric) == {"price", "pieces"}
    spans = [finding for finding in explored.findings if "rows span" in finding]
    assert spans == ["The rows span 2024-01-01 to 2024-02-29 by ordered_at."]


def test_figures_leave_the_target_out(orders: Frame, unlabelled: Contract) -> None:
    correlations = rank_correlations(orders, unlabelled)
    assert list(correlations) == ["price", "pieces"]
    figures = exploration_figures(orders, unlabelled, [], correlations)
    assert "target_relations" not in figures
    assert len(figures["timeline"].axes) == 1
    assert [axes.get_title(loc="left") for axes in figures["distributions"].axes] == [
        "price",
        "pieces",
    ]


@pytest.mark.parametrize("method", ["time", "random"])
def test_rows_are_split_without_a_target(
    method: str, orders: Frame, unlabelled: Contract, tmp_path: Path
) -> None:
    settings = msgspec.convert({"method": method, "test_share": 0.25, "folds": 3, "seed": 1}, Split)
    train, test = split(orders, unlabelled, settings)
    assert (train.shape[0], test.shape[0]) == (45, 15)
    assert np.isnan(target(train, unlabelled)).all()
    assert target(train, unlabelled).shape == (45,)
    train.to_native().write_parquet(tmp_path / "train.parquet")
    assert read_part(tmp_path / "train.parquet", unlabelled).outcome is None

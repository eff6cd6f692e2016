"""The held-out split and the folds: by time, and drawn by chance."""

import msgspec
import narwhals as nw
import numpy as np
import pandas as pd
import pytest

from data_prep.storage import Frame
from model_training.splitting import Folds, make_folds, split
from tests.conftest import values
from utils.config import Column, Contract, ProjectError, Split


def orders(rows: int) -> Frame:
    """Return rows with identifier and timestamp, newest last, in shuffled order."""
    shuffled = np.random.default_rng(0).permutation(rows)
    moments = pd.Timestamp("2026-01-01") + pd.to_timedelta(shuffled, unit="D")
    data = pd.DataFrame({"order_id": shuffled.astype(str), "ordered_at": moments})
    return nw.from_native(data, eager_only=True)


def folds_of(outcome: np.ndarray, settings: Split, contract: Contract) -> Folds:
    """Return the folds of rows with these outcomes."""
    return make_folds(orders(outcome.size), outcome, contract, settings)


def test_time_split_holds_out_only_newer_rows(contract: Contract) -> None:
    train, test = split(orders(50), contract, Split("time", 0.2, 5, 1))
    assert test.shape[0] == 10
    assert max(values(train, "ordered_at")) < min(values(test, "ordered_at"))
    assert values(train, "ordered_at") == sorted(values(train, "ordered_at"))


def test_random_split_is_complete_disjoint_and_repeatable(contract: Contract) -> None:
    train, test = split(orders(50), contract, Split("random", 0.2, 5, 1))
    again, _ = split(orders(50), contract, Split("random", 0.2, 5, 1))
    other, _ = split(orders(50), contract, Split("random", 0.2, 5, 2))
    assert sorted(values(train, "order_id") + values(test, "order_id")) == sorted(
        values(orders(50), "order_id")
    )
    assert values(train, "order_id") == values(again, "order_id")
    assert values(train, "order_id") != values(other, "order_id")


def test_random_split_holds_out_the_same_share_of_each_class(contract: Contract) -> None:
    returned = nw.new_series("returned", np.arange(500) % 50 == 0, backend="pandas")
    frame = orders(500).with_columns(returned.cast(nw.Int64))
    train, test = split(frame, contract, Split("random", 0.2, 5, 1))
    assert (train.shape[0], test.shape[0]) == (400, 100)
    assert sum(values(test, "returned")) == 2


def test_split_refuses_an_empty_part(contract: Contract) -> None:
    with pytest.raises(ProjectError, match="leaves one part empty"):
        split(orders(3), contract, Split("time", 0.1, 5, 1))


def test_folds_in_time_validate_on_what_follows(contract: Contract) -> None:
    outcome = np.tile([0.0, 1.0], 30)
    for training, validation in folds_of(outcome, Split("time", 0.2, 4, 1), contract):
        assert training.max() < validation.min()
    drawn = folds_of(outcome, Split("random", 0.2, 4, 1), contract)
    assert sorted(np.concatenate([fold[1] for fold in drawn])) == list(range(60))
    assert {outcome[fold[1]].mean() for fold in drawn} <= {7 / 15, 8 / 15}


WARD = Column("ward", "group", "string", "Ward.", nullable=True)


def visits(contract: Contract) -> tuple[Frame, Contract]:
    """Return 400 rows in 60 wards of one to thirteen rows, ten rows without one, few returned."""
    generator = np.random.default_rng(3)
    wards = generator.integers(0, 60, 400) * generator.integers(1, 3, 400) // 2
    named = np.array([f"W{ward}" for ward in wards], dtype=object)
    named[::40] = None
    returned = pd.Series((wards % 6 == 0) & (generator.random(400) < 0.5)).astype(int)
    frame = orders(400).with_columns(
        nw.new_series("ward", named, backend="pandas"),
        nw.new_series("returned", returned.to_numpy(), backend="pandas"),
    )
    return frame, msgspec.structs.replace(contract, columns=(*contract.columns, WARD))


def test_groups_are_held_out_as_a_whole(contract: Contract) -> None:
    frame, grouped = visits(contract)
    train, test = split(frame, grouped, Split("group", 0.2, 5, 1))
    assert not set(values(train, "ward")) & set(values(test, "ward")) - {None}
    assert sorted(values(train, "order_id") + values(test, "order_id")) == sorted(
        values(frame, "order_id")
    )
    assert test.shape[0] == pytest.approx(80, abs=7)
    rare = sum(values(frame, "returned"))
    assert sum(values(test, "returned")) == pytest.approx(rare * 0.2, abs=4)
    again, _ = split(frame, grouped, Split("group", 0.2, 5, 1))
    assert values(again, "order_id") == values(train, "order_id")


def test_no_group_is_on_both_sides_of_a_fold(contract: Contract) -> None:
    frame, grouped = visits(contract)
    outcome = np.array(values(frame, "returned"), dtype=float)
    folds = make_folds(frame, outcome, grouped, Split("group", 0.2, 4, 1))
    wards = np.array(values(frame, "ward"), dtype=object)
    assert sorted(np.concatenate([validation for _, validation in folds])) == list(range(400))
    for training, validation in folds:
        assert not set(wards[training]) & set(wards[validation]) - {None}
        assert training.size + validation.size == 400
        assert validation.size == pytest.approx(100, abs=14)
        assert outcome[validation].any()


def test_groups_that_are_too_few_are_refused(contract: Contract) -> None:
    frame, grouped = visits(contract)
    single = frame.with_columns(ward=nw.lit("W1"))
    with pytest.raises(ProjectError, match="All rows are in one group"):
        split(single, grouped, Split("group", 0.2, 5, 1))
    with pytest.raises(ProjectError, match=r"4 of them would be empty: .* have 1 groups"):
        make_folds(single, np.zeros(400), grouped, Split("group", 0.2, 5, 1))


def test_too_many_folds_are_refused(contract: Contract) -> None:
    with pytest.raises(ProjectError, match=r"split\.folds is 9 for 4 rows"):
        folds_of(np.array([0.0, 1.0, 0.0, 1.0]), Split("time", 0.2, 9, 1), contract)

"""Resamples: as many rows as there are, and whole groups where rows stay together."""

import msgspec
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from model_training.resampling import resamples, units_of
from utils.config import Column, Contract, Split

WARD = Column("ward", "group", "string", "Ward.", nullable=True)


def test_each_row_is_drawn_with_replacement() -> None:
    drawn = list(resamples(np.arange(200), 50, np.random.default_rng(1)))
    assert {rows.size for rows in drawn} == {200}
    counts = np.bincount(np.concatenate(drawn), minlength=200)
    assert counts.min() > 0
    # of 200 rows, a resample leaves out a share of (1 - 1/200) ** 200
    assert np.mean([np.unique(rows).size for rows in drawn]) == pytest.approx(126.8, abs=2)


def test_rows_of_a_group_are_drawn_together() -> None:
    units = np.array([2, 0, 1, 2, 1, 2])
    for rows in resamples(units, 30, np.random.default_rng(2)):
        counts = np.bincount(rows, minlength=units.size)
        assert len({(unit, count) for unit, count in zip(units, counts, strict=True)}) == 3
        assert sum(counts[[1, 2, 0]]) == 3, "as many groups as there are"


def test_intervals_are_as_wide_as_groups_make_them() -> None:
    generator = np.random.default_rng(3)
    units = np.repeat(np.arange(80), 20)
    values = generator.normal(0, 1, 80)[units] + generator.normal(0, 0.1, units.size)
    means = [values[rows].mean() for rows in resamples(units, 400, generator)]
    assert np.std(means) == pytest.approx(1 / np.sqrt(80), rel=0.2)


def test_a_row_without_a_group_stays_alone(contract: Contract) -> None:
    grouped = msgspec.structs.replace(contract, columns=(*contract.columns, WARD))
    wards = pa.table({"ward": ["a", None, "b", "a", None]})
    frame = nw.from_native(wards.to_pandas(types_mapper=pd.ArrowDtype), eager_only=True)
    assert units_of(frame, grouped, Split("group", 0.2, 5, 1)).tolist() == [0, 1, 2, 0, 3]
    assert units_of(frame, grouped, Split("random", 0.2, 5, 1)).tolist() == [0, 1, 2, 3, 4]

"""Which days are held out, and which train and validate: windows as long as the horizon.

A window is what is forecast from one origin, the day before it. Training rows are those up to the
origin, so no forecast is judged that knew more than it will in use. Source: Tashman (2000),
Out-of-sample Tests of Forecasting Accuracy, on rolling origins.
"""

import numpy as np
import numpy.typing as npt

from data_prep.storage import Frame
from utils.config import Contract, ProjectError, Series, Split

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Folds = list[tuple[Rows, Rows]]


def series_of(contract: Contract) -> Series:
    """Return what the contract says of its series.

    Raises:
        ProjectError: it says nothing of them.
    """
    if contract.series is None:
        raise ProjectError("schema.yaml has no section series, which says what is forecast.")
    return contract.series


def day_numbers(frame: Frame, contract: Contract) -> Rows:
    """Return the number of the day of each row, shape (n,)."""
    moments = frame.to_arrow()[series_of(contract).time].to_numpy()
    numbers: Rows = moments.astype("datetime64[D]").astype(np.int64)
    return numbers


def split(frame: Frame, contract: Contract, settings: Split) -> tuple[Frame, Frame]:
    """Hold out the newest windows for the final evaluation.

    Args:
        frame: one row per identifier.
        contract: names the column with the day, and how many days are forecast.
        settings: as many whole windows are held out as come closest to ``test_share`` of the days,
            at least one.

    Returns:
        Training rows and held-out rows, both ordered by time.

    Raises:
        ProjectError: no day would be left to learn from.
    """
    horizon = series_of(contract).horizon
    days = day_numbers(frame, contract)
    count = int(days.max() - days.min()) + 1
    held_out = horizon * max(1, round(count * settings.test_share / horizon))
    if held_out >= count:
        raise ProjectError(
            f"{count} days are too few to hold out {held_out} of them. Provide more records, or "
            "set a smaller horizon in schema.yaml or split.test_share in params.yaml."
        )
    times = [column.name for column in contract.with_role("timestamp")]
    order = np.argsort(days, kind="stable")
    ordered = frame.sort(*times, *contract.identifiers)
    newest = days[order] > days.max() - held_out
    return ordered[np.flatnonzero(~newest)], ordered[np.flatnonzero(newest)]


def make_folds(train: Frame, outcome: Array, contract: Contract, settings: Split) -> Folds:
    """Return (training, validation) row numbers per fold: expanding windows, the oldest first.

    Args:
        train: the training rows.
        outcome: their outcomes, shape (n,).
        contract: names the column with the day, and how many days are forecast.
        settings: the number of folds.

    Raises:
        ProjectError: a fold would have no rows to train or to validate on.
    """
    del outcome
    horizon = series_of(contract).horizon
    days = day_numbers(train, contract)
    folds = []
    for window in reversed(range(settings.folds)):
        end = days.max() - window * horizon
        begin = end - horizon + 1
        folds.append(
            (np.flatnonzero(days < begin), np.flatnonzero((days >= begin) & (days <= end)))
        )
    if any(not training.size or not validation.size for training, validation in folds):
        raise ProjectError(
            f"split.folds is {settings.folds}, with {horizon} days each, but the training rows "
            f"span {int(days.max() - days.min()) + 1} days. Set fewer folds in params.yaml, or "
            "provide more records."
        )
    return folds


def part_of(training: Rows, share: float) -> Rows:
    """Return the newest share of the training rows of a fold, at least two: the shorter history."""
    return training[-max(2, round(share * training.size)) :]

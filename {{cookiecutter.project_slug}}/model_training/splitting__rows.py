"""Which rows are held out, and which train and validate: by time, or drawn by chance.

Rows of one group, such as all visits of a patient, are alike in ways that no new group is. With the
method ``group`` they stay together, so that no model is judged by what it knows of a group.
"""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit

from data_prep.storage import Frame
from model_training.resampling import units_of
from utils.config import Contract, ProjectError, Split

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Folds = list[tuple[Rows, Rows]]


def _classes(frame: Frame, contract: Contract) -> Rows:
    """Return the place of the class of each row in the contract, shape (n,); 0 without classes."""
    target = contract.target
    if not target.allowed or target.name not in frame.columns:
        return np.zeros(frame.shape[0], dtype=np.int64)
    place = {label: number for number, label in enumerate(target.allowed)}
    return np.array([place.get(label, 0) for label in frame[target.name].to_list()])


def _draw(units: Rows, classes: Rows, seed: int) -> tuple[Rows, Array]:
    """Return the numbers of the units in a drawn order, any part of which has all classes alike.

    A unit with rows of several classes counts for the rarest of them.

    Args:
        units: the number of the unit of each row, shape (n,).
        classes: the number of the class of each row, shape (n,).
        seed: draws.

    Returns:
        The units in their order, and by unit where it stands, from 0 to 1 by the rows before it.
    """
    rarity = np.argsort(np.argsort(-np.bincount(classes), kind="stable"))
    sizes = np.bincount(units)
    kinds = np.zeros(sizes.size, dtype=np.int64)
    np.maximum.at(kinds, units, rarity[classes])
    drawn = np.random.default_rng(seed).permutation(sizes.size)
    places = np.zeros(sizes.size)
    for kind in np.unique(kinds):
        alike = drawn[kinds[drawn] == kind]
        rows = np.cumsum(sizes[alike])
        places[alike] = (rows - sizes[alike] / 2) / rows[-1]
    return drawn[np.argsort(places[drawn], kind="stable")], places


def split(frame: Frame, contract: Contract, settings: Split) -> tuple[Frame, Frame]:
    """Hold out rows for the final evaluation.

    Args:
        frame: one row per identifier.
        contract: names the timestamp and identifier columns.
        settings: ``time`` holds out the newest rows, as if the model had been trained before
            they arrived; ``random`` draws them with ``seed``, of each class the same share;
            ``group`` draws whole groups, with as many rows as come nearest to the share.

    Returns:
        Training rows and held-out rows; training rows are ordered by time for ``time``.

    Raises:
        ProjectError: one of the two parts would be empty.
    """
    rows = frame.shape[0]
    held_out = round(rows * settings.test_share)
    if settings.method == "group" and len(set(units_of(frame, contract, settings))) == 1:
        raise ProjectError(
            "All rows are in one group, so that split.method 'group' leaves one part empty. Choose "
            "'random' in params.yaml, or another column for the role group in schema.yaml."
        )
    if held_out in {0, rows}:
        raise ProjectError(
            f"split.test_share {settings.test_share} of {rows} rows leaves one part empty. "
            "Provide more rows or change the share in params.yaml."
        )
    if settings.method == "time":
        timestamp = contract.with_role("timestamp")[0].name
        ordered = frame.sort(timestamp, *contract.identifiers)
        return ordered.head(rows - held_out), ordered.tail(held_out)
    units = units_of(frame, contract, settings)
    drawn, _ = _draw(units, _classes(frame, contract), settings.seed)
    distance = np.abs(np.cumsum(np.bincount(units)[drawn]) - held_out)
    apart = np.isin(units, drawn[: int(np.argmin(distance[:-1])) + 1])
    return frame[np.flatnonzero(~apart)], frame[np.flatnonzero(apart)]


def make_folds(train: Frame, outcome: Array, contract: Contract, settings: Split) -> Folds:
    """Return (training, validation) row numbers per fold.

    ``time`` trains on the past and validates on what follows it, in expanding windows, so rows
    must be in time order; ``random`` shuffles, keeping the share of each value of the target that
    occurs often enough for every fold; ``group`` deals out whole groups.

    Args:
        train: the training rows.
        outcome: their outcomes, n along the first axis.
        contract: the meaning of the columns.
        settings: the number of folds, and how they are made.
    """
    if settings.method == "group":
        return _group_folds(train, contract, settings)
    count, seed = settings.folds, settings.seed
    _, codes, counts = np.unique(outcome, axis=0, return_inverse=True, return_counts=True)
    strata = np.where(counts[codes] >= count, codes, -1)
    if settings.method == "time":
        splitter = TimeSeriesSplit(n_splits=count)
    elif np.count_nonzero(strata < 0) in range(1, count):
        # Too few are left over to be a stratum; they join the largest.
        strata[strata < 0] = np.argmax(counts)
        splitter = StratifiedKFold(n_splits=count, shuffle=True, random_state=seed)
    else:
        splitter = StratifiedKFold(n_splits=count, shuffle=True, random_state=seed)
    try:
        return list(splitter.split(np.zeros((len(outcome), 1)), strata))
    except ValueError as error:
        raise ProjectError(f"split.folds is {count} for {len(outcome)} rows: {error}") from error


def _group_folds(train: Frame, contract: Contract, settings: Split) -> Folds:
    """Return folds that no group is divided by."""
    units = units_of(train, contract, settings)
    _, places = _draw(units, _classes(train, contract), settings.seed)
    number = (places[units] * settings.folds).astype(np.int64)
    if missing := settings.folds - np.unique(number).size:
        raise ProjectError(
            f"split.folds is {settings.folds}, and {missing} of them would be empty: the training "
            f"rows have {places.size} groups. Choose fewer folds, or split.method 'random'."
        )
    return [
        (np.flatnonzero(number != fold), np.flatnonzero(number == fold))
        for fold in range(settings.folds)
    ]


def part_of(training: Rows, share: float) -> Rows:
    """Return the first share of the training rows of a fold, at least two."""
    return training[: max(2, round(share * training.size))]

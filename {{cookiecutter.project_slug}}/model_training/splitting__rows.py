"""Which rows are held out, and which train and validate: by time, or drawn by chance."""

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit

from data_prep.storage import Frame
from utils.config import Contract, ProjectError, Split

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Folds = list[tuple[Rows, Rows]]


def _draw(frame: Frame, contract: Contract, seed: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows in a drawn order, any part of which has all classes alike."""
    drawn = np.random.default_rng(seed).permutation(frame.shape[0])
    target = contract.target
    if not target.allowed or target.name not in frame.columns:
        return drawn
    classes = np.array(frame[target.name].to_list(), dtype=object)[drawn]
    places = np.zeros(drawn.size)
    for label in target.allowed:
        of_class = classes == label
        places[of_class] = (np.arange(of_class.sum()) + 0.5) / max(of_class.sum(), 1)
    return drawn[np.argsort(places, kind="stable")]


def split(frame: Frame, contract: Contract, settings: Split) -> tuple[Frame, Frame]:
    """Hold out rows for the final evaluation.

    Args:
        frame: one row per identifier.
        contract: names the timestamp and identifier columns.
        settings: ``time`` holds out the newest rows, as if the model had been trained before
            they arrived; ``random`` draws them with ``seed``, of each class the same share.

    Returns:
        Training rows and held-out rows; training rows are ordered by time for ``time``.

    Raises:
        ProjectError: one of the two parts would be empty.
    """
    rows = frame.shape[0]
    held_out = round(rows * settings.test_share)
    if held_out in {0, rows}:
        raise ProjectError(
            f"split.test_share {settings.test_share} of {rows} rows leaves one part empty. "
            "Provide more rows or change the share in params.yaml."
        )
    if settings.method == "time":
        timestamp = contract.with_role("timestamp")[0].name
        ordered = frame.sort(timestamp, *contract.identifiers)
        return ordered.head(rows - held_out), ordered.tail(held_out)
    drawn = _draw(frame, contract, settings.seed)
    return frame[np.sort(drawn[held_out:])], frame[np.sort(drawn[:held_out])]


def make_folds(train: Frame, outcome: Array, contract: Contract, settings: Split) -> Folds:
    """Return (training, validation) row numbers per fold.

    ``time`` trains on the past and validates on what follows it, in expanding windows, so rows
    must be in time order; ``random`` shuffles, keeping the share of each value of the target that
    occurs often enough for every fold.

    Args:
        train: the training rows.
        outcome: their outcomes, n along the first axis.
        contract: the meaning of the columns.
        settings: the number of folds, and how they are made.
    """
    del train, contract
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


def part_of(training: Rows, share: float) -> Rows:
    """Return the first share of the training rows of a fold, at least two."""
    return training[: max(2, round(share * training.size))]

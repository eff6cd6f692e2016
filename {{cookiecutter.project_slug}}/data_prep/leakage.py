"""Columns that predict the target alone: copies of it, or what is known only with the outcome."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from data_prep.column_codes import codes
from data_prep.drafting import Inputs, Remarks
from data_prep.named_columns import asked_for
from data_prep.wishes import Wishes
from utils.config import Column, Interval

# From here on a column is suspected.
SUSPICIOUS = 0.99
MONOTONE = 0.9999
ROWS = 3000
FOLDS = 3
SMALLEST_LEAF = 2
SEED = 0

Array = npt.NDArray[np.float64]


def predictive_power(values: Array, outcome: Array, *, classes: bool, rows: int = ROWS) -> float:
    """Return how well one column predicts the target for rows that its model has not seen.

    A decision tree is cross-validated. Classes count by balanced accuracy, which a constant
    prediction of the frequent class can't raise; numbers by the coefficient of determination or, if
    that is larger, by Spearman's rank correlation, as one may be a curved copy of the other.

    Args:
        values: the column, NaN for missing, shape (n,).
        outcome: the target, shape (n,).
        classes: whether the target holds numbers of classes.
        rows: at most so many rows, drawn with a seed, are looked at.
    """
    drawn = np.random.default_rng(SEED).permutation(outcome.size)[:rows]
    known, target = values[drawn, np.newaxis], outcome[drawn]
    if classes:
        smallest = int(np.unique(target, return_counts=True)[1].min())
        if smallest < FOLDS:
            return 0.0
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
        tree = DecisionTreeClassifier(min_samples_leaf=SMALLEST_LEAF, random_state=SEED)
        return float(
            balanced_accuracy_score(target, cross_val_predict(tree, known, target, cv=folds))
        )
    tree = DecisionTreeRegressor(min_samples_leaf=SMALLEST_LEAF, random_state=SEED)
    drawn_folds = KFold(FOLDS, shuffle=True, random_state=SEED)
    explained = float(r2_score(target, cross_val_predict(tree, known, target, cv=drawn_folds)))
    finite = np.isfinite(values[drawn])
    if np.unique(target[finite]).size < FOLDS or np.unique(values[drawn][finite]).size < FOLDS:
        return explained
    rank = abs(float(stats.spearmanr(values[drawn][finite], target[finite]).statistic))
    return max(explained, rank if rank >= MONOTONE else 0.0)


def suspects(columns: Mapping[str, Array], outcome: Array, *, classes: bool) -> dict[str, float]:
    """Return the columns that predict the target alone, with how well they do."""
    powers = {
        name: predictive_power(values, outcome, classes=classes) for name, values in columns.items()
    }
    return {name: power for name, power in powers.items() if power >= SUSPICIOUS}


def without_leaks(
    inputs: Inputs,
    intervals: Mapping[str, Interval],
    goal: tuple[Column, pl.Series],
    wishes: Wishes,
    remarks: Remarks,
) -> dict[str, Interval]:
    """Leave out columns that predict the target alone; returns the durations that don't.

    Args:
        inputs: the columns that go on; those that predict the target alone are removed.
        intervals: durations by the name of their feature.
        goal: the target and its values, shape (n,).
        wishes: the option ``keep`` names columns to keep nevertheless.
        remarks: what is left out is added.
    """
    target, outcome = goal
    columns = {item.name: codes(item) for item in inputs.frame("numeric", "categorical")}
    for name, interval in intervals.items():
        end, start = (codes(inputs.values[side]) for side in (interval.end, interval.start))
        columns[name] = end - start
    measure = "balanced accuracy" if target.allowed else "R²"
    found = suspects(columns, codes(outcome), classes=bool(target.allowed))
    sources = [column.source_name for column in inputs.columns.values()]
    kept = asked_for(wishes, "keep", [*sources, *remarks.left_out])
    for name, power in found.items():
        alone = f"it predicts the target alone ({measure} {power:.3f})"
        if name in intervals:
            remarks.notes.append(f"{name} is no feature: {alone}")
            continue
        source = inputs.columns[name].source_name
        if source in kept:
            remarks.notes.append(f"{source} is kept: {alone}")
            continue
        remarks.left_out[source] = f"{alone}, as a copy of it or what is known too late would"
        remarks.notes.append(f"KEEP={source} keeps {source}, if it is known before the outcome")
        del inputs.columns[name]
    return {name: interval for name, interval in intervals.items() if name not in found}

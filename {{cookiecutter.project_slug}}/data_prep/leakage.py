"""Columns that predict the target alone: copies of it, or what is known only with the outcome."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

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

"""Selection: the candidates compared by cross-validation on the training rows only.

Usage: ``python -m model_training.model_selection`` writes the fitted winner, its out-of-fold
predictions and the comparison.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames, feature_names
from data_prep.storage import read_parquet, write_parquet
from model_training.candidate import Candidate
from model_training.candidates import candidates, estimator_for, scores
from model_training.data_preprocessing import model_inputs, row_weights
from model_training.encoding import encoder, fit_encoder
from model_training.finished import Unseen
from model_training.finishing import finish
from model_training.hyperparameters import best_points
from model_training.model_file import save_model
from model_training.outcomes import outcomes
from model_training.parallel import each
from model_training.results import (
    CandidateResult,
    LearningPoint,
    SearchReport,
    Selection,
    score_columns,
)
from model_training.splitting import Folds, Rows, make_folds, part_of
from utils.config import (
    Contract,
    Params,
    ProjectError,
    convert,
    load_contract,
    load_params,
    recipe,
)
from utils.files import read_json, write_json
from utils.logging import run
from utils.metrics import METRICS, Metric, Value, load_value
from utils.paths import OUT_OF_FOLD, SEARCH, SELECTED, SELECTION, TRAIN

BASELINE = "baseline"
LEARNING_CURVE_SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)

Array = npt.NDArray[np.float64]

log = logging.getLogger(__name__)


class Comparison(NamedTuple):
    """What candidates are compared on, and how; ``outcome`` has n along the first axis."""

    inputs: pd.DataFrame
    outcome: Array
    weights: Array
    folds: Folds
    metric: Metric
    value: Value


def pipeline(candidate: Candidate, names: FeatureNames, contract: Contract) -> Pipeline:
    """Return the unfitted encoder and estimator of a candidate as one model."""
    prepared = encoder(names, contract, impute=candidate.impute, scale=candidate.scale)
    estimator = estimator_for(candidate, names, contract)
    return Pipeline([("encode", prepared), ("estimate", estimator)])


def fit(model: Pipeline, inputs: pd.DataFrame, outcome: Array, weights: Array) -> Pipeline:
    """Fit a model in place and return it; weights go to the encoder and to the estimator.

    Args:
        model: encoder and estimator.
        inputs: shape (n, features).
        outcome: shape (n,).
        weights: how many rows each row stands for, shape (n,).
    """
    if (weights == 1).all():
        return model.fit(inputs, outcome)
    encode, estimator = model.named_steps["encode"], model.named_steps["estimate"]
    fit_encoder(encode, inputs, weights)
    estimator.fit(encode.transform(inputs), outcome, sample_weight=weights)
    return model


def unseen_scores(
    models: Mapping[str, Pipeline],
    inputs: pd.DataFrame,
    outcome: Array,
    weights: Array,
    task: tuple[str, Rows, Rows],
) -> Array:
    """Return the scores of the validation rows of a task (model, training, validation)."""
    name, training, validation = task
    fitted = fit(clone(models[name]), inputs.iloc[training], outcome[training], weights[training])
    return scores(fitted, inputs.iloc[validation])


def out_of_fold(
    model: Pipeline, inputs: pd.DataFrame, outcome: Array, weights: Array, folds: Folds
) -> Iterator[tuple[Rows, Array]]:
    """Yield, per fold, the validation rows and their predictions by a model that never saw them."""
    for training, validation in folds:
        task = ("model", training, validation)
        yield validation, unseen_scores({"model": model}, inputs, outcome, weights, task)


def differ(outcome: Array) -> bool:
    """Whether outcomes, shape (n,), have several values; without a target there is none to have."""
    return bool(np.isnan(outcome).all() or np.unique(outcome).size > 1)


def _learned(
    model: Pipeline,
    data: tuple[pd.DataFrame, Array, Array],
    metric: Metric,
    value: Value,
    task: tuple[float, Rows, Rows],
) -> tuple[int, float, float] | None:
    """Return rows used, training and validation score of a task (share, training, validation).

    There is none where nothing can be learned, or where the metric is undefined.
    """
    share, training, validation = task
    inputs, outcome, weights = data
    part = part_of(training, share)
    if not differ(outcome[part]):
        return None
    fitted = fit(clone(model), inputs.iloc[part], outcome[part], weights[part])
    train, validated = (
        metric.function(outcome[rows], scores(fitted, inputs.iloc[rows]), weights[rows], value)
        for rows in (part, validation)
    )
    return (part.size, train, validated) if np.isfinite([train, validated]).all() else None


def learning_curve(
    model: Pipeline,
    data: tuple[pd.DataFrame, Array, Array],
    folds: Folds,
    metric: Metric,
    value: Value,
    *,
    engine: dict[str, Any],
) -> list[LearningPoint]:
    """Score the winner with growing parts of the training rows, averaged over the folds.

    Args:
        model: the winner, unfitted.
        data: inputs, outcome and weights of the training rows.
        folds: training and validation rows.
        metric: the metric of the selection.
        value: what decisions or errors are worth.
        engine: section ``engine`` of ``params.yaml``.
    """
    tasks = [(share, *fold) for share in LEARNING_CURVE_SHARES for fold in folds]
    learned = each(partial(_learned, model, data, metric, value), tasks, engine, "learning curve")
    points = []
    for share in LEARNING_CURVE_SHARES:
        answers = [one for task, one in zip(tasks, learned, strict=True) if task[0] == share]
        found = [one for one in answers if one is not None]
        if found:
            rows, train, validated = (
                float(np.mean(numbers)) for numbers in zip(*found, strict=True)
            )
            points.append(LearningPoint(round(rows), train, validated))
    return points


def choose(results: Sequence[CandidateResult], metric: Metric) -> str:
    """Return the name of the best candidate that is not the baseline.

    Raises:
        ProjectError: there is no candidate besides the baseline.
    """
    sign = 1 if metric.greater_is_better else -1
    competing = [result for result in results if result.name != BASELINE]
    if not competing:
        raise ProjectError("selection.candidates in params.yaml lists only the baseline.")
    return max(competing, key=lambda result: sign * result.mean).name


def load_comparison(params: Params, contract: Contract) -> Comparison:
    """Read the training rows and say how candidates are compared on them.

    Raises:
        ProjectError: the metric is unknown, or the target has a single value.
    """
    known = {
        name: metric
        for name, metric in METRICS.items()
        if metric.comparable and metric.applies(contract)
    }
    if params.selection.metric not in known:
        raise ProjectError(
            f"selection.metric is {params.selection.metric!r} in params.yaml; "
            f"a model can be chosen by {', '.join(known)}."
        )
    metric, value = known[params.selection.metric], load_value(params.value, contract.target)
    steps = recipe(params, contract)
    train = read_parquet(TRAIN)
    inputs, outcome = model_inputs(train, feature_names(steps)), outcomes(train, steps)
    weights = row_weights(train, contract)
    if not differ(outcome):
        raise ProjectError(
            f"{contract.target.name} has a single value in the training rows: nothing to learn."
        )
    folds = make_folds(train, outcome, contract, params.split)
    return Comparison(inputs, outcome, weights, folds, metric, value)


def main() -> None:
    """Compare, choose, refit the winner on all training rows and save it."""
    params, contract = load_params(), load_contract()
    inputs, outcome, weights, folds, metric, value = load_comparison(params, contract)
    names = feature_names(recipe(params, contract))
    searched = convert(read_json(SEARCH), SearchReport, str(SEARCH))
    points = best_points(params.selection.candidates, searched)
    competing = candidates(points, params.selection.metric, params.split.seed)
    models = {name: pipeline(candidate, names, contract) for name, candidate in competing.items()}
    tasks = [(name, *fold) for name in models for fold in folds]
    score = partial(unseen_scores, models, inputs, outcome, weights)
    answers = iter(each(score, tasks, params.engine, "cross-validation"))
    results, predicted = [], {}
    for name in models:
        parts = [(validation, next(answers)) for _, validation in folds]
        fold_scores = [
            metric.function(outcome[rows], part, weights[rows], value) for rows, part in parts
        ]
        results.append(
            CandidateResult(
                name,
                float(np.mean(fold_scores)),
                float(np.std(fold_scores, ddof=1) / np.sqrt(len(fold_scores))),
                fold_scores,
                points[name],
            )
        )
        predicted[name] = parts
    winner = choose(results, metric)
    rows = np.concatenate([part[0] for part in predicted[winner]])
    unseen = np.concatenate([part[1] for part in predicted[winner]])
    order = np.argsort(rows)
    rows, unseen = rows[order], unseen[order]
    model = models[winner]
    data = (inputs, outcome, weights)
    curve = learning_curve(model, data, folds, metric, value, engine=params.engine)
    judged = Unseen(inputs.iloc[rows], outcome[rows], unseen, weights[rows])
    finished = finish(fit(model, *data), judged, value, params, contract)
    save_model(finished.model, SELECTED)
    seen = read_parquet(TRAIN)[rows].select(*contract.identifiers)
    columns = [
        nw.new_series(name, values, nw.Float64, backend=seen.implementation)
        for name, values in score_columns(finished.scores).items()
    ]
    write_parquet(seen.with_columns(columns), OUT_OF_FOLD)
    write_json(
        SELECTION,
        Selection(
            metric=params.selection.metric,
            greater_is_better=metric.greater_is_better,
            winner=winner,
            decision=finished.decision,
            candidates=results,
            learning_curve=curve,
        ),
    )
    log.info("selected", extra={"model": winner, "metric": params.selection.metric})


if __name__ == "__main__":
    run(main)

"""Explanation of the selected model on the held-out rows: what it uses, how, and where it errs.

Usage: ``python -m model_training.explanation``.
"""

import logging
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import derive, feature_names
from data_prep.storage import Frame, read_parquet
from data_viz.explanation_plots import curve_figure, importance_figure
from data_viz.plot_utils import save_figures
from data_viz.summaries import Array
from model_training.candidates import scores
from model_training.data_preprocessing import model_inputs, row_weights
from model_training.error_analysis import PAIRED, Tested, weak_segments
from model_training.judged import Judged, Losses
from model_training.model_file import load_model
from model_training.outcomes import outcomes
from model_training.partial_dependence import (
    Curve,
    Input,
    curve,
    inputs_of,
    most_important,
    observed,
)
from model_training.permutation_importance import Importance, permutation_importance
from model_training.resampling import units_of
from model_training.results import Selection
from model_training.row_losses import (
    answers,
    drawn_answers,
    row_answers,
    row_losses,
)
from model_training.row_reasons import row_reasons
from model_training.updating import up_to_date
from utils.config import (
    Contract,
    Params,
    Recipe,
    convert,
    load_contract,
    load_params,
    recipe,
)
from utils.files import atomic_path, read_json, write_json
from utils.logging import run
from utils.metrics import METRICS, load_value
from utils.paths import EXPLANATION, LARGEST_ERRORS, RECENT, SELECTED, SELECTION, TEST

FIGURES = Path("reports/figures/explanation")

log = logging.getLogger(__name__)


class CurveResult(msgspec.Struct, frozen=True):
    """The mean answers of the model over the values of one input; of many answers some."""

    input: str
    unit: str
    values: list[float] | list[str]
    answers: dict[str, list[float]]


class LargeError(msgspec.Struct, frozen=True):
    """A row on which the model loses much; without a target it has no outcome."""

    key: dict[str, str]
    outcome: float | str | None
    answers: dict[str, float | str]
    loss: float


class Explanation(msgspec.Struct, frozen=True):
    """What the selected model uses, how, and where it errs.

    ``answers`` says how many numbers the model answers with, of which some are in the curves.
    """

    rows: int
    rows_shuffled: int
    metric: str
    unit: str
    confidence: float
    importance: list[Importance]
    answers: int
    curves: list[CurveResult]
    loss: str
    segments: Tested
    largest_errors: list[LargeError]


class Explained(msgspec.Struct, frozen=True):
    """The selected model with the held-out records, in the order of their identifiers.

    ``drawn`` names the answers that curves show.
    """

    model: Pipeline
    recipe: Recipe
    records: Frame
    drawn: list[str]

    def table(self, features: Frame) -> pd.DataFrame:
        """Return the inputs of the model for derived features."""
        return model_inputs(features, feature_names(self.recipe))

    def answer(self, records: Frame) -> Array:
        """Return what the model says to records."""
        return scores(self.model, self.table(derive(records, self.recipe)))

    def drawn_answers(self, table: pd.DataFrame) -> dict[str, Array]:
        """Return what the model says to a table of its inputs, by name, as far as it is drawn."""
        said = answers(scores(self.model, table), self.recipe.contract.target)
        return {name: said[name] for name in self.drawn if name in said}


def used_columns(recipe: Recipe) -> list[str]:
    """Return the columns of a record from which an input of the model comes."""
    used = {name for item in inputs_of(recipe) for name in item.sources}
    return [column.name for column in recipe.contract.inputs if column.name in used]


def some_rows(count: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the numbers of at most ``most`` of ``count`` rows, ascending, drawn by chance."""
    drawn = np.random.default_rng(seed).permutation(count)[:most]
    return np.sort(drawn)


def importance(
    explained: Explained, judged: Judged, test: Frame, params: Params
) -> list[Importance]:
    """Rank the columns of the records, on at most ``explanation.rows`` of the held-out rows."""
    rows = some_rows(len(judged.outcome), params.explanation.rows, params.split.seed)
    return permutation_importance(
        explained.answer,
        explained.records[rows],
        judged.at(rows),
        used_columns(explained.recipe),
        units=units_of(test[rows], explained.recipe.contract, params.split),
        metric=METRICS[params.selection.metric],
        value=load_value(params.value, explained.recipe.contract.target),
        settings=params.explanation,
        confidence=params.evaluation.confidence,
        seed=params.split.seed,
    )


def curves(explained: Explained, weights: Array, shown: list[Input], params: Params) -> list[Curve]:
    """Follow the answers over the values of each input, on at most ``explanation.rows`` rows."""
    rows = some_rows(weights.size, params.explanation.rows, params.split.seed)
    return [
        curve(
            explained.drawn_answers,
            explained.table,
            explained.records[rows],
            item,
            explained.recipe,
            weights=weights[rows],
            lines=params.explanation.lines,
        )
        for item in shown
    ]


def segments(explained: Explained, ranked: list[Input], losses: Losses, params: Params) -> Tested:
    """Look for weak segments in all inputs, and in pairs of the most important ones."""
    items = inputs_of(explained.recipe)
    values = {item.name: observed(explained.records, item, explained.recipe) for item in items}
    return weak_segments(
        values,
        [item.name for item in ranked[:PAIRED]],
        losses,
        minimum_rows=params.explanation.segment_rows,
        significance=1 - params.evaluation.confidence,
    )


def largest_errors(
    explained: Explained, test: Frame, judged: Judged, losses: Losses, count: int
) -> tuple[list[LargeError], pd.DataFrame]:
    """Return the rows that lose most, the largest loss first, and the same with their inputs."""
    contract: Contract = explained.recipe.contract
    rows = np.argsort(-losses.rows, kind="stable")[:count]
    said: dict[str, list[float] | list[str]] = {
        **row_answers(judged.at(rows), contract.target),
        **row_reasons(explained.answer, explained.records[rows], used_columns(explained.recipe)),
    }
    targets = [column.name for column in contract.with_role("target")]
    outcomes = {name: test[rows].to_arrow()[name].to_pylist() for name in targets}
    lost = losses.shown[rows].tolist()
    # pandas would add its row labels as one more column
    records = explained.records[rows].to_arrow().select(explained.records.columns)
    keys = records.select(contract.identifiers).to_pylist()
    listed = [
        LargeError(
            key={name: str(value) for name, value in key.items()},
            outcome=outcomes[targets[0]][place] if targets else None,
            answers={name: answered[place] for name, answered in said.items()},
            loss=lost[place],
        )
        for place, key in enumerate(keys)
    ]
    table = records.to_pandas()
    for name, column in (*outcomes.items(), *said.items()):
        table[name] = column
    table["loss"] = lost
    return listed, table


def main() -> None:
    """Explain the selected model and write the report, the figures and the largest errors."""
    params, contract = load_params(), load_contract()
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    test = read_parquet(TEST).sort(contract.identifiers)
    steps = recipe(params, contract)
    outcome, weights = outcomes(test, steps), row_weights(test, contract)
    explained = Explained(
        model=up_to_date(load_model(SELECTED), model_inputs(test, feature_names(steps)), outcome),
        recipe=steps,
        records=read_parquet(RECENT),
        drawn=drawn_answers(outcome, weights, contract.target),
    )
    judged = Judged(outcome, explained.answer(explained.records), weights)
    metric, value = METRICS[selection.metric], load_value(params.value, contract.target)
    losses = row_losses(selection.metric, judged, value)
    ranked = importance(explained, judged, test, params)
    inputs = most_important(
        inputs_of(explained.recipe),
        [item.column for item in ranked],
        explained.records,
        explained.recipe,
        max(PAIRED, params.explanation.curves),
    )
    drawn = curves(explained, weights, inputs[: params.explanation.curves], params)
    listed, table = largest_errors(explained, test, judged, losses, params.explanation.listed_rows)
    report = Explanation(
        rows=len(judged.outcome),
        rows_shuffled=min(len(judged.outcome), params.explanation.rows),
        metric=metric.label,
        unit={"currency": value.currency, "target": contract.target.unit}.get(
            metric.unit, metric.unit
        ),
        confidence=params.evaluation.confidence,
        importance=ranked,
        answers=len(answers(judged.predicted, contract.target)),
        curves=[
            CurveResult(item.input.name, item.input.unit, item.grid.tried, item.answers)
            for item in drawn
        ],
        loss=losses.label,
        segments=segments(explained, inputs, losses, params),
        largest_errors=listed,
    )
    with atomic_path(LARGEST_ERRORS) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    write_json(EXPLANATION, report)
    save_figures(
        {
            "importance": importance_figure(ranked, metric.label, report.unit),
            **({"effects": curve_figure(drawn)} if drawn else {}),
        },
        FIGURES,
    )
    log.info("explained", extra={"rows": report.rows, "segments": len(report.segments.segments)})


if __name__ == "__main__":
    run(main)

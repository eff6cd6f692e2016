"""Export: the selected model as a verified, immutable scorer.

Usage: ``python -m model_training.model_export``. The exported graph has to agree with the fitted
model on every row tried, within ``TOLERANCE``, or nothing is published.
"""

import hashlib
import logging
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import FeatureNames, feature_names
from data_prep.storage import read_parquet
from model_deployment.artefact import (
    GRAPH,
    METADATA,
    MODELS,
    REFERENCE,
    DataVersion,
    Metadata,
    Scorer,
    load_artefact,
    open_graph,
    publish,
)
from model_deployment.postprocessing import predictions
from model_deployment.preprocessing import model_inputs as serving_inputs
from model_deployment.preprocessing import standardise_records
from model_training.candidates import fitted_estimator, scores
from model_training.data_preprocessing import model_inputs, target
from model_training.lineage import environment, git_commit, libraries, settings_fingerprint
from model_training.model_card import model_card
from model_training.model_file import load_model, save_model
from model_training.onnx_graph import build_graph
from model_training.results import EvaluationReport, Selection, scores_of
from model_training.updating import up_to_date
from utils.config import (
    SCHEMA_PATH,
    Contract,
    ProjectError,
    Recipe,
    convert,
    load_contract,
    load_params,
    recipe,
)
from utils.files import read_json, sha256, write_json, write_text
from utils.logging import run
from utils.outcome import Decision
from utils.paths import (
    EVALUATION,
    EXPORT,
    OUT_OF_FOLD,
    RECENT,
    RETRIEVAL,
    SAMPLE,
    SELECTED,
    SELECTION,
    TEST,
    TRAIN,
)

TOLERANCE = 1e-6
GENERATED_ROWS = 10_000
REFERENCE_ROWS = 5_000
CARD = "MODEL_CARD.md"

log = logging.getLogger(__name__)


def thresholds(model: Pipeline, inputs: int) -> list[npt.NDArray[np.float64]]:
    """Return, per numeric input, the values at which a tree of the model splits."""
    estimator = fitted_estimator(model)
    pairs: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
    for predictor in chain.from_iterable(getattr(estimator, "_predictors", [])):
        inner = predictor.nodes[predictor.nodes["is_leaf"] == 0]
        pairs.append((inner["feature_idx"].astype(np.int64), inner["num_threshold"]))
    trees = [fitted.tree_ for fitted in getattr(estimator, "estimators_", [])]
    pairs.extend((tree.feature, tree.threshold) for tree in trees)
    return [
        np.unique(np.concatenate([values[where == position] for where, values in pairs]))
        if pairs
        else np.array([])
        for position in range(inputs)
    ]


def generated_inputs(
    model: Pipeline, seen: pd.DataFrame, names: FeatureNames, rows: int, seed: int
) -> pd.DataFrame:
    """Make inputs at which an inexact conversion would show.

    Numbers are drawn from the seen values, from a range ten times as wide, from the trees'
    thresholds and their neighbouring floats, and from missing; categories from the seen ones and
    from one that no training row has.

    Returns:
        Table of shape (rows, inputs).
    """
    generator = np.random.default_rng(seed)
    at_split = thresholds(model, len(names.numeric))
    columns: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.object_]] = {}
    for position, name in enumerate(names.numeric):
        known = seen[name].to_numpy()
        known = known[np.isfinite(known)]
        known = known if known.size else np.zeros(1)
        centre, width = float(np.median(known)), float(np.ptp(known)) + 1.0
        splits = at_split[position] if at_split[position].size else known
        near = np.concatenate([splits, np.nextafter(splits, np.inf), np.nextafter(splits, -np.inf)])
        drawn = np.stack(
            [
                generator.choice(known, rows),
                generator.uniform(centre - 10 * width, centre + 10 * width, rows),
                generator.choice(near, rows),
                np.full(rows, np.nan),
            ]
        )
        kind = generator.choice(4, size=rows, p=[0.4, 0.2, 0.3, 0.1])
        columns[name] = drawn[kind, np.arange(rows)]
    for name in names.categorical:
        known_categories = np.array([*seen[name].unique(), "never seen"], dtype=object)
        columns[name] = generator.choice(known_categories, rows)
    return pd.DataFrame(columns)


def largest_difference(expected: npt.NDArray[np.float64], served: npt.NDArray[np.float64]) -> float:
    """Return the largest difference, relative to the expected value where that is above 1."""
    return float(np.max(np.abs(expected - served) / np.maximum(1.0, np.abs(expected))))


def _score(scorer: Scorer, inputs: pd.DataFrame) -> npt.NDArray[np.float64]:
    names = scorer.names
    return scorer.score(
        inputs[names.numeric].to_numpy(dtype=np.float64),
        inputs[names.categorical].to_numpy(dtype=object),
    )


def check_parity(model: Pipeline, scorer: Scorer, tables: dict[str, pd.DataFrame]) -> float:
    """Compare the exported graph with the fitted model.

    Args:
        model: the fitted model.
        scorer: the exported one.
        tables: inputs by a name for error messages.

    Returns:
        The largest difference found.

    Raises:
        ProjectError: a table has a difference above ``TOLERANCE``.
    """
    differences = {
        name: largest_difference(scores(model, inputs), _score(scorer, inputs))
        for name, inputs in tables.items()
    }
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise ProjectError(
                f"The exported model differs from the trained one by {difference:.3g} on {name}, "
                f"more than {TOLERANCE:g}. Nothing was published; the live model is unchanged."
            )
    return max(differences.values())


def check_serving(scorer: Scorer, recipe: Recipe) -> float:
    """Compare the serving path, from records to scores, with the training features.

    Returns:
        The largest difference found.

    Raises:
        ProjectError: the difference is above ``TOLERANCE``.
    """
    keys = recipe.contract.identifiers
    trained = read_parquet(TEST).sort(keys)
    records = pl.read_parquet(RECENT)
    inputs = serving_inputs(standardise_records(records, recipe), recipe)
    served = scorer.score(inputs.numeric, inputs.categorical)
    expected = _score(scorer, model_inputs(trained, scorer.names))
    difference = largest_difference(expected, served)
    if not difference <= TOLERANCE:
        raise ProjectError(
            "Serving prepares records differently from training: scores differ by "
            f"{difference:.3g}. Nothing was published; the live model is unchanged."
        )
    return difference


def write_reference(path: Path, decision: Decision, contract: Contract) -> None:
    """Write what monitoring compares with: training records and their out-of-fold predictions.

    A record has the inputs and the target; free text stays where it is.

    Predictions of rows a model was fitted on are too sure of themselves, so only out-of-fold ones
    are comparable with those of new records.
    """
    unseen = pl.read_parquet(OUT_OF_FOLD)
    keys = contract.identifiers
    sample = unseen.sort(keys).gather_every(max(1, -(-unseen.height // REFERENCE_ROWS)))
    names = [column.name for column in (*contract.inputs, *contract.with_role("target"))]
    known = pl.read_parquet(SAMPLE, columns=names)
    records = sample.select(keys).join(known, on=keys, how="left", maintain_order="left")
    answer = predictions(scores_of(sample.drop(keys).to_arrow()), decision)
    columns = [pl.Series(name, values) for name, values in answer.items()]
    records.with_columns(columns).write_parquet(path)


def main() -> None:
    """Build, verify and publish the artefact of the selected model."""
    params, contract = load_params(), load_contract()
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    report = convert(read_json(EVALUATION), EvaluationReport, str(EVALUATION))
    data = convert(read_json(RETRIEVAL), DataVersion, str(RETRIEVAL))
    steps = recipe(params, contract)
    names = feature_names(steps)
    train, test = (read_parquet(path) for path in (TRAIN, TEST))
    seen, held_out = (model_inputs(table, names) for table in (train, test))
    model = up_to_date(load_model(SELECTED), held_out, target(test, contract))
    graph = build_graph(model, names).SerializeToString(deterministic=True)
    identity = Metadata(
        version="",
        project=params.project,
        recipe=steps,
        decision=selection.decision,
        estimator=selection.winner,
        metrics={item.name: item.model.value for item in report.metrics},
        parity=0.0,
        data=data,
        schema_sha256=sha256(SCHEMA_PATH),
        git_commit=git_commit(),
        libraries=libraries(),
        files={},
    )
    digest = hashlib.sha256(graph + msgspec.json.encode(identity)).hexdigest()
    # Readers of CSV files take a bare digest like 3e5658304656 for a number, here infinity.
    version = f"v{digest[:12]}"
    generated = generated_inputs(model, seen, names, GENERATED_ROWS, params.split.seed)
    MODELS.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=MODELS, prefix=".") as temporary:
        directory = Path(temporary) / version
        directory.mkdir()
        (directory / GRAPH).write_bytes(graph)
        save_model(model, directory / "model.skops")
        write_reference(directory / REFERENCE, selection.decision, contract)
        scorer = open_graph(directory / GRAPH, steps)
        parity = max(
            check_parity(
                model,
                scorer,
                {
                    "the training rows": seen,
                    "the held-out rows": held_out,
                    "generated rows": generated,
                },
            ),
            check_serving(scorer, steps),
        )
        metadata = msgspec.structs.replace(
            identity,
            version=version,
            parity=parity,
            settings_sha256=settings_fingerprint(params),
            environment=environment(),
        )
        write_text(directory / CARD, model_card(params, metadata, report, selection, len(seen)))
        files = {path.name: sha256(path) for path in sorted(directory.iterdir())}
        write_json(directory / METADATA, msgspec.structs.replace(metadata, files=files))
        # A version is never rewritten: the same version has the same content.
        if not (MODELS / version).is_dir():
            directory.rename(MODELS / version)
    publish(MODELS, version)
    load_artefact(MODELS)
    summary = {
        "version": version,
        "parity": parity,
        "rows_compared": len(seen) + len(held_out) + len(generated),
        "bytes": len(graph),
    }
    write_json(EXPORT, summary)
    log.info("exported", extra=summary)


if __name__ == "__main__":
    run(main)

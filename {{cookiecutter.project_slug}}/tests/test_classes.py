"""More than two classes, rare and absent ones, texts as classes: from a table to an answer."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml

from data_prep.cleaning import standardise
from data_prep.feature_engineering import FeatureNames
from data_prep.storage import Frame, read_parquet, write_parquet
from data_viz.exploration import explore
from data_viz.exploration_plots import exploration_figures
from data_viz.performance_plots import BAR_CLASSES, MATRIX_CLASSES, performance_figures
from data_viz.plot_utils import save_figures
from data_viz.summaries import rank_correlations, relations
from model_deployment.artefact import load_artefact, open_graph
from model_deployment.monitoring import read_recent
from model_deployment.postprocessing import output_columns, predictions
from model_training.calibration import calibration, fit_calibration
from model_training.candidate import Candidate
from model_training.candidates import candidates, scores
from model_training.data_preprocessing import target
from model_training.model_export import check_parity, generated_inputs
from model_training.model_file import load_model
from model_training.model_selection import fit, load_comparison, pipeline, unseen_scores
from model_training.onnx_graph import build_graph
from model_training.results import score_columns, scores_of
from model_training.row_losses import DRAWN
from model_training.splitting import make_folds
from model_training.worth import VALUE, measured
from tests.conftest import BUNDLED, MARKERS, ROOT, run_stage
from utils.config import (
    Column,
    Contract,
    Features,
    ProjectError,
    Recipe,
    Split,
    Transformation,
    load_params,
)
from utils.explanation_part import explanation_part
from utils.files import read_json, write_json
from utils.metrics import load_value
from utils.outcome import Decision, calibrated, decide, encode, uncalibrated
from utils.paths import (
    EVALUATION,
    EXPLANATION,
    RETRIEVAL,
    SAMPLE,
    SELECTED,
    SELECTION,
    TEST,
)
from utils.result_part import result_part

SPECIES: tuple[str | int, ...] = ("Setosa", "versi color", 'O\'Hara, "x"')
GRADES: tuple[str | int, ...] = tuple(range(3, 15))
# Stages from the sample on; what comes before does not look at the target.
STAGES = (
    "transform",
    "features",
    "split",
    "explore",
    "search",
    "select",
    "evaluate",
    "value",
    "explain",
    "export",
    "serve",
    "monitor",
)
QUICK: dict[str, dict[str, float | int | str | None]] = {
    "baseline": {},
    "logistic_regression": {"max_iter": 300},
    "random_forest": {"n_estimators": 10, "min_samples_leaf": 2},
    "hist_gradient_boosting": {"max_iter": 3, "max_leaf_nodes": 4},
}


def contract_of(classes: tuple[str | int, ...]) -> Contract:
    """Return the contract of a table with one column of each kind and the given classes."""
    kind: Any = "string" if isinstance(classes[0], str) else "integer"
    return Contract(
        table="plants",
        description="One row per plant.",
        provenance="Made for the tests.",
        columns=(
            Column("plant", "identifier", "string", "Number."),
            Column("length", "numeric", "float", "Length.", unit="cm", nullable=True),
            Column("width", "numeric", "float", "Width.", unit="cm", nullable=True),
            Column("soil", "categorical", "string", "Soil.", allowed=("sand", "clay")),
            Column("species", "target", kind, "Species.", allowed=classes),
        ),
    )


def table_of(classes: tuple[str | int, ...], rows: int) -> Frame:
    """Return rows of classes that lie on a circle; each is rarer than the one before."""
    generator = np.random.default_rng(3)
    shares = 0.75 ** np.arange(len(classes))
    code = generator.choice(len(classes), rows, p=shares / shares.sum())
    code[: len(classes)] = np.arange(len(classes))
    angle = 2 * np.pi * code / len(classes)
    length, width = (3 * side(angle) + generator.normal(size=rows) for side in (np.cos, np.sin))
    soil = np.where(generator.random(rows) < 0.3 + 0.4 * (code % 2), "sand", "clay")
    length[generator.random(rows) < 0.05] = np.nan
    data = pl.DataFrame(
        {
            "plant": [f"P-{row:05}" for row in range(rows)],
            "length": pl.Series(length, nan_to_null=True),
            "width": width,
            "soil": soil,
            "species": [classes[number] for number in code],
        }
    )
    return nw.from_native(data, eager_only=True)


@pytest.fixture(scope="module", params=[SPECIES, GRADES], ids=["three", "twelve"])
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Contract]:
    """A project of several classes in which every stage from the sample on has run."""
    contract = contract_of(request.param)
    folder = tmp_path_factory.mktemp("plants")
    shutil.copy(ROOT / "dvc.yaml", folder / "dvc.yaml")
    params = yaml.safe_load((BUNDLED / "params.yaml").read_text(encoding="utf-8"))
    first, second = request.param[:2]
    model = "random_forest" if request.param is GRADES else "logistic_regression"
    competing = {name: QUICK[name] for name in ("baseline", model)}
    params |= {
        "transformation": {"elapsed_days": {}, "calendar": {}, "logarithm": []},
        "features": {"ratios": {"shape": {"numerator": "length", "denominator": "width"}}},
        "split": {"method": "random", "test_share": 0.25, "folds": 3, "seed": 5},
        "evaluation": {"bootstrap_samples": 20, "confidence": 0.9, "segments": ["soil"]},
        "value": {
            "currency": "EUR",
            "right": 1,
            "wrong": -1,
            "listed": [{"actual": first, "decided": second, "worth": -20}],
        },
    }
    params["selection"] |= {"metric": "log_loss", "candidates": competing, "calibration": "always"}
    params["explanation"] |= {"rows": 100, "repeats": 2, "resamples": 20, "segment_rows": 20}
    # The records of these plants come with their species.
    params.pop("labels", None)
    contents = {"params.yaml": params, "schema.yaml": msgspec.to_builtins(contract)}
    for name, content in contents.items():
        (folder / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_parquet(table_of(request.param, 700), SAMPLE)
        write_json(RETRIEVAL, {"source": "here", "sha256": "0", "rows": 700})
        stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
        for name in STAGES:
            run_stage(stages[name]["cmd"])
    return folder, contract


@pytest.fixture
def plants(
    planted: tuple[Path, Contract], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Contract]:
    """The project of several classes as the current folder."""
    monkeypatch.chdir(planted[0])
    return planted


def test_several_classes_are_served_as_they_were_trained(plants: tuple[Path, Contract]) -> None:
    folder, contract = plants
    report = read_json(folder / "reports/export.json")
    assert report["parity"] < 1e-6
    assert report["rows_compared"] > 10_000
    served = read_recent(next(folder.glob("data/predictions*"))).sort("plant")
    columns = output_columns(contract.target)
    names = [column.name for column in columns]
    assert set(names) <= set(served.columns)
    assert np.allclose(served.select(names[:-1]).sum_horizontal(), 1)
    assert set(served["decision"]) <= set(contract.target.allowed)
    monitored = {
        item["column"] for item in read_json(folder / "reports/monitoring.json")["columns"]
    }
    assert set(names) <= monitored


def test_the_model_of_several_classes_beats_the_baseline(plants: tuple[Path, Contract]) -> None:
    report = read_json(EVALUATION)
    better = {item["name"] for item in report["metrics"] if (item["improvement"]["low"] or 0) > 0}
    assert {"log_loss", "brier_score", "roc_auc", "average_precision"} <= better
    labels = [str(label) for label in plants[1].target.allowed]
    assert [item["label"] for item in report["decision"]["classes"]] == labels
    assert np.sum(report["decision"]["confusion"]) == report["rows"]
    assert "threshold" not in report["decision"]


def test_decisions_of_several_classes_are_measured(plants: tuple[Path, Contract]) -> None:
    measured = {item["name"]: item for item in read_json(EVALUATION)["metrics"]}
    assert {"balanced_accuracy", "f1_macro", "precision_macro"} <= measured.keys()
    assert not {"f1", "precision", "recall"} & measured.keys(), "no class is the positive one"
    baseline = measured["balanced_accuracy"]["baseline"]["value"]
    assert baseline == pytest.approx(1 / len(plants[1].target.allowed), rel=0.2)
    assert measured["balanced_accuracy"]["model"]["value"] > 2 * baseline
    assert measured["precision_macro"]["improvement"]["value"] is None
    params = load_params()
    chosen = msgspec.structs.replace(params.selection, metric="precision_macro")
    with pytest.raises(ProjectError, match="a model can be chosen by log_loss, "):
        load_comparison(msgspec.structs.replace(params, selection=chosen), plants[1])


def test_decisions_heed_what_they_are_worth(plants: tuple[Path, Contract]) -> None:
    contract = plants[1]
    test, model = read_parquet(TEST), load_model(SELECTED)
    names = load_artefact().scorer.names
    predicted = scores(model, test.to_pandas()[[*names.numeric, *names.categorical]])
    decision = msgspec.convert(read_json(SELECTION)["decision"], Decision)
    answer = predictions(predicted, decision)["decision"]
    right = np.mean(answer == test["species"].to_numpy())
    assert right > 0.5
    worth = load_value(load_params().value, contract.target).worth
    assert worth[0, 1] == -20
    cheap = np.full_like(worth, -1.0)
    np.fill_diagonal(cheap, 1.0)
    careful, plain = (np.mean(decide(predicted, matrix) == 1) for matrix in (worth, cheap))
    assert careful < plain
    assert (decide(predicted, cheap) == np.argmax(predicted, axis=1)).all()


def test_the_value_of_several_classes_is_stated_against_deciding_alike(
    plants: tuple[Path, Contract],
) -> None:
    folder, contract = plants
    report = read_json(VALUE)
    whole = measured(read_json(EVALUATION), "value_per_decision", "model").value
    assert report["numbers"]["model"] == pytest.approx(whole)
    assert report["numbers"]["best_alike"] < report["numbers"]["model"]
    assert [line.split()[0] for line in report["findings"]] == [
        "Deciding",
        "Against",
        "Against",
        "The",
        "By",
    ]
    assert "the best that is the same for all" in report["findings"][2]
    listed = [row[0] for row in report["table"]["rows"]]
    assert set(listed) <= {str(label) for label in contract.target.allowed}
    assert [path.stem for path in folder.glob("reports/figures/value/*")] == ["ways_to_decide"]
    text = result_part(report, "figures")
    assert "| Actual species |" in text


def test_the_explanation_of_several_classes_draws_the_frequent_ones(
    plants: tuple[Path, Contract],
) -> None:
    contract = plants[1]
    report = read_json(EXPLANATION)
    classes = contract.target.allowed
    counts = Counter(read_parquet(TEST)["species"].to_list())
    ordered = sorted(classes, key=lambda label: -counts[label])
    frequent = [f"probability of species = {label}" for label in ordered[:DRAWN]]
    assert report["answers"] == len(classes)
    assert list(report["curves"][0]["answers"]) == frequent
    assert {item["column"] for item in report["importance"][:2]} == {"length", "width"}
    error = report["largest_errors"][0]
    assert error["outcome"] in classes
    assert error["answers"]["probability of the outcome"] < error["answers"]["its probability"]
    text = explanation_part(report, "figures")
    many = f"the 4 most frequent of {len(classes)}" if len(classes) > DRAWN else "all"
    assert f"The figure shows {many} answers" in text


def test_figures_of_fifty_classes_name_the_frequent_ones(tmp_path: Path) -> None:
    classes = tuple(f"class number {code}" for code in range(50))
    contract = contract_of(classes)
    frame = table_of(classes, 600)
    found = relations(frame, contract)
    figures = exploration_figures(frame, contract, found, rank_correlations(frame, contract))
    finding = explore(frame, contract).findings[0]
    assert "species has 50 classes in the 600 training rows" in finding
    assert "class number 0 (" in finding
    outcome = target(frame, contract)
    predicted = np.full((600, 50), 0.01) + 0.5 * np.eye(50)[outcome.astype(int)]
    worth = tuple(tuple(row) for row in np.eye(50).tolist())
    drawn = performance_figures(
        outcome, predicted, Decision(classes, "EUR", worth), contract.target
    )
    matrix, bars = drawn["decisions"].axes[0], drawn["classes"].axes[0]
    assert [len(axes.get_yticklabels()) for axes in (matrix, bars)] == [MATRIX_CLASSES, BAR_CLASSES]
    assert matrix.get_yticklabels()[-1].get_text() == f"{50 - MATRIX_CLASSES + 1} other classes"
    save_figures({**figures, **drawn}, tmp_path / "figures")
    assert len(list((tmp_path / "figures").iterdir())) == len(figures) + len(drawn)


# Parts


NAMES = FeatureNames(["length", "width"], ["soil"])
CONTRACT = contract_of(GRADES)
PLAIN = Recipe(CONTRACT, MARKERS, Transformation({}, {}, ()), Features({}))


def rows_of(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return inputs and positions of the twelve classes."""
    frame = table_of(GRADES, rows)
    return frame.to_pandas()[["length", "width", "soil"]], target(frame, CONTRACT)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("present", [range(12), (0, 2, 3, 11), (0, 5), (4,)], ids=len)
def test_every_candidate_is_served_exactly_with_and_without_classes(
    tmp_path: Path, name: str, present: range | tuple[int, ...]
) -> None:
    inputs, outcome = rows_of(500)
    seen = np.isin(outcome, present)
    candidate = candidates(QUICK, "log_loss", 1)[name]
    model = pipeline(candidate, NAMES, CONTRACT)
    fit(model, inputs[seen], outcome[seen], np.ones(int(seen.sum())))
    drawn = generated_inputs(model, inputs, NAMES, 1000, seed=3)
    for offsets in (None, np.linspace(-1, 1, 12).tolist()):
        model.set_params(estimate__slope=1.4, estimate__offsets=offsets)
        predicted = scores(model, drawn)
        assert predicted.shape == (1000, 12)
        assert np.abs(predicted.sum(axis=1) - 1).max() < 1e-12
        path = tmp_path / "model.onnx"
        path.write_bytes(build_graph(model, NAMES).SerializeToString())
        assert check_parity(model, open_graph(path, PLAIN), {"generated rows": drawn}) < 1e-12
    never = [code for code in range(12) if code not in present]
    model.set_params(estimate__offsets=None)
    assert (scores(model, inputs)[:, never] == 0).all()


def test_a_class_that_a_fold_lacks_does_not_break_it() -> None:
    inputs, outcome = rows_of(300)
    rare = np.flatnonzero(outcome == 11)
    training = np.setdiff1d(np.arange(300), rare)
    model = pipeline(candidates(QUICK, "log_loss", 1)["logistic_regression"], NAMES, CONTRACT)
    task = ("model", training, np.arange(300))
    predicted = unseen_scores({"model": model}, inputs, outcome, np.ones(300), task)
    assert (predicted[:, 11] == 0).all()
    frame = nw.from_native(inputs, eager_only=True)
    folds = make_folds(frame, outcome, CONTRACT, Split("random", 0.2, 5, 1))
    assert sorted(np.concatenate([unseen for _, unseen in folds])) == list(range(300))
    counts = [Counter(outcome[unseen])[2.0] for _, unseen in folds]
    assert max(counts) - min(counts) <= 1, "frequent classes are spread evenly"


def test_early_stopping_needs_no_second_row_of_a_class() -> None:
    inputs, outcome = rows_of(400)
    outcome[:] = outcome % 2
    outcome[0] = 11
    settings: dict[str, dict[str, float | int | str | None]] = {
        "hist_gradient_boosting": {"max_iter": 3, "early_stopping": True}
    }
    candidate = candidates(settings, "log_loss", 1)["hist_gradient_boosting"]
    model = fit(pipeline(candidate, NAMES, CONTRACT), inputs, outcome, np.ones(400))
    assert scores(model, inputs).shape == (400, 12)


def drawn_from(probabilities: np.ndarray, seed: int) -> np.ndarray:
    """Draw a class per row, shape (n,), from probabilities, shape (n, k)."""
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    drawn: np.ndarray = (uniform > probabilities.cumsum(axis=1)).sum(axis=1).astype(np.float64)
    return drawn


@pytest.mark.parametrize("classes", [2, 5])
def test_calibration_finds_back_what_was_distorted(classes: int) -> None:
    honest = np.random.default_rng(1).dirichlet(np.full(classes, 0.7), 6000)
    outcome = drawn_from(honest, 2)
    offsets = np.linspace(-0.5, 0.5, classes)
    distorted = calibrated(honest, 2.0, offsets)
    slope, found = fit_calibration(outcome, distorted, np.ones(6000))
    assert slope == pytest.approx(0.5, abs=0.05)
    assert np.array(found) - np.mean(found) == pytest.approx(-offsets / 2, abs=0.12)
    result = calibration(outcome, distorted, np.ones(6000), 1, always=False)
    assert result.applied
    assert result.log_loss_after < result.log_loss_before - 2 * result.standard_error
    again = uncalibrated(calibrated(distorted, result.slope, result.offsets), result)
    assert again == pytest.approx(np.maximum(distorted, 1e-6), abs=1e-4)


def test_calibration_leaves_honest_probabilities_alone_and_knows_few_rows() -> None:
    honest = np.random.default_rng(3).dirichlet(np.ones(4), 1000)
    outcome = drawn_from(honest, 4)
    assert not calibration(outcome, honest, np.ones(1000), 1, always=False).applied
    assert calibration(outcome, honest, np.ones(1000), 1, always=True).applied
    _, offsets = fit_calibration(outcome[:100], honest[:100], np.ones(100))
    assert offsets == [0.0] * 4, "a slope only"


def test_weights_calibrate_like_rows_given_twice() -> None:
    honest = np.random.default_rng(5).dirichlet(np.ones(3), 800)
    outcome = drawn_from(honest, 6)
    times = 1 + (outcome == 2)
    rows = np.repeat(np.arange(800), times.astype(int))
    weighted = fit_calibration(outcome, honest, times)
    repeated = fit_calibration(outcome[rows], honest[rows], np.ones(rows.size))
    assert weighted[0] == pytest.approx(repeated[0], abs=0.01)
    assert weighted[1] == pytest.approx(repeated[1], abs=0.01)


def test_scores_of_any_shape_are_stored_in_columns() -> None:
    for values in (np.arange(3.0), np.arange(33.0).reshape(3, 11)):
        table = pl.DataFrame({"key": ["a", "b", "c"], **score_columns(values)}).to_arrow()
        assert np.array_equal(scores_of(table), values)


def test_answers_have_a_column_per_class_whatever_its_name() -> None:
    classes = ('a"b', "a\\b", "c")
    names = [column.name for column in output_columns(contract_of(classes).target)]
    assert names == ["probability_a_b_0", "probability_a_b_1", "probability_c", "decision"]
    decision = Decision(classes, "EUR", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    answer = predictions(np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]), decision)
    assert list(answer) == names
    assert answer["decision"].tolist() == ["c", 'a"b']
    assert answer["probability_c"].tolist() == [0.7, 0.2]


def test_a_candidate_knows_all_classes_before_it_has_seen_them() -> None:
    known = candidates(QUICK, "log_loss", 1)["baseline"]
    assert isinstance(known, Candidate)
    model = pipeline(known, NAMES, CONTRACT)
    assert model.named_steps["estimate"].classes == 12


# Classes in the contract


def test_texts_keep_their_case_as_classes() -> None:
    frame = nw.from_native(pl.DataFrame({"species": ["  versi   color ", "Setosa", "n/a"]}))
    cleaned = standardise(frame, [contract_of(SPECIES).target], MARKERS)
    assert cleaned["species"].to_list() == ["versi color", "Setosa", None]
    with pytest.raises(ProjectError, match=r"holds 'setosa', which schema.yaml does not list"):
        encode(["setosa"], contract_of(SPECIES).target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"allowed": []}, "list its classes, at least two, under allowed"),
        ({"allowed": [1]}, "list its classes, at least two, under allowed"),
        ({"allowed": [1, 2, 1]}, "lists a class twice"),
        ({"type": "string", "allowed": ["yes", "n/a"]}, "'n/a' of .* could never be read"),
        ({"type": "string", "allowed": ["yes", " no"]}, "' no' of .* could never be read"),
        ({"type": "float", "allowed": []}, "must be a string or an integer"),
    ],
)
def test_classes_that_can_not_be_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    schema = yaml.safe_load((BUNDLED / "schema.yaml").read_text(encoding="utf-8"))
    next(item for item in schema["columns"] if item["role"] == "target").update(change)
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(schema), encoding="utf-8")
    with pytest.raises(ProjectError, match=message):
        load_params(BUNDLED / "params.yaml", path)

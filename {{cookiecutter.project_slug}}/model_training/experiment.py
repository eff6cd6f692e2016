"""What one run of the pipeline has measured, put together for the record of experiments."""

from collections.abc import Mapping

import msgspec

from model_training.lineage import settings
from model_training.model_card import exported_metadata
from model_training.results import CandidateResult, EvaluationReport, LearningPoint, Selection
from utils.config import convert, load_params
from utils.files import read_json
from utils.paths import EVALUATION, SELECTION

Plain = str | int | float | bool


class Trial(msgspec.Struct, frozen=True):
    """A candidate of the selection: its hyperparameters and its cross-validated scores."""

    settings: dict[str, Plain]
    result: CandidateResult


class Experiment(msgspec.Struct, frozen=True):
    """One run; equal settings, data and code give equal ones.

    Attributes:
        key: the same for the same model made with the same settings, and for nothing else.
        project: name of the project.
        version: of the exported model.
        estimator: the candidate that won.
        metric: the metric that it won by.
        settings: the settings that decide which model comes out, by their path in ``params.yaml``.
        lineage: fingerprints of data, contract and settings, commit of the code, environment.
        metrics: values of the model on the held-out rows.
        details: ends of their intervals, values of the baseline, improvements; under the names of
            the metrics with an ending.
        trials: the candidates that were compared.
        learning_curve: scores of the winner with growing parts of the training rows.
    """

    key: str
    project: str
    version: str
    estimator: str
    metric: str
    settings: dict[str, Plain]
    lineage: dict[str, str]
    metrics: dict[str, float]
    details: dict[str, float]
    trials: list[Trial]
    learning_curve: list[LearningPoint]


def flatten(value: Mapping[str, object], path: str = "") -> dict[str, Plain]:
    """Return nested settings on one level, their names joined by dots; lists become JSON."""
    flat: dict[str, Plain] = {}
    for name, item in value.items():
        key = f"{path}.{name}" if path else str(name)
        if isinstance(item, Mapping):
            flat |= flatten(item, key)
        elif isinstance(item, Plain):
            flat[key] = item
        else:
            flat[key] = msgspec.json.encode(item).decode()
    return flat


def _defined(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def details(report: EvaluationReport) -> dict[str, float]:
    """Return what was measured on the held-out rows besides the values of the model."""
    found: dict[str, float | None] = {}
    for item in report.metrics:
        found |= {
            f"{item.name}_low": item.model.low,
            f"{item.name}_high": item.model.high,
            f"{item.name}_baseline": item.baseline.value,
            f"{item.name}_improvement": item.improvement.value,
            f"{item.name}_improvement_low": item.improvement.low,
            f"{item.name}_improvement_high": item.improvement.high,
        }
    return _defined(found)


def read_experiment() -> Experiment:
    """Put together what the reports say about the exported model.

    Raises:
        ProjectError: a report is missing.
    """
    params, metadata = load_params(), exported_metadata()
    report = convert(read_json(EVALUATION), EvaluationReport, str(EVALUATION))
    selection = convert(read_json(SELECTION), Selection, str(SELECTION))
    return Experiment(
        key=f"{metadata.version}-{metadata.settings_sha256[:12]}",
        project=metadata.project.name,
        version=metadata.version,
        estimator=metadata.estimator,
        metric=selection.metric,
        settings=flatten(settings(params)),
        lineage={
            "data_sha256": metadata.data.sha256,
            "schema_sha256": metadata.schema_sha256,
            "settings_sha256": metadata.settings_sha256,
            "git_commit": metadata.git_commit or "none",
            "python": metadata.environment.python,
            "platform": metadata.environment.platform,
            **metadata.libraries,
        },
        metrics=_defined({item.name: item.model.value for item in report.metrics}),
        details=details(report),
        trials=[Trial(flatten(result.hyperparameters), result) for result in selection.candidates],
        learning_curve=selection.learning_curve,
    )

"""The two files that configure the project, read into validated, typed objects.

``schema.yaml`` is the data contract: what every column means and which values are valid.
``params.yaml`` holds every choice of the pipeline. An unknown key in either is an error, so a
misspelt setting can never be ignored silently.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

PARAMS_PATH = Path("params.yaml")
SCHEMA_PATH = Path("schema.yaml")

Role = Literal["identifier", "timestamp", "numeric", "categorical", "target"]
ColumnType = Literal["string", "integer", "float", "timestamp"]
CalendarPart = Literal["hour", "weekday", "month"]
T = TypeVar("T")


class ProjectError(Exception):
    """An error a person can act on; its text says what is wrong and what to do."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column of the data contract."""

    name: str
    role: Role
    type: ColumnType
    description: str
    unit: str = ""
    nullable: bool = False
    maximum_missing_share: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str | int, ...] = ()
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    example: str | int | float | None = None


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data contract of one table."""

    table: str
    description: str
    provenance: str
    columns: tuple[Column, ...]

    def with_role(self, *roles: Role) -> list[Column]:
        """Return the columns that have one of ``roles``, in the order of the contract."""
        return [column for column in self.columns if column.role in roles]

    @property
    def target(self) -> Column:
        """The column the model predicts."""
        return self.with_role("target")[0]

    @property
    def identifiers(self) -> list[str]:
        """Names of the columns that together identify a row."""
        return [column.name for column in self.with_role("identifier")]

    @property
    def inputs(self) -> list[Column]:
        """Every column a prediction request carries: all but the target."""
        return [column for column in self.columns if column.role != "target"]


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the project is about."""

    name: str
    description: str
    task: Literal["classification", "regression"]
    model_input: str
    model_output: str
    objective: str
    label_source: str


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How raw records write a missing value."""

    missing_markers: tuple[str, ...]


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two timestamp columns whose distance is a feature."""

    start: str
    end: str


class Transformation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns derived one by one: durations, parts of the calendar, logarithms."""

    elapsed_days: dict[str, Interval]
    calendar: dict[str, tuple[CalendarPart, ...]]
    logarithm: tuple[str, ...]


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two numeric columns whose quotient is a feature."""

    numerator: str
    denominator: str


class Features(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features that combine several columns."""

    ratios: dict[str, Ratio]


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows are held out for the final evaluation and for cross-validation."""

    method: Literal["time", "random"]
    test_share: float
    folds: int
    seed: int


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which models compete and by which metric the winner is chosen."""

    metric: str
    candidates: dict[str, dict[str, float | int | str | None]]


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How certain the reported numbers have to be."""

    bootstrap_samples: int
    confidence: float
    segments: tuple[str, ...]


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a difference between recent data and the training data counts as drift."""

    minimum_rows: int
    warning_index: float
    alarm_index: float
    significance: float
    missing_share_change: float


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting of the pipeline."""

    project: Project
    source: dict[str, Any]
    data: Data
    engine: dict[str, Any]
    transformation: Transformation
    features: Features
    split: Split
    selection: Selection
    evaluation: Evaluation
    value: dict[str, str | float]
    serving: dict[str, Any]
    monitoring: Monitoring


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that turns raw records into features; travels with the model."""

    contract: Contract
    missing_markers: tuple[str, ...]
    transformation: Transformation
    features: Features


def convert(value: object, kind: type[T], source: str) -> T:
    """Convert plain data into ``kind``, naming ``source`` and the offending key when it can't.

    Raises:
        ProjectError: a key is missing, unknown or has a value of the wrong type.
    """
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ProjectError(f"{source}: {error}. Correct this entry and run again.") from error


def _read(path: Path, kind: type[T]) -> T:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(
            f"{path} was not found. Run this command from the root of the project."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())
        raise ProjectError(f"{path} is not valid YAML: {detail}") from error
    return convert(content, kind, str(path))


def _require(problems: Iterable[str], source: str) -> None:
    listed = list(problems)
    if listed:
        raise ProjectError(f"{source}: " + "; ".join(listed) + ".")


def _contract_problems(contract: Contract) -> Iterable[str]:
    for name, count in Counter(column.name for column in contract.columns).items():
        if count > 1:
            yield f"column {name!r} is declared {count} times"
    if len(contract.with_role("target")) != 1:
        yield f"{len(contract.with_role('target'))} columns have the role target; one is needed"
    if not contract.identifiers:
        yield "no column has the role identifier; at least one is needed"
    for column in contract.columns:
        minimum, maximum = column.minimum, column.maximum
        if minimum is not None and maximum is not None and minimum > maximum:
            yield f"column {column.name!r} has a minimum above its maximum"
        if column.role == "target" and column.type not in {"integer", "float"}:
            yield f"the target {column.name!r} must be a number but has the type {column.type}"
        if column.role == "timestamp" and column.type != "timestamp":
            yield f"column {column.name!r} has the role timestamp but the type {column.type}"
        if column.role == "numeric" and column.type not in {"integer", "float"}:
            yield f"column {column.name!r} has the role numeric but the type {column.type}"
        if column.role == "categorical" and column.type != "string":
            yield f"column {column.name!r} has the role categorical but the type {column.type}"


def _params_problems(params: Params, contract: Contract) -> Iterable[str]:
    timestamps = {column.name for column in contract.with_role("timestamp")}
    numeric = {column.name for column in contract.with_role("numeric")}
    derived = set(params.transformation.elapsed_days)
    categorical = {column.name for column in contract.with_role("categorical")}
    used = [
        ("transformation.calendar", params.transformation.calendar, timestamps),
        (
            "transformation.elapsed_days",
            [
                name
                for interval in params.transformation.elapsed_days.values()
                for name in (interval.start, interval.end)
            ],
            timestamps,
        ),
        ("transformation.logarithm", params.transformation.logarithm, numeric | derived),
        (
            "features.ratios",
            [
                name
                for ratio in params.features.ratios.values()
                for name in (ratio.numerator, ratio.denominator)
            ],
            numeric | derived,
        ),
        ("evaluation.segments", params.evaluation.segments, categorical),
    ]
    for key, names, known in used:
        for name in names:
            if name not in known:
                yield f"{key} names {name!r}, which is not one of {sorted(known)}"
    if params.split.method == "time" and not timestamps:
        yield "split.method is 'time' but the contract has no timestamp column; use 'random'"
    if not 0 < params.split.test_share < 1:
        yield f"split.test_share is {params.split.test_share}, but must lie between 0 and 1"
    if params.split.folds < 2:  # noqa: PLR2004
        yield f"split.folds is {params.split.folds}, but cross-validation needs at least 2"
    if params.evaluation.bootstrap_samples < 1:
        yield "evaluation.bootstrap_samples must be at least 1"
    columns = {column.name for column in contract.columns}
    for name in (*params.transformation.elapsed_days, *params.features.ratios):
        if name in columns:
            yield f"the derived column {name!r} has the name of a column of the contract"
    if "baseline" not in params.selection.candidates:
        yield "selection.candidates has no 'baseline' to compare the other models with"
    if not 0 < params.evaluation.confidence < 1:
        yield f"evaluation.confidence is {params.evaluation.confidence}, but must lie in (0, 1)"


def load_contract(path: Path = SCHEMA_PATH) -> Contract:
    """Read and check the data contract.

    Raises:
        ProjectError: the file is missing, malformed or contradicts itself.
    """
    contract = _read(path, Contract)
    _require(_contract_problems(contract), str(path))
    return contract


def load_params(path: Path = PARAMS_PATH, schema: Path = SCHEMA_PATH) -> Params:
    """Read the settings and check them against the data contract.

    Raises:
        ProjectError: a file is missing or malformed, or a setting names an unknown column.
    """
    params = _read(path, Params)
    _require(_params_problems(params, load_contract(schema)), str(path))
    return params


def recipe(params: Params, contract: Contract) -> Recipe:
    """Collect what turns raw records into features."""
    return Recipe(
        contract=contract,
        missing_markers=params.data.missing_markers,
        transformation=params.transformation,
        features=params.features,
    )

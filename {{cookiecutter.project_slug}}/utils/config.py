"""The two files that configure the project, read into validated, typed objects.

``schema.yaml`` is the data contract: what every column means and which values are valid.
``params.yaml`` holds every choice of the pipeline. An unknown key in either is an error, so a
misspelt setting can never be ignored silently.
"""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml
from msgspec.structs import replace

from utils.target import TARGET_OPTIONAL, target_problems

PARAMS_PATH = Path("params.yaml")
SCHEMA_PATH = Path("schema.yaml")
BROKEN_RULES = "broken_rules"
SAMPLING_WEIGHT = "sampling_weight"
# Columns that validation and sampling add, so that no column of a table can have their names.
ADDED_COLUMNS = {BROKEN_RULES, SAMPLING_WEIGHT}

Role = Literal[
    "identifier", "timestamp", "group", "numeric", "categorical", "text", "target", "weight"
]
ColumnType = Literal["string", "integer", "float", "timestamp"]
Severity = Literal["error", "warning"]
Relation = Literal["<", "<=", "==", "!=", ">=", ">", "in", "not in", "missing", "present"]
SamplingMethod = Literal[
    "none", "random", "stratified", "weighted", "reservoir", "importance", "filter"
]
CalendarPart = Literal["hour", "weekday", "month", "day"]
Hyperparameter = bool | int | float | str | None
Task = Literal["classification", "regression", "forecasting", "clustering", "anomaly_detection"]
T = TypeVar("T")
# Roles that one column can have at most.
SINGLE_ROLES: tuple[Role, ...] = ("target", "group", "weight")


class ProjectError(Exception):
    """An error a person can act on; its text says what is wrong and what to do."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column of the data contract.

    Model inputs are the roles numeric and categorical. ``text`` is free text, described but not
    learned from; ``group`` names rows that belong together; ``weight`` says how much a row counts.
    ``severity`` and ``tolerated_share`` hold for the rules of this column. ``assigned`` says of a
    target, or of the weight that comes with it, that no record has it before it is labelled.

    ``source`` is how the records call the column, if not by its name. ``format`` is how they write
    moments that are not ISO 8601: a pattern of strptime such as ``%d/%m/%Y``, or ``epoch_seconds``
    or ``epoch_milliseconds``. A ``generated`` identifier is the number of the row, because the
    records have none.
    """

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
    severity: Severity = "error"
    tolerated_share: float = 0.0
    assigned: bool = False
    source: str | None = None
    format: str = ""
    generated: bool = False

    @property
    def source_name(self) -> str:
        """How the records of the source call the column."""
        return self.name if self.source is None else self.source


# What stands for the target where there is none: it has neither name, values nor meaning.
NO_TARGET = Column(name="", role="target", type="float", description="")


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A comparison of a column with another column, a number or a list of values.

    A text on the right names a column, except in a list. A comparison with a missing value is
    unknown; only ``missing`` and ``present``, which take nothing on the right, ask for it.
    """

    left: str
    relation: Relation
    right: str | int | float | tuple[str | int, ...] | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns that the comparison reads."""
        names = [self.left, *([self.right] if isinstance(self.right, str) else [])]
        return list(dict.fromkeys(names))

    def describe(self) -> str:
        """Return the condition as a phrase, such as ``signup_at <= snapshot_at``."""
        if self.right is None:
            return f"{self.left} is {self.relation}"
        if isinstance(self.right, tuple):
            several = len(self.right) > 1
            inside = "one of " if several else ""
            outside = "none of " if several else "not "
            values = ", ".join(map(str, self.right))
            return f"{self.left} is {outside if self.relation == 'not in' else inside}{values}"
        return f"{self.left} {self.relation} {self.right}"


class Rule(Condition, frozen=True):
    """A condition that every row keeps to which ``when`` applies and whose values are known."""

    when: Condition | None = None
    description: str = ""
    severity: Severity = "error"
    tolerated_share: float = 0.0


class Unique(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Columns whose values together occur once; rows in which one is missing are not compared."""

    columns: tuple[str, ...]
    severity: Severity = "error"
    tolerated_share: float = 0.0


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes rows the daily values of series, for tasks that look ahead.

    ``by`` names the column that tells the series apart, None if there is a single one, and ``time``
    the one with the day. The pattern of a series repeats after ``season`` days, and up to
    ``horizon`` days ahead are forecast.
    """

    by: str | None
    time: str
    season: int
    horizon: int


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data contract of one table."""

    table: str
    description: str
    provenance: str
    columns: tuple[Column, ...]
    unique: tuple[Unique, ...] = ()
    rules: tuple[Rule, ...] = ()
    series: Series | None = None

    def with_role(self, *roles: Role) -> list[Column]:
        """Return the columns that have one of ``roles``, in the order of the contract."""
        return [column for column in self.columns if column.role in roles]

    @property
    def recorded(self) -> list[Column]:
        """The columns that records bring: all that are neither assigned nor generated."""
        return [column for column in self.columns if not (column.assigned or column.generated)]

    @property
    def has_target(self) -> bool:
        """Whether records come with what the model is measured by."""
        return bool(self.with_role("target"))

    @property
    def target(self) -> Column:
        """The column the model predicts; ``NO_TARGET`` of a contract without one."""
        return next(iter(self.with_role("target")), NO_TARGET)

    @property
    def identifiers(self) -> list[str]:
        """Names of the columns that together identify a row."""
        return [column.name for column in self.with_role("identifier")]

    @property
    def inputs(self) -> list[Column]:
        """Every column a prediction request carries: what names a record, and model inputs."""
        return self.with_role("identifier", "timestamp", "numeric", "categorical")


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the project is about."""

    name: str
    description: str
    task: Task
    model_input: str
    model_output: str
    objective: str
    label_source: str


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How raw records write a missing value."""

    missing_markers: tuple[str, ...]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the valid rows go on; what a method does not use must not be set.

    ``share`` is of all rows; ``rows`` is a number, of ``stratified`` per stratum; ``by`` names the
    columns that make the strata; ``weight`` the column in proportion to which rows are drawn, and
    ``missing_weight`` what counts where it is missing; ``keep`` the conditions of the filter.
    """

    method: SamplingMethod
    seed: int
    share: float | None = None
    rows: int | None = None
    by: tuple[str, ...] = ()
    weight: str | None = None
    missing_weight: float | None = None
    keep: tuple[Condition, ...] = ()


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two timestamp columns whose distance is a feature."""

    start: str
    end: str


class Transformation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns derived one by one: durations, parts of the calendar, logarithms.

    The part ``day`` is the number of days since the beginning of 1970.
    """

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

    method: Literal["time", "random", "group"]
    test_share: float
    folds: int
    seed: int

    @property
    def held_out(self) -> str:
        """What is held out, as a phrase."""
        share = f"{self.test_share:.0%}"
        return {
            "time": f"the newest {share} of the rows",
            "random": f"the randomly drawn {share} of the rows",
            "group": f"the rows of randomly drawn groups, about {share} of all,",
        }[self.method]

    @property
    def compared_in(self) -> str:
        """What cross-validation goes through, as a phrase."""
        parts = {
            "time": "expanding windows",
            "random": "random folds",
            "group": "folds of whole groups",
        }
        return f"{self.folds} {parts[self.method]}"


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The values of a hyperparameter among which the search looks for the best.

    They are the numbers from ``low`` to ``high``, integers if both are, by their logarithm with
    ``log``; or ``choices``. ``start`` is tried first.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Hyperparameter, ...] | None = None
    start: Hyperparameter = None

    @property
    def whole(self) -> bool:
        """Whether the range holds integers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long is searched: ``trials`` of each candidate, ``minutes`` in all, what ends first.

    ``batch`` is how many trials of a candidate are proposed at a time.
    """

    batch: int
    trials: int | None = None
    minutes: float | None = None


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which models compete, what is searched for, and by which metric the winner is chosen.

    ``calibration`` says whether probabilities are corrected; ``auto`` does if it improves them.
    ``without_target`` is the metric where the contract has no target.
    """

    metric: str
    search: Search
    candidates: dict[str, dict[str, Hyperparameter | Space]]
    calibration: Literal["auto", "none", "always"] | None = None
    without_target: str | None = None


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How certain the reported numbers have to be."""

    bootstrap_samples: int
    confidence: float
    segments: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much work goes into the explanation of the model; every number is at least 1.

    ``repeats`` shuffles of each column, ``resamples`` for the intervals, ``curves`` of as many
    inputs with ``lines`` for single rows; segments of at least ``segment_rows`` rows are judged,
    and the ``listed_rows`` rows with the largest errors are kept.
    """

    rows: int
    repeats: int
    resamples: int
    curves: int
    lines: int
    segment_rows: int
    listed_rows: int


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
    sampling: Sampling
    transformation: Transformation
    features: Features
    split: Split
    selection: Selection
    evaluation: Evaluation
    explanation: Explanation
    serving: dict[str, Any]
    monitoring: Monitoring
    value: dict[str, Any] = msgspec.field(default_factory=dict)
    labels: dict[str, Any] | None = None
    clusters: dict[str, Any] | None = None


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


def _share_problems(name: str, share: float) -> Iterable[str]:
    if not 0 <= share <= 1:
        yield f"{name} is {share}, but must lie between 0 and 1"


def _type_problems(column: Column) -> Iterable[str]:
    fitting: dict[Role, set[ColumnType]] = {
        "timestamp": {"timestamp"},
        "group": {"string", "integer"},
        "numeric": {"integer", "float"},
        "categorical": {"string"},
        "text": {"string"},
        "target": {"string", "integer", "float"},
        "weight": {"integer", "float"},
    }
    name = column.name
    if column.type not in fitting.get(column.role, {column.type}):
        yield f"column {name!r} has the role {column.role} but the type {column.type}"
    if column.role == "weight" and column.nullable:
        yield f"the weight {name!r} must not be nullable"
    if column.assigned and column.role not in {"target", "weight"}:
        yield f"column {name!r} is assigned, but only a target or a weight can be"
    if column.aliases and column.role != "categorical":
        yield f"column {name!r} has aliases, which only categorical columns resolve"


def _value_problems(column: Column) -> Iterable[str]:
    name, minimum, maximum = column.name, column.minimum, column.maximum
    number = column.type in {"integer", "float"}
    if minimum is not None and maximum is not None and minimum > maximum:
        yield f"column {name!r} has a minimum above its maximum"
    if not number and (minimum is not None or maximum is not None):
        yield f"column {name!r} has a range but the type {column.type}"
    if not all(isinstance(value, int if number else str) for value in column.allowed):
        yield f"column {name!r} allows values that are not of its type {column.type}"
    yield from _share_problems(f"maximum_missing_share of {name!r}", column.maximum_missing_share)
    yield from _share_problems(f"tolerated_share of {name!r}", column.tolerated_share)


def _source_problems(contract: Contract) -> Iterable[str]:
    """Yield what keeps columns from being found in the records, or read there."""
    names = {column.name for column in contract.columns}
    for name, count in Counter(column.source_name for column in contract.columns).items():
        if count > 1:
            yield f"{count} columns have the source {name!r}"
    for column in contract.columns:
        name = column.name
        if column.source not in {None, name} and column.source in names:
            yield f"the source of column {name!r} is the name of another column"
        if column.format and column.type != "timestamp":
            yield f"column {name!r} has a format, which only timestamps have"
    made = [column for column in contract.columns if column.generated]
    if any(column.role != "identifier" or column.type != "integer" for column in made):
        yield "only an identifier of type integer can be generated"
    if made and len(contract.identifiers) > 1:
        yield "a generated identifier identifies a row alone; remove the others"


def _kind(column: Column) -> str:
    return "number" if column.type in {"integer", "float"} else column.type


def _condition_problems(condition: Condition, contract: Contract) -> Iterable[str]:
    """Yield what keeps a condition from being evaluated: unknown columns, types that differ."""
    columns = {column.name: column for column in contract.columns}
    for name in condition.columns:
        if name not in columns:
            yield f"{condition.describe()!r} names {name!r}, which is not a column"
            return
    left, right = columns[condition.left], condition.right
    text = repr(condition.describe())
    if condition.relation in {"missing", "present"}:
        if right is not None:
            yield f"{text} must have nothing on its right"
    elif condition.relation in {"in", "not in"}:
        kind = {"string": str, "integer": int}.get(left.type)
        if not isinstance(right, tuple) or not right:
            yield f"{text} needs a list of values on its right"
        elif kind is None or not all(isinstance(value, kind) for value in right):
            yield f"{text} lists values that do not fit the type {left.type}"
    elif right is None or isinstance(right, tuple):
        yield f"{text} needs one column or number on its right"
    else:
        other = _kind(columns[right]) if isinstance(right, str) else "number"
        if other != _kind(left):
            yield f"{text} compares {_kind(left)} with {other}"
        elif other == "string" and condition.relation not in {"==", "!="}:
            yield f"{text} orders texts, which can only be equal or different"


def _rule_problems(contract: Contract) -> Iterable[str]:
    known = {column.name for column in contract.columns}
    for rule in contract.rules:
        yield from _condition_problems(rule, contract)
        yield from _share_problems(f"tolerated_share of {rule.describe()!r}", rule.tolerated_share)
        if rule.when is not None:
            yield from _condition_problems(rule.when, contract)
    for unique in contract.unique:
        for name in unique.columns:
            if name not in known:
                yield f"unique names {name!r}, which is not a column"
        if not unique.columns:
            yield "an entry of unique has no columns"
        yield from _share_problems("tolerated_share of unique columns", unique.tolerated_share)


def _series_problems(contract: Contract) -> Iterable[str]:
    series = contract.series
    if series is None:
        return
    names = {column.name for column in contract.with_role("categorical") if column.allowed}
    if series.by is not None and series.by not in names:
        yield (
            f"series.by names {series.by!r}, but must name a categorical column that lists all "
            "series under allowed"
        )
    if series.time not in {column.name for column in contract.with_role("timestamp")}:
        yield f"series.time names {series.time!r}, which is not a timestamp column"
    for name, days in (("season", series.season), ("horizon", series.horizon)):
        if days < 1:
            yield f"series.{name} is {days}, but must be at least 1"


def _contract_problems(contract: Contract) -> Iterable[str]:
    for name, count in Counter(column.name for column in contract.columns).items():
        if count > 1:
            yield f"column {name!r} is declared {count} times"
        if name in ADDED_COLUMNS:
            yield f"{name!r} is the name of a column that the pipeline adds; choose another"
    for role in SINGLE_ROLES:
        if len(contract.with_role(role)) > 1:
            yield f"{len(contract.with_role(role))} columns have the role {role}; one is possible"
    if not contract.identifiers:
        yield "no column has the role identifier; at least one is needed"
    for column in contract.columns:
        yield from _type_problems(column)
        yield from _value_problems(column)
    yield from _source_problems(contract)
    yield from _rule_problems(contract)
    yield from _series_problems(contract)


# What each method of sampling takes; of the alternatives in a pair, exactly one.
SAMPLING_SETTINGS: dict[SamplingMethod, list[tuple[str, ...]]] = {
    "none": [],
    "random": [("share",)],
    "reservoir": [("rows",)],
    "stratified": [("by",), ("share", "rows")],
    "weighted": [("weight",), ("share", "rows")],
    "importance": [("weight",), ("share", "rows")],
    "filter": [("keep",)],
}


def _sampling_problems(sampling: Sampling, contract: Contract) -> Iterable[str]:
    needed = SAMPLING_SETTINGS[sampling.method]
    settings = ("share", "rows", "by", "weight", "missing_weight", "keep")
    given = {name for name in settings if getattr(sampling, name)}
    for names in needed:
        if len(given & set(names)) != 1:
            yield f"sampling.method {sampling.method} needs {' or '.join(names)}"
    usable = {name for names in needed for name in names}
    usable |= {"missing_weight"} if "weight" in usable else set()
    for name in sorted(given - usable):
        yield f"sampling.{name} has no meaning for sampling.method {sampling.method}"
    if sampling.share is not None and not 0 < sampling.share <= 1:
        yield f"sampling.share is {sampling.share}, but must lie between 0 and 1"
    if sampling.rows is not None and sampling.rows < 1:
        yield f"sampling.rows is {sampling.rows}, but must be at least 1"
    if sampling.missing_weight is not None and sampling.missing_weight <= 0:
        yield f"sampling.missing_weight is {sampling.missing_weight}, but must be positive"
    strata = {column.name for column in contract.columns if column.type in {"string", "integer"}}
    numbers = {column.name for column in contract.columns if column.type in {"integer", "float"}}
    for name in sampling.by:
        if name not in strata:
            yield f"sampling.by names {name!r}, which is not one of {sorted(strata)}"
    if sampling.weight is not None and sampling.weight not in numbers:
        yield f"sampling.weight names {sampling.weight!r}, which is not one of {sorted(numbers)}"
    for condition in sampling.keep:
        yield from _condition_problems(condition, contract)


def _target_problems(params: Params, contract: Contract) -> Iterable[str]:
    """Yield what keeps the target from being what the task needs."""
    if contract.has_target:
        yield from target_problems(contract.target, params)
    elif not TARGET_OPTIONAL:
        yield (
            f"no column of schema.yaml has the role target, and a {params.project.task} needs one"
        )


def _forecast_problems(params: Params, contract: Contract) -> Iterable[str]:
    """Yield what keeps series from being forecast."""
    series, task = contract.series, params.project.task
    if (series is None) == (task == "forecasting"):
        yield f"the section series of schema.yaml goes with the task forecasting, not with {task}"
    elif series is not None:
        if params.split.method != "time":
            yield f"split.method is {params.split.method!r}, but series are held out by 'time'"
        if "day" not in params.transformation.calendar.get(series.time, ()):
            yield f"transformation.calendar lacks the part day of {series.time!r}"


def _range_problems(name: str, space: Space) -> Iterable[str]:
    low, high, start = space.low, space.high, space.start
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        yield f"{name} needs low and high, both finite numbers, or choices"
    elif low >= high:
        yield f"{name} has low {low}, which must lie below high {high}"
    elif space.log and low <= 0:
        yield f"{name} has low {low}, which must be positive for log"
    elif start is not None:
        number = isinstance(start, (int, float)) and not isinstance(start, bool)
        if not number or (space.whole and isinstance(start, float)):
            kind = "an integer" if space.whole else "a number"
            yield f"{name} has start {start!r}, which must be {kind} like low and high"
        elif not low <= float(start) <= high:
            yield f"{name} has start {start}, which must lie from {low} to {high}"


def _choice_problems(name: str, space: Space) -> Iterable[str]:
    choices = space.choices or ()
    if (space.low, space.high, space.log) != (None, None, False):
        yield f"{name} has choices and a range; keep one of them"
    if len({repr(choice) for choice in choices}) < max(2, len(choices)):
        yield f"{name} needs choices, at least two and all different"
    elif space.start is not None and repr(space.start) not in map(repr, choices):
        yield f"{name} has start {space.start!r}, which is none of its choices"


def _search_problems(selection: Selection) -> Iterable[str]:
    search, searched = selection.search, False
    for candidate, settings in selection.candidates.items():
        for key, space in settings.items():
            if not isinstance(space, Space):
                continue
            searched = True
            name = f"selection.candidates.{candidate}.{key}"
            if candidate == "baseline":
                yield f"{name} can't be searched: the baseline stays the same for all"
            problems = _range_problems if space.choices is None else _choice_problems
            yield from problems(name, space)
    if searched and search.trials is None and search.minutes is None:
        yield (
            "selection.search has no budget: set trials, minutes or both; trials: 0 searches "
            "nothing"
        )
    if search.trials is not None and search.trials < 0:
        yield f"selection.search.trials is {search.trials}, but can't be negative"
    if search.minutes is not None and not search.minutes > 0:
        yield f"selection.search.minutes is {search.minutes}, but must be positive"
    if search.batch < 1:
        yield f"selection.search.batch is {search.batch}, but must be at least 1"


def _label_problems(params: Params, contract: Contract) -> Iterable[str]:
    if contract.target.assigned and params.labels is None:
        yield f"the target {contract.target.name!r} is assigned, but there is no section labels"
    if params.labels is not None and not contract.target.assigned:
        yield f"labels is set, but the target {contract.target.name!r} is not assigned"


def _params_problems(params: Params, contract: Contract) -> Iterable[str]:
    yield from _label_problems(params, contract)
    yield from _sampling_problems(params.sampling, contract)
    yield from _target_problems(params, contract)
    yield from _forecast_problems(params, contract)
    yield from _search_problems(params.selection)
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
    if params.split.method == "group" and not contract.with_role("group"):
        yield "split.method is 'group' but no column has the role group; use 'random'"
    if not 0 < params.split.test_share < 1:
        yield f"split.test_share is {params.split.test_share}, but must lie between 0 and 1"
    if params.split.folds < 2:  # noqa: PLR2004
        yield f"split.folds is {params.split.folds}, but cross-validation needs at least 2"
    if params.evaluation.bootstrap_samples < 1:
        yield "evaluation.bootstrap_samples must be at least 1"
    yield from (
        f"explanation.{name} is {number}, but must be at least 1"
        for name, number in msgspec.structs.asdict(params.explanation).items()
        if number < 1
    )
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

    Without a target, ``selection.without_target`` takes the place of ``selection.metric``.

    Raises:
        ProjectError: a file is missing or malformed, or a setting names an unknown column.
    """
    params, contract = _read(path, Params), load_contract(schema)
    _require(_params_problems(params, contract), str(path))
    if contract.has_target or params.selection.without_target is None:
        return params
    chosen = replace(params.selection, metric=params.selection.without_target)
    return replace(params, selection=chosen)


def recipe(params: Params, contract: Contract) -> Recipe:
    """Collect what turns raw records into features."""
    return Recipe(
        contract=contract,
        missing_markers=params.data.missing_markers,
        transformation=params.transformation,
        features=params.features,
    )

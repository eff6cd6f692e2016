"""Numbers about the columns of a table: summaries, groups of rows, relations and correlations."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from data_prep.storage import Frame
from utils.config import Column, Contract

MISSING = "missing"
CONFIDENCE = 0.95
GROUPS = 8
FEW_ROWS = 20
CORRELATED = 0.7

Array = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]


class Group(msgspec.Struct, frozen=True):
    """Rows that are alike in one column, and the mean of the target among them."""

    label: str
    rows: int
    mean: float
    low: float
    high: float
    position: float | None


class Relation(msgspec.Struct, frozen=True):
    """How the target differs between groups of one column.

    ``explained`` is the share of the target's variance that lies between the groups, adjusted for
    their number: eta squared or, for more than two classes, the tau of Goodman and Kruskal.
    ``p_value`` is that of the F test of equal means. The means of ``groups`` and ``overall`` are
    those of ``about``, of several classes the one that differs most.
    """

    column: str
    about: str
    overall: float
    explained: float
    p_value: float
    groups: list[Group]


class NumericSummary(msgspec.Struct, frozen=True):
    """A column of numbers in numbers; NaN where there are no values."""

    rows: int
    missing: int
    mean: float
    standard_deviation: float
    minimum: float
    quantile_05: float
    quantile_25: float
    median: float
    quantile_75: float
    quantile_95: float
    maximum: float
    skewness: float


class CategoricalSummary(msgspec.Struct, frozen=True):
    """Counts per category, the most frequent first."""

    rows: int
    missing: int
    counts: dict[str, int]


class TextSummary(msgspec.Struct, frozen=True):
    """A column of free text or of groups in numbers; lengths in characters, 0 without values."""

    rows: int
    missing: int
    distinct: int
    median_length: float
    longest: int


class Correlation(msgspec.Struct, frozen=True):
    """Spearman's rank correlation of two columns."""

    first: str
    second: str
    coefficient: float


# Columns as arrays


def numbers(frame: Frame, name: str) -> Array:
    """Return a numeric column as floats, NaN for missing, shape (n,)."""
    values: Array = frame.select(name).to_arrow()[name].to_numpy().astype(np.float64)
    return values


def texts(frame: Frame, name: str) -> Text:
    """Return a column of categories as text, ``missing`` for missing, shape (n,)."""
    values = frame.select(name).to_arrow()[name].to_pylist()
    return np.array([MISSING if value is None else str(value) for value in values], dtype=object)


def moments(frame: Frame, name: str) -> npt.NDArray[np.datetime64]:
    """Return a column of timestamps, NaT for missing, shape (n,)."""
    values: npt.NDArray[np.datetime64] = frame.select(name).to_arrow()[name].to_numpy()
    return values.astype("datetime64[us]")


def is_number(column: Column) -> bool:
    """Whether the values of a column are amounts or two numbers, not the names of classes."""
    return column.type != "string" and len(column.allowed) <= 2  # noqa: PLR2004


def asked(frame: Frame, contract: Contract) -> dict[str, Array]:
    """Return what is asked about the target, by name, each of shape (n,).

    That is its value or, where the contract lists classes, whether a row is of each class (1 or 0);
    of two classes only the second is asked for. Without a target there is nothing to ask.
    """
    if not contract.has_target:
        return {}
    name, classes = contract.target.name, contract.target.allowed
    if not classes:
        return {name: numbers(frame, name)}
    values = np.array(frame.select(name).to_arrow()[name].to_pylist(), dtype=object)
    shown = classes[1:] if len(classes) == 2 else classes  # noqa: PLR2004
    return {f"{name} = {label}": (values == label).astype(np.float64) for label in shown}


def is_binary(values: Array) -> bool:
    """Whether all values are 0 or 1, so that their mean is a share."""
    return bool(np.isin(values, (0, 1)).all())


# Groups of rows, and how the target differs between them


def short(value: float, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits, large ones in full with separators."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.{digits}g}"  # noqa: PLR2004


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Return the mean of ``values``, shape (n,), with its 95% confidence interval.

    Shares get the interval of Wilson (1927), which stays within 0 and 1; other means Student's.
    The interval of a single number other than 0 and 1 is NaN.
    """
    mean, count = float(values.mean()), values.size
    if is_binary(values):
        interval = stats.binomtest(round(values.sum()), count).proportion_ci(CONFIDENCE, "wilson")
        return mean, float(interval.low), float(interval.high)
    if count == 1:
        return mean, float("nan"), float("nan")
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * stats.sem(values))
    return mean, mean - margin, mean + margin


def outcome_group(label: str, outcome: Array, position: float | None) -> Group:
    """Describe rows by the outcome among them, shape (n,)."""
    return Group(label, outcome.size, *mean_interval(outcome), position)


def _range_text(values: Array) -> str:
    low, high = values.min(), values.max()
    return short(low) if low == high else f"{short(low)} to {short(high)}"


def group_edges(values: Array) -> Array:
    """Return the smallest value of each group but the first, for groups of about equal size.

    Few distinct values make one group each; groups of too few rows are joined to a neighbour.

    Args:
        values: finite values, shape (n,).
    """
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size > GROUPS:
        return np.unique(np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1]))
    edges, rows, left = [], 0, values.size
    for value, count in zip(distinct, counts, strict=True):
        if rows >= FEW_ROWS and left >= FEW_ROWS:
            edges.append(value)
            rows = 0
        rows += count
        left -= count
    return np.array(edges)


def numeric_codes(values: Array) -> npt.NDArray[np.int64]:
    """Number the groups that values, shape (n,), fall into, ascending; -1 where missing."""
    known = np.isfinite(values)
    codes = np.searchsorted(group_edges(values[known]), values, side="right")
    return np.where(known, codes, -1)


def numeric_groups(values: Array, outcome: Array) -> list[Group]:
    """Group rows by a numeric column, ascending, with the rows where it is missing at the end.

    Args:
        values: the column, NaN for missing, shape (n,).
        outcome: the target, shape (n,).
    """
    codes = numeric_codes(values)
    groups = [
        outcome_group(
            _range_text(values[codes == code]),
            outcome[codes == code],
            float(np.median(values[codes == code])),
        )
        for code in np.unique(codes[codes >= 0])
    ]
    missing = outcome[codes < 0]
    return [*groups, outcome_group(MISSING, missing, None)] if missing.size else groups


def categorical_groups(values: Text, outcome: Array, order: Sequence[object]) -> list[Group]:
    """Group rows by category in the given order, then any other category, then missing."""
    found = set(values)
    known = [str(category) for category in order if str(category) in found]
    others = sorted(found - set(known) - {MISSING})
    names = [*known, *others, *({MISSING} & found)]
    return [outcome_group(name, outcome[values == name], None) for name in names]


def explained_share(samples: Sequence[Array]) -> tuple[float, float]:
    """Return the share of variance between groups, and the p-value of there being none.

    Source for several classes: Light and Margolin (1971), An Analysis of Variance for Categorical
    Data.

    Args:
        samples: what is asked about the target for the rows of each group, shape (rows, questions).
    """
    everything = np.concatenate(list(samples))
    rows, questions = everything.shape
    total = float(np.sum((everything - everything.mean(axis=0)) ** 2))
    if sum(len(sample) > 1 for sample in samples) < 2 or total == 0:  # noqa: PLR2004
        return 0.0, 1.0
    within = sum(float(np.sum((sample - sample.mean(axis=0)) ** 2)) for sample in samples)
    freedom = max(rows - len(samples), 1)
    explained = 1 - (within / freedom) / (total / (rows - 1))
    between = (total - within) / (len(samples) - 1)
    statistic = between / (within / freedom) if within > 0 else float("inf")
    # The shares of all classes sum to 1, so one of them is not free.
    free = max(questions - 1, 1)
    p_value = float(stats.f.sf(statistic, free * (len(samples) - 1), free * freedom))
    return max(explained, 0.0), p_value


def relation(
    name: str,
    outcomes: Mapping[str, Array],
    masks: Sequence[npt.NDArray[np.bool_]],
    describe: Callable[[Array], list[Group]],
) -> Relation:
    """Measure how the target differs between groups of rows.

    Args:
        name: the column that makes the groups.
        outcomes: what is asked about the target, each of shape (n,).
        masks: the rows of each group, each of shape (n,).
        describe: describes each group by the means of an outcome.
    """
    matrix = np.stack(list(outcomes.values()), axis=1)
    samples = [matrix[mask] for mask in masks]
    explained, p_value = explained_share(samples)
    distances = [len(part) * (part.mean(axis=0) - matrix.mean(axis=0)) ** 2 for part in samples]
    about = list(outcomes)[int(np.argmax(np.sum(distances, axis=0)))]
    outcome = outcomes[about]
    return Relation(name, about, float(outcome.mean()), explained, p_value, describe(outcome))


def relations(frame: Frame, contract: Contract) -> list[Relation]:
    """Relate every numeric and categorical column to the target, the strongest first."""
    outcomes = asked(frame, contract)
    found: list[Relation] = []
    if not outcomes:
        return found
    for column in contract.with_role("numeric"):
        values = numbers(frame, column.name)
        codes = numeric_codes(values)
        masks = [codes == code for code in np.unique(codes)]
        found.append(relation(column.name, outcomes, masks, partial(numeric_groups, values)))
    for column in contract.with_role("categorical"):
        labels = texts(frame, column.name)
        masks = [labels == label for label in sorted(set(labels))]
        describe = partial(categorical_groups, labels, order=column.allowed)
        found.append(relation(column.name, outcomes, masks, describe))
    return sorted(found, key=lambda item: -item.explained)


# Columns on their own, and with each other


def summarise_numbers(values: Array) -> NumericSummary:
    """Describe a column of numbers, NaN for missing, shape (n,)."""
    known = values[np.isfinite(values)]
    missing = values.size - known.size
    if known.size == 0:
        return NumericSummary(values.size, missing, *[float("nan")] * 10)
    low, first, median, third, high = np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95])
    spread = float(known.std(ddof=1)) if known.size > 1 else 0.0
    return NumericSummary(
        rows=values.size,
        missing=missing,
        mean=float(known.mean()),
        standard_deviation=spread,
        minimum=float(known.min()),
        quantile_05=float(low),
        quantile_25=float(first),
        median=float(median),
        quantile_75=float(third),
        quantile_95=float(high),
        maximum=float(known.max()),
        skewness=float(stats.skew(known)) if np.ptp(known) > 0 else 0.0,
    )


def summarise_categories(values: Text) -> CategoricalSummary:
    """Count the categories of a column, shape (n,)."""
    names, counts = np.unique(values[values != MISSING].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return CategoricalSummary(
        rows=values.size,
        missing=int((values == MISSING).sum()),
        counts={str(names[i]): int(counts[i]) for i in order},
    )


def summarise_texts(values: Text) -> TextSummary:
    """Describe a column of texts that are no categories, shape (n,)."""
    known = values[values != MISSING].astype(str)
    lengths = np.char.str_len(known) if known.size else np.zeros(1)
    return TextSummary(
        rows=values.size,
        missing=values.size - known.size,
        distinct=np.unique(known).size,
        median_length=float(np.median(lengths)),
        longest=int(lengths.max()),
    )


def rank_correlations(frame: Frame, contract: Contract) -> pd.DataFrame:
    """Return Spearman's correlations of the numeric columns and the target, shape (k, k).

    Each pair uses the rows in which both are known; a constant column gives NaN. A target of
    classes has no ranks and is left out.
    """
    columns = [*contract.with_role("numeric"), *filter(is_number, contract.with_role("target"))]
    table = pd.DataFrame({column.name: numbers(frame, column.name) for column in columns})
    return table.corr(method="spearman")


def strong_correlations(correlations: pd.DataFrame, contract: Contract) -> list[Correlation]:
    """Return the pairs of inputs with a rank correlation of at least 0.7, the strongest first."""
    names = [column.name for column in contract.with_role("numeric")]
    matrix = correlations.loc[names, names].to_numpy()
    pairs = [
        Correlation(names[row], names[column], float(matrix[row, column]))
        for row, column in zip(*np.triu_indices(len(names), k=1), strict=True)
    ]
    strong = [pair for pair in pairs if abs(pair.coefficient) >= CORRELATED]
    return sorted(strong, key=lambda pair: -abs(pair.coefficient))

"""Numbers about the columns of a table: summaries, groups of rows, relations and correlations."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from data_prep.storage import Frame
from utils.config import Contract

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
    their number; ``p_value`` that of the F test of equal means.
    """

    column: str
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


def relation(name: str, groups: Sequence[Group], samples: Sequence[Array]) -> Relation:
    """Measure how much of the target's variance lies between groups.

    Args:
        name: the column that makes the groups.
        groups: a description of each group.
        samples: the target of each group.
    """
    usable = [sample for sample in samples if sample.size > 1]
    everything = np.concatenate(list(samples))
    total = float(np.sum((everything - everything.mean()) ** 2))
    if len(usable) < 2 or total == 0:  # noqa: PLR2004
        return Relation(name, 0.0, 1.0, list(groups))
    within = sum(float(np.sum((sample - sample.mean()) ** 2)) for sample in samples)
    freedom = max(everything.size - len(samples), 1)
    explained = 1 - (within / freedom) / (total / (everything.size - 1))
    between = (total - within) / (len(samples) - 1)
    statistic = between / (within / freedom) if within > 0 else float("inf")
    p_value = float(stats.f.sf(statistic, len(samples) - 1, freedom))
    return Relation(name, max(explained, 0.0), p_value, list(groups))


def relations(frame: Frame, contract: Contract) -> list[Relation]:
    """Relate every numeric and categorical column to the target, the strongest first."""
    outcome = numbers(frame, contract.target.name)
    found = []
    for column in contract.with_role("numeric"):
        values = numbers(frame, column.name)
        codes = numeric_codes(values)
        samples = [outcome[codes == code] for code in np.unique(codes)]
        found.append(relation(column.name, numeric_groups(values, outcome), samples))
    for column in contract.with_role("categorical"):
        labels = texts(frame, column.name)
        groups = categorical_groups(labels, outcome, column.allowed)
        samples = [outcome[labels == group.label] for group in groups]
        found.append(relation(column.name, groups, samples))
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

    Each pair uses the rows in which both are known; a constant column gives NaN.
    """
    columns = [*contract.with_role("numeric"), contract.target]
    table = pd.DataFrame({column.name: numbers(frame, column.name) for column in columns})
    return table.corr(method="spearman")


def strong_correlations(correlations: pd.DataFrame) -> list[Correlation]:
    """Return the pairs of inputs with a rank correlation of at least 0.7, the strongest first."""
    names, matrix = list(correlations.columns[:-1]), correlations.to_numpy()
    pairs = [
        Correlation(names[row], names[column], float(matrix[row, column]))
        for row, column in zip(*np.triu_indices(len(names), k=1), strict=True)
    ]
    strong = [pair for pair in pairs if abs(pair.coefficient) >= CORRELATED]
    return sorted(strong, key=lambda pair: -abs(pair.coefficient))

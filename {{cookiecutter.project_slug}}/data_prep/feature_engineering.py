"""Feature engineering: the columns a model sees, the same at training and at serving.

Nothing here is learned from data: whatever is (medians, scales, categories) lives in the fitted
model, so that no statistic can leak from held-out rows and none can differ when serving.
"""

from typing import NamedTuple

import narwhals as nw
from narwhals.typing import FrameT

from data_prep.portable import as_float
from data_prep.transformation import transform, transformed_names
from utils.config import SAMPLING_WEIGHT, Recipe

MISSING_CATEGORY = "missing"


class FeatureNames(NamedTuple):
    """Names of the model's inputs, in the order the model expects."""

    numeric: list[str]
    categorical: list[str]


def feature_names(recipe: Recipe) -> FeatureNames:
    """Return the names of the model's inputs that ``recipe`` gives."""
    return FeatureNames(
        numeric=[
            *(column.name for column in recipe.contract.with_role("numeric")),
            *transformed_names(recipe.transformation),
            *recipe.features.ratios,
        ],
        categorical=[column.name for column in recipe.contract.with_role("categorical")],
    )


def engineer(frame: FrameT, recipe: Recipe) -> FrameT:
    """Add the declared combinations of columns and bring every input into its final type.

    Args:
        frame: the transformed table.
        recipe: contract and declared features.

    Returns:
        Identifiers and timestamps, numeric inputs as 64-bit floats (missing stays missing),
        categorical inputs as text (missing is the category ``missing``), and what no model takes as
        an input: target, group, weight and the weight of the sampling, each if the table has it. A
        ratio is missing where its denominator is 0.
    """
    names = feature_names(recipe)
    schema = frame.collect_schema()

    def number(name: str) -> nw.Expr:
        return as_float(nw.col(name), schema[name], frame.implementation)

    ratios = [
        nw.when(nw.col(ratio.denominator) != 0)
        .then(number(ratio.numerator) / number(ratio.denominator))
        .otherwise(nw.lit(None))
        .cast(nw.Float64)
        .alias(name)
        for name, ratio in recipe.features.ratios.items()
    ]
    combined = frame.with_columns(*ratios) if ratios else frame
    schema = combined.collect_schema()
    carried = [
        *(column.name for column in recipe.contract.with_role("target", "group", "weight")),
        SAMPLING_WEIGHT,
    ]
    return combined.select(
        *(column.name for column in recipe.contract.with_role("identifier", "timestamp")),
        *(number(name) for name in names.numeric),
        *(nw.col(name).fill_null(MISSING_CATEGORY) for name in names.categorical),
        *(name for name in carried if name in schema),
    )


def derive(frame: FrameT, recipe: Recipe) -> FrameT:
    """Turn standardised records into model inputs: transformation, then engineering."""
    return engineer(transform(frame, recipe.transformation), recipe)

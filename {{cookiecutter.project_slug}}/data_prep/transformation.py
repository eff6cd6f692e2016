"""Transformation: durations, parts of the calendar and logarithms of single columns."""

import narwhals as nw
from narwhals.typing import FrameT

from data_prep.portable import as_float, day_number, weekday, whole_minutes
from utils.config import Transformation

MINUTES_PER_DAY = 1440


def transformed_names(transformation: Transformation) -> list[str]:
    """Return the names of the columns that ``transform`` adds, in their order."""
    return [
        *transformation.elapsed_days,
        *(f"{name}_{part}" for name, parts in transformation.calendar.items() for part in parts),
        *(f"log_{name}" for name in transformation.logarithm),
    ]


def _calendar_part(name: str, part: str) -> nw.Expr:
    timestamp = nw.col(name)
    derived = {
        "hour": timestamp.dt.hour(),
        "weekday": weekday(timestamp),
        "month": timestamp.dt.month(),
        "day": day_number(timestamp),
    }
    return derived[part].cast(nw.Float64).alias(f"{name}_{part}")


def transform(frame: FrameT, transformation: Transformation) -> FrameT:
    """Add the declared single-column derivations.

    Durations are in days with a resolution of one minute; weekdays count from Monday = 1, days
    from the beginning of 1970;
    ``log_x`` is log(1 + x), missing where x is negative.

    Args:
        frame: the standardised table.
        transformation: what to derive.

    Returns:
        The same rows with the columns of ``transformed_names`` added, all 64-bit floats.
    """
    kind = frame.implementation
    durations = [
        (whole_minutes(interval.start, interval.end, kind) / MINUTES_PER_DAY)
        .cast(nw.Float64)
        .alias(name)
        for name, interval in transformation.elapsed_days.items()
    ]
    parts = [
        _calendar_part(name, part)
        for name, parts in transformation.calendar.items()
        for part in parts
    ]
    derived = frame.with_columns(*durations, *parts) if durations or parts else frame
    schema = derived.collect_schema()
    logarithms = [
        nw.when(nw.col(name) >= 0)
        .then((as_float(nw.col(name), schema[name], kind) + 1).log())
        .otherwise(nw.lit(None))
        .cast(nw.Float64)
        .alias(f"log_{name}")
        for name in transformation.logarithm
    ]
    return derived.with_columns(*logarithms) if logarithms else derived

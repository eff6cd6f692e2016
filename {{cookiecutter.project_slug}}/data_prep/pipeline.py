"""The steps that prepare the retrieved records, in order; ``dvc.yaml`` runs each as a stage.

Usage: ``python -m data_prep.pipeline STEP``, where STEP is one of the names in ``STEPS``.
"""

import argparse
import logging
from typing import Any

import narwhals as nw

from data_prep.cleaning import clean, standardise, unusable_row
from data_prep.engine import Engine
from data_prep.feature_engineering import engineer
from data_prep.sampling import sample
from data_prep.transformation import transform
from data_prep.validation import validate
from data_prep.validation_report import to_html
from utils.config import BROKEN_RULES, Contract, ProjectError, load_contract, load_params, recipe
from utils.files import link, write_json, write_text
from utils.logging import run
from utils.paths import (
    CLEAN,
    FEATURES,
    QUARANTINE,
    RAW,
    RECORDS,
    REPORTS,
    SAMPLE,
    TRANSFORMED,
    VALID,
)

log = logging.getLogger(__name__)


def _counts(engine: Engine, frame: nw.LazyFrame[Any], conditions: dict[str, nw.Expr]) -> list[int]:
    """Count all rows, then those that meet each condition, in one pass over the table."""
    sums = [condition.cast(nw.Int64).sum().alias(name) for name, condition in conditions.items()]
    counted = engine.collect(frame.select(nw.len().alias("rows of the table"), *sums))
    return [column[0].as_py() or 0 for column in counted]


def cleaning_report(
    engine: Engine,
    raw: nw.LazyFrame[Any],
    cleaned: nw.LazyFrame[Any],
    contract: Contract,
    markers: tuple[str, ...],
) -> dict[str, object]:
    """Count what cleaning did: rows dropped and why, values per column that became missing."""
    names = [column.name for column in contract.columns]
    missing = {name: nw.col(name).is_null() for name in names}
    before = {f"{name} before": nw.col(f"{name} before") for name in names}
    flagged = raw.with_columns(*(missing[name].alias(f"{name} before") for name in names))
    standardised = standardise(flagged, contract.columns, markers)
    rows, unusable, *values = _counts(
        engine, standardised, {"rows without": unusable_row(contract), **before, **missing}
    )
    kept, *absent = _counts(engine, cleaned, missing)
    there, gone = values[: len(names)], values[len(names) :]
    return {
        "rows_read": rows,
        "rows_unusable": unusable,
        "rows_duplicate": rows - unusable - kept,
        "rows_kept": kept,
        "values_set_to_missing": {
            name: after - count for name, count, after in zip(names, there, gone, strict=True)
        },
        "missing_share": {
            name: count / max(kept, 1) for name, count in zip(names, absent, strict=True)
        },
    }


def clean_step() -> None:
    """Standardised, unique rows into ``data/clean.parquet``, or where they wait to be labelled."""
    params, contract = load_params(), load_contract()
    markers = params.data.missing_markers
    path = RECORDS if contract.target.assigned else CLEAN
    with Engine(params.engine) as engine:
        raw = engine.scan(RAW)
        rows = engine.write(clean(raw, contract, markers), path, contract.identifiers)
        if not rows:
            path.unlink()
            raise ProjectError(
                "No row is left after cleaning: every row lacks an identifier, a timestamp or a "
                "target. Compare the types and missing markers in schema.yaml and params.yaml "
                f"with the records in {RAW}."
            )
        report = cleaning_report(engine, raw, engine.scan(path), contract, markers)
    write_json(REPORTS / "cleaning.json", report)
    log.info("cleaned", extra={key: report[key] for key in ("rows_read", "rows_kept")})


def validate_step() -> None:
    """The rows of ``data/clean.parquet`` that keep the contract into ``data/valid.parquet``.

    Rows that break an error rule go to ``data/quarantine.parquet``, also when they are so many that
    the pipeline ends here.
    """
    params, contract = load_params(), load_contract()
    with Engine(params.engine) as engine:
        frame = engine.scan(CLEAN)
        report, valid, quarantined = validate(frame, contract)
        none = frame.head(0).with_columns(nw.lit("").alias(BROKEN_RULES))
        apart = none if quarantined is None else quarantined
        engine.write(apart, QUARANTINE, contract.identifiers)
        write_json(REPORTS / "validation.json", report)
        write_text(REPORTS / "validation.html", to_html(report, str(QUARANTINE)))
        if not report.passed or report.rows_quarantined == report.rows:
            raise ProjectError(
                f"{CLEAN} breaks the data contract:\n{report.summary()}\n"
                f"See {REPORTS / 'validation.html'}; the rows are in {QUARANTINE}. Correct the "
                "source, or the rule in schema.yaml if the rule is wrong."
            )
        if quarantined is None:
            link(CLEAN, VALID)
        else:
            engine.write(valid, VALID, contract.identifiers)
    if report.status == "warning" or report.rows_quarantined:
        log.warning("some rows break the contract: %s", report.summary())
    rows = {"rows": report.rows, "rows_set_apart": report.rows_quarantined}
    log.info("validated", extra={"rules": len(report.rules), **rows})


def sample_step() -> None:
    """The rows that ``sampling`` of the settings draws into ``data/sample.parquet``."""
    params, contract = load_params(), load_contract()
    report = sample(VALID, SAMPLE, contract, params.sampling)
    write_json(REPORTS / "sampling.json", report)
    extra = {"method": report.method, "rows_read": report.rows_read, "rows": report.rows_kept}
    log.info("sampled", extra=extra)


def transform_step() -> None:
    """Single-column derivations into ``data/transformed.parquet``."""
    params, contract = load_params(), load_contract()
    with Engine(params.engine) as engine:
        frame = transform(engine.scan(SAMPLE), params.transformation)
        engine.write(frame, TRANSFORMED, contract.identifiers)


def features_step() -> None:
    """Model inputs and target into ``data/features.parquet``."""
    params, contract = load_params(), load_contract()
    with Engine(params.engine) as engine:
        frame = engineer(engine.scan(TRANSFORMED), recipe(params, contract))
        rows = engine.write(frame, FEATURES, contract.identifiers)
    log.info("features ready", extra={"rows": rows})


STEPS = {
    "clean": clean_step,
    "validate": validate_step,
    "sample": sample_step,
    "transform": transform_step,
    "features": features_step,
}


def main() -> None:
    """Run the step named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    STEPS[parser.parse_args().step]()


if __name__ == "__main__":
    run(main)

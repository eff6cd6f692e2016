"""The steps of data preparation in their order; ``dvc.yaml`` runs each as a stage.

Usage: ``python -m data_prep.pipeline STEP``, where STEP is one of the names in ``STEPS``.
"""

import argparse
import logging
from pathlib import Path

from data_prep.cleaning import clean, standardise, usable
from data_prep.feature_engineering import engineer
from data_prep.retrieval import retrieve
from data_prep.storage import Frame, read_parquet, write_parquet
from data_prep.transformation import transform
from data_prep.validation import validate
from utils.config import Contract, ProjectError, load_contract, load_params, recipe
from utils.files import write_json
from utils.logging import run
from utils.paths import CLEAN, FEATURES, RAW, REPORTS, RETRIEVAL, TRANSFORMED

log = logging.getLogger(__name__)


def missing_counts(frame: Frame) -> dict[str, int]:
    """Return the number of missing values per column."""
    return {name: int(frame[name].is_null().sum()) for name in frame.columns}


def cleaning_report(
    raw: Frame, cleaned: Frame, contract: Contract, markers: tuple[str, ...]
) -> dict[str, object]:
    """Count what cleaning did: rows dropped and why, values per column that became missing."""
    standardised = standardise(raw, contract.columns, markers)
    kept = usable(standardised, contract)
    before, after = missing_counts(raw), missing_counts(standardised)
    return {
        "rows_read": raw.shape[0],
        "rows_unusable": raw.shape[0] - kept.shape[0],
        "rows_duplicate": kept.shape[0] - cleaned.shape[0],
        "rows_kept": cleaned.shape[0],
        "values_set_to_missing": {name: after[name] - before[name] for name in after},
        "missing_share": {
            name: count / max(cleaned.shape[0], 1)
            for name, count in missing_counts(cleaned).items()
        },
    }


def retrieve_step() -> None:
    """Raw records into ``data/raw.parquet``."""
    params, contract = load_params(), load_contract()
    frame, description = retrieve(Path(params.data.source), contract)
    write_parquet(frame, RAW)
    write_json(RETRIEVAL, description)
    log.info("retrieved", extra={"rows": description.rows, "source": description.source})


def clean_step() -> None:
    """Standardised, unique rows into ``data/clean.parquet``."""
    params, contract = load_params(), load_contract()
    raw = read_parquet(RAW)
    cleaned = clean(raw, contract, params.data.missing_markers)
    if cleaned.is_empty():
        raise ProjectError(
            "No row is left after cleaning: every row lacks an identifier, a timestamp or the "
            "target. Compare the types and missing markers in schema.yaml and params.yaml with "
            f"{params.data.source}."
        )
    write_parquet(cleaned, CLEAN)
    report = cleaning_report(raw, cleaned, contract, params.data.missing_markers)
    write_json(REPORTS / "cleaning.json", report)
    log.info("cleaned", extra={key: report[key] for key in ("rows_read", "rows_kept")})


def validate_step() -> None:
    """The contract checked on ``data/clean.parquet``; a broken rule ends the pipeline."""
    report = validate(read_parquet(CLEAN), load_contract())
    write_json(REPORTS / "validation.json", report)
    if not report.passed:
        raise ProjectError(
            f"{CLEAN} breaks the data contract:\n{report.summary()}\n"
            "Correct the source, or the rule in schema.yaml if the rule is wrong."
        )
    log.info("validated", extra={"rows": report.rows, "rules": report.rules})


def transform_step() -> None:
    """Single-column derivations into ``data/transformed.parquet``."""
    write_parquet(transform(read_parquet(CLEAN), load_params().transformation), TRANSFORMED)


def features_step() -> None:
    """Model inputs and target into ``data/features.parquet``."""
    frame = engineer(read_parquet(TRANSFORMED), recipe(load_params(), load_contract()))
    write_parquet(frame, FEATURES)
    log.info("features ready", extra={"rows": frame.shape[0], "columns": frame.shape[1]})


STEPS = {
    "retrieve": retrieve_step,
    "clean": clean_step,
    "validate": validate_step,
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

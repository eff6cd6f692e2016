"""Where one step leaves what others read, from the root of the project."""

from pathlib import Path

RAW = Path("data/raw")
RAW_LOCK = Path("data/.raw.lock")
RECORDS = Path("data/records.parquet")
CLEAN = Path("data/clean.parquet")
VALID = Path("data/valid.parquet")
QUARANTINE = Path("data/quarantine.parquet")
SAMPLE = Path("data/sample.parquet")
TRANSFORMED = Path("data/transformed.parquet")
FEATURES = Path("data/features.parquet")
TRAIN = Path("data/train.parquet")
TEST = Path("data/test.parquet")
RECENT = Path("data/recent.parquet")
SEARCHED = Path("data/search/trials.jsonl")
SEARCH_LOCK = Path("data/search/.lock")
SELECTED = Path("data/selected.skops")
OUT_OF_FOLD = Path("data/out_of_fold.parquet")
PREDICTIONS = Path("data/test_predictions.parquet")
LARGEST_ERRORS = Path("data/largest_errors.csv")
REPORTS = Path("reports")
RETRIEVAL = REPORTS / "retrieval.json"
SEARCH = REPORTS / "search.json"
SELECTION = REPORTS / "selection.json"
EVALUATION = REPORTS / "evaluation.json"
EXPORT = REPORTS / "export.json"
EXPLANATION = REPORTS / "explanation.json"
DATA_CARD = REPORTS / "data_card.md"
MODEL_CARD = REPORTS / "model_card.md"
# Parts of the README that stages have written themselves, by name.
PARTS = REPORTS / "parts"

# %% [markdown]
# # Configuration, logs, files and metrics
#
# What every other folder builds on. Run `make run` once before: the last cells use the predictions
# for the held-out rows.

# %%
import os
import sys
from pathlib import Path

root = next(path for path in (Path.cwd(), *Path.cwd().parents) if (path / "dvc.yaml").exists())
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# `params.yaml` and `schema.yaml` are read into typed objects, so an editor completes their names
# and a type checker knows them.

# %%
import logging
from tempfile import TemporaryDirectory

import pandas as pd
import yaml

from data_prep.storage import read_parquet
from model_training.data_preprocessing import row_weights, target
from model_training.results import scores_of
from model_training.worth import VALUE
from utils.config import ProjectError, load_contract, load_params
from utils.files import atomic_path, read_json, sha256, write_text
from utils.logging import JsonFormatter, TextFormatter
from utils.metrics import METRICS, load_value
from utils.paths import PREDICTIONS, TEST

params, contract = load_params(), load_contract()
print(f"{params.project.name}: {params.project.task} of {contract.target.name}")
print(f"{params.split.test_share:.0%} of the rows are held out, method: {params.split.method}")
pd.DataFrame(
    [(column.name, column.role, column.type, column.unit) for column in contract.columns],
    columns=["column", "role", "type", "unit"],
)

# %% [markdown]
# A misspelt setting that is silently ignored costs more than any error. So each of these mistakes
# stops the pipeline, in one sentence that says where it is.

# %%
settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
mistakes = {
    "an unknown key": {"split": {**settings["split"], "test_shrae": 0.3}},
    "a wrong type": {"split": {**settings["split"], "test_share": "a fifth"}},
    "an unknown column": {"evaluation": {**settings["evaluation"], "segments": ["colour"]}},
    "a missing section": {"monitoring": None},
}
with TemporaryDirectory() as folder:
    path = Path(folder, "params.yaml")
    for what, change in mistakes.items():
        path.write_text(yaml.safe_dump({**settings, **change}), encoding="utf-8")
        try:
            load_params(path)
        except ProjectError as error:
            print(f"{what}: {str(error).replace(folder, '...')}", end="\n\n")

# %% [markdown]
# Logs are for programs as much as for people: one JSON object a line when the output goes to a
# file, plain text on a terminal. Fields given as `extra` stay fields.

# %%
record = logging.getLogger("example").makeRecord(
    "example", logging.INFO, "", 0, "scored", (), None, extra={"rows": 1200, "seconds": 0.8}
)
print(TextFormatter().format(record))
print(JsonFormatter().format(record))

# %% [markdown]
# A file is whole or absent. When writing fails half-way, the old file stays as it was, so no later
# step can read half a table.

# %%
with TemporaryDirectory() as folder:
    path = Path(folder, "numbers.txt")
    write_text(path, "1 2 3\n")
    before = sha256(path)
    try:
        with atomic_path(path) as temporary:
            temporary.write_text("4 5", encoding="utf-8")
            raise OSError("the disk is full")
    except OSError as error:
        print(f"Failed: {error}. Unchanged: {sha256(path) == before}.")
    print("Files left:", [entry.name for entry in Path(folder).iterdir()])

# %% [markdown]
# All metrics have the same form: outcome, scores, weights of the rows, and what right and wrong
# predictions are worth.
# The one that `params.yaml` names chooses between models, the others are reported.

# %%
predictions = read_parquet(PREDICTIONS)
outcome, scores = target(predictions, contract), scores_of(predictions.to_arrow())
weights = row_weights(read_parquet(TEST), contract)
value = load_value(params.value, contract.target)
pd.DataFrame(
    [
        (
            metric.label,
            metric.function(outcome, scores, weights, value),
            metric.unit,
            "higher" if metric.greater_is_better else "lower",
            "yes" if name == params.selection.metric else "",
        )
        for name, metric in METRICS.items()
        if metric.applies(contract)
    ],
    columns=["metric", "held-out rows", "unit", "better", "chooses"],
)

# %% [markdown]
# Money is a metric like the others. What the model is worth against other ways to decide, in words:

# %%
report = read_json(VALUE)
print("\n".join(report["findings"]))
pd.DataFrame(report["table"]["rows"], columns=report["table"]["header"])

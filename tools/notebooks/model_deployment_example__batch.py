# %% [markdown]
# # Serving and monitoring a model
#
# The live model, the check that nobody has changed it, a few records scored, and drift noticed on
# records that were shifted on purpose. Run `make run` once before.

# %%
import os
import sys
from pathlib import Path

root = next(path for path in (Path.cwd(), *Path.cwd().parents) if (path / "dvc.yaml").exists())
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# A model is a folder whose metadata says what it was made from. Serving needs nothing but this
# folder: contract and features travel with the model.

# %%
import shutil
from tempfile import TemporaryDirectory

import polars as pl

from model_deployment.artefact import MODELS, REFERENCE, load_artefact
from model_deployment.monitoring import compare, describe
from model_deployment.serving import score_chunk, score_file
from utils.config import ProjectError, load_params
from utils.logging import configure

configure(style="text")
live = load_artefact()
metadata = live.metadata
contract = metadata.recipe.contract
print(f"Version {metadata.version}: {metadata.estimator}")
print(f"Trained from {metadata.data.rows:,} rows of {metadata.data.source}")
print("Held-out metrics:", {name: round(number, 4) for name, number in metadata.metrics.items()})
print("Decision:", metadata.decision)
print("Files:", {name: fingerprint[:8] for name, fingerprint in metadata.files.items()})

# %% [markdown]
# Whoever can write to `models/` could swap the model for another. The fingerprints make that
# visible: a single changed byte, and the model is refused.

# %%
with TemporaryDirectory() as folder:
    models = shutil.copytree(MODELS, Path(folder, "models"))
    graph = models / metadata.version / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    try:
        load_artefact(models)
    except ProjectError as error:
        print("Refused:", str(error).replace(folder, "..."))

# %% [markdown]
# Records come as a file, dirty as they are: cleaning is part of serving. Of the three records the
# second lacks a number and has a category that nobody has seen, and the third is in capitals.

# %%
# the first column of floats, or of integers if there are none
number = max(contract.with_role("numeric"), key=lambda column: column.type == "float").name
categories = [column.name for column in contract.with_role("categorical")[:2]]
records = pl.read_parquet("data/recent.parquet").head(3)
rows = records.to_dicts()
rows[1] |= {number: None, **dict.fromkeys(categories[:1], "never seen")}
rows[2] |= {name: f"  {rows[2][name]} ".upper() for name in categories}
with TemporaryDirectory() as folder:
    source, destination = Path(folder, "records.csv"), Path(folder, "predictions.csv")
    pl.DataFrame(rows, schema=records.schema).write_csv(source)
    score_file(source, destination, live, chunk_rows=2)
    scored = pl.read_csv(destination)
answer = scored.columns[len(contract.inputs) :]
scored.select(*contract.identifiers, number, *categories, *answer)

# %% [markdown]
# Has the world changed since training? The newest rows are scored and compared with the rows the
# model learned from, column by column.

# %%
settings = load_params().monitoring
reference = pl.read_parquet(live.directory / REFERENCE)
recent = score_chunk(pl.read_parquet("data/recent.parquet"), live)
print(describe(compare(reference, recent, contract, metadata.version, settings)))

# %% [markdown]
# To see the report react, let a unit change without notice: a number arrives one and a half times
# as large, and half the values of a category are lost. The report names both, and what to do.

# %%
is_even = pl.int_range(pl.len()) % 2 == 0
shifted = pl.read_parquet("data/recent.parquet").with_columns(
    pl.col(number) * 1.5,
    *(pl.when(is_even).then(pl.col(name)).alias(name) for name in categories[:1]),
)
report = compare(reference, score_chunk(shifted, live), contract, metadata.version, settings)
print(describe(report))

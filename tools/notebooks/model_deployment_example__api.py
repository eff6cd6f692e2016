# %% [markdown]
# # Serving and monitoring a model
#
# The live model, the check that nobody has changed it, the service answering right and wrong
# requests, and drift noticed on requests that were shifted on purpose. Run `make run` once before.

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
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import msgspec
import polars as pl

from model_deployment.artefact import MODELS, REFERENCE, load_artefact
from model_deployment.monitoring import compare, describe, read_recent
from model_deployment.replay import HOST, request, service
from utils.config import ProjectError, load_params
from utils.records import record_example

params = load_params()
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
with TemporaryDirectory() as copy:
    models = shutil.copytree(MODELS, Path(copy, "models"))
    graph = models / metadata.version / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    try:
        load_artefact(models)
    except ProjectError as error:
        print("Refused:", str(error).replace(copy, "..."))

# %% [markdown]
# `make serve` starts the service; here it runs on a free port for as long as the notebook needs it.
# A request is one record with the names of the contract, which also gives every column an example.

# %%
folder = TemporaryDirectory()
predictions, output = Path(folder.name, "predictions"), Path(folder.name, "output.txt")
running = ExitStack()
port = running.enter_context(service(MODELS, predictions, output))


def post(path: str, body: object) -> dict[str, Any]:
    """Send ``body`` as JSON, show the status and return the decoded answer."""
    status, answer = request(port, "POST", path, body)
    print("Status", status)
    return answer


record = record_example(contract.inputs)
print(msgspec.json.format(msgspec.json.encode(record)).decode())
post("/v1/predictions", record)

# %% [markdown]
# A record that breaks the contract is refused, and the answer says which field and why: nobody has
# to guess, and no prediction is made from nonsense.

# %%
number = max(contract.with_role("numeric"), key=lambda column: column.maximum is not None)
categories = [item.name for item in contract.with_role("categorical") if item.nullable][:1]
for change in (
    {number.name: "many"},
    {number.name: 1e12},
    dict.fromkeys(categories, "never seen"),
    {number.name + "_": 1},
):
    answer = post("/v1/predictions", {**record, **change})
    print(answer.get("error", answer), end="\n\n")

# %% [markdown]
# Many records in one request are scored in one call. Missing values of nullable columns may be null
# or left out.

# %%
records = pl.read_parquet("data/recent.parquet")
answers = post("/v1/predictions/batch", {"records": records.head(1000).to_dicts()})
pl.DataFrame(answers["predictions"]).head()

# %% [markdown]
# Prometheus reads what the service counts, among it how many records were scored by which model.

# %%
with urlopen(f"http://{HOST}:{port}/metrics") as answer:
    lines = answer.read().decode().splitlines()
print("\n".join(line for line in lines if line.startswith(("predictions_total", "model_info"))))

# %% [markdown]
# The service logs each record with its prediction, and writes what is left of the log when it
# stops. Has the world changed since training? The log is compared with the rows the model learned
# from, column by column.

# %%
running.close()
reference = pl.read_parquet(live.directory / REFERENCE)
recent = read_recent(predictions)
print(describe(compare(reference, recent, contract, metadata.version, params.monitoring)))
folder.cleanup()

# %% [markdown]
# To see the report react, let a unit change without notice: a number arrives one and a half times
# as large, and half the values of a category are lost. No request breaks the contract, so only
# monitoring can tell. The report names both columns, and what to do.

# %%
number = max(contract.with_role("numeric"), key=lambda column: column.type == "float")
is_even = pl.int_range(pl.len()) % 2 == 0
shifted = records.head(1000).with_columns(
    (pl.col(number.name) * 1.5).clip(upper_bound=number.maximum),
    *(pl.when(is_even).then(pl.col(name)).alias(name) for name in categories),
)
with TemporaryDirectory() as temporary:
    predictions, output = Path(temporary, "predictions"), Path(temporary, "output.txt")
    with service(MODELS, predictions, output) as port:
        post("/v1/predictions/batch", {"records": shifted.to_dicts()})
    recent = read_recent(predictions)
print(describe(compare(reference, recent, contract, metadata.version, params.monitoring)))

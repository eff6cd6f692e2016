# %% [markdown]
# # Preparing data
#
# From raw records to the inputs of the model, on this project's own table. Run `make run` once
# before: the cells read what the pipeline has written. The first cell makes the root of the project
# the working folder, from wherever the notebook was started.

# %%
import os
import sys
from pathlib import Path

root = next(path for path in (Path.cwd(), *Path.cwd().parents) if (path / "dvc.yaml").exists())
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# Retrieval stores the records as they came, every value as text: what a value means is up to the
# data contract in `schema.yaml`, not to the guesses of a parser.

# %%
import narwhals as nw
import pandas as pd

from data_prep.cleaning import standardise
from data_prep.feature_engineering import derive, feature_names
from data_prep.storage import read_parquet
from data_prep.validation import validate
from utils.config import load_contract, load_params, recipe
from utils.files import read_json
from utils.paths import CLEAN, RAW, REPORTS

pd.set_option("display.max_colwidth", 200)
params, contract = load_params(), load_contract()
raw = read_parquet(RAW)
raw.to_native().head()

# %% [markdown]
# People and systems spell the same category in many ways. Cleaning strips, lower-cases and resolves
# the aliases of the contract, and turns whatever still is no valid value into a missing one.

# %%
before = raw.to_pandas().astype(str)
after = standardise(raw, contract.columns, params.data.missing_markers).to_pandas()
categories = [column.name for column in contract.with_role("categorical")]
spellings = [
    (name, cleaned, len(rows), ", ".join(sorted(rows.map(repr).unique())))
    for name in categories[:2]
    for cleaned, rows in before[name].groupby(after[name], dropna=False)
]
pd.DataFrame(spellings, columns=["column", "cleaned", "rows", "spellings"])

# %% [markdown]
# Numbers lose currency signs, thousands separators and units. What is not a number, or lies outside
# the range of the contract, becomes missing instead of misleading the model.

# %%
examples = []
for column in contract.with_role("numeric"):
    text = before[column.name].dropna()
    number = after.loc[text.index, column.name]
    is_plain = text.str.fullmatch(r"-?\d+(\.\d+)?")
    for kind, rows in {
        "written differently": ~is_plain & number.notna(),
        "no number": ~is_plain & number.isna(),
        "outside the range": is_plain & number.isna(),
    }.items():
        if rows.any():
            row = text[rows].str.len().idxmax()
            examples.append((kind, column.name, repr(text[row]), number[row]))
pd.DataFrame(examples, columns=["kind", "column", "raw", "cleaned"]).sort_values(
    ["kind", "column"], ignore_index=True
)

# %% [markdown]
# Training also drops rows that lack an identifier, a timestamp or the target, and keeps the newest
# of several rows with the same identifier. The report counts everything that was done.

# %%
cleaned = read_parquet(CLEAN)
report = read_json(REPORTS / "cleaning.json")
pd.Series({name: count for name, count in report.items() if name.startswith("rows")}, name="rows")

# %% [markdown]
# Validation asks whether the cleaned table keeps what the data contract promises. On a copy that was
# broken on purpose it names rule, count and example rows; in the pipeline such rows are set apart,
# and more of them than a rule tolerates stop everything that follows.

# %%
print(validate(cleaned, contract).report.summary(), end="\n\n")

broken = cleaned.to_pandas().copy()
for column in contract.with_role("numeric")[:1]:
    broken.loc[:2, column.name] = -1 - broken.loc[:2, column.name]
for name in categories[:1]:
    broken.loc[3:4, name] = "mystery"
broken.loc[6, contract.identifiers] = broken.loc[5, contract.identifiers]
result = validate(nw.from_native(broken, eager_only=True), contract)
print(result.report.summary())
result.quarantined.collect().to_pandas()[[*contract.identifiers, "broken_rules"]]

# %% [markdown]
# Features are declared in `params.yaml` and derived row by row, by the same functions when training
# and when serving. One record on its way from the source to the model:

# %%
recipe_used = recipe(params, contract)
row = cleaned.head(1)
names = feature_names(recipe_used)
inputs = derive(row, recipe_used).select(*names.numeric, *names.categorical)
key = contract.identifiers[0]
source = before[before[key].str.strip() == str(row[key][0])].head(1)
pd.DataFrame(
    {
        title: table.iloc[0].map(str)
        for title, table in {
            "raw": source,
            "cleaned": row.to_pandas(),
            "model input": inputs.to_pandas(),
        }.items()
    },
    index=list(dict.fromkeys([*before.columns, *inputs.columns])),
).fillna("")

# %% [markdown]
# # Looking at data and model
#
# The figures of the reports, made one by one, and how to make your own in the same style. Run
# `make run` once before. `make dashboard` shows the same in the browser, with drift beside it.

# %%
import os
import sys
from pathlib import Path

root = next(path for path in (Path.cwd(), *Path.cwd().parents) if (path / "dvc.yaml").exists())
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# Only training rows are looked at. A choice made after seeing held-out rows would make the
# evaluation too optimistic.

# %%
# %matplotlib inline
import pandas as pd
from matplotlib import rc_context

from data_prep.storage import read_parquet
from data_viz.exploration import explore
from data_viz.exploration_plots import distribution_figure, missingness_figure, relation_figure
from data_viz.performance_plots import performance_figures
from data_viz.plot_utils import BLUE, STYLE, column_label, panels
from data_viz.summaries import numbers
from model_training.data_preprocessing import target
from model_training.results import Selection, scores_of
from utils.config import convert, load_contract
from utils.files import read_json
from utils.paths import PREDICTIONS, SAMPLE, SELECTION, TRAIN

contract = load_contract()
keys = contract.identifiers
frame = read_parquet(SAMPLE).join(read_parquet(TRAIN).select(keys), on=keys, how="semi")

# %% [markdown]
# What stands out, in words: computed from the rows, so it changes when they do.

# %%
exploration = explore(frame, contract)
print("\n".join(f"- {finding}" for finding in exploration.findings))

# %% [markdown]
# Long tails and impossible values show in the distributions. The range of an axis leaves out the
# outermost half percent where it would squeeze everything else.

# %%
distribution_figure(frame, contract)

# %% [markdown]
# How much is missing, and how much does the contract tolerate? Beyond its mark, validation stops
# the pipeline: something is wrong with the source then.

# %%
missingness_figure(frame, contract)

# %% [markdown]
# How the target changes with a column says more than a correlation, which only sees straight lines.
# Here are the three columns that explain most of it.

# %%
strongest = exploration.relations[:3]
binary = bool(contract.target.allowed)
relation_figure(strongest, contract, binary=binary) if strongest else "There is no target."

# %% [markdown]
# A figure of your own takes its axes from `panels` and its labels from the contract, so that no
# unit is forgotten. The column with the longest tail needs a logarithmic axis:

# %%
column = max(
    contract.with_role("numeric"), key=lambda column: exploration.numeric[column.name].skewness
)
table = pd.DataFrame({column.name: numbers(frame, column.name)}).dropna()
with rc_context(STYLE):
    figure, (axes,) = panels(1, "Share of rows up to a value", height=3)
    axes.ecdf(table[column.name], color=BLUE)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel(column_label(column))
    axes.set_ylabel("share of rows")
figure

# %% [markdown]
# How well the model does is drawn from its predictions for the held-out rows, which the pipeline
# has stored: no model is needed here.

# %%
held_out = read_parquet(PREDICTIONS)
figures = performance_figures(
    target(held_out, contract),
    scores_of(held_out.to_arrow()),
    convert(read_json(SELECTION), Selection, str(SELECTION)).decision,
    contract.target,
)
print(", ".join(figures))
next(iter(figures.values()))

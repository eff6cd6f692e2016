# %% [markdown]
# # Training a model
#
# Two candidates compared the way the pipeline compares all of them, the winner measured on rows it
# never saw, and its export checked. Run `make run` once before.

# %%
import os
import sys
from pathlib import Path

root = next(path for path in (Path.cwd(), *Path.cwd().parents) if (path / "dvc.yaml").exists())
os.chdir(root)
sys.path.insert(0, str(root))

# %% [markdown]
# Rows were held out as `split` in `params.yaml` says: the newest, or rows drawn at random.
# Everything learned from data (medians, scales, categories) is part of the fitted model, so each
# fold learns its own.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from data_viz.plot_utils import candidates_figure, learning_curve_figure
from model_deployment.artefact import load_artefact
from model_training.candidates import candidates, scores
from model_training.data_preprocessing import model_inputs, row_weights, target
from model_training.model_evaluation import Measured, bootstrap
from model_training.model_export import check_parity, generated_inputs
from model_training.model_file import load_model
from model_training.model_selection import (
    BASELINE,
    fit,
    out_of_fold,
    pipeline,
)
from model_training.resampling import units_of
from model_training.results import SearchReport, Selection
from model_training.splitting import make_folds
from model_training.updating import up_to_date
from utils.config import convert, load_contract, load_params, recipe
from utils.files import read_json
from utils.metrics import METRICS, load_value
from utils.paths import SEARCH, SELECTION, TEST, TRAIN

params, contract = load_params(), load_contract()
names = feature_names(recipe(params, contract))
train, test = read_parquet(TRAIN), read_parquet(TEST)
inputs, outcome = model_inputs(train, names), target(train, contract)
weights = row_weights(train, contract)
moments = contract.with_role("timestamp")[:1]
pd.DataFrame(
    {
        part: {
            "rows": frame.shape[0],
            f"mean of {contract.target.name}": target(frame, contract).mean(),
            **{f"first {column.name}": frame[column.name].min() for column in moments},
            **{f"last {column.name}": frame[column.name].max() for column in moments},
        }
        for part, frame in {"training": train, "held out": test}.items()
    }
)

# %% [markdown]
# Each fold fits on some rows and is measured on others; where the newest rows are held out, that is
# always the past and what followed it. A candidate is worth its complexity only if it beats the
# naive baseline, a model that could be written down in one line. Each candidate has the hyperparameters that the
# search found best.

# %%
metric, value = METRICS[params.selection.metric], load_value(params.value, contract.target)
folds = make_folds(train, outcome, contract, params.split)
selection = convert(read_json(SELECTION), Selection, str(SELECTION))
points = {result.name: result.hyperparameters for result in selection.candidates}
competing = candidates(points, params.selection.metric, params.split.seed)
linear = next(name for name in competing if name != BASELINE)
compared = {
    name: [
        metric.function(outcome[rows], predicted, weights[rows], value)
        for rows, predicted in out_of_fold(
            pipeline(competing[name], names, contract), inputs, outcome, weights, folds
        )
    ]
    for name in (BASELINE, linear)
}
print(f"{metric.label}, {'higher' if metric.greater_is_better else 'lower'} is better")
pd.DataFrame(compared, index=[f"fold {number}" for number in range(1, len(folds) + 1)])

# %% [markdown]
# The pipeline has done this for every candidate of `params.yaml` and has kept the scores.

# %%
print(f"The winner is {selection.winner}.")
candidates_figure(selection.candidates, metric.label)

# %% [markdown]
# Where `params.yaml` gives ranges, a search came first. The best of many trials is partly lucky, so
# its score is no promise for new rows.

# %%
search = convert(read_json(SEARCH), SearchReport, str(SEARCH))
pd.DataFrame(
    {
        item.name: {
            "trials": len(item.trials),
            f"{metric.label}, first": item.trials[0].mean,
            f"{metric.label}, best": item.trials[item.best].mean,
            **item.hyperparameters,
        }
        for item in search.candidates
    }
).T

# %% [markdown]
# Would more rows help? Only while the curve of the validation rows still moves with their number.

# %%
learning_curve_figure(
    [(point.rows, point.train, point.validation) for point in selection.learning_curve],
    metric.label,
)

# %% [markdown]
# The held-out rows give the number to report. Rows are drawn again and again with replacement to
# see how much of it is chance; the improvement is certain only when its whole interval lies above
# 0.

# %%
held_out, actual = model_inputs(test, names), target(test, contract)
fitted = {name: pipeline(competing[name], names, contract) for name in (BASELINE, linear)}
predicted = {
    name: scores(up_to_date(fit(model, inputs, outcome, weights), held_out, actual), held_out)
    for name, model in fitted.items()
}
estimates = bootstrap(
    metric,
    value,
    Measured(
        actual,
        row_weights(test, contract),
        predicted[linear],
        predicted[BASELINE],
        units_of(test, contract, params.split),
    ),
    params.evaluation,
    params.split.seed,
)
pd.DataFrame(
    [(item.value, item.low, item.high) for item in estimates],
    index=[linear, BASELINE, "improvement"],
    columns=[metric.label, "low", "high"],
)

# %% [markdown]
# What is served is not the scikit-learn model but an ONNX graph of the same arithmetic in 64-bit
# floats. The export compares both where a rounded conversion would fail: at the thresholds of the
# trees, on missing values and on categories that no training row has.

# %%
live = load_artefact()
winner = load_model(live.directory / "model.skops")
awkward = generated_inputs(winner, inputs, names, rows=2000, seed=params.split.seed)
difference = check_parity(
    winner, live.scorer, {"held-out rows": held_out, "generated rows": awkward}
)
print(f"Largest difference on {len(held_out) + len(awkward):,} rows: {difference:.1e}")
missing = np.isnan(awkward[names.numeric]).to_numpy().mean()
print(f"Missing among the generated numbers: {missing:.0%}")

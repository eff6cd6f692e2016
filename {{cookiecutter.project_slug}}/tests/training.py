"""The settings and training rows of the project, for tests that fit candidates."""

from contextlib import chdir
from pathlib import Path

from sklearn.pipeline import Pipeline

from data_prep.feature_engineering import feature_names
from data_prep.storage import read_parquet
from model_training.candidates import candidates
from model_training.data_preprocessing import model_inputs
from model_training.hyperparameters import starting_points
from model_training.model_selection import BASELINE, pipeline
from model_training.outcomes import outcomes
from tests.conftest import BUNDLED
from utils.config import Params, Recipe, load_contract, load_params
from utils.config import recipe as project_recipe
from utils.metrics import Value, load_value


class Trained:
    """The settings and training rows of the project, loaded once."""

    def __init__(self, root: Path) -> None:
        self.contract = load_contract(root / "schema.yaml")
        self.params: Params = load_params(root / "params.yaml", root / "schema.yaml")
        self.recipe: Recipe = project_recipe(self.params, self.contract)
        self.names = feature_names(self.recipe)
        self.train = read_parquet(root / "data/train.parquet")
        self.inputs = model_inputs(self.train, self.names)
        with chdir(root):
            self.outcome = outcomes(self.train, self.recipe)
        self.value: Value = load_value(self.params.value, self.contract.target)

    def fitted(self, name: str, rows: int = 400) -> Pipeline:
        """Return a candidate fitted on the first ``rows`` rows."""
        selection = self.params.selection
        points = starting_points(selection.candidates)
        candidate = candidates(points, selection.metric, 1)[name]
        model = pipeline(candidate, self.names, self.contract)
        return model.fit(self.inputs.head(rows), self.outcome[:rows])


def competing() -> list[str]:
    """Names of the candidates that can win."""
    params = load_params(BUNDLED / "params.yaml", BUNDLED / "schema.yaml")
    return [name for name in params.selection.candidates if name != BASELINE]

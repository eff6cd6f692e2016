"""The trained scikit-learn model of a project."""

from pathlib import Path

import skops.io
from sklearn.pipeline import Pipeline


def load_model(directory: Path) -> Pipeline:
    """Load the model beside which the served one lies; the benchmark trained it a moment ago."""
    path = directory / "model.skops"
    model: Pipeline = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    return model

"""The file of the fitted model that selection hands on."""

from pathlib import Path

import skops.io
from sklearn.pipeline import Pipeline

from utils.config import ProjectError
from utils.files import atomic_path

TRUSTED = ("sklearn.", "numpy.", "model_training.")


def save_model(model: Pipeline, path: Path) -> None:
    """Write a model atomically, so that ``load_model`` can read it."""
    with atomic_path(path) as temporary:
        skops.io.dump(model, temporary)


def load_model(path: Path) -> Pipeline:
    """Load a model saved by selection; only types of scikit-learn, NumPy and training are accepted.

    Raises:
        ProjectError: the file is missing or holds any other type.
    """
    if not path.is_file():
        raise ProjectError(f"{path} was not found. `make run` writes it.")
    unknown = skops.io.get_untrusted_types(file=path)
    foreign = [name for name in unknown if not name.startswith(TRUSTED)]
    if foreign:
        raise ProjectError(f"{path} holds types that are not trusted: {', '.join(foreign)}.")
    return skops.io.load(path, trusted=unknown)

"""Write a trained model as a tutorial would have it: DIRECTORY DESTINATION.

Only scikit-learn is needed to load the result: what the project adds to it, a calibration that the
bundled sample does not need, stays behind.
"""

import json
import shutil
import sys
from pathlib import Path

import skops.io
from model_training.candidates import fitted_estimator
from sklearn.pipeline import Pipeline
from trained import load_model


def main() -> None:
    """Write the model and its metadata."""
    directory, destination = map(Path, sys.argv[1:3])
    model = load_model(directory)
    plain = Pipeline([*model.steps[:-1], ("estimate", fitted_estimator(model))])
    destination.mkdir()
    skops.io.dump(plain, destination / "model.skops")
    shutil.copy(directory / "metadata.json", destination)
    print(json.dumps({"estimator": type(plain[-1]).__name__}))


if __name__ == "__main__":
    main()

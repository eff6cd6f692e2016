"""Score a table of records: WAY SOURCE DESTINATION, where WAY is ours, by_hand or limit.

The ways import only what they use, because peak memory is measured.
"""

import sys
from pathlib import Path

from usage import report
from utils.config import load_params
from utils.files import read_json


def ours(source: Path, destination: Path) -> None:
    """The project's batch scoring with its own settings."""
    from model_deployment.artefact import load_artefact  # noqa: PLC0415
    from model_deployment.serving import score_file  # noqa: PLC0415

    serving = load_params().serving

    def work() -> None:
        artefact = load_artefact(threads=serving["threads"])
        score_file(source, destination, artefact, serving["chunk_rows"])

    report(work)


def plain(source: Path, destination: Path) -> None:
    """All rows in memory, pandas and the trained scikit-learn model; the values are trusted."""
    import by_hand  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from trained import load_model  # noqa: PLC0415

    version = read_json(Path("models/live.json"))["version"]
    metadata = read_json(Path("models") / version / "metadata.json")

    def work() -> None:
        model = load_model(Path("models") / version)
        table = pd.read_parquet(source)
        table["probability"] = model.predict_proba(by_hand.features(table))[:, 1]
        table["decision"] = (table["probability"] >= metadata["decision"]["threshold"]).astype(int)
        table["model_version"] = version
        table.to_parquet(destination, index=False)

    report(work)


def limit(source: Path, destination: Path) -> None:
    """Only reading and writing, in the chunks of the project's settings."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = load_params().serving["chunk_rows"]

    def work() -> None:
        with (
            pq.ParquetFile(source) as table,
            pq.ParquetWriter(destination, table.schema_arrow) as writer,
        ):
            for batch in table.iter_batches(batch_size=rows):
                writer.write_batch(batch)

    report(work)


if __name__ == "__main__":
    way = {"ours": ours, "by_hand": plain, "limit": limit}[sys.argv[1]]
    way(Path(sys.argv[2]), Path(sys.argv[3]))

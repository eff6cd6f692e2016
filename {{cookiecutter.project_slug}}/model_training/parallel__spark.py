"""Independent pieces of work as tasks of Spark: on this machine or on all machines of a cluster."""

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyspark import cloudpickle

from data_prep.engine import Engine

ROOT = Path(__file__).resolve().parent.parent

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def each(
    work: Callable[[Task], Answer], tasks: Sequence[Task], settings: dict[str, Any], title: str
) -> list[Answer]:
    """Return what ``work`` makes of each task, in the order of the tasks.

    Work, tasks and answers travel between processes of this project only, and only while it runs.

    Args:
        work: what to do; it must depend on nothing but its task, because a task whose machine is
            lost is done again.
        tasks: what to do it with.
        settings: section ``engine`` of ``params.yaml``.
        title: the name of the job in Spark.
    """
    root = str(ROOT)
    pack: Callable[..., bytes] = cloudpickle.dumps
    # packed here and opened there only after the worker knows where the project's modules are
    packed = pack((work, list(tasks)))

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if root not in sys.path:
            sys.path.insert(0, root)
        work, tasks = pickle.loads(packed)  # noqa: S301
        for batch in batches:
            numbers = batch.column(0)
            answers = [pickle.dumps(work(tasks[number])) for number in numbers.to_pylist()]
            yield pa.RecordBatch.from_arrays(
                [numbers, pa.array(answers, pa.binary())], ["number", "answer"]
            )

    with Engine(settings) as engine:
        numbers = engine.session.range(0, len(tasks), 1, len(tasks)).withColumnRenamed("id", title)
        answers = engine.in_workers(numbers, run, "number long, answer binary")
        done = answers.toArrow().sort_by("number")
    return [pickle.loads(answer) for answer in done["answer"].to_pylist()]  # noqa: S301

"""Independent pieces of work, one after the other in this process."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def each(
    work: Callable[[Task], Answer], tasks: Sequence[Task], settings: dict[str, Any], title: str
) -> list[Answer]:
    """Return what ``work`` makes of each task, in the order of the tasks.

    Args:
        work: what to do; it must depend on nothing but its task.
        tasks: what to do it with.
        settings: section ``engine`` of ``params.yaml``.
        title: what the progress bar says.
    """
    del settings
    # a bar inside another one is cleared when it is full
    return [work(task) for task in tqdm(tasks, desc=title, leave=None)]

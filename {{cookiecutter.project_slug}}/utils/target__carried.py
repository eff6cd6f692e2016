"""What the target of a clustering has to be.

``utils.config`` asks this module, so that the settings say at once what can't work.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.config import Column, Params

# Whether records may come without a target. What is looked for is in the inputs; a target is
# carried along.
TARGET_OPTIONAL = True


def target_problems(target: "Column", params: "Params") -> Iterator[str]:
    """Yield what keeps a target from being carried along.

    Args:
        target: its column.
        params: the settings.
    """
    if target.type == "string" or target.allowed or params.selection.calibration is not None:
        yield (
            f"the target {target.name!r} of a {params.project.task} must be a number without "
            "allowed values, and selection.calibration is for classes only"
        )

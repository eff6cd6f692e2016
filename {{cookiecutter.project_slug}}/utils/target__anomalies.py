"""What the target of an anomaly detection has to be.

``utils.config`` asks this module, so that the settings say at once what can't work.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.config import Column, Params

# Whether records may come without a target. What is looked for is in the inputs; a target only
# tells how well it is found.
TARGET_OPTIONAL = True


def target_problems(target: "Column", params: "Params") -> Iterator[str]:
    """Yield what keeps a target from being what detectors are measured by.

    Args:
        target: its column.
        params: the settings.
    """
    del params
    if target.type == "float" or len(set(target.allowed)) != 2:  # noqa: PLR2004
        yield (
            f"the target {target.name!r} of an anomaly detection must be a string or an "
            "integer and list two values under allowed in schema.yaml: that of usual rows, "
            "then that of anomalies"
        )

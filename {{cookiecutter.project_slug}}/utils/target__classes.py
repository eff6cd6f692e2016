"""What the target of a classification has to be.

``utils.config`` asks this module, so that the settings say at once what can't work.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.config import Column, Params

# Whether records may come without a target.
TARGET_OPTIONAL = False


def target_problems(target: "Column", params: "Params") -> Iterator[str]:
    """Yield what keeps a target from being what is predicted.

    Args:
        target: its column.
        params: the settings.
    """
    if target.type == "float" or len(set(target.allowed)) < 2:  # noqa: PLR2004
        yield (
            f"the target {target.name!r} of a classification must be a string or an integer "
            "and list its classes, at least two, under allowed in schema.yaml"
        )
    if len(set(target.allowed)) < len(target.allowed):
        yield f"the target {target.name!r} lists a class twice under allowed"
    for label in target.allowed:
        text = str(label)
        if text.lower() in params.data.missing_markers or text != " ".join(text.split()):
            yield (
                f"the class {label!r} of {target.name!r} could never be read: it is one of "
                "data.missing_markers, or has white space that cleaning removes"
            )

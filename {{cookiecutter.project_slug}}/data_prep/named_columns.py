"""The columns that a person names in an option of the task."""

from collections.abc import Sequence

from data_prep.column_names import known
from data_prep.wishes import Wishes, listed


def asked_for(wishes: Wishes, option: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that an option of the task names, as the records write them.

    Raises:
        ProjectError: there is no such column.
    """
    asked = listed(wishes.options.get(option, ""))
    return tuple(known(name, names, option.upper()) for name in asked)

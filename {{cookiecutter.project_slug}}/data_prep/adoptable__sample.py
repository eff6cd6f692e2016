"""What this project can adopt: a file with some records of the source, which then stands in for it.

The source itself, with its address and login, is set in ``params.yaml`` afterwards.
"""

import re
from pathlib import Path

from data_prep import formats
from data_prep.preview import SOURCE_FOLDER, Preview, gather
from data_prep.schema_copies import schema_of
from data_prep.stand_in import stand_in
from utils.config import ProjectError


def preview(data: str, table: str) -> Preview:
    """Look at a table.

    Args:
        data: a file with records in the format of the source.
        table: how to call it; by its file name if empty.

    Raises:
        ProjectError: it is no such file, or can't be read.
    """
    if "://" in data or not Path(data).is_file():
        raise ProjectError(
            f"{data} is not a file. Save some records of the source as a {formats.SUFFIX} file and "
            "adopt that as DATA; afterwards set the address under source in params.yaml."
        )
    path = Path(data)
    files = [path, *schema_of(path)]
    records = gather(formats.read(path), data)
    stem = path.name.partition(".")[0]
    name = table or re.sub(r"\W+", "_", stem).strip("_").lower() or "records"
    copies = {SOURCE_FOLDER / file.name: file for file in files}
    origin = (SOURCE_FOLDER / path.name).as_posix()
    return Preview(records, name, stand_in(name), copies, origin)

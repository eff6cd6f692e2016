"""The schema that goes along with a file of records."""

from pathlib import Path

import pytest

from data_prep.formats import SCHEMA_SUFFIXES, SUFFIX
from data_prep.schema_copies import schema_of
from utils.config import ProjectError


@pytest.mark.parametrize("name", [f"a{SUFFIX}", f"a{SUFFIX}.gz"])
@pytest.mark.parametrize("suffix", SCHEMA_SUFFIXES)
def test_the_schema_beside_a_file_belongs_to_it(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / f"a{suffix}").touch()
    (tmp_path / f"b{suffix}").touch()
    assert schema_of(tmp_path / name) == [tmp_path / f"a{suffix}"]


def test_a_file_without_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"b{SCHEMA_SUFFIXES[0]}").touch()
    with pytest.raises(ProjectError, match=f"No schema lies beside .* as c{SCHEMA_SUFFIXES[0]}"):
        schema_of(tmp_path / f"c{SUFFIX}")

"""Writes the example notebooks of the template from their sources in `tools/notebooks`.

The sources are Python files with `# %%` between the cells: they can be read, compared and edited
like code. A notebook depends on its source alone (its cells are numbered, which is also how
nbstripout names them, and it holds no outputs), so the same source gives the same bytes.

    python tools/build_notebooks.py            write all notebooks
    python tools/build_notebooks.py --check    exit with 1 if one differs from its source
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tools" / "notebooks"
NOTEBOOKS = ROOT / "{{cookiecutter.project_slug}}" / "examples"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(source: str) -> str:
    """Convert Python code in the percent format into a notebook: JSON with a newline at its end."""
    cells: list[dict[str, Any]] = []
    for position, cell in enumerate(jupytext.reads(source, fmt="py:percent").cells):
        run: dict[str, Any] = (
            {"execution_count": None, "outputs": []} if cell.cell_type == "code" else {}
        )
        cells.append(
            {
                "cell_type": cell.cell_type,
                "id": str(position),
                "metadata": {},
                "source": cell.source.splitlines(keepends=True),
                **run,
            }
        )
    built = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(built)
    # indented and sorted as Jupyter does, so that opening and saving changes as little as possible
    return json.dumps(built, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def build(sources: Path = SOURCES) -> dict[str, str]:
    """Convert all sources of a folder; returns the text of each notebook by its file name."""
    return {
        f"{path.stem}.ipynb": notebook(path.read_text(encoding="utf-8"))
        for path in sorted(sources.glob("*.py"))
    }


def differing(built: dict[str, str], folder: Path) -> list[str]:
    """Names of notebooks that are missing in a folder, differ, or have no source."""
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    return sorted(name for name in {*built, *found} if built.get(name) != found.get(name))


def main() -> int:
    """Write or check the notebooks; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the example notebooks.")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    arguments = parser.parse_args()
    built = build()
    names = differing(built, NOTEBOOKS)
    if not arguments.check:
        for name in names:
            if name in built:
                (NOTEBOOKS / name).write_text(built[name], encoding="utf-8", newline="\n")
            else:
                (NOTEBOOKS / name).unlink()
        return 0
    if names:
        print(
            f"Not what the sources say: {', '.join(names)}. Run python tools/build_notebooks.py.",
            file=sys.stderr,
        )
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())

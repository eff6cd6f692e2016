"""The report: complete, self-contained, and no text in it becomes markup or a request."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from utils import report
from utils.config import ProjectError, load_contract
from utils.paths import PARTS
from utils.readme import written_parts
from utils.report import card, page, readme_section, to_html
from utils.result_part import TITLE

VOID = {"meta", "img", "br", "hr"}
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "[click](javascript:alert(1))",
    "![shot](https://example.org/pixel.png)",
    "![shot](../../secret.png)",
    "</style><script>alert(1)</script>",
    "<!-- $style $title -->",
    "&lt;b&gt; &#x3c;b&#x3e;",
)


class Reader(HTMLParser):
    """Collects the elements of a page and checks that they are nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that has nothing inside."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Collect what is shown."""
        self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def harmless(reader: Reader) -> bool:
    """Whether a page runs nothing and asks for nothing."""
    names = {name for name, _ in reader.elements}
    attributes = {name for _, found in reader.elements for name in found}
    links = [found["href"] for found in reader.of("a")]
    sources = [found["src"] for found in reader.of("img")]
    return (
        not names & {"script", "iframe", "object", "embed", "link", "base", "form", "svg"}
        and not [name for name in attributes if name.startswith("on") or name == "style"]
        and all(re.match(r"#|https?://", link) for link in links)
        and all(source.startswith("data:image/png;base64,") for source in sources)
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("frame", ["{}", "| a | b |\n|---|---|\n| {} | x |", "# {}", "- {}"])
def test_no_text_becomes_markup(text: str, frame: str) -> None:
    assert harmless(Reader(to_html(frame.format(text))))


def test_hostile_answers_are_shown_as_they_are(in_project: Path) -> None:
    settings = in_project / "params.yaml"
    before = settings.read_text(encoding="utf-8")
    params = yaml.safe_load(before)
    hostile = " ".join(HOSTILE)
    params["project"] |= {"name": hostile, "description": hostile, "model_input": hostile}
    readme = (in_project / "README.md").read_text(encoding="utf-8")
    written = (in_project / "reports/report.html").read_bytes()
    try:
        settings.write_text(yaml.safe_dump(params), encoding="utf-8")
        (in_project / "README.md").write_text("# gone\n", encoding="utf-8")
        report.main()
        reader = Reader((in_project / "reports/report.html").read_text(encoding="utf-8"))
    finally:
        settings.write_text(before, encoding="utf-8")
        (in_project / "README.md").write_text(readme, encoding="utf-8")
        (in_project / "reports/report.html").write_bytes(written)
    assert harmless(reader)
    # title of the window and of the page, description, input
    assert reader.text.count(hostile) == 4


def test_the_report_is_complete_and_self_contained(in_project: Path) -> None:
    text = (in_project / "reports/report.html").read_text(encoding="utf-8")
    reader = Reader(text)
    assert harmless(reader)
    assert reader.open == []
    sections = [found["id"] for found in reader.of("section")]
    assert sections == [
        "in-short",
        "problem-statement",
        "data",
        *(["labels"] if load_contract().target.assigned else []),
        "exploration",
        "hyperparameters",
        "models",
        *(["backtest"] if load_contract().series is not None else []),
        *written_parts(PARTS),
        TITLE.lower().replace(" ", "-"),
        "explanation-and-errors",
        "deployment",
        "monitoring",
        "lineage",
        "model-card",
        "data-card",
    ]
    assert [found["href"] for found in reader.of("a")[1:]][: len(sections)] == [
        f"#{name}" for name in sections
    ]
    figures = list(in_project.glob("reports/figures/*/*.png"))
    assert len(reader.of("img")) == len(figures)
    assert {"Missing values", "Importance of the columns"} < {i["alt"] for i in reader.of("img")}
    assert all(found["alt"] for found in reader.of("img"))
    assert len(reader.of("h1")) == 1
    assert all(found["scope"] == "col" for found in reader.of("th"))
    assert all("data-label" in found for found in reader.of("td"))


def test_the_policy_allows_the_style_of_the_page_and_nothing_else(in_project: Path) -> None:
    text = (in_project / "reports/report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    style = text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_cards_are_shown_as_text_below_their_titles(in_project: Path) -> None:
    text = (in_project / "reports/report.html").read_text(encoding="utf-8")
    for name in ("model_card", "data_card"):
        title = (in_project / f"reports/{name}.md").read_text(encoding="utf-8").splitlines()[0]
        assert f"<h3>{html.escape(title.removeprefix('# '))}</h3>" in text
    with pytest.raises(ProjectError, match="make run"):
        card(Path("reports/no_card.md"))


def test_links_stay_within_the_page_or_lead_to_the_web() -> None:
    text = "[card](reports/model_card.md) [code](utils/report.py) <https://example.org/>"
    reader = Reader(to_html(text))
    assert [found["href"] for found in reader.of("a")] == ["#model-card", "https://example.org/"]
    assert reader.text.strip() == "card code https://example.org/"


def test_writing_it_again_gives_the_same_bytes(in_project: Path) -> None:
    before = (in_project / "reports/report.html").read_bytes()
    report.main()
    assert (in_project / "reports/report.html").read_bytes() == before


def test_a_section_of_the_readme_ends_where_the_next_begins() -> None:
    text = "# A\n\n## One\n\nfirst\n<!-- measured: x -->\n### Sub\nmore\n\n## Two\nlast\n"
    assert readme_section(text, "One") == "first\n\n### Sub\nmore"
    assert readme_section(text, "Two") == "last"
    assert readme_section(text, "Three") == ""


def test_the_title_is_text_and_the_page_keeps_its_placeholders() -> None:
    reader = Reader(page("<b>$style</b>", "$title", [("One", "<p>$contents</p>\n")]))
    assert harmless(reader)
    assert "<b>$style</b>" in reader.text
    assert "$contents" in reader.text

"""Answers are hostile text: each is refused with a reason, or arrives everywhere as it was given.

Typed answers reach the files as they are, and so they do here. Only answers given on the command
line are rendered by cookiecutter itself first; `test_real_paths.py` shows that.
"""

import keyword
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests import template

HOSTILE = [
    'A "quoted" name',
    "it's",
    "back\\slash \\n \\u0041 \\",
    '"""',
    "'; import os; os.system('true') #",
    "{ } } { {% raw %} %}",
    "${HOME} $(id) `id` $5 and $6",
    "../../etc/passwd",
    "# heading",
    "- item",
    "+ item",
    "=====",
    "1. item",
    "23) item",
    "> quote",
    "* a *b* **c** _d_ __e__ ~~f~~ ***",
    "[link](https://example.org) ![image](x.png) <https://example.org>",
    "<script>alert(1)</script> <!-- x --> &amp; &#35; &lt;",
    "a | b | c",
    "| --- | --- |",
    "key: value # comment",
    "yes",
    "null",
    "0x1F",
    "2026-01-01",
    "%YAML",
    "&anchor *alias !tag",
    "🚀 ünïcödé 漢字 עברית",
    "zero\u200bwidth and e\u0301",
    "no\u00a0break",
    "a  b   c",
    "https://example.org/?a=b&c=d#e_f_g",
    ":smile: @someone #12",
    "C:\\new\\table",
    "\\*not\\*",
    "[x]: /url",
    "---",
    "___",
    "~~~",
    "```",
    "    code",
]
REFUSED_TEXTS = {
    "empty": ["", " ", "\u3000"],
    "characters": ["x" * 401],
    "starts or ends with a space": [" x", "x ", "x\u00a0"],
    "U+000A": ["two\nlines"],
    "U+0009": ["a\ttab"],
    "U+0000": ["a\0b"],
    "U+001B": ["\x1b[31mred"],
    "U+0085": ["next\x85line"],
    "U+2028": ["line\u2028separator"],
    "U+2029": ["paragraph\u2029separator"],
    "U+202E": ["\u202eesrever"],
    "U+2066": ["\u2066isolated"],
    "U+FEFF": ["byte\ufefforder"],
    "U+FFFE": ["not\ufffea character"],
    "U+FDD0": ["not\ufdd0a character"],
    "U+1FFFF": ["not\U0001ffffa character"],
    "U+D800": ["half \ud800 a pair"],
    "evaluate": ["{{ 7 * 7 }}", "{# comment #}", "# {% if x %}"],
}
BAD_SLUGS = [
    "",
    "x",
    "Churn",
    "9lives",
    "_private",
    "two words",
    "kebab-case",
    "../escaped",
    "a/b",
    "/absolute",
    "a\\b",
    "dots.in.name",
    "проект",
    "ünï",
    "a" * 42,
    "name\n",
    "class",
    "match",
    "json",
    "antigravity",
    "scikit_learn",
    "data_prep",
]
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(min_size=1, max_size=60),
    st.text(alphabet="\\\"'`*_[]<>(){}#+-.!|~$&:=%@/ \t\nab1", min_size=1, max_size=30),
)


def answers_with(name: str, value: str) -> dict[str, str]:
    """Complete answers in which one text is given and the slug is fixed."""
    return {"project_slug": "churn_model", name: value}


def strings(value: object) -> Iterator[str]:
    """All strings inside nested lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def shown_text(markdown: str) -> str:
    """The text that a reader of a Markdown document sees, without its markup."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return "\n".join(
        "".join(token.content if token.type == "text" else "\n" for token in block.children or [])
        for block in blocks
        if block.type == "inline"
    )


def macro(call: str, text: str) -> str:
    """What a macro of `quote.j2` makes of a text."""
    source = '# {% from "quote.j2" import quoted, markdown %}\n' + "{{ " + call + "(text) }}"
    return template.environment().from_string(source).render(text=text)


def is_accepted(text: str, name: str = "description") -> bool:
    """Whether the hook takes the text; whatever it refuses has a reason."""
    problems = template.PRE_GEN.text_problems(name, text)
    assert all(problem.startswith(name) and len(problem) < 300 for problem in problems)
    return not problems


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_quoted_text_survives_toml_yaml_and_json(text: str) -> None:
    """The macro writes a literal that all three formats read back exactly."""
    if is_accepted(text):
        literal = macro("quoted", text)
        assert tomllib.loads(f"x = {literal}") == {"x": text}
        assert yaml.safe_load(f"x: {literal}") == {"x": text}
        assert yaml.safe_load(f"[{literal}]") == [text]


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
@example(text="1234567890. item")
@example(text="a\\")
def test_markdown_text_is_shown_as_it_is(text: str) -> None:
    """In a paragraph, a heading, a list, a table, emphasis: no character acts as markup."""
    if is_accepted(text):
        escaped = macro("markdown", text)
        for document in (
            escaped,
            f"# {escaped}",
            f"before\n{escaped}\nafter",
            f"- {escaped}",
            f"**{escaped}**",
            f"| a | b |\n| --- | --- |\n| {escaped} | x |",
        ):
            lines = shown_text(document).splitlines()
            assert text in lines, document


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from([*template.PRE_GEN.TEXT_LIMITS]),
    text=TEXTS,
    task=st.sampled_from(template.OPTIONS["task"]),
)
def test_answers_arrive_in_the_projects_files(name: str, text: str, task: str) -> None:
    """Each text is read back exactly from every file of the project that holds it."""
    if not is_accepted(text, name):
        return
    answers = {**answers_with(name, text), "task": task}
    rendered = {
        file: template.render_file(file, answers)
        for file in ("pyproject.toml", "params.yaml", "README.md")
        if f"cookiecutter.{name}" in (template.SOURCE / file).read_text(encoding="utf-8")
    }
    assert rendered
    if "pyproject.toml" in rendered:
        assert text in strings(tomllib.loads(rendered["pyproject.toml"]))
    if "params.yaml" in rendered:
        assert text in strings(yaml.safe_load(rendered["params.yaml"]))
    if "README.md" in rendered:
        assert text in shown_text(rendered["README.md"])


def test_every_text_is_shown_to_the_reader() -> None:
    """The README says what was answered, so the test above has something to look at."""
    readme = (template.SOURCE / "README.md").read_text(encoding="utf-8")
    for name in ("project_name", "description", "model_input", "model_output"):
        assert re.search(rf"(markdown|sentence)\(cookiecutter\.{name}\)", readme), name


def test_texts_are_always_quoted() -> None:
    """Free text goes through the macro of the file's syntax; only a licence holds it as it is."""
    macros = {".toml": "quoted", ".yaml": "quoted", ".yml": "quoted", ".json": "quoted"}
    macros[".md"] = "(?:markdown|sentence)"
    for file in template.source_files():
        if file.endswith(template.COPIED) or file.startswith((".template/", "LICENSE")):
            continue
        source = (template.SOURCE / file).read_text(encoding="utf-8")
        call = macros.get(Path(file).suffix, "no macro")
        for name in template.PRE_GEN.TEXT_LIMITS:
            used = source.count(f"cookiecutter.{name}")
            called = re.findall(rf"{call}\(cookiecutter\.{name}\)", source)
            assert used == len(called), f"{name} in {file}"


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_hostile_texts_are_accepted(text: str) -> None:
    """People may write what they like as long as it is one visible line."""
    assert is_accepted(text)


@pytest.mark.parametrize(
    ("reason", "text"),
    [(reason, text) for reason, texts in REFUSED_TEXTS.items() for text in texts],
)
def test_unusable_texts_are_refused(reason: str, text: str) -> None:
    """What cannot be written everywhere, or hides, is refused and the reason names it."""
    problems = template.PRE_GEN.text_problems("description", text)
    assert len(problems) == 1
    assert reason in problems[0]


@pytest.mark.parametrize("value", [None, 3, True, ["a"], {"a": "b"}])
def test_answers_that_are_not_text_are_refused(value: object) -> None:
    """A replay file may hold anything."""
    assert template.PRE_GEN.text_problems("description", value)
    assert template.PRE_GEN.slug_problems(value)
    assert template.PRE_GEN.choice_problems("serving", value)


@pytest.mark.parametrize("slug", BAD_SLUGS)
def test_unusable_slugs_are_refused(slug: str) -> None:
    """What is no package name, or is taken, has one reason."""
    assert len(template.PRE_GEN.slug_problems(slug)) == 1


@given(slug=st.text(max_size=45))
def test_accepted_slugs_are_package_names(slug: str) -> None:
    """An accepted slug is an ASCII identifier that nothing else uses."""
    if not template.PRE_GEN.slug_problems(slug):
        assert slug.isidentifier()
        assert slug.isascii()
        assert not keyword.iskeyword(slug)
        assert slug not in sys.stdlib_module_names


def test_spelling_of_a_dependency_does_not_matter() -> None:
    """A slug has one spelling only, and the dependencies are listed in it."""
    for name in template.PRE_GEN.DEPENDENCIES:
        assert name == name.lower().replace("-", "_").replace(".", "_")
        assert template.PRE_GEN.slug_problems(name)


def test_defaults_are_accepted() -> None:
    """Every combination of choices has usable default texts."""
    for task in template.OPTIONS["task"]:
        assert template.PRE_GEN.problems(template.complete({"task": task})) == []


def test_all_problems_are_named_at_once() -> None:
    """Nobody repairs one answer only to hear of the next."""
    answers = {
        **template.complete({}),
        "description": "two\nlines",
        "author_name": "",
        "project_slug": "json",
        "serving": "pigeon",
        "ci": ["github"],
    }
    problems = template.PRE_GEN.problems(answers)
    assert [problem.split()[0] for problem in problems] == [
        "author_name",
        "description",
        "project_slug",
        "serving",
        "ci",
    ]


def test_hostile_texts_bake(bake: Callable[..., Path]) -> None:
    """A project with the worst texts at once still has well-formed files."""
    project = bake(
        project_slug="churn_model",
        project_name='"""\\ {%',
        author_name='O\'Neil "🚀" \\',
        description="'; import os # \\ \" ${HOME} %}",
        model_input="</script> | `x` \\",
        model_output="*a* _b_ [c](d)",
    )
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert content["project"]["description"] == "'; import os # \\ \" ${HOME} %}"
    assert content["project"]["authors"] == [{"name": 'O\'Neil "🚀" \\'}]
    for path in project.rglob("*.y*ml"):
        list(yaml.safe_load_all(path.read_text(encoding="utf-8")))

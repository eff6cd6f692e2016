"""The report of a validation as one HTML page that needs nothing else: no script, no network."""

import html
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from data_prep.validation import RuleResult, Status, ValidationReport

# Word, mark and meaning of each status: colour alone would leave some readers out.
STATUS: dict[Status, tuple[str, str, str]] = {
    "broken": ("Broken", "✕", "More rows break an error rule than it tolerates."),
    "warning": ("Warning", "!", "More rows break a warning rule than it tolerates."),
    "tolerated": ("Tolerated", "~", "Rows break a rule, within the share it tolerates."),
    "kept": ("Kept", "✓", "No row breaks the rule."),
}
VERDICT: dict[Status, str] = {
    "broken": "The table breaks its contract; the pipeline stopped.",
    "warning": "The table keeps its contract, with warnings.",
    "tolerated": "The table keeps its contract within what is tolerated.",
    "kept": "The table keeps its contract.",
}
STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --soft: #566072; --page: #f5f6f9;
  --card: #ffffff; --line: #d8dde6; --broken: #b3261e; --warning: #8a5300; --tolerated: #3b5aa9;
  --kept: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --text: #e8ebf1; --soft: #a5afbf; --page: #14181f;
  --card: #1d232d; --line: #39424f; --broken: #ff8a80; --warning: #ffc069; --tolerated: #9db7ff;
  --kept: #7fd6a0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.verdict { border-left: .35rem solid var(--tone); background: var(--card); padding: 1rem 1.25rem;
  border-radius: .4rem; margin: 1.25rem 0; font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .75rem;
  margin: 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .75rem 1rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; padding: .75rem 1rem; color: var(--soft); }
th, td { text-align: left; padding: .5rem 1rem; border-top: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; white-space: nowrap; }
code { font: .88em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.status { color: var(--tone); font-weight: 600; white-space: nowrap; }
.broken { --tone: var(--broken); } .warning { --tone: var(--warning); }
.tolerated { --tone: var(--tolerated); } .kept { --tone: var(--kept); }
.finding { background: var(--card); border: 1px solid var(--line); border-left: .35rem solid
  var(--tone); border-radius: .4rem; margin: 0 0 1rem; padding: 1rem 1.25rem; }
.finding h3 { margin: 0; font-size: 1.02rem; } .finding table { margin-top: .5rem; }
.bar { height: .5rem; border-radius: .25rem; background: var(--line); margin: .6rem 0 .3rem; }
.bar span { display: block; height: 100%; min-width: 2px; border-radius: .25rem;
  background: var(--tone); }
:focus-visible { outline: .15rem solid var(--tolerated); outline-offset: .15rem; }
"""


def _text(value: object) -> str:
    """Return any value as text that HTML shows as it is."""
    if value is None:
        return "<span class='soft'>missing</span>"
    if isinstance(value, datetime):
        return html.escape(value.isoformat(sep=" "))
    return html.escape(str(value))


def _percent(share: float) -> str:
    """Return a share in percent; one that is not zero never reads as zero."""
    return f"{share:.1%}" if share == 0 or share >= 0.0005 else "< 0.1%"  # noqa: PLR2004


def _cells(tag: str, cells: Iterable[str]) -> str:
    scope = " scope='col'" if tag == "th" else ""
    return "".join(f"<{tag}{scope}>{cell}</{tag}>" for cell in cells)


def _table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    # A region that scrolls has to be reachable by keyboard.
    return (
        f"<div class='scroll' role='region' tabindex='0' aria-label='{caption}'><table>"
        f"<caption>{caption}</caption><thead><tr>{_cells('th', header)}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _status(status: Status) -> str:
    word, mark, _ = STATUS[status]
    return f"<span class='status {status}'><span aria-hidden='true'>{mark}</span> {word}</span>"


def _finding(result: RuleResult, rows: int) -> str:
    shown: list[dict[str, Any]] = result.examples
    table = (
        _table(
            "The first rows that break the rule, by identifier",
            [f"<code>{_text(name)}</code>" for name in shown[0]],
            [[_text(value) for value in example.values()] for example in shown],
        )
        if shown
        else ""
    )
    return (
        f"<article class='finding {result.status}'><h3>{_text(result.rule)}</h3>"
        f"{f'<p>{_text(result.description)}</p>' * bool(result.description)}"
        f"<p>{_status(result.status)} · {result.count:,} of {rows:,} rows "
        f"({_percent(result.share)}); severity {result.severity}, tolerated "
        f"{_percent(result.tolerated_share)}</p>"
        f"<div class='bar' aria-hidden='true'><span style='width:{result.share:.2%}'></span></div>"
        f"{table}</article>"
    )


def _rule_rows(report: ValidationReport) -> Iterable[list[str]]:
    for result in [*report.violations, *(item for item in report.rules if item.status == "kept")]:
        yield [
            _status(result.status),
            _text(result.rule),
            result.severity,
            _percent(result.tolerated_share),
            f"{result.count:,}",
            _percent(result.share),
        ]


def to_html(report: ValidationReport, quarantine: str) -> str:
    """Return the report as a page.

    Args:
        report: what the validation found; every value of the table is escaped.
        quarantine: where the rows that were set apart are.
    """
    found = report.violations
    title = f"Validation of {_text(report.table)}"
    facts = {
        "Rows": f"{report.rows:,}",
        "Rows set apart": f"{report.rows_quarantined:,}",
        "Rules": f"{len(report.rules):,}",
        **{
            STATUS[status][0]: f"{sum(item.status == status for item in report.rules):,}"
            for status in STATUS
        },
    }
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    findings = "".join(_finding(result, report.rows) for result in found)
    apart = (
        f"<p>Rows that break an error rule are in <code>{_text(quarantine)}</code>, each with the "
        "rules it breaks.</p>"
    )
    header = ["Status", "Rule", "Severity", "Tolerated", "Rows", "Share"]
    meanings = "; ".join(f"{word}: {meaning}" for word, _, meaning in STATUS.values())
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>"
        f"<h1>{title}</h1>"
        f"<p class='verdict {report.status}'>{VERDICT[report.status]}</p><dl>{cards}</dl>\n"
        f"<h2>What to look at</h2>{findings or '<p>Nothing: every row keeps every rule.</p>'}"
        f"{apart * bool(report.rows_quarantined)}\n"
        f"<h2>All rules</h2>{_table('Every rule of the contract', header, _rule_rows(report))}"
        f"<p class='soft'>{meanings}</p></main></body></html>\n"
    )

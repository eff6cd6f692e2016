"""What the model is worth, in Markdown."""

from typing import Any

from utils.markdown import escape, table

# The report and the folder of figures with this name, and what the section is called.
RESULT = "value"
TITLE = "Business value"
SHOWN_FINDINGS = 2

Report = dict[str, Any]


def result_summary(report: Report) -> list[str]:
    """Return the findings that matter most, one sentence or two each."""
    return [escape(finding) for finding in report["findings"][:SHOWN_FINDINGS]]


def result_part(report: Report, figures: str) -> str:
    """Say what the model is worth in money.

    Args:
        report: what ``model_training.business_value`` wrote.
        figures: the figures in Markdown.
    """
    *said, last = (escape(finding) for finding in report["findings"])
    listed = "\n".join(f"- {finding}" for finding in said)
    cells = [[escape(cell) for cell in row] for row in report["table"]["rows"]]
    if not cells:
        return f"{listed}\n\n{figures}"
    header = [escape(cell) for cell in report["table"]["header"]]
    return f"{listed}\n\n{figures}\n\n{last}\n\n{table(header, cells)}"

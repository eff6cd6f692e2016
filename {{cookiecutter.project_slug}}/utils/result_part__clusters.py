"""The clusters in Markdown: how many, how stable, and what is special about each."""

from typing import Any

from utils.markdown import escape, number, table

# The report and the folder of figures with this name, and what the section is called.
RESULT = "clusters"
TITLE = "Clusters"

Report = dict[str, Any]


def result_summary(report: Report) -> list[str]:
    """Return the findings, and the names of the clusters, one sentence or two each."""
    named = "; ".join(
        f"{item['number']} {item['name']} ({item['share']:.0%})" for item in report["clusters"]
    )
    return [*map(escape, report["findings"]), f"The clusters are: {escape(named)}."]


def result_part(report: Report, figures: str) -> str:
    """Say how many clusters there are, how stable they are, and list their profiles.

    Args:
        report: what ``model_training.clusters`` wrote.
        figures: the figures in Markdown.
    """
    clusters = report["clusters"]
    said = "\n".join(f"- {escape(finding)}" for finding in report["findings"])
    listed = table(
        ["Cluster", "Name", "Share", "Of the held-out rows", "Silhouette", "Comes back", "That is"],
        [
            [
                str(item["number"]),
                escape(item["name"]),
                f"{item['share']:.1%}",
                f"{item['share_held_out']:.1%}",
                number(item["silhouette"]),
                "–" if item["jaccard"] is None else f"{item['jaccard']:.0%}",
                escape(item["verdict"]),
            ]
            for item in clusters
        ],
    )
    profiles = table(
        ["Mean of", "All rows", *(f"Cluster {item['number']}" for item in clusters)],
        [
            [escape(row["measure"]), escape(row["overall"]), *map(escape, row["clusters"])]
            for row in report["profiles"]
        ],
    )
    return "\n\n".join(
        [
            said,
            listed,
            "*Comes back* is how much of a cluster is found again when the model is fitted on "
            "another draw of the rows (Jaccard coefficient, mean over the draws).",
            figures,
            "Means of the training rows, where gaps count as the median; for a category, the share "
            "of the rows that have it:",
            profiles,
        ]
    )

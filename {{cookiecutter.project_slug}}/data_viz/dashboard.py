"""Dashboard: what the pipeline measured, as a page. It reads reports and computes nothing anew.

Usage: ``streamlit run data_viz/dashboard.py`` from the root of the project.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

# Streamlit puts the folder of the page, not the root of the project, on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data_prep.storage import read_parquet
from data_viz.plot_utils import BLUE, histogram_edges
from data_viz.summaries import MISSING, is_number, numbers, short, texts
from utils.config import Column, Contract, Params, ProjectError, load_contract, load_params
from utils.explanation_part import interval
from utils.files import read_json
from utils.markdown import escape, number
from utils.paths import REPORTS, SAMPLE
from utils.result_part import RESULT, TITLE, result_summary

FIGURES = REPORTS / "figures"
LIVE = Path("models/live.json")
NAMES = (
    "cleaning",
    "validation",
    "exploration",
    "selection",
    "evaluation",
    RESULT,
    "export",
    "monitoring",
)
SMALLEST_P_VALUE = 0.001
COLOURS = {"stable": "green", "warning": "orange", "alarm": "red"}
SELECTION_FIGURES = ("candidates", "learning_curve")

Report = dict[str, Any]


class Content(NamedTuple):
    """Everything the page shows."""

    params: Params
    contract: Contract
    version: str
    reports: dict[str, Report]


def load() -> Content:
    """Read the configuration, the name of the live model and all reports.

    Raises:
        ProjectError: a file is missing or malformed.
    """
    missing = [
        str(path)
        for path in (*(REPORTS / f"{name}.json" for name in NAMES), LIVE, SAMPLE)
        if not path.is_file()
    ]
    if missing:
        raise ProjectError(
            f"The pipeline has not run to its end: {', '.join(missing)} not found. "
            "Run `make run`, then reload this page."
        )
    return Content(
        load_params(),
        load_contract(),
        read_json(LIVE)["version"],
        {name: read_json(REPORTS / f"{name}.json") for name in NAMES},
    )


def with_unit(value: float | None, unit: str) -> str:
    """Return a number with its unit."""
    return f"{number(value)} {unit}".rstrip()


def p_value_text(value: float) -> str:
    """Return a p-value without digits that mean nothing."""
    return "< 0.001" if value < SMALLEST_P_VALUE else f"{value:.3f}"


def figure_grid(folder: str, names: Iterable[str], *, columns: int = 2) -> None:
    """Show those of the named figures that the pipeline has drawn, beside one another."""
    paths = [FIGURES / folder / f"{name}.png" for name in names]
    slots = st.columns(columns)
    for position, path in enumerate(path for path in paths if path.is_file()):
        slots[position % columns].image(str(path), width="stretch")


def metric_tile(result: Report, content: Content) -> None:
    """Show a metric with its interval, the baseline and whether it is better than that."""
    unit, model, baseline = result["unit"], result["model"], result["baseline"]
    improvement = result["improvement"]
    if model["value"] is None:
        verdict, colour = "not defined on these rows", "gray"
    elif improvement["low"] is None:
        verdict, colour = "not compared with the baseline", "gray"
    elif improvement["low"] > 0:
        verdict, colour = "better than the baseline", "green"
    elif improvement["high"] < 0:
        verdict, colour = "worse than the baseline", "red"
    else:
        verdict, colour = "no clear difference from the baseline", "gray"
    with st.container(border=True):
        st.metric(
            result["label"],
            with_unit(model["value"], unit),
            help="Higher is better." if result["greater_is_better"] else "Lower is better.",
        )
        st.caption(
            f"{content.reports['evaluation']['confidence']:.0%} interval "
            f"{number(model['low'])} to {number(model['high'])}  \n"
            f"Baseline {with_unit(baseline['value'], unit)}"
        )
        st.markdown(f":{colour}-badge[{verdict}]")


def show_header(content: Content) -> None:
    """Show what the project predicts, and how well."""
    project, evaluation = content.params.project, content.reports["evaluation"]
    status = content.reports["monitoring"]["status"]
    st.title(escape(project.name))
    st.markdown(f"**{escape(project.description)}**")
    st.markdown(f"{escape(project.model_input)} → {escape(project.model_output)}")
    st.caption(
        f"Live model `{content.version}` ({evaluation['model'].replace('_', ' ')}) · "
        f"measured on {evaluation['rows']:,} held-out rows · "
        f"monitoring: :{COLOURS[status]}-badge[{status}]"
    )
    chosen = content.reports["selection"]["metric"]
    results = sorted(evaluation["metrics"], key=lambda item: item["name"] != chosen)
    for slot, result in zip(st.columns(len(results)), results, strict=True):
        with slot:
            metric_tile(result, content)


def valid_values(column: Column) -> str:
    """Return the allowed categories or the range of a column; empty if anything is valid."""
    if column.allowed:
        return ", ".join(map(str, column.allowed))
    ends = {"from": column.minimum, "to": column.maximum}
    return " ".join(f"{word} {short(end)}" for word, end in ends.items() if end is not None)


def dictionary(content: Content) -> pd.DataFrame:
    """Return the data contract with what cleaning did to each column, one row per column."""
    cleaning = content.reports["cleaning"]
    return pd.DataFrame(
        [
            {
                "Column": column.name,
                "Role": column.role,
                "Meaning": column.description,
                "Unit": column.unit,
                "Valid values": valid_values(column),
                "Missing": cleaning["missing_share"][column.name],
                "Made missing by cleaning": cleaning["values_set_to_missing"][column.name],
            }
            for column in content.contract.columns
        ]
    )


@st.cache_data(show_spinner=False)
def column_values(path: str, modified: float, name: str, *, numeric: bool) -> Any:
    """Read one column; ``modified`` makes a new version of the file be read again."""
    del modified
    frame = read_parquet(Path(path))
    return numbers(frame, name) if numeric else texts(frame, name)


def bar_table(values: Any, column: Column) -> pd.DataFrame:
    """Count the rows per bin of a numeric column or per category, one row per bar."""
    if not is_number(column):
        names, counts = np.unique(values.astype(str), return_counts=True)
        table = pd.DataFrame({"category": names, "rows": counts})
        return table.sort_values("rows", ascending=False)
    known = values[np.isfinite(values)]
    edges = histogram_edges(known, integer=column.type == "integer")
    counts, _ = np.histogram(known, bins=edges)
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "rows": counts})


def show_column(column: Column) -> None:
    """Show the distribution of one column, with a few numbers about it."""
    numeric = is_number(column)
    values = column_values(str(SAMPLE), SAMPLE.stat().st_mtime, column.name, numeric=numeric)
    missing = int(np.isnan(values).sum()) if numeric else int((values == MISSING).sum())
    if missing == values.size:
        st.info(f"{escape(column.name)} has no value in any row.")
        return
    facts = {"Rows": f"{values.size:,}", "Missing": f"{missing / values.size:.1%}"}
    if numeric:
        low, median, high = np.nanquantile(values, [0.05, 0.5, 0.95])
        facts |= {"Median": short(median), "5% to 95%": f"{short(low)} to {short(high)}"}
    else:
        facts["Categories"] = str(np.unique(values[values != MISSING].astype(str)).size)
    bars = alt.Chart(bar_table(values, column)).mark_bar(color=BLUE)
    rows = alt.Y("rows:Q", title="rows")
    if numeric:
        title = f"{column.name} ({column.unit})" if column.unit else column.name
        ticks = alt.Axis(tickMinStep=1) if column.type == "integer" else alt.Axis()
        across = alt.X("from:Q", title=title, bin="binned", axis=ticks)
        chart = bars.encode(x=across, x2="to:Q", y=rows, tooltip=["from", "to", "rows"])
    else:
        across = alt.X("category:N", title=column.name, sort=None, axis=alt.Axis(labelAngle=0))
        chart = bars.encode(x=across, y=rows, tooltip=["category", "rows"])
    left, right = st.columns([3, 1])
    left.altair_chart(chart.properties(height=300), width="stretch")
    with right:
        st.caption(escape(column.description))
        for label, text in facts.items():
            st.markdown(f"{label}: **{text}**")


def show_data(content: Content) -> None:
    """Show the contract, what cleaning did, and one column of choice."""
    cleaning, validation = content.reports["cleaning"], content.reports["validation"]
    st.markdown(escape(content.contract.description))
    st.caption(f"Provenance: {escape(content.contract.provenance)}")
    counted = {
        "Rows read": cleaning["rows_read"],
        "Unusable rows dropped": cleaning["rows_unusable"],
        "Duplicates dropped": cleaning["rows_duplicate"],
        "Rows kept": cleaning["rows_kept"],
        "Values made missing": sum(cleaning["values_set_to_missing"].values()),
        "Rows set apart by validation": validation["rows_quarantined"],
        "Rules of the contract that hold": sum(
            rule["status"] == "kept" for rule in validation["rules"]
        ),
    }
    for slot, (label, count) in zip(st.columns(len(counted)), counted.items(), strict=True):
        slot.metric(label, f"{count:,}")
    st.subheader("One column")
    columns = {
        column.name: column
        for role in ("target", "numeric", "categorical")
        for column in content.contract.with_role(role)
    }
    chosen = st.selectbox("Column", list(columns), label_visibility="collapsed")
    show_column(columns[chosen])
    st.subheader("Data dictionary")
    st.dataframe(
        dictionary(content),
        hide_index=True,
        height="content",
        column_config={
            "Meaning": st.column_config.TextColumn(width="large"),
            "Missing": st.column_config.NumberColumn(format="percent"),
        },
    )


def show_exploration(content: Content) -> None:
    """Show the findings and the figures of the exploration."""
    exploration = content.reports["exploration"]
    st.markdown("\n".join(f"- {escape(finding)}" for finding in exploration["findings"]))
    st.caption(
        f"From {exploration['rows']:,} training rows; held-out rows are kept for the evaluation."
    )
    figure_grid(
        "exploration",
        [
            "target_relations",
            "distributions",
            "correlations",
            "missing_values",
            "categories",
            "timeline",
        ],
    )


def metric_table(content: Content) -> pd.DataFrame:
    """Return every metric of the model and the baseline with its interval, one row each."""
    return pd.DataFrame(
        [
            {
                "Metric": result["label"],
                "Better is": "higher" if result["greater_is_better"] else "lower",
                "Model": interval(result["model"]),
                "Naive baseline": interval(result["baseline"]),
                "Improvement": interval(result["improvement"]),
            }
            for result in content.reports["evaluation"]["metrics"]
        ]
    )


def candidate_table(selection: Report) -> pd.DataFrame:
    """Return the cross-validated scores, the best first."""
    ordered = sorted(
        selection["candidates"],
        key=lambda item: item["mean"],
        reverse=selection["greater_is_better"],
    )
    return pd.DataFrame(
        [
            {
                "Candidate": item["name"].replace("_", " "),
                "Mean": number(item["mean"]),
                "Standard error": number(item["standard_error"]),
                "": "chosen" if item["name"] == selection["winner"] else "",
            }
            for item in ordered
        ]
    )


def segment_table(content: Content) -> pd.DataFrame:
    """Return the chosen metric per segment, one row each."""
    evaluation, chosen = content.reports["evaluation"], content.reports["selection"]["metric"]
    outcome, score = evaluation["level_labels"]
    labels = {result["name"]: result["label"] for result in evaluation["metrics"]}
    return pd.DataFrame(
        [
            {
                "Segment": f"{segment['column']} = {segment['category']}",
                "Rows": segment["rows"],
                outcome: number(segment["mean_outcome"]),
                score: number(segment["mean_score"]),
                labels[chosen]: number(segment["metric"]),
                **{label: number(rate) for label, rate in segment["decisions"].items()},
            }
            for segment in evaluation["segments"]
        ]
    )


def show_model(content: Content) -> None:
    """Show how the model was chosen and how good it is."""
    selection = content.reports["selection"]
    evaluation = content.reports["evaluation"]
    label = next(
        item["label"] for item in evaluation["metrics"] if item["name"] == selection["metric"]
    )
    better = "higher" if selection["greater_is_better"] else "lower"
    st.subheader("Held-out rows")
    st.caption(
        f"Measured once on {evaluation['rows']:,} rows that no earlier step used; in brackets the "
        f"{evaluation['confidence']:.0%} interval."
    )
    st.dataframe(metric_table(content), hide_index=True)
    decision = " · ".join(
        f"{name.replace('_', ' ')} {value:,.4g}"
        for name, value in evaluation["decision"].items()
        if isinstance(value, int | float)
    )
    st.caption(f"Decision: {decision}")
    for words in evaluation["decision"]["words"]:
        st.markdown(escape(words))
    figures = [path.stem for path in sorted((FIGURES / "performance").glob("*.png"))]
    figure_grid("performance", [name for name in figures if name not in SELECTION_FIGURES])
    # what was drawn of windows, where days are forecast
    windows = [path.stem for path in sorted((FIGURES / "backtest").glob("*.png"))]
    figure_grid("backtest", windows, columns=1)
    left, right = st.columns(2)
    with left:
        st.subheader("Candidates")
        st.caption(f"{label} in cross-validation on the training rows; {better} is better.")
        st.dataframe(candidate_table(selection), hide_index=True)
        figure_grid("performance", SELECTION_FIGURES, columns=1)
    with right:
        st.subheader("Segments")
        st.caption("The chosen metric on parts of the held-out rows.")
        st.dataframe(segment_table(content), hide_index=True)
    st.subheader(TITLE)
    st.markdown("\n".join(f"- {line}" for line in result_summary(content.reports[RESULT])))
    figure_grid(RESULT, sorted(path.stem for path in (FIGURES / RESULT).glob("*.png")))


def drift_table(columns: Iterable[Report]) -> pd.DataFrame:
    """Return the comparison of recent records with the training data, one row per column."""
    return pd.DataFrame(
        [
            {
                "Status": item["status"],
                "Column": item["column"],
                "Kind": item["kind"],
                "Change": item["change"].replace("->", "→"),
                "Stability index": f"{item['stability_index']:.3f}",
                "p-value": p_value_text(item["p_value"]),
                "Missing then": f"{item['missing_share_reference']:.1%}",
                "Missing now": f"{item['missing_share_recent']:.1%}",
            }
            for item in columns
        ]
    )


def show_monitoring(content: Content) -> None:
    """Show which columns drifted and what to do."""
    report, settings = content.reports["monitoring"], content.params.monitoring
    drifted = [item for item in report["columns"] if item["status"] != "stable"]
    summary = (
        f"{len(drifted)} of {len(report['columns'])} columns drifted: {report['rows_recent']:,} "
        f"recent rows against {report['rows_reference']:,} training rows."
    )
    show = {"stable": st.success, "warning": st.warning, "alarm": st.error}
    show[report["status"]](summary)
    if report["model_version"] != content.version:
        st.warning(
            f"This report is about model {report['model_version']}; the live one is "
            f"{content.version}. Run `make run`."
        )
    if drifted:
        st.subheader("What to do")
        st.markdown(
            "\n".join(
                f"- **{escape(item['column'])}**: {escape(item['advice'])}" for item in drifted
            )
        )
    st.subheader("All columns")
    st.dataframe(drift_table(report["columns"]), hide_index=True, height="content")
    st.caption(
        f"Stability index: below {settings.warning_index:g} stable, from "
        f"{settings.alarm_index:g} an alarm, if the difference is significant "
        f"(p < {settings.significance:g})."
    )


def main() -> None:
    """Show the page, or say what is missing."""
    st.set_page_config(page_title="Dashboard", layout="wide")
    try:
        content = load()
    except ProjectError as error:
        st.error(str(error))
        return
    show_header(content)
    data, exploration, model, monitoring = st.tabs(["Data", "Exploration", "Model", "Monitoring"])
    with data:
        show_data(content)
    with exploration:
        show_exploration(content)
    with model:
        show_model(content)
    with monitoring:
        show_monitoring(content)


if __name__ == "__main__":
    main()

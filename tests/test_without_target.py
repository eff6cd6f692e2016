"""A project that looks for anomalies of which nobody has told it a single one."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests import template
from tools import demo

LIMIT_SECONDS = 1200
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "Tester", "EMAIL": "tester@example.org"}.items()
}


def without_target(schema: str) -> str:
    """The contract as a user writes it who knows no anomaly: the column left out."""
    start = schema.index("  - name: faulty\n")
    end = schema.index("# Columns besides the identifier", start)
    return schema[:start] + schema[end:]


def test_the_column_is_all_that_tells_anomalies() -> None:
    """No rule, segment or feature needs the target, so leaving it out is one edit."""
    answers = {"task": "anomaly_detection"}
    schema = without_target(template.render_file("schema__anomaly_detection.yaml", answers))
    assert "target" not in {column["role"] for column in yaml.safe_load(schema)["columns"]}
    assert "name: faulty" not in schema
    assert "left: faulty" not in schema
    assert "faulty" not in template.render_file("params.yaml", answers)


@pytest.mark.run
def test_a_project_runs_without_a_target(bake: Callable[..., Path]) -> None:
    """From raw data to a report, with no edit but the column left out and nothing made up."""
    project = bake(task="anomaly_detection")
    schema = project / "schema.yaml"
    schema.write_text(without_target(schema.read_text(encoding="utf-8")), encoding="utf-8")
    done = subprocess.run(
        [str(shutil.which("make")), "run"],
        cwd=project,
        env={**demo.environment(), **IDENTITY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-4000:]

    def report(name: str) -> dict[str, object]:
        content: dict[str, object] = json.loads((project / name).read_text(encoding="utf-8"))
        return content

    assert set(report("reports/metrics.json")) == {"mass_volume_area"}
    decision = report("reports/evaluation.json")["decision"]
    assert isinstance(decision, dict)
    assert set(decision) == {"threshold", "alarms_per_1000_rows", "words"}
    assert 10 < decision["alarms_per_1000_rows"] < 60
    assert report("reports/selection.json")["winner"] in {
        "robust_covariance",
        "principal_components",
    }
    for name in ("README.md", "reports/model_card.md", "reports/data_card.md"):
        text = (project / name).read_text(encoding="utf-8")
        assert not re.search(r"\bnan\b|\bNone\b(?!: no record)", text), name
    written = report("reports/monitoring.json")
    assert "work_shift" in json.dumps(written)

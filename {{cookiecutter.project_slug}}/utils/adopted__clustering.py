"""What a project says of an adopted table, and the settings that go with it: clusters."""

import re

from data_prep.proposal import Proposal, named_inputs
from utils.config import Contract, Params


def settings_text(text: str, params: Params, proposal: Proposal) -> str:
    """Return the settings with numbers of clusters that fit the table.

    Args:
        text: the settings as they are.
        params: the same, read.
        proposal: what was inferred.
    """
    del params
    most = proposal.settings["clusters"]["most"]
    ranges = r"\b(n_clusters|n_components): \{low: (\d+), high: \d+"
    text = re.sub(ranges, rf"\g<1>: {{low: \g<2>, high: {most}", text)
    slices = r"(baseline: \{n_clusters: )(\d+)"
    return re.sub(slices, lambda found: f"{found[1]}{min(int(found[2]), most)}", text)


def descriptions(contract: Contract) -> dict[str, str]:
    """Return the description of the project, of what its model sees and of what it answers."""
    table = contract.table
    return {
        "description": f"Which kinds of records {table} has, and which kind each record is",
        "model_input": f"One record of {table}{named_inputs(contract)}",
        "model_output": "The cluster that the record belongs to, its name, and how clearly",
    }

"""What a project says of an adopted table, and the settings that go with it: anomalies."""

from data_prep.proposal import Proposal, named_inputs
from utils.config import Contract, Params


def settings_text(text: str, params: Params, proposal: Proposal) -> str:
    """Return the settings as they are: detectors take tables of any size.

    Args:
        text: the settings as they are.
        params: the same, read.
        proposal: what was inferred.
    """
    del params, proposal
    return text


def descriptions(contract: Contract) -> dict[str, str]:
    """Return the description of the project, of what its model sees and of what it answers."""
    table = contract.table
    return {
        "description": f"Which records of {table} are unusual enough to look at",
        "model_input": f"One record of {table}{named_inputs(contract)}",
        "model_output": "How unusual the record is, and whether to raise an alarm",
    }

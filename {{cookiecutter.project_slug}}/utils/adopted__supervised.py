"""What a project says of an adopted table, and the settings that go with it: a target."""

from data_prep.proposal import Proposal, named_inputs
from utils.config import Contract, Params
from utils.rewriting import inline, replace_section
from utils.tree_settings import candidates_text

TWO = 2


def _value(contract: Contract, params: Params) -> tuple[list[str], str]:
    """Return neutral values of right and wrong predictions, and what they mean."""
    currency = f"  currency: {inline(params.value.get('currency', 'EUR'))}"
    if not contract.target.allowed:
        costs = ["  cost_per_unit_too_high: 1", "  cost_per_unit_too_low: 1"]
        unit = (
            f"What an error of 1 in {contract.target.name} costs, if the prediction is too high or"
        )
        return [currency, *costs], f"{unit} too low."
    worth = ["  right: 1", "  wrong: 0", "  listed: []"]
    return (
        [currency, *worth],
        "What a decision is worth: of all right ones, all wrong ones, and those that are listed.",
    )


def settings_text(text: str, params: Params, proposal: Proposal) -> str:
    """Return the settings with neutral values and candidates that fit the table.

    Args:
        text: the settings as they are.
        params: the same, read.
        proposal: what was inferred.
    """
    values, meaning = _value(proposal.contract, params)
    return candidates_text(replace_section(text, "value", values, meaning), proposal.rows)


def descriptions(contract: Contract) -> dict[str, str]:
    """Return the description of the project, of what its model sees and of what it answers."""
    target = contract.target
    answer = f"The expected {target.name}"
    if len(target.allowed) == TWO:
        answer = f"The probability that {target.name} is {target.allowed[1]}"
    elif target.allowed:
        answer = f"The probability of each of the {len(target.allowed)} classes of {target.name}"
    asked = f"How large {target.name} of a record of {contract.table} is"
    if target.allowed:
        asked = f"Which {target.name} a record of {contract.table} has"
    return {
        "description": asked,
        "model_input": f"One record of {contract.table}{named_inputs(contract)}",
        "model_output": answer,
    }

"""What a project says of an adopted table, and the settings that go with it: series."""

from data_prep.proposal import Proposal, named_inputs
from model_training.splitting import series_of
from utils.config import Contract, Params
from utils.rewriting import inline, replace_section
from utils.tree_settings import candidates_text


def settings_text(text: str, params: Params, proposal: Proposal) -> str:
    """Return the settings with neutral costs and candidates that fit the table.

    Args:
        text: the settings as they are.
        params: the same, read.
        proposal: what was inferred.
    """
    name = proposal.contract.target.name
    costs = [
        f"  currency: {inline(params.value.get('currency', 'EUR'))}",
        "  cost_per_unit_too_high: 1",
        "  cost_per_unit_too_low: 1",
    ]
    meaning = f"What an error of 1 in {name} costs, if the forecast is too high or too low."
    return candidates_text(replace_section(text, "value", costs, meaning), proposal.rows)


def descriptions(contract: Contract) -> dict[str, str]:
    """Return the description of the project, of what its model sees and of what it answers."""
    series, target = series_of(contract), contract.target.name
    of_each = f" of each {series.by}" if series.by else ""
    days = f"each of the next {series.horizon} days" if series.horizon > 1 else "the next day"
    which = f"One {series.by} on one" if series.by else "One"
    known = named_inputs(contract, series.by) if series.by else named_inputs(contract)
    return {
        "description": f"How large {target}{of_each} will be on {days}",
        "model_input": f"{which} day to come{known}",
        "model_output": f"The expected {target} on the day, with an interval",
    }

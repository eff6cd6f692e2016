"""Labelling functions: rules that say whether a customer left, each knowing only some cases.

A function returns an expression over the cleaned columns: 1 or 0, or missing where the rule does
not apply. What is said here may be wrong; how often is estimated from where the rules agree. They
may read what became known after the prediction, because labels are made afterwards.

To add a rule, write a function and list it in ``LABELLING_FUNCTIONS``.
"""

from collections.abc import Callable

import narwhals as nw

LabellingFunction = Callable[[], nw.Expr]

IDLE_DAYS = 60


def _says(text: str) -> nw.Expr:
    return nw.col("follow_up").str.contains(text, literal=True)


def cancellation_form() -> nw.Expr:
    """Who sent the cancellation form left."""
    return nw.when(_says("cancelled by form")).then(nw.lit(1))


def request() -> nw.Expr:
    """Who asked to close the account left; who asked for an upgrade stayed."""
    closes, upgrades = _says("asked to close the account"), _says("asked for an upgrade")
    return nw.when(closes).then(nw.lit(1)).otherwise(nw.when(upgrades).then(nw.lit(0)))


def payment() -> nw.Expr:
    """Who paid the next fee stayed; whose payment failed left."""
    paid, failed = _says("payment received"), _says("payment failed")
    return nw.when(paid).then(nw.lit(0)).otherwise(nw.when(failed).then(nw.lit(1)))


def logins() -> nw.Expr:
    """Who logged in four times or more stayed; who never did left."""
    often = nw.col("follow_up").str.contains(r"logins (?:[4-9]|[1-9][0-9])")
    never = nw.col("follow_up").str.contains(r"logins 0")
    return nw.when(often).then(nw.lit(0)).otherwise(nw.when(never).then(nw.lit(1)))


def data_export() -> nw.Expr:
    """Who took the data along left."""
    return nw.when(_says("exported data")).then(nw.lit(1))


def idle_before() -> nw.Expr:
    """Who had not logged in for two months before the snapshot left."""
    return nw.when(nw.col("days_since_login") > IDLE_DAYS).then(nw.lit(1))


LABELLING_FUNCTIONS: tuple[LabellingFunction, ...] = (
    cancellation_form,
    request,
    payment,
    logins,
    data_export,
    idle_before,
)

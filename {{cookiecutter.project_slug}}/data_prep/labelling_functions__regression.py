"""Labelling functions: each reads how long a delivery took from one of the clocks that saw it.

A function returns an expression over the cleaned columns: hours, or missing where its clock says
nothing. What is said here may be wrong; how far is estimated from where the functions agree. They
may read what became known after the prediction, because labels are made afterwards.

To add a rule, write a function and list it in ``LABELLING_FUNCTIONS``.
"""

from collections.abc import Callable

import narwhals as nw

LabellingFunction = Callable[[], nw.Expr]


def _hours(clock: str) -> nw.Expr:
    """Return the number that stands between the name of a clock and the letter h."""
    text = nw.col("tracking")
    after = text.str.replace_all(rf"^.*{clock} ", "").str.replace_all(r" h.*$", "")
    number = rf"{clock} [0-9]+(?:\.[0-9]+)? h"
    return nw.when(text.str.contains(number)).then(after).otherwise(nw.lit(None)).cast(nw.Float64)


def door_scan() -> nw.Expr:
    """The scanner at the door: exact, but now and then it is another parcel."""
    return _hours("door scan")


def courier_app() -> nw.Expr:
    """The courier's app, often closed some minutes too late."""
    return _hours("app")


def signature() -> nw.Expr:
    """The time beside the signature, written by hand."""
    return _hours("signature")


def customer() -> nw.Expr:
    """What the customer remembers, in whole hours."""
    return _hours("customer")


LABELLING_FUNCTIONS: tuple[LabellingFunction, ...] = (door_scan, courier_app, signature, customer)

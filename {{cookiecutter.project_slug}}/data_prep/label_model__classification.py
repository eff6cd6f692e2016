"""One class per record from several sources, none of which is always right.

Every source is described by how often it says what where each class is true, and the classes and
these shares are estimated together by expectation maximisation, from the votes of the majority on.

Source: Dawid and Skene (1979), Maximum Likelihood Estimation of Observer Error-Rates Using the EM
Algorithm. With rules as sources, for which saying nothing is an answer as well, this is the
generative model of Ratner et al. (2016), Data Programming, for independent sources.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from utils.config import Column

Array = npt.NDArray[np.float64]

SMALLEST_CHANGE = 1e-6
# Added to each count, so that no source is ever taken for infallible.
PSEUDO_COUNT = 0.5
WRONG = "wrong"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the estimation goes on at most."""

    iterations: Annotated[int, msgspec.Meta(ge=1)]


class Combined(NamedTuple):
    """One label per record.

    Attributes:
        labels: number of the class, shape (n,); NaN where no source says anything.
        confidence: probability that the label is right, shape (n,); NaN like the label.
        quality: what was found out about each source, by the heading of a table.
    """

    labels: Array
    confidence: Array
    quality: list[dict[str, float]]


def encode(values: Sequence[Any], target: Column) -> Array:
    """Return the number of each value's class, shape (n,); NaN for what is no class."""
    numbers = {str(value): float(number) for number, value in enumerate(target.allowed)}
    return np.array([numbers.get(str(value), np.nan) for value in values], dtype=np.float64)


def decode(labels: Array, target: Column) -> list[Any]:
    """Return the class of each number, None for NaN."""
    return [None if np.isnan(label) else target.allowed[int(label)] for label in labels]


def coordinates(votes: Array, target: Column) -> Array:
    """Return votes (n, k) as points (n, k, classes) that all lie equally far from each other."""
    points: Array = (votes[..., None] == np.arange(len(target.allowed))).astype(np.float64)
    points[np.isnan(votes)] = np.nan
    return points


def _majority(said: Array) -> Array:
    """Return the share of the votes for each class, shape (n, classes); even without a vote."""
    counts = said.sum(axis=1)
    votes = counts.sum(axis=1, keepdims=True)
    overall = counts.sum(axis=0) / max(counts.sum(), 1.0)
    shares: Array = np.where(votes > 0, counts / np.maximum(votes, 1.0), overall)
    return shares


def _posterior(answers: Array, prior: Array, shares: Array) -> Array:
    logarithm = np.log(prior) + np.einsum("nko,kco->nc", answers, np.log(shares))
    likelihood = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    posterior: Array = likelihood / likelihood.sum(axis=1, keepdims=True)
    return posterior


def combine(votes: Array, target: Column, settings: Settings, *, silence: bool) -> Combined:
    """Estimate the class of each record and the quality of each source.

    Args:
        votes: number of the class, shape (n, k); NaN where a source says nothing.
        target: names the classes.
        settings: when to stop.
        silence: whether saying nothing is an answer, as for a rule that every record is put to, or
            means that the source was not asked about the record.
    """
    classes = len(target.allowed)
    said = np.nan_to_num(coordinates(votes, target))
    unknown = np.isnan(votes)
    answers = np.concatenate([said, unknown[..., None]], axis=2) if silence else said
    posterior = _majority(said)
    prior, shares = np.ones(classes), np.ones((votes.shape[1], classes, answers.shape[2]))
    for _ in range(settings.iterations):
        counts = np.einsum("nc,nko->kco", posterior, answers) + PSEUDO_COUNT
        shares = counts / counts.sum(axis=2, keepdims=True)
        prior = (posterior.sum(axis=0) + PSEUDO_COUNT) / (len(votes) + classes * PSEUDO_COUNT)
        before, posterior = posterior, _posterior(answers, prior, shares)
        if np.abs(posterior - before).max(initial=0.0) < SMALLEST_CHANGE:
            break
    silent = unknown.all(axis=1)
    labels = np.where(silent, np.nan, posterior.argmax(axis=1))
    confidence = np.where(silent, np.nan, posterior.max(axis=1))
    # the probability that a vote is right, given the other votes and itself
    right = (posterior[:, None, :] * said).sum(axis=(0, 2)) / np.maximum(said.sum(axis=(0, 2)), 1.0)
    quality = []
    for source in range(votes.shape[1]):
        found = {"Right": float(right[source])}
        if not silence:
            for number, value in enumerate(target.allowed):
                found[f"Right where {value}"] = float(shares[source, number, number])
        quality.append(found)
    return Combined(labels, confidence, quality)

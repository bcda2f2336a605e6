"""Broken choices: the exponential mechanism with the wrong rate, without noise, or among the wrong candidates."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.measurement import Event
from privsynth.privacy import mechanism
from privsynth.privacy.curator import Curator
from privsynth.privacy.source import AbstractNoiseSource
from tests.kill_matrix import references, sources
from tests.kill_matrix.defect import Conformance, Defect
from tests.kill_matrix.generators import Rounds, errors

Scores = npt.NDArray[np.int64]


class AmongTheWrong(Rounds):
    """Chooses among the pairs that are exactly known to be far off."""

    def pair(self, curator: Curator, rho: Fraction, turn: int) -> None:
        query = errors(curator.domain)
        exact = query.answer(curator._data.open().marginals(query.cliques))
        far = [index for index, score in enumerate(exact) if score > 20 * query.GRID] or [0]
        chosen = curator.select(query.among(far), rho=rho, stage=f"select {turn}")
        curator.measure([query.cliques[far[chosen]]], rho=rho, stage=f"pair {turn}")


class _Faster:
    """A source whose rate is changed on the way to it."""

    def __init__(self, source: AbstractNoiseSource, rate_of: Callable[[Fraction], Fraction]) -> None:
        self.exponential = lambda scores, rate: source.exponential(scores, rate_of(rate))


def other_rate(patch: pytest.MonkeyPatch, rate_of: Callable[[Fraction, int], Fraction]) -> None:
    right = mechanism.exponential

    def wrong(scores: Scores, *, sensitivity: int, noise: AbstractNoiseSource, **rest: Any) -> tuple[int, Event]:
        faster: Any = _Faster(noise, lambda rate: rate_of(rate, sensitivity))
        return right(scores, sensitivity=sensitivity, noise=faster, **rest)

    patch.setattr(mechanism, "exponential", wrong)


def without_the_half(patch: pytest.MonkeyPatch) -> None:
    other_rate(patch, lambda rate, sensitivity: 2 * rate)


def without_the_sensitivity(patch: pytest.MonkeyPatch) -> None:
    other_rate(patch, lambda rate, sensitivity: rate * sensitivity)


def best(patch: pytest.MonkeyPatch) -> None:
    """The event is written as always; the source is not asked."""
    right = mechanism.exponential

    def wrong(scores: Scores, *, noise: AbstractNoiseSource, **rest: Any) -> tuple[int, Event]:
        silent: Any = _Silent()
        return int(scores.argmax()), right(scores, noise=silent, **rest)[1]

    patch.setattr(mechanism, "exponential", wrong)


class _Silent:
    """A source that is asked and not followed."""

    @staticmethod
    def exponential(scores: Scores, rate: Fraction) -> int:
        return 0


DEFECTS = (
    Defect(
        name="coefficient without its half",
        drawn_from=references.MBI_65,
        what="exp(epsilon score / sensitivity), which is for scores that rows can only raise.",
        target=Conformance(broken=without_the_half),
        caught_by="ledger",
    ),
    Defect(
        name="coefficient without its sensitivity",
        drawn_from=references.DATASYNTHESIZER_34,
        what="exp(epsilon score / 2): the score is taken to be in other units.",
        target=Conformance(broken=without_the_sensitivity),
        caught_by="ledger",
    ),
    Defect(
        name="the best candidate, and an event for it",
        drawn_from=references.DATAXID_19,
        what="The choice is the exact maximum; the accounts say exponential mechanism.",
        target=Conformance(broken=best),
        caught_by="ledger",
    ),
    Defect(
        name="a source that takes the best candidate",
        drawn_from=references.DP_RECORDER,
        what="The same inside the noise source: it is asked, and takes the maximum.",
        target=Conformance(noise=lambda seed: sources.Argmax(seed, sources.right)),
        caught_by="selection: distribution",
    ),
    Defect(
        name="noisy maximum with half the noise",
        drawn_from=references.MBI_65,
        what="Report noisy max with Laplace noise of half the scale that the rate asks for.",
        target=Conformance(noise=lambda seed: sources.NoisyMax(seed, sources.right)),
        caught_by="selection: distribution",
    ),
    Defect(
        name="candidates from the data",
        drawn_from=references.DP_RECORDER,
        what="Candidates are those whose exact score is high, as synthcity's PrivBayes branches on weak information.",
        target=Conformance(generator=AmongTheWrong),
        caught_by="replay: invariance",
    ),
    Defect(
        name="rate a tenth too large",
        drawn_from=references.OPACUS_346,
        what="The source follows scores a tenth more closely than it is told to.",
        target=Conformance(noise=lambda seed: sources.Drawn(seed, sources.right, rate=Fraction(11, 10))),
        caught_by="selection: distribution",
    ),
    Defect(
        name="the first of equal candidates",
        drawn_from=references.DP_RECORDER,
        what="Of candidates with the same score only the first is ever chosen: one row more lets another appear.",
        target=Conformance(noise=lambda seed: sources.FirstOfEqual(seed, sources.right)),
        caught_by="selection: source",
    ),
    Defect(
        name="the best of many candidates",
        drawn_from=references.DATAXID_19,
        what="Among more than forty candidates the best is taken.",
        target=Conformance(noise=lambda seed: sources.BestOfMany(seed, sources.right)),
        caught_by="selection: source",
    ),
)

"""Small generators to break: right as they stand, and with a defect each where a subclass says so."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from privsynth import graphical
from privsynth.domain import Clique, Domain
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import Composition
from privsynth.privacy.curator import Curator
from privsynth.privacy.query import MarginalErrors


def errors(domain: Domain) -> MarginalErrors:
    """How far every pair is from twenty records spread evenly."""
    pairs: list[Clique] = list(itertools.combinations(domain.attributes, 2))
    even = [np.full(domain.shape(pair), 20 / domain.cells(pair)) for pair in pairs]
    return MarginalErrors(cliques=tuple(pairs), references=even, weights=[1] * len(pairs), penalties=[0.0] * len(pairs))


class Rounds(AbstractGenerator):
    """Measures every column, then chooses and measures two pairs; a graphical model of what it learned."""

    name: ClassVar[str] = "rounds"

    def measure(self, curator: Curator) -> None:
        """A fifth of the budget for columns, and for each choice and each pair."""
        share = curator.budget / 5
        self.columns(curator, share)
        for turn in range(2):
            self.pair(curator, share, turn)

    def columns(self, curator: Curator, rho: Fraction) -> None:
        """All one-way tables."""
        curator.measure([(name,) for name in curator.domain.attributes], rho=rho, stage="columns")

    def pair(self, curator: Curator, rho: Fraction, turn: int) -> None:
        """Choose the pair that is most wrong, and measure it."""
        query = errors(curator.domain)
        chosen = curator.select(query, rho=rho, stage=f"select {turn}")
        curator.measure([query.cliques[chosen]], rho=rho, stage=f"pair {turn}")

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The model that fits the noisy tables."""
        return graphical.estimate(domain, transcript, iterations=20)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The same model again."""
        return graphical.restore(domain, transcript, arrays)


class Scores(Rounds):
    """Uses Gaussian noise alone: tables with shares of the budget, and the noisy scores of all pairs at once."""

    name: ClassVar[str] = "scores"
    composition: ClassVar[Composition] = "gdp"

    def measure(self, curator: Curator) -> None:
        """Columns with unequal shares; the scores of all pairs; the pair with the largest one."""
        names = curator.domain.attributes
        count = len(names)
        weights = [Fraction(2 * turn + 2, count * (count + 1)) for turn in range(count)]
        curator.measure([(name,) for name in names], rho=curator.budget / 3, stage="columns", weights=weights)
        query = errors(curator.domain)
        scores = curator.measure_errors(query, rho=curator.budget / 3, stage="scores")
        curator.measure([query.cliques[int(scores.values.argmax())]], rho=curator.remaining, stage="pair")

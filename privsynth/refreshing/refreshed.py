"""The generator of a refresh: test for drift, measure what moved, keep the rest of an earlier release, and fit all of it.

Must never see records: the earlier release is public, and what is learned of new data is what the curator answers.

The privacy argument. Write mu^2 = 2 rho for the whole budget of the fit.

1. The earlier release is public: its answers were paid for when they were drawn, and to hold new answers against them, or to
   fit them together with new ones, is post-processing. Any public tables could stand in their place; nothing here rests on
   whose they are or whether they are true.
2. Every question is one that `latent_class` asks: tables of counts, and errors of public reference tables, with the
   sensitivities that `privacy/query.py` proves, and Gaussian noise.
3. What is asked next, and with how much of the budget, is decided from the noisy answers so far. For Gaussian answers that is
   fully adaptive composition with a filter at rho (Smith, Thakurta 2022), and at the ledger's Renyi order one at the
   population's cap (Feldman, Zrnic 2021; Whitehouse et al. 2023). The guarantee of a refresh is that of the filter, the whole
   budget, whatever it used; the ledger, a filter itself, is charged for what was begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Domain
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import Composition
from privsynth.refreshing import measuring
from privsynth.refreshing.deciding import Decision, decide
from privsynth.refreshing.prior import Prior

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

DRIFT_SHARE: Final = Fraction(15, 100)
"""The part of a release's budget for the drift test."""

FALSE_ALARM: Final = Fraction(1, 20)
"""The chance with which anything is called moved where nothing did."""

Part: TypeAlias = Literal["all", "watch", "renew"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed(AbstractGenerator):
    """A refresh, whole or one of its two parts, which the ledger is charged for one after the other.

    Args: `inner` fits the tables. `part` "watch" is the drift test alone, with all of its curator's budget; "renew" measures
        what `answers`, those of the drift test, say moved, with all of its curator's budget; "all" is both.
    """

    name: ClassVar[str] = "refreshed"
    composition: ClassVar[Composition] = "gdp"

    prior: Prior
    inner: AbstractGenerator
    part: Part = "all"
    answers: Transcript = ()
    drift_share: Fraction = DRIFT_SHARE
    false_alarm: Fraction = FALSE_ALARM

    def measure(self, curator: Curator) -> None:
        """The drift test, then what moved."""
        domain = curator.domain
        prior = self.prior.on(domain)
        if not domain.attributes:
            return
        if self.part == "watch":
            measuring.watch(curator, prior, curator.budget, self.false_alarm)
        elif self.part == "renew":
            decision = decide(domain, prior, self.answers, self.false_alarm)
            measuring.renew(curator, prior, decision, self.answers, curator.budget)
        else:
            measuring.watch(curator, prior, curator.budget * self.drift_share, self.false_alarm)
            decision = self.decision(domain, curator.transcript)
            measuring.renew(curator, prior, decision, (), self.renewing(domain, curator.budget, decision))

    def decision(self, domain: Domain, transcript: Transcript) -> Decision:
        """What the drift test's answers in a transcript say."""
        return decide(domain, self.prior.on(domain), transcript, self.false_alarm)

    def renewing(self, domain: Domain, budget: Fraction, decision: Decision) -> Fraction:
        """What measuring anew what moved is paid, of a release's budget: as much as a release of its own would give to it."""
        return budget * (1 - self.drift_share) * measuring.renewal(domain, self.prior.on(domain), decision).fraction

    def with_kept(self, domain: Domain, transcript: Transcript) -> Transcript:
        """What was measured, and what is kept of the earlier release."""
        prior, answers = self.prior.on(domain), measuring.own(transcript)
        return answers + measuring.kept(prior, self.decision(domain, answers))

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The fit of new and kept answers together."""
        return self.inner.estimate(domain, self.with_kept(domain, transcript))

    def estimate_again(
        self, domain: Domain, transcript: Transcript, like: AbstractDistribution | None = None
    ) -> AbstractDistribution:
        """The same in less time."""
        return self.inner.estimate_again(domain, self.with_kept(domain, transcript), like)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are."""
        return self.inner.restore(domain, self.with_kept(domain, transcript), arrays)

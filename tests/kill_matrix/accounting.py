"""Broken accounts: something is learned and not paid for, or not at its price."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import fitting
from privsynth.findings import Claim
from privsynth.measurement import Event, Measurement, Selection
from privsynth.privacy import guarantee, mechanism
from privsynth.privacy.accounting import Composition, gaussian_epsilon_of
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix import references
from tests.kill_matrix.defect import Conformance, Defect
from tests.kill_matrix.generators import Rounds

Events = list[Event]


class Unregistered(Rounds):
    """Looks at one table more than it pays for, to decide when to stop."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        curator._noise.gaussian(curator._data.open().marginal((curator.domain.attributes[0],)), Fraction(4))


class Overdrawn(Rounds):
    """Forgets what it spent, and spends again."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        curator._spent = Fraction(0)
        super().measure(curator)


class Unsplit(Rounds):
    """Gives the choices half of the budget, and the tables all of it."""

    def measure(self, curator: Curator) -> None:
        self.columns(curator, curator.budget / 3)
        for turn in range(2):
            chosen = self.chosen(curator, turn)
            curator._spent = Fraction(0)
            curator.measure([chosen], rho=curator.budget / 3, stage=f"pair {turn}")

    def chosen(self, curator: Curator, turn: int) -> tuple[str, ...]:
        """A pair, for a quarter of the budget."""
        before = len(curator._entries)
        self.pair(curator, curator.budget / 4, turn)
        entry = curator._entries[before]
        assert isinstance(entry, Selection)
        del curator._entries[before + 1 :]
        return entry.chosen


class ToTheEnd(Rounds):
    """Right in itself: goes on as long as there is enough left for another round."""

    def measure(self, curator: Curator) -> None:
        while curator.remaining >= curator.budget / 5:
            self.columns(curator, curator.budget / 5)


class SilentChoice(Rounds):
    """Leaves its choices out of the transcript."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        curator._entries[:] = [entry for entry in curator._entries if not isinstance(entry, Selection)]


class Exact(Rounds):
    """Publishes an exact table under the event of a noisy one."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        first = curator._entries[0]
        assert isinstance(first, Measurement)
        values = curator._data.open().marginal(first.clique)
        curator._entries[0] = Measurement(clique=first.clique, values=values, event=first.event)


class SelectsAsGaussian(Rounds):
    """Says that all of its noise is Gaussian."""

    composition: ClassVar[Composition] = "gdp"


def forgetful_curator(*args: Any, composition: Composition, **named: Any) -> Curator:
    """One that does not know how its answers are to add up."""
    return Curator(*args, **named)


def promised(rho: Fraction, unit: PrivacyUnit) -> Claim:
    """What a release says: its guarantee, by the library's own conversion."""
    said = Guarantee(rho=rho, delta=Fraction(1, 100_000), purchase_delta=Fraction(0), unit=unit)
    return Claim(epsilon=said.epsilon, delta=float(said.delta), rho=float(rho), unit=unit.name)


def half_a_tail(patch: pytest.MonkeyPatch) -> None:
    """The conversion rho + 2 sqrt(rho log(1/delta)) without its 2."""
    patch.setattr(guarantee, "epsilon_for", lambda rho, delta, *_: float(rho) + math.sqrt(rho * -math.log(delta)))


def as_gaussian(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guarantee, "epsilon_for", lambda rho, delta, *_: gaussian_epsilon_of(rho, delta))


def no_composition(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fitting, "Curator", forgetful_curator)


def half_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Curator, "remaining", property(lambda curator: curator._budget - curator._spent / 2))


def no_half(patch: pytest.MonkeyPatch) -> None:
    right = mechanism.gaussian_variance
    patch.setattr(mechanism, "gaussian_variance", lambda *args, **named: right(*args, **named) / 2)


def searched(patch: pytest.MonkeyPatch) -> None:
    """Sigma to two digits, rounded to the nearest: sometimes down."""
    right = mechanism.gaussian_variance

    def variance(*args: Any, **named: Any) -> Fraction:
        sigma = float(right(*args, **named)) ** 0.5
        return Fraction(float(f"{sigma * 0.997:.2g}")) ** 2

    patch.setattr(mechanism, "gaussian_variance", variance)


def monotone_price(patch: pytest.MonkeyPatch) -> None:
    right = mechanism.exponential_epsilon
    patch.setattr(mechanism, "exponential_epsilon", lambda rho: 2 * right(rho))


def changed_events(patch: pytest.MonkeyPatch, change: Callable[[Event], Event]) -> None:
    right = mechanism.gaussian

    def wrong(answers: Sequence[npt.NDArray[np.int64]], **named: Any) -> tuple[list[npt.NDArray[np.int64]], Events]:
        noisy, events = right(answers, **named)
        return noisy, [change(event) for event in events]

    patch.setattr(mechanism, "gaussian", wrong)


def amplified(patch: pytest.MonkeyPatch) -> None:
    changed_events(patch, lambda event: replace(event, rho=event.rho / 100))


def stated_larger(patch: pytest.MonkeyPatch) -> None:
    changed_events(patch, lambda event: replace(event, sigma_squared=(event.sigma_squared or 1) * Fraction(5, 4)))


DEFECTS = (
    Defect(
        name="a table nobody paid for",
        drawn_from=references.THEORY_ALONE,
        what="One more noisy table is looked at, to decide when to stop; no event says so.",
        target=Conformance(generator=Unregistered),
        caught_by="ledger",
    ),
    Defect(
        name="spent twice",
        drawn_from=references.DP_RECORDER,
        what="The account is set back, and the budget spent a second time.",
        target=Conformance(generator=Overdrawn),
        caught_by="ledger",
    ),
    Defect(
        name="budget not split",
        drawn_from=references.MBI_11,
        what="Tables get the whole budget although choices have used some of it.",
        target=Conformance(generator=Unsplit),
        caught_by="ledger",
    ),
    Defect(
        name="wrong odometer",
        drawn_from=references.SMARTNOISE_621,
        what="The running total counts half of what is spent, and the generator goes on.",
        target=Conformance(generator=ToTheEnd, broken=half_counted),
        caught_by="ledger",
    ),
    Defect(
        name="choices not in the accounts",
        drawn_from=references.THEORY_ALONE,
        what="Selections look at the data, and no event pays for them.",
        target=Conformance(generator=SilentChoice),
        caught_by="ledger",
    ),
    Defect(
        name="an exact table under a noisy one's event",
        drawn_from=references.DATAXID_19,
        what="The accounts are in order, and what is published is the exact table.",
        target=Conformance(generator=Exact),
        caught_by="ledger",
    ),
    Defect(
        name="a choice accounted as Gaussian",
        drawn_from=references.SYNTHCITY_276,
        what="The exponential mechanism is added up with the Gaussian mechanism's formula.",
        target=Conformance(generator=SelectsAsGaussian, broken=no_composition),
        caught_by="ledger",
    ),
    Defect(
        name="a factor of two in the variance",
        drawn_from=references.SYNTHCITY_276,
        what="The noise is made for rho = sensitivity^2 / sigma^2, and the event states sensitivity^2 / (2 sigma^2).",
        target=Conformance(broken=no_half),
        caught_by="ledger",
    ),
    Defect(
        name="sigma searched and rounded down",
        drawn_from=references.OPACUS_346,
        what="A search for sigma stops at the nearest value, which may be below the one that is needed.",
        target=Conformance(broken=searched),
        caught_by="ledger",
    ),
    Defect(
        name="selection at a monotone score's price",
        drawn_from=references.MBI_65,
        what="Epsilon is twice what rho allows, as if rows could only raise scores.",
        target=Conformance(broken=monotone_price),
        caught_by="ledger",
    ),
    Defect(
        name="amplification without sampling",
        drawn_from=references.OPACUS_80,
        what="The price is that of a random tenth of the rows; all rows are used.",
        target=Conformance(broken=amplified),
        caught_by="ledger",
    ),
    Defect(
        name="more noise stated than drawn",
        drawn_from=references.SMARTNOISE_621,
        what="The event states a variance a quarter above the one that was drawn.",
        target=Conformance(broken=stated_larger),
        caught_by="ledger",
    ),
    Defect(
        name="wrong conversion to epsilon",
        drawn_from=references.SYNTHCITY_276,
        what="Epsilon is rho + sqrt(rho log(1/delta)): a factor of two is missing before the root.",
        target=Conformance(broken=half_a_tail, promise=promised),
        caught_by="claim: accounting",
    ),
    Defect(
        name="Gaussian conversion for choices",
        drawn_from=references.SYNTHCITY_276,
        what="Epsilon is that of Gaussian noise alone, and choices were made too.",
        target=Conformance(broken=as_gaussian, promise=promised),
        caught_by="claim: accounting",
    ),
)

"""The kill matrix for fits with Gaussian noise alone: groups, shares of the budget, scores of all candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import fitting, graphical
from privsynth.domain import Domain
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Event, Transcript
from privsynth.privacy import mechanism
from privsynth.privacy.accounting import Composition
from privsynth.privacy.curator import Curator
from privsynth.privacy.query import MarginalErrors, Marginals
from privsynth.privacy.unit import PrivacyUnit
from tests.laboratory import PATIENT, REPLACED, ROW, Int64s, Pairs, checked, failing


class GroupedAndWeighted(AbstractGenerator):
    """All that a Gaussian fit may ask: tables over groups, with shares of the budget, and the scores of all pairs."""

    name: ClassVar[str] = "grouped-and-weighted"
    composition: ClassVar[Composition] = "gdp"

    def measure(self, curator: Curator) -> None:
        names = curator.domain.attributes
        halved = {name: tuple(level % 2 for level in range(curator.domain.size(name))) for name in names[::2]}
        columns = [(name,) for name in names]
        weights = [Fraction(2 * turn + 2, len(names) * (len(names) + 1)) for turn in range(len(names))]
        curator.measure(columns, rho=curator.budget / 4, stage="columns", weights=weights)
        pairs = tuple((first, second) for first in names for second in names if first < second)
        query = MarginalErrors(
            cliques=pairs,
            references=[np.zeros(curator.domain.shape(pair)) for pair in pairs],
            weights=list(range(1, len(pairs) + 1)),
            penalties=[0.0] * len(pairs),
        )
        scores = curator.measure_errors(query, rho=curator.budget / 4, stage="scores")
        chosen = pairs[int(scores.values.argmax())]
        curator.measure([chosen, *columns], rho=curator.remaining, stage="groups", groups=halved)

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        return graphical.estimate(domain, transcript[: len(domain)], iterations=1)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        return graphical.restore(domain, transcript[: len(domain)], arrays)


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
def test_a_correct_generator_passes(unit: PrivacyUnit) -> None:
    assert failing(checked(GroupedAndWeighted(), unit=unit)) == set()


def test_scores_that_move_further_than_their_noise_is_made_for_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MarginalErrors.sensitivity_squared
    monkeypatch.setattr(MarginalErrors, "sensitivity_squared", lambda query, unit: right(query, unit) // 4)
    assert failing(checked(GroupedAndWeighted())) == {"replay: sensitivity"}


def test_shares_of_more_than_the_budget_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Marginals.shares
    monkeypatch.setattr(Marginals, "shares", lambda query, rho: [2 * share for share in right(query, rho)])
    assert "ledger" in failing(checked(GroupedAndWeighted()))


def test_a_table_drawn_with_another_one_s_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the weights had been forgotten where the noise is drawn."""
    right = mechanism.gaussian

    def wrong(answers: Sequence[Int64s], **named: Any) -> tuple[list[Int64s], list[Event]]:
        noisy, events = right(answers, **{**named, "shares": [max(named["shares"])] * len(answers)})
        _, stated = right(answers, **named)
        return noisy, [replace(event, rho=one.rho) for event, one in zip(events, stated, strict=True)]

    monkeypatch.setattr(mechanism, "gaussian", wrong)
    assert "ledger" in failing(checked(GroupedAndWeighted()))


def test_a_selection_accounted_as_gaussian_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pairs, "composition", "gdp")
    assert "replay: invariance" in failing(checked())  # the curator refuses, and the fit breaks off
    monkeypatch.setattr(fitting, "Curator", broken_curator)
    assert failing(checked()) == {"ledger"}


def broken_curator(*args: Any, composition: Composition, **named: Any) -> Curator:
    """One that forgets how its answers are to add up."""
    return Curator(*args, **named)

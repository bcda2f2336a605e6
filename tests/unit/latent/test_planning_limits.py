"""The plan's limit: however many levels the counts would keep apart, there are no more groups than fit in memory."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth.domain import LevelFacts
from privsynth.latent import planning
from privsynth.latent.planning import Budget, make_plan

RICH = Budget(rho=100.0, sensitivity_squared=1)


def groups(sizes: list[int], fact: LevelFacts) -> list[int]:
    """Groups an attribute, of a plan for attributes of so many frequent levels."""
    counts = [1e7 / np.arange(1, size + 1) for size in sizes]
    scaled = [one * (1e7 / one.sum()) for one in counts]
    plan = make_plan(scaled, [fact] * len(sizes), RICH, Fraction(1, 10))
    return [int(of.max()) + 1 for of in plan.groups]


@pytest.mark.parametrize("fact", [LevelFacts(), LevelFacts(ordered=700)])
def test_the_rarest_levels_are_merged_where_there_would_be_too_many_groups(fact: LevelFacts) -> None:
    assert groups([700, 700, 4], fact) == [700, 700, 4]
    found = groups([5_000, 700, 4], fact)
    assert sum(found) <= planning._MOST_GROUPS
    assert found[2] == 4
    assert found[0] > 300


def test_attributes_are_never_too_many_for_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_MOST_GROUPS", 10)
    assert groups([3, 4, 5, 6, 7, 8], LevelFacts()) == [2] * 6

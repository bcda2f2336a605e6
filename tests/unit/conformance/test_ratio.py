"""Which stages are told apart, where the fits on different numbers of canaries have different stages."""

from __future__ import annotations

from privsynth.conformance.ratio import Sizes, _stages
from privsynth.conformance.transcript import Stage


def stage(name: str, units: int) -> Stage:
    return Stage(name=name, units=units, questions=())


def test_every_stage_is_told_apart_by_the_number_that_is_planned_for_it_or_by_the_largest_that_has_it() -> None:
    planned = Sizes(stages={"columns": 3, "pair": 1, "never": 3}, whole=8)
    found = {
        1: [stage("columns", 1), stage("pair", 1)],
        3: [stage("columns", 3), stage("seldom", 3)],
        8: [stage("columns", 8), stage("pair", 8), stage("seldom", 8), stage("more", 8)],
    }
    assert {of.name: of.units for of in _stages(found, planned).values()} == {
        "columns": 3,
        "pair": 1,
        "seldom": 8,
        "more": 8,
    }
    del found[3]
    assert {of.name: of.units for of in _stages(found, planned).values()}["columns"] == 8

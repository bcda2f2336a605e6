"""A tenth too little noise, or a rate a tenth too large, in any one stage of any generator of ours is caught."""

from __future__ import annotations

import pytest

from privsynth import generators
from tests.laboratory import ROW, checked, failing
from tests.shortfall import Short, noting

STAGES = {
    "independent": ("one-way",),
    "mst": ("one-way", "select", "tree"),
    "aim": ("one-way", "select", "measure"),
    "latent_class": ("one-way", "one-way-again", "pairs", "triple-scores", "pairs-again"),
}


SAMPLED = {("independent", "one-way"), ("mst", "tree"), ("aim", "select"), ("latent_class", "triple-scores")}
"""One stage of each generator, for the normal run; all of them are for the full size."""
EVERY = [
    pytest.param(name, stage, marks=() if (name, stage) in SAMPLED else pytest.mark.full_only)
    for name, stages in STAGES.items()
    for stage in stages
]


@pytest.mark.parametrize(("name", "stage"), EVERY)
def test_a_shortfall_of_a_tenth_in_one_stage_is_caught(name: str, stage: str) -> None:
    with noting(Short(5, stage)) as source:
        verdicts = checked(generators.get(name, {}), unit=ROW, noise=source)
    assert source.known, "the stage was never asked for"
    caught = "selection: distribution" if stage == "select" else "noise: scale"
    assert caught in failing(verdicts)


@pytest.mark.parametrize("stage", ["one-way", "tree"])
def test_half_of_the_noise_shows_in_the_stage_s_own_transcript(stage: str) -> None:
    with noting(Short(5, stage, 0.5)) as source:
        found = failing(checked(generators.get("mst", {}), unit=ROW, noise=source))
    assert f"transcript: {stage}" in found
    assert not {f"transcript: {other}" for other in ("one-way", "select", "tree") if other != stage} & found

"""Broken noise: of the wrong scale, the wrong shape, or the same noise twice."""

from __future__ import annotations

from collections.abc import Callable

from privsynth.privacy.source import AbstractNoiseSource
from tests.kill_matrix import references, sources
from tests.kill_matrix.defect import Conformance, Defect
from tests.kill_matrix.sources import Draw, Drawn, Reseeded


def drawn(draw: Draw) -> Callable[[int], AbstractNoiseSource]:
    """A source that makes its noise this way."""
    return lambda seed: Drawn(seed, draw)


def reseeded(each: str) -> Callable[[int], AbstractNoiseSource]:
    """A source that starts from its seed again."""
    return lambda seed: Reseeded(seed, each=each)


DEFECTS = (
    Defect(
        name="a tenth too little noise",
        drawn_from=references.OPACUS_346,
        what="Noise of nine tenths of the sigma that is stated.",
        target=Conformance(noise=drawn(sources.a_tenth_less)),
        caught_by="noise: scale",
    ),
    Defect(
        name="a tenth too little noise in one stage",
        drawn_from=references.ELUSIVE,
        what="The same in the stages of single pairs only.",
        target=Conformance(noise=drawn(sources.a_tenth_less_in_one_stage)),
        caught_by="noise: scale",
    ),
    Defect(
        name="Laplace noise",
        drawn_from=references.DIFFPRIVLIB_19,
        what="Laplace noise of the right variance from floats, where Gaussian noise is accounted.",
        target=Conformance(noise=drawn(sources.laplace)),
        caught_by="noise: shape",
    ),
    Defect(
        name="noise that is never negative",
        drawn_from=references.DIFFPRIVLIB_94,
        what="The noise's sign is dropped, so that counts stay positive.",
        target=Conformance(noise=drawn(sources.never_negative)),
        caught_by="noise: shape",
    ),
    Defect(
        name="holes in the noise",
        drawn_from=references.OPACUS_616,
        what="Only even noise is drawn, as floats leave gaps: whether an answer is odd tells whether the count is.",
        target=Conformance(noise=drawn(sources.in_steps)),
        caught_by="noise: shape",
    ),
    Defect(
        name="a seed for every draw",
        drawn_from=references.DP_RECORDER,
        what="Each draw starts from the same seed: the difference of two tables is free of noise.",
        target=Conformance(noise=reseeded("draw")),
        caught_by="noise: independence of draws",
    ),
    Defect(
        name="a seed for every fit",
        drawn_from=references.DP_RECORDER,
        what="Each fit starts from the same seed: the difference of two releases is free of noise.",
        target=Conformance(noise=reseeded("fit")),
        caught_by="noise: independence of runs",
    ),
    Defect(
        name="noise off in a corner case",
        drawn_from=references.DP_RECORDER,
        what="As where synthcity's PrivBayes has K equal to the number of columns: the scale comes out as zero.",
        target=Conformance(noise=drawn(sources.off_where_equal)),
        caught_by="noise: scale",
    ),
    Defect(
        name="truncated noise",
        drawn_from=references.DIFFPRIVLIB_94,
        what="No noise beyond two sigma: an answer further off than that is certain to be another table's.",
        target=Conformance(noise=drawn(sources.truncated)),
        caught_by="noise: scale",
    ),
    Defect(
        name="one noise for two tables",
        drawn_from=references.PATE_GAN_29,
        what="The noise of the first half of a draw is used again for the second half.",
        target=Conformance(noise=drawn(sources.repeated)),
        caught_by="noise: sums",
    ),
    Defect(
        name="noise cut off at three sigma",
        drawn_from=references.DIFFPRIVLIB_94,
        what="As truncated noise, but for one answer in 400 only.",
        target=Conformance(noise=drawn(sources.cut_off)),
        caught_by="noise: shape",
    ),
    Defect(
        name="noise that adds up to zero",
        drawn_from=references.OPACUS_571,
        what="Each draw is centred: its sum is the exact number of records.",
        target=Conformance(noise=drawn(sources.centred)),
        caught_by="noise: sums",
    ),
    Defect(
        name="half of the noise where sigma is large",
        drawn_from=references.OPACUS_346,
        what="Right up to sigma 200, which no stage reaches here.",
        target=Conformance(noise=drawn(sources.half_where_large)),
        caught_by="noise: source",
    ),
    Defect(
        name="no noise for large counts",
        drawn_from=references.DP_RECORDER,
        what="Counts above a thousand are left as they are, as if noise did not matter there.",
        target=Conformance(noise=lambda seed: sources.LargeCounts(seed, sources.right)),
        caught_by="noise: source",
    ),
    Defect(
        name="the same key for ever",
        drawn_from=references.DP_RECORDER,
        what="Which rows of a person are kept can be computed by everybody.",
        target=Conformance(noise=lambda seed: sources.OneKey(seed, sources.right)),
        caught_by="noise: independence of runs",
    ),
)

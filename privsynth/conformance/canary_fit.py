"""One real fit that audits itself: canaries that share no pair of values, put in by fair coins, which its tables are asked for.

Must never be mixed with real records: its tables are made up.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from privsynth import epsilon_bounds, one_run
from privsynth.audit_plan import ConformanceTerms
from privsynth.canaries import Canaries
from privsynth.conformance.fits import Fit, recorded
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.residuals import Floats, Int64s
from privsynth.conformance.tables import Laboratory
from privsynth.domain import Domain
from privsynth.findings import Claim
from privsynth.measurement import Measurement, Transcript, measurements
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit

CANARIES = "one run: canaries"

_LEVELS = 32
"""1,024 canaries."""

_SHARE = 0.5
_FAILURE = 1e-9
"""The delta at which guesses are held to what rho implies: a larger one costs more than its smaller epsilon gains."""

_CONFIDENCE = 0.01


def test(
    terms: ConformanceTerms,
    fit: Fit,
    unit: PrivacyUnit,
    claim: Claim,
    noise: AbstractNoiseSource,
    *,
    rng: np.random.Generator,
) -> Iterator[Hypothesis]:
    """The test "one run: canaries"; nothing of a fit that publishes no table of two columns or more.

    The coins of the canaries that score highest and lowest are guessed; a generator that keeps its claim lets only so many
    guesses be right (Steinke, Nasr, Jagielski 2023).
    """
    names = tuple(f"column {place}" for place in range(max(2, min(terms.columns, _LEVELS + 1))))
    laboratory = Laboratory(Domain(names, (_LEVELS + 2,) * len(names)), unit, columns=len(names), levels=_LEVELS + 2)
    canaries = Canaries.of(Domain(names, (_LEVELS + 1,) * len(names)), rng=rng, most_levels=_LEVELS)
    if canaries is None:
        return
    base = canaries.ordinary(terms.crowd, rng=rng)
    included = rng.random(canaries.count) < 0.5
    run = recorded(fit, laboratory.among(base, canaries.codes[included], canaries.count), noise)
    score = scores(run.transcript, names, base, canaries.codes)
    if score is None:
        return
    guesses = one_run.guess(score, included, share=_SHARE, rng=rng)
    shown = one_run.epsilon_lower(guesses, delta=claim.delta, alpha=_CONFIDENCE)
    told = (
        f"Of {guesses.made} guesses which of {guesses.canaries} canaries were in one table, {guesses.right} were right: "
        f"epsilon is at least {shown:.3g} at delta = {claim.delta:g} ({100 * (1 - _CONFIDENCE):g} % confidence); claimed is "
        f"{claim.epsilon:.4g}"
    )
    yield Hypothesis(
        check=CANARIES,
        threat="that one fit tells who was in the table",
        p_value=_p_value(guesses, claim),
        rejected=f"{told}: the guarantee does not hold.",
        kept=f"{told}.",
        estimate=shown,
        interval=(shown, claim.epsilon),
    )


def _p_value(guesses: one_run.Guesses, claim: Claim) -> float:
    if claim.rho is None:
        return one_run.p_value(guesses, epsilon=claim.epsilon, delta=claim.delta)
    epsilon = epsilon_bounds.implied_epsilon(claim.rho, _FAILURE, claim.composition)
    return one_run.p_value(guesses, epsilon=epsilon, delta=_FAILURE)


def scores(transcript: Transcript, names: tuple[str, ...], base: Int64s, canaries: Int64s) -> Floats | None:
    """For each canary, what the tables hold in its cells beyond what is known to be there, each cell by its precision.

    None where there is no table of two columns or more. Shapes: `base` and `canaries` are (rows, columns) of levels.
    """
    tables = [table for table in measurements(transcript) if len(table.clique) > 1]
    if not tables:
        return None
    found = np.zeros(len(canaries))
    for table in tables:
        cells = np.concatenate([base, canaries])[:, [names.index(name) for name in table.clique]]
        place = _places(table, cells)
        known = np.bincount(place[: len(base)], minlength=table.values.size)
        own = place[len(base) :]
        found += (table.values.reshape(-1)[own] - known[own]) / table.variance
    return found


def _places(table: Measurement, cells: Int64s) -> Int64s:
    """Where in a table each row is counted."""
    columns = [
        np.array(table.groups[name])[column] if name in table.groups else column
        for name, column in zip(table.clique, cells.T, strict=True)
    ]
    return np.asarray(np.ravel_multi_index(columns, table.values.shape), dtype=np.int64)

"""`latent_class`: all one-way and all two-way tables, measured at once, and a mixture of products fitted to them together.

Must never score, select or measure anything but through the curator, and nothing but with Gaussian noise.

The privacy argument. Write mu^2 = 2 rho for the fit's whole budget rho.

1. Every question is a vector of counts, or of scores, with a proven L2 sensitivity D (`privacy/query.py`): a table of counts
   moves by at most sqrt(unit.l2_squared) when one unit's rows are added or removed, or replaced, whatever levels are merged;
   an error score moves by at most unit.l1. The question's noise is N(0, sigma^2), with sigma^2 = D^2 / (2 rho_t), so the
   answer is mu_t-GDP with mu_t = D / sigma = sqrt(2 rho_t) (Dong, Roth, Su 2022, theorem 1); tables that are released
   together with weights w are one question of sensitivity 1 after each is divided by its sigma.
2. What is published is that answer rounded to integers. Exact answers are integers, so rounding the sum is adding the rounded
   noise: a function of the Gaussian mechanism's output, which cannot lose privacy. Nothing is approximate here; no bound on a
   lattice enters, and the noise's 1/12 of additional variance is all that rounding costs.
3. Which levels are merged, how the budget is divided between one-way tables and pairs, and which triples are measured is
   decided from earlier answers: the questions are chosen adaptively, and so are their shares rho_t. The curator adds the rho_t
   and refuses once they pass rho. For Gaussian mechanisms that is a valid filter: the whole transcript is mu-GDP (Smith,
   Thakurta 2022, fully adaptive composition for Gaussian differential privacy). It needs every answer to be Gaussian, which is
   why triples are chosen from noisy scores of all of them and not by the exponential mechanism.
4. Everything else (planning, denoising, fitting, choosing when to stop, error bars, records) is a function of the transcript
   and of public facts. The number of records is never used; it is estimated.

A unit with up to m rows has D = m instead of 1, and replacing instead of adding costs a factor sqrt(2): both are the unit's
business (`privacy/unit.py`), and the same argument holds word for word.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.domain import Clique, Domain
from privsynth.errors import PolicyError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.latent.distribution import LatentClassDistribution, restored
from privsynth.latent.estimation import fit, fit_again, sketch
from privsynth.latent.measuring import affords, drawable, groups_of, measure_again, measure_pairs, measure_tables
from privsynth.latent.observed import Observed, observe
from privsynth.latent.planning import one_way_weights
from privsynth.measurement import ErrorScores, Transcript, measurements
from privsynth.privacy.accounting import Composition
from privsynth.privacy.query import MarginalErrors

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

_REFITTED = 200
"""Classes of a refit from which errors are told."""

_TRIPLE_CELLS = 20_000
"""Largest table of three attributes that is looked at."""

_TRIPLES = 20_000
"""Most tables of three attributes that are looked at, those of fewest cells first: more would drown each other's scores."""

_TRIPLE_ATTRIBUTES = 128
"""Most attributes whose tables of three are looked at, those of fewest levels first: of 300 there are 4.5 million."""

_SKETCHED = 200
"""Classes of the mixture that triples are compared with."""

_SIGNIFICANT, _NOTABLE = 4.0, 0.4
"""A triple is measured if its score stands above the typical one by so many standard deviations of its noise and by this part
of all records. Tables that are nearly right gain nothing: on adult, measuring the worst of them costs all others 10 %."""

_FEW = 10
"""With fewer triples there is no typical one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LatentClass(AbstractGenerator):
    """All pairs in one Gaussian release, denoised together, and a mixture of products (latent class model) fitted to them.

    Args: `components` bounds the number of classes; `first_share` of the budget measures one-way tables, from which the rest
        is planned; `score_share` looks for tables of three attributes that pairs cannot explain, and `triple_share` measures up
        to `triples` of them (all pairs once more, where there are none to be found).
    Privacy: Gaussian differential privacy, mu^2 = 2 rho; the argument is at the head of this file.
    Source: mixtures of products for tables: Lazarsfeld; Goodman 1974; under composite likelihoods: Varin, Reid, Firth 2011.
        Ablations of every step: docs/decisions/0012.
    """

    name: ClassVar[str] = "latent_class"
    composition: ClassVar[Composition] = "gdp"

    components: int = 2000
    first_share: Fraction = Fraction(1, 10)
    score_share: Fraction = Fraction(1, 50)
    triple_share: Fraction = Fraction(1, 100)
    triples: int = 3

    def __post_init__(self) -> None:
        shares = (self.first_share, self.score_share, self.triple_share)
        if min(shares) <= 0 or sum(shares) >= Fraction(1, 2):
            raise PolicyError(
                "latent_class: first_share, score_share and triple_share must be above 0, together below 1/2"
            )
        if self.components < 1 or self.triples < 1:
            raise PolicyError("latent_class: components and triples must be at least 1")

    def measure(self, curator: Curator) -> None:
        """One-way tables; the plan; one-way tables again and all pairs; and tables of three attributes that stand out."""
        domain = curator.domain
        if not domain.attributes:
            return
        tables = curator.budget * (1 - self.score_share - self.triple_share)
        plan = measure_tables(curator, tables, self.first_share)
        if plan is None:
            return
        found = self._stand_out(curator)
        if found and drawable(curator, curator.remaining / len(found)):
            curator.measure(found, rho=curator.remaining, stage="triples", groups=groups_of(domain, plan))
        elif affords(curator, plan, curator.remaining):
            measure_pairs(curator, plan, curator.remaining, "pairs-again")
        else:
            one_way = [(name,) for name in domain.attributes]
            measure_again(curator, one_way, one_way_weights(domain.sizes), curator.remaining)

    def _stand_out(self, curator: Curator) -> list[Clique]:
        """Score all small tables of three attributes against a sketch of the model, and pick those it does not explain.

        Sampling alone makes a cell of m expected records differ by sqrt(2 m / pi) on average; scores are lowered by that.
        """
        domain = curator.domain
        candidates = _candidates(domain)
        if not candidates:
            return []
        progress.report("looking for tables of three", 0, 1)
        seen = observe(domain, measurements(curator.transcript))
        model = _sketched(seen, min(_SKETCHED, self.components))
        references = [model.project(clique) for clique in candidates]
        query = MarginalErrors(
            cliques=tuple(candidates),
            references=references,
            weights=[1] * len(candidates),
            penalties=[float(np.sqrt(2 / math.pi * np.maximum(table, 0)).sum()) for table in references],
        )
        scores = curator.measure_errors(query, rho=curator.budget * self.score_share, stage="triple-scores")
        return self._significant(scores, model.total)

    def _significant(self, scores: ErrorScores, total: float) -> list[Clique]:
        """The highest scores that stand out."""
        assert scores.event.sigma_squared is not None
        typical = float(np.median(scores.values)) if len(scores.values) >= _FEW else 0.0
        noise = math.sqrt(scores.event.sigma_squared)
        bar = typical + _NOTABLE * MarginalErrors.GRID * total + _SIGNIFICANT * noise
        best = np.argsort(-scores.values, kind="stable")[: self.triples].tolist()
        return [scores.cliques[place] for place in best if scores.values[place] > bar]

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The mixture that fits all noisy tables, followed into their noise as far as its estimated risk falls."""
        seen = observe(domain, measurements(transcript))
        return LatentClassDistribution(seen, fit(seen, components=self.components))

    def estimate_again(
        self, domain: Domain, transcript: Transcript, like: AbstractDistribution | None = None
    ) -> AbstractDistribution:
        """With fewer classes, the steps of the first fit and without predicted errors: noise is what a refit is to show."""
        seen = observe(domain, measurements(transcript))
        steps = like.steps if isinstance(like, LatentClassDistribution) else None
        return LatentClassDistribution(seen, fit_again(seen, components=min(self.components, _REFITTED), steps=steps))

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are."""
        return restored(observe(domain, measurements(transcript)), arrays)


def _candidates(domain: Domain) -> Sequence[Clique]:
    """Tables of three attributes that are small enough, those of fewest cells first."""
    fewest = sorted(domain.attributes, key=domain.size)[:_TRIPLE_ATTRIBUTES]
    narrow = [name for name in domain.attributes if name in fewest]
    cells = {clique: domain.cells(clique) for clique in itertools.combinations(narrow, 3)}
    small = [clique for clique, size in cells.items() if size <= _TRIPLE_CELLS]
    return sorted(small, key=cells.__getitem__)[:_TRIPLES]


def _sketched(seen: Observed, components: int) -> LatentClassDistribution:
    """The model of the denoised pairs, unrefined."""
    return LatentClassDistribution(seen, sketch(seen, components=components))

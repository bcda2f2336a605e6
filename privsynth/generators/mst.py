"""`mst`: a spanning tree of the most dependent pairs, chosen privately and measured once.

Must never score or measure anything but through the curator; with too little budget for a tree it measures none.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth import graphical, progress
from privsynth.domain import Clique, Domain
from privsynth.errors import PolicyError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.query import MarginalErrors

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MST(AbstractGenerator):
    """One-way tables, a maximum spanning tree of pairs by the exponential mechanism, the tree's tables, a tree model.

    Args: `one_way_share` and `selection_share` of the budget; the tree's tables get the rest. `iterations` bounds the fit.
    Source: McKenna, Miklau, Sheldon 2021 (Winning the NIST contest), algorithm 1, but for three things. Shares are not
        thirds, since selecting is cheap. A pair's score is lowered by what sampling alone would make it, or wide
        independent pairs would win. Rare levels are not merged: the fit starts from independence and stops where it would
        fit noise, which leaves pairs of rare levels independent and each level its own count.
    """

    name: ClassVar[str] = "mst"
    holds_pairs: ClassVar[bool] = True

    one_way_share: Fraction = Fraction(1, 3)
    selection_share: Fraction = Fraction(1, 20)
    iterations: int = 2000

    def __post_init__(self) -> None:
        if min(self.one_way_share, self.selection_share) <= 0 or self.one_way_share + self.selection_share >= 1:
            raise PolicyError("mst: one_way_share and selection_share must be above 0 and together below 1")
        if self.iterations < 1:
            raise PolicyError(f"mst: iterations must be at least 1; found {self.iterations}")

    def measure(self, curator: Curator) -> None:
        """One-way tables; then, if the budget is enough for structure, a tree of pairs, and else one-way tables again."""
        domain = curator.domain
        one_way: list[Clique] = [(name,) for name in domain.attributes]
        if not one_way:
            return
        budget = curator.budget
        curator.measure(one_way, rho=budget * self.one_way_share, stage="one-way")
        first = graphical.independent(domain, curator.transcript)
        tree_rho = budget * (1 - self.one_way_share - self.selection_share)
        if not first.affords_pairs(tree_rho):
            curator.measure(one_way, rho=curator.remaining, stage="one-way-again")
            return
        tree = self._select(curator, first, budget * self.selection_share)
        curator.measure(tree, rho=curator.remaining, stage="tree")

    def _select(self, curator: Curator, first: graphical.FirstLook, rho: Fraction) -> list[Clique]:
        """Kruskal's algorithm, with the next edge chosen by how wrong independence is about it.

        A cell of m expected records is off by sqrt(2 m / pi) on average if independence holds (Poisson, for large m).
        """
        domain = curator.domain
        component = {name: index for index, name in enumerate(domain.attributes)}
        pairs = tuple(itertools.combinations(domain.attributes, 2))
        tables = [first.table(pair) for pair in pairs]
        sampling = [float(np.sqrt(2 / np.pi * table).sum()) for table in tables]
        every = MarginalErrors(cliques=pairs, references=tables, weights=[1] * len(pairs), penalties=sampling)
        del tables
        tree: list[Clique] = []
        while len(tree) < len(domain) - 1:
            progress.report("choosing pairs", len(tree), len(domain) - 1)
            joining = [index for index, (one, two) in enumerate(pairs) if component[one] != component[two]]
            chosen = curator.select(every.among(joining), rho=rho / (len(domain) - 1), stage="select")
            one, two = pairs[joining[chosen]]
            tree.append((one, two))
            merged, into = component[two], component[one]
            component = {name: into if part == merged else part for name, part in component.items()}
        return tree

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The tree model that fits the noisy tables as well as their noise allows."""
        return graphical.estimate(domain, transcript, iterations=self.iterations)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are."""
        return graphical.restore(domain, transcript, arrays)

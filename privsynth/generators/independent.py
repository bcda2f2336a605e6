"""`independent`: one-way tables only; the floor that every other generator must beat, and right at tiny budgets.

Must never measure anything but one-way tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth import graphical
from privsynth.domain import Domain
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import Composition

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Independent(AbstractGenerator):
    """All of the budget on every attribute's own table; attributes are drawn independently."""

    name: ClassVar[str] = "independent"
    composition: ClassVar[Composition] = "gdp"

    def measure(self, curator: Curator) -> None:
        """One release of all one-way tables."""
        if curator.domain.attributes:
            curator.measure([(name,) for name in curator.domain.attributes], rho=curator.remaining, stage="one-way")

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The product of the nearest non-negative one-way tables."""
        return graphical.estimate(domain, transcript, iterations=1)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are."""
        return graphical.restore(domain, transcript, arrays)

"""Factor: a table over a domain; products and sums by attribute name, so that axes are numbered here and nowhere else.

Must never change in place: every operation makes a new factor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.pgm.contraction import reduction


@final
@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A real table with one axis an attribute. Shapes: `values` is `domain.sizes`."""

    domain: Domain
    values: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != self.domain.sizes:
            raise FitError(f"a factor over {self.domain.attributes} cannot hold an array of shape {self.values.shape}")

    @classmethod
    def zeros(cls, domain: Domain) -> Factor:
        """Zero everywhere."""
        return cls(domain, np.zeros(domain.sizes))

    def expand(self, domain: Domain) -> npt.NDArray[np.float64]:
        """A read-only view with the axes of a larger domain, constant along the attributes this factor lacks."""
        mine = [name for name in domain.attributes if name in self.domain]
        axes = [self.domain.index(name) for name in mine]
        if len(axes) != len(self.domain):
            raise FitError(f"a factor over {self.domain.attributes} does not fit into {domain.attributes}")
        shape = tuple(
            size if name in self.domain else 1 for name, size in zip(domain.attributes, domain.sizes, strict=True)
        )
        return np.broadcast_to(self.values.transpose(axes).reshape(shape), domain.sizes)

    def __add__(self, other: Factor) -> Factor:
        domain = self.domain.merge(other.domain)
        return Factor(domain, self.expand(domain) + other.expand(domain))

    def __mul__(self, other: Factor) -> Factor:
        domain = self.domain.merge(other.domain)
        return Factor(domain, self.expand(domain) * other.expand(domain))

    def exp(self) -> Factor:
        """The exponential of every cell."""
        return Factor(self.domain, np.exp(self.values))

    def project(self, clique: Iterable[str]) -> Factor:
        """Sums over all attributes but these, with axes in this order."""
        target = self.domain.project(clique)
        onto = tuple(self.domain.index(name) for name in target.attributes)
        sums = np.empty(target.sizes)
        for step in reduction(np.asarray(self.values, order="C"), tuple(range(len(self.domain))), onto, sums):
            step()
        return Factor(target, sums)

    def log_project(self, clique: Iterable[str]) -> Factor:
        """The logarithm of the sums of exponentials over all attributes but these; -inf where all of them are -inf."""
        top = self.values.max(initial=-np.inf) if self.values.size else -np.inf
        if not np.isfinite(top):
            return Factor(self.domain.project(clique), np.full(self.domain.shape(clique), -np.inf))
        target = self.domain.project(clique)
        drop = tuple(axis for axis, name in enumerate(self.domain.attributes) if name not in target)
        peak = self.values.max(axis=drop, keepdims=True)
        peak = np.where(np.isfinite(peak), peak, 0.0)
        with np.errstate(divide="ignore"):
            sums = np.log(np.exp(self.values - peak).sum(axis=drop, keepdims=True)) + peak
        kept = [name for name in self.domain.attributes if name in target]
        return Factor(
            target, sums.reshape(self.domain.shape(kept)).transpose([kept.index(n) for n in target.attributes])
        )

    def conditional(self, given: Iterable[str]) -> Factor:
        """Cells divided by their sum over the attributes not in `given`: P(rest | given); zero where that sum is zero."""
        sums = self.project(given).expand(self.domain)
        return Factor(self.domain, np.divide(self.values, sums, out=np.zeros(self.domain.sizes), where=sums > 0))

"""The curator: trusted holder of data, budget and noise; the only door through which anything is learned.

Must never return an exact answer, and must never answer what the budget does not cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NoReturn, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import BudgetExceeded, MechanismError
from privsynth.measurement import Entry, Measurement, Selection, Transcript
from privsynth.privacy import mechanism
from privsynth.privacy.query import MarginalErrors, Marginals
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private

_CACHED_CELLS = 1 << 26


@final
class Curator:
    """Answers two kinds of question about one private dataset, within one budget.

    Privacy: everything it returns together is budget-zCDP for neighbours that differ in one `unit`: each answer is
        rho-zCDP by its mechanism, the rhos are added before the data is touched, and adaptively chosen zCDP answers add up
        (Bun, Steinke 2016; as a filter, Whitehouse et al. 2023).
    """

    def __init__(self, data: Private[Dataset], *, unit: PrivacyUnit, rho: Fraction, noise: AbstractNoiseSource) -> None:
        if not isinstance(rho, Fraction) or rho <= 0:
            raise MechanismError("a curator needs a budget above zero, as an exact fraction")
        self._data = data
        self._unit = unit
        self._budget = rho
        self._noise = noise
        self._entries: list[Entry] = []
        self._spent = Fraction(0)
        self._exact: dict[Clique, npt.NDArray[np.int64]] = {}

    @property
    def domain(self) -> Domain:
        """The public domain of the data."""
        return self._data.open().domain

    @property
    def budget(self) -> Fraction:
        """The whole budget of this fit, in zCDP."""
        return self._budget

    @property
    def remaining(self) -> Fraction:
        """What is left of it."""
        return self._budget - self._spent

    @property
    def transcript(self) -> Transcript:
        """Everything that was learned, in order: public."""
        return tuple(self._entries)

    def measure(self, cliques: Sequence[Clique], *, rho: Fraction, stage: str) -> tuple[Measurement, ...]:
        """Release the tables of these cliques together, with equal noise.

        Privacy: spends rho for all of them together.
        Raises: BudgetExceeded before the data is touched; MechanismError for an empty list or a budget of zero.
        """
        query = Marginals(cliques=tuple(tuple(clique) for clique in cliques))
        for clique in query.cliques:
            self.domain.project(clique)
        self._require(rho, stage)
        mechanism.gaussian_variance(query.table_sensitivity_squared(self._unit), rho / len(query.cliques))
        self._spent += rho
        noisy, event = mechanism.gaussian(
            self._tables(query.cliques),
            sensitivity_squared=query.table_sensitivity_squared(self._unit),
            rho=rho,
            stage=stage,
            noise=self._noise,
        )
        found = tuple(
            Measurement(clique=clique, values=values, event=event)
            for clique, values in zip(query.cliques, noisy, strict=True)
        )
        self._entries.extend(found)
        return found

    def select(self, query: MarginalErrors, *, rho: Fraction, stage: str) -> int:
        """Choose the candidate whose reference table is most wrong.

        Privacy: spends rho. Returns: the index of the chosen candidate.
        Raises: BudgetExceeded before the data is touched.
        """
        if not isinstance(query, MarginalErrors):
            raise MechanismError("a selection is asked with MarginalErrors and nothing else")
        for clique, reference in zip(query.cliques, query.references, strict=True):
            if reference.shape != self.domain.project(clique).sizes:
                raise MechanismError("a selection's references must have the shapes of their cliques' tables")
        self._require(rho, stage)
        self._spent += rho
        chosen, event = mechanism.exponential(
            query.answer(self._tables(query.cliques)),
            sensitivity=query.sensitivity(self._unit),
            rho=rho,
            stage=stage,
            noise=self._noise,
        )
        self._entries.append(Selection(chosen=query.cliques[chosen], candidates=len(query.cliques), event=event))
        return chosen

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise MechanismError("a curator cannot be copied or pickled: its budget is spent once")

    def _require(self, rho: Fraction, stage: str) -> None:
        if not isinstance(rho, Fraction):
            raise MechanismError(f'stage "{stage}" must ask for its budget as an exact fraction')
        if rho <= 0:
            raise MechanismError(f'stage "{stage}" asks for a budget of {float(rho):.3g}; it must be above zero')
        if rho > self.remaining:
            raise BudgetExceeded(
                f'stage "{stage}" asks for rho = {float(rho):.6g}, but {float(self.remaining):.6g} is left of '
                f"{float(self._budget):.6g}; give the stages smaller shares or the release a larger budget"
            )

    def _tables(self, cliques: Iterable[Clique]) -> list[npt.NDArray[np.int64]]:
        wanted = list(cliques)
        missing = [clique for clique in dict.fromkeys(wanted) if clique not in self._exact]
        if missing:
            self._exact.update(zip(missing, self._data.open().marginals(missing), strict=True))
        out = [self._exact[clique] for clique in wanted]
        if sum(table.size for table in self._exact.values()) > _CACHED_CELLS:
            self._exact.clear()
        return out


def make_curator(dataset: Dataset, *, unit: PrivacyUnit, rho: Fraction, noise: AbstractNoiseSource) -> Curator:
    """A curator over a dataset that is already in hand: for tests, audits on public tables, and benchmarks."""
    return Curator(Private(dataset), unit=unit, rho=rho, noise=noise)

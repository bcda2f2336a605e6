"""What a network that draws records is as a distribution: tables by counting its draws, records, conditional records.

Must never hold or need anything but a network made from a transcript, and must never leave a condition half kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, Evidence
from privsynth.nn.device import memory_errors, single_precision
from privsynth.nn.record_input import RecordLayout
from privsynth.structural import StructuralZeros

Tensor: TypeAlias = Any
Ints: TypeAlias = npt.NDArray[np.int64]

_BLOCK_NUMBERS: Final = 8_000_000
"""Inputs of records that are drawn at a time, together: 32 MB."""

_LARGEST_BLOCK: Final = 16_384

_COUNTED: Final = 100_000
"""Records that tables are counted in: a share of p is off by sqrt(p / 100,000) or less."""

_COUNTED_SEED: Final = 20_250_102

_MOST_PROPOSED: Final = 4_000_000
"""Records that are proposed for evidence, beside 1,000 for each that is wanted, before it is called too rare."""

_TRIES: Final = 20
"""Rounds of drawing again the rows that no rule allows."""


class AbstractRecordSource(ABC):
    """A network that draws records, itself a function of published weights."""

    layout: RecordLayout
    device: Any

    @abstractmethod
    def draw(self, rows: int, rng: np.random.Generator, allowed: Mapping[int, Tensor] | None = None) -> Tensor:
        """Propose records, of which those that `allowed` (position -> mask of levels) allows remain, exactly.

        Shapes: (remaining, attributes) codes in the layout's order.
        """


@final
class DrawnDistribution(AbstractDistribution):
    """The records of a network as a generator's distribution."""

    def __init__(self, domain: Domain, network: AbstractRecordSource, total: float) -> None:
        self.domain = domain
        self._network, self._total = network, total
        self._counted: Dataset | None = None

    @property
    def total(self) -> float:
        """Estimated number of records."""
        return self._total

    def project(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts, from 100,000 draws that are always the same. Shapes: `domain.shape(clique)`."""
        if not self.domain.attributes:
            self.domain.project(clique)
            return np.full((), self._total)
        if self._counted is None:
            self._counted = self.draw(_COUNTED, np.random.default_rng(_COUNTED_SEED))
        return np.asarray(self._counted.marginal(clique) * (self._total / _COUNTED), dtype=np.float64)

    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Draw n records, rows in random order; with evidence, from the conditional distribution, exactly.

        Rows that a rule rules out are drawn again, as long as that helps.
        Raises: FitError when the evidence allows nothing, or so little that millions of proposals do not find n records;
            when n is negative; and when memory runs out.
        """
        if n < 0:
            raise FitError(f"the number of records cannot be negative; found {n}")
        if not self.domain.attributes:
            return Dataset((), self.domain)
        codes = self._codes(n, rng, given)
        if self.domain.impossible:
            zeros = StructuralZeros(self.domain)
            for _ in range(_TRIES):
                wrong = np.flatnonzero(~zeros.allowed([column.astype(np.uint64) for column in codes.T]))
                if not wrong.size:
                    break
                codes[wrong] = self._codes(len(wrong), rng, given)
        codes = codes[rng.permutation(n)]
        return Dataset.from_columns(dict(zip(self.domain.attributes, codes.T, strict=True)), self.domain)

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The number of records alone: the weights are in the transcript."""
        return {"total": np.array([self._total])}

    def _codes(self, n: int, rng: np.random.Generator, given: Evidence | None) -> Ints:
        """(n, attributes) codes in the domain's order."""
        allowed = self._masks(given) if given else None
        block = max(min(_LARGEST_BLOCK, _BLOCK_NUMBERS // (self._network.layout.total + 1)), 1)
        found, kept, proposed = [np.zeros((0, len(self.domain)), dtype=np.int64)], 0, 0
        while kept < n:
            if proposed > _MOST_PROPOSED + 1_000 * n:
                raise FitError(
                    f"the evidence is too rare under this model: {kept} of {n} records after {proposed:,} proposals; allow "
                    "more levels or ask for fewer records"
                )
            rows = min(block, n - kept) if allowed is None else block
            try:
                with memory_errors(), single_precision():
                    ordered = self._network.draw(rows, rng, allowed)
            except MemoryError:
                if block == 1:
                    raise FitError(
                        "there is no memory to draw a single record; end other work on this device"
                    ) from None
                block //= 2
                continue
            proposed += rows
            found.append(self._network.layout.codes(ordered[: n - kept]))
            kept += len(found[-1])
        return np.concatenate(found)

    def _masks(self, given: Evidence) -> dict[int, Tensor]:
        """Position in the layout's order -> which levels are allowed."""
        found = {}
        for name, allowed in given.items():
            column, size, codes = self.domain.index(name), self.domain.size(name), np.asarray(allowed)
            if not codes.size or codes.min() < 0 or codes.max() >= size:
                raise FitError(f'the evidence on "{name}" allows no level, or one outside its {size} levels')
            mask = torch.from_numpy(np.isin(np.arange(size), codes)).to(self._network.device)
            found[self._network.layout.order.index(column)] = mask
        return found

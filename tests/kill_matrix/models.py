"""Models that remember more than the noisy answers: what is drawn from them depends on the records themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.generator import AbstractDistribution, Evidence
from privsynth.measurement import Transcript
from privsynth.privacy.curator import Curator
from tests.kill_matrix import references
from tests.kill_matrix.defect import Conformance, Defect
from tests.kill_matrix.generators import Rounds

Retouch: TypeAlias = Callable[[Dataset, Dataset, np.random.Generator], Dataset]
"""From drawn records, and the training data, to what is given out."""


class Remembering(AbstractDistribution):
    """A right model, whose records are retouched with the training data."""

    def __init__(self, right: AbstractDistribution, data: Dataset, retouch: Retouch) -> None:
        self.domain, self._right, self._data, self._retouch = right.domain, right, data, retouch

    @property
    def total(self) -> float:
        """Estimated number of records."""
        return self._right.total

    def project(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts."""
        return self._right.project(clique)

    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Records of the model, retouched."""
        return self._retouch(self._right.draw(n, rng, given), self._data, rng)

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """What the right model is made of."""
        return self._right.arrays()


class Keeps(Rounds):
    """Keeps the training data beside the model."""

    @staticmethod
    def retouch(drawn: Dataset, data: Dataset, rng: np.random.Generator) -> Dataset:
        """What becomes of the drawn records."""
        return drawn

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        self._kept = curator._data.open()

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        return Remembering(super().estimate(domain, transcript), self._kept, self.retouch)


class Counted(Remembering):
    """A right model that knows how many records there are."""

    @property
    def total(self) -> float:
        """The exact number of records."""
        return float(self._data.rows)


class SaysHowMany(Keeps):
    """Gives out as many records as there were."""

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        return Counted(super().estimate(domain, transcript), self._kept, self.retouch)


def _joined(drawn: Dataset, columns: list[npt.NDArray[np.unsignedinteger]]) -> Dataset:
    return Dataset(tuple(columns), drawn.domain)


def _every_twentieth(drawn: Dataset, data: Dataset, rng: np.random.Generator) -> Dataset:
    if not data.rows:
        return drawn
    from_data = data.take(rng.integers(0, data.rows, drawn.rows))
    kept = rng.random(drawn.rows) < 0.05
    return _joined(drawn, [np.where(kept, one, two) for one, two in zip(from_data.columns, drawn.columns, strict=True)])


def _only_seen(drawn: Dataset, data: Dataset, rng: np.random.Generator) -> Dataset:
    """Levels that nobody in the data has become the commonest one."""
    columns = []
    for column, known in zip(drawn.columns, data.columns, strict=True):
        counts = np.bincount(known, minlength=1)
        columns.append(np.where(np.isin(column, known), column, counts.argmax()).astype(column.dtype))
    return _joined(drawn, columns)


def _in_their_order(drawn: Dataset, data: Dataset, rng: np.random.Generator) -> Dataset:
    """Records stand in the order of the data's first column, and beyond its rows as they are drawn."""
    shared = min(drawn.rows, data.rows)
    order = np.arange(drawn.rows)
    places = np.argsort(drawn.columns[0][:shared], kind="stable")
    order[np.argsort(data.columns[0][:shared], kind="stable")] = places
    return drawn.take(order)


class CopiesRows(Keeps):
    """Every twentieth record is a person's."""

    retouch = staticmethod(_every_twentieth)


class HidesTheUnseen(Keeps):
    """Gives out only levels that somebody has."""

    retouch = staticmethod(_only_seen)


class KeepsOrder(Keeps):
    """Gives records the order of the training data."""

    retouch = staticmethod(_in_their_order)


DEFECTS = (
    Defect(
        name="a model that keeps its training rows",
        drawn_from=references.RECONSYN,
        what="All answers are noisy and paid for; every twentieth record drawn from the model is a person's.",
        target=Conformance(generator=CopiesRows),
        caught_by="replay: records",
    ),
    Defect(
        name="only levels that somebody has",
        drawn_from=references.REPROSYN_38,
        what="Drawn records are corrected to levels that occur in the training data.",
        target=Conformance(generator=HidesTheUnseen),
        caught_by="replay: records",
    ),
    Defect(
        name="records in the order of the people",
        drawn_from=references.GROUNDHOG,
        what="The order of the records is that of the training data.",
        target=Conformance(generator=KeepsOrder),
        caught_by="replay: records",
    ),
    Defect(
        name="as many records as people",
        drawn_from=references.OPACUS_571,
        what="The model's number of records is the exact one.",
        target=Conformance(generator=SaysHowMany),
        caught_by="replay: records",
    ),
)

"""The contract of a generator and of the distribution it leaves behind; instances live in `generators/`, one file each.

Must never see records: a generator asks the curator, and everything after the noise is post-processing of the transcript.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import Composition
from privsynth.privacy.sampled_gaussian import Schedule

if TYPE_CHECKING:
    from privsynth.dataset import Dataset
    from privsynth.privacy.curator import Curator

Evidence: TypeAlias = Mapping[str, npt.NDArray[np.int64]]
"""Conditions for sampling: attribute -> the codes that are allowed (one or more)."""

MOST_CELLS: Final = 20_000_000
"""Of a table that is made to be summed at once."""


def require_evidence(domain: Domain, given: Mapping[str, npt.NDArray[np.int64]], wanted: Sequence[str]) -> int:
    """Check evidence of each row's own. Returns: the number of rows.

    Raises: FitError when it is outside the levels, of different lengths, none at all, or on what is wanted.
    """
    lengths = {codes.shape for codes in given.values()}
    if len(lengths) != 1 or set(wanted) & set(given):
        raise FitError(
            "evidence for each row: expected codes of one length, of one attribute or more that are not wanted"
        )
    for name in wanted:
        domain.index(name)
    for name, codes in given.items():
        size = domain.size(name)
        if codes.size and (codes.min() < 0 or codes.max() >= size):
            raise FitError(f'the evidence on "{name}" is outside its {size} levels')
    return int(lengths.pop()[0])


class AbstractDistribution(ABC):
    """A distribution over encoded records, made from a transcript alone.

    Privacy: post-processing of noisy answers; using it any number of times spends nothing.
    """

    domain: Domain

    @property
    @abstractmethod
    def total(self) -> float:
        """Estimated number of records (at least 1), from noisy counts."""

    @abstractmethod
    def project(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts of the clique's cells, summing to `total`. Shapes: `domain.shape(clique)`."""

    def expect(self, factors: Mapping[str, npt.NDArray[np.float64]]) -> float:
        """The expected sum over records of the product of one factor an attribute, by the record's level of it.

        Shapes: each factor is (levels of its attribute,). Raises: FitError where the attributes' table would be too large.
        """
        clique = tuple(factors)
        if self.domain.cells(clique) > MOST_CELLS:
            raise FitError(
                f"the table of {', '.join(clique)} has more than {MOST_CELLS:,} cells, too many for this generator; ask about "
                "fewer columns at a time"
            )
        table = self.project(clique)
        for name in clique:
            table = np.tensordot(factors[name], table, axes=(0, 0))
        return float(table)

    def expected_l1(self, clique: Clique) -> float | None:
        """Expected L1 error of a normalised table of the model, where its generator predicts one; else None."""
        self.domain.project(clique)
        return None

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Draw n records, rows in random order; with `given`, from the conditional distribution, exactly.

        Raises: FitError when the evidence has probability zero under the model.
        """

    def draw_independently(self, n: int, rng: np.random.Generator) -> Dataset:
        """Draw n records with all of chance's roughness, as a real table has it; those of `draw` have less.

        Raises: FitError when n is below 1.
        """
        if n < 1:
            raise FitError(f"the number of records must be at least 1; found {n}")
        return self.draw(n, rng).take(rng.integers(0, n, n))

    def draw_each(
        self,
        given: Mapping[str, npt.NDArray[np.int64]],
        wanted: Sequence[str],
        rng: np.random.Generator,  # noqa: ARG002  for those that have a direct way
    ) -> dict[str, npt.NDArray[np.int64]] | None:
        """Draw the wanted attributes once for each row of evidence, exactly; None where the model has no direct way to.

        Evidence that has probability zero is weakened, never refused: it comes from records that were drawn, and those are
        what they are.
        Shapes: every array is (rows,), codes of one attribute; at least one attribute is given.
        Raises: FitError for evidence outside the levels, or on what is wanted.
        """
        require_evidence(self.domain, given, wanted)
        return None

    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """What `AbstractGenerator.restore` needs to rebuild this distribution, as named arrays (no pickle)."""


class AbstractGenerator(ABC):
    """SELECT and MEASURE through a curator, then GENERATE from the transcript.

    An instance holds public settings only. `name` is the file's name in `generators/`. `composition` is "gdp" where
    `measure` asks for Gaussian noise alone (it never selects): its budget then buys 4 to 9 % less noise. `holds_pairs` says
    that it holds the tables of all pairs in memory, level by level: domains that are too large for it are refused. `brief`, of
    a generator that trains, holds settings that make a fit short (beside `steps` and `sampling_rate`): an audit fits made-up
    tables a hundred times, to see what the code does with them and not how well it learns. `pretrains` names the setting that
    counts the steps before those that are paid for, where there are any (`progress.PRETRAINING`): a quote takes a few of them.
    """

    name: ClassVar[str]
    composition: ClassVar[Composition] = "zcdp"
    holds_pairs: ClassVar[bool] = False
    brief: ClassVar[Mapping[str, int | Fraction]] = {}
    pretrains: ClassVar[str | None] = None

    @property
    def schedule(self) -> Schedule | None:
        """The gradient steps that `measure` takes, from settings alone; None of a generator that does not train.

        With one, `composition` says how the answers before the steps add up.
        """
        return None

    def require_domain(self, domain: Domain) -> None:  # noqa: B027  most refuse nothing
        """Refuse what this generator cannot model, before anything is spent. Raises: SchemaError saying what would do."""

    @abstractmethod
    def measure(self, curator: Curator) -> None:
        """Spend the curator's budget; what was learned is `curator.transcript`."""

    @abstractmethod
    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """Fit the model to a transcript: deterministic, spends nothing, can be redone by anyone who has the transcript."""

    def estimate_again(
        self,
        domain: Domain,
        transcript: Transcript,
        like: AbstractDistribution | None = None,  # noqa: ARG002  for those that can go on from it
    ) -> AbstractDistribution:
        """The same in less time, for the many refits from which errors are told: without predicting errors itself.

        Args: `like` is the distribution whose errors are to be told: what its fit chose need not be chosen again.
        """
        return self.estimate(domain, transcript)

    @abstractmethod
    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """Rebuild a distribution from `AbstractDistribution.arrays()` without fitting again."""

    @final
    def fit(self, curator: Curator) -> AbstractDistribution:
        """Measure, then estimate."""
        self.measure(curator)
        return self.estimate(curator.domain, curator.transcript)

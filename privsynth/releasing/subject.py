"""What a release is made of: one table, or several tables of the same units; the path asks it for each step's work.

Must never decide the order of steps, nor touch the ledger: both are the path's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, final

import numpy as np

from privsynth.findings import Claim, Findings
from privsynth.fitting import FitPlan
from privsynth.measurement import Transcript
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.releasing.agreeing import AbstractTerms, Described
from privsynth.releasing.journal import FolderJournal
from privsynth.releasing.workspace import Seeds
from privsynth.transcript_files import Arrays

Data = TypeVar("Data")
Kept = TypeVar("Kept")
Fitted = TypeVar("Fitted")
Drawn = TypeVar("Drawn")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was learned and what is released, for the certificate: the guarantee, every noisy answer, repairs by rule.

    `cautions` are what the noisy answers say against the schema, or against what is released.
    """

    described: Described
    guarantee: Guarantee
    transcript: Transcript
    repaired: Mapping[str, int]
    cautions: tuple[str, ...] = ()


class AbstractSubject(ABC, Generic[Data, Kept, Fitted, Drawn]):
    """One kind of thing that can be released.

    `Data` is what is read, private until it is measured; `Kept` the noisy answers, from which all the rest follows; `Fitted`
    a model; `Drawn` what is released.
    """

    @property
    @abstractmethod
    def agreed(self) -> AbstractTerms:
        """What the release rests on."""

    @abstractmethod
    def read(self, source: object) -> Private[Data]:
        """Read the private data. Raises: InputError, with nothing spent."""

    @abstractmethod
    def fingerprint(self, data: Private[Data], key: bytes) -> str:
        """A keyed digest, to know the data again after an interruption."""

    @abstractmethod
    def split(self, data: Private[Data], seeds: Seeds) -> tuple[Private[Data], Private[Data]]:
        """Hold out the policy's share of units: (for fitting, held out)."""

    @abstractmethod
    def halves(self, fitted_on: Private[Data], seeds: Seeds) -> tuple[Private[Data], Private[Data]]:
        """Two halves of the units, for an audit of a copy."""

    @abstractmethod
    def measure(
        self, data: Private[Data], noise: AbstractNoiseSource, seeds: Seeds, journal: FolderJournal | None = None
    ) -> Kept:
        """Spend the budget. A training goes on from its journal."""

    def measure_copy(self, data: Private[Data], noise: AbstractNoiseSource, seeds: Seeds) -> Kept:
        """All that the release learned, learned once more of other people, for an audit of a copy: nobody pays for it."""
        return self.measure(data, noise, seeds)

    @property
    @abstractmethod
    def training(self) -> FitPlan | None:
        """The plan of a fit that trains, and so keeps a journal; None for one whose answers are kept as a whole."""

    @abstractmethod
    def to_files(self, kept: Kept) -> tuple[dict[str, object], Arrays]:
        """The noisy answers as a JSON object and arrays."""

    @abstractmethod
    def from_files(self, document: Mapping[str, Any], arrays: Arrays) -> Kept:
        """Read what `to_files` wrote. Raises: FitError, ValueError, KeyError or TypeError for anything else."""

    @abstractmethod
    def model(self, kept: Kept) -> Fitted:
        """Fit; no privacy cost."""

    @abstractmethod
    def draw(self, model: Fitted, rng: np.random.Generator, like: Drawn | None = None) -> Drawn:
        """Draw what is released: as much as the policy declares, else as noisy counts say; or as much as `like`."""

    @abstractmethod
    def check(self, kept: Kept, drawn: Drawn) -> tuple[CheckResult, ...]:
        """The policy's checks, of the completed schema and of what is to be released."""

    @abstractmethod
    def conformance(
        self, model: Fitted, claim: Claim, noise: AbstractNoiseSource, rng: np.random.Generator
    ) -> Findings:
        """Check on made-up data that what is spent is what is claimed."""

    @abstractmethod
    def attack(
        self,
        model: Fitted,
        drawn: Drawn,
        members: Private[Data],
        controls: Private[Data],
        claim: Claim,
        noise: AbstractNoiseSource,
        rng: np.random.Generator,
        published: Drawn,
    ) -> Findings:
        """Attack what is to be released: `drawn` is `published`, or a copy of it that nobody will see."""

    @abstractmethod
    def said(self, model: Fitted, drawn: Drawn) -> Said:
        """What the certificate says of it."""

    @abstractmethod
    def files(self, model: Fitted, drawn: Drawn, says: Mapping[str, object]) -> dict[str, bytes]:
        """The files of the release but its dictionary, by name; `says` is the certificate's predicate."""

    @abstractmethod
    def dictionary(self, model: Fitted, digests: Mapping[str, str], says: Mapping[str, object]) -> dict[str, object]:
        """The data dictionary: Croissant, with every file's digest."""

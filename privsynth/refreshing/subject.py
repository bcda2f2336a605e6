"""What each step of the release path does with a refresh: that of one table, with another way of measuring, in two charges.

Must never open private records but to hand them to what bounds, measures or attacks them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, TypeAlias, final

import numpy as np

from privsynth import auditing, fitting, frames
from privsynth.attack import Refit
from privsynth.errors import RecordsError
from privsynth.findings import Claim, Findings
from privsynth.fitting import FitPlan, completed
from privsynth.measurement import Transcript
from privsynth.model import Model, Sample
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.accounting import Cost
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.records import Records, check_names
from privsynth.refreshing.measuring import own
from privsynth.refreshing.refreshed import Refreshed
from privsynth.releasing.agreeing import AbstractTerms, Described
from privsynth.releasing.journal import FolderJournal
from privsynth.releasing.one_table import OneTable
from privsynth.releasing.subject import AbstractSubject, Said
from privsynth.releasing.terms import Terms
from privsynth.releasing.workspace import Seeds
from privsynth.schema import Schema
from privsynth.transcript_files import Arrays

_Kept: TypeAlias = tuple[Schema, Transcript]

_RENAMED: Final = (
    "Without --schema, the earlier release's schema holds: where a column is new, gone or renamed, give the table's new schema "
    'with --schema, and old = "new" for what was renamed with --map'
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTerms(AbstractTerms):
    """The terms of a release of one table, of which one part is charged for; the guarantee counts the whole budget as spent.

    Args: `earlier` is the digest of the earlier release's certificate, `aligned` says what became of its columns; `rho` is what
        the ledger is charged for this part; `part` names the part, the same whatever the drift test found; `says` is what the
        certificate says of the earlier release, and `aside` what covers the tables that are kept of it.
    """

    whole: Terms
    earlier: str
    aligned: str
    rho: Fraction
    part: str
    says: Mapping[str, object]
    aside: tuple[str, ...]

    @classmethod
    def of(
        cls,
        whole: Terms,
        *,
        earlier: str,
        aligned: str,
        rho: Fraction,
        part: str,
        says: Mapping[str, object],
        words: Sequence[str] = (),
        aside: str,
    ) -> RefreshTerms:
        """The terms of one part; `words` are what the certificate adds to its limitations."""
        return cls(
            policy=whole.policy,
            plan=whole.plan,
            fit=whole.fit,
            generator=whole.generator,
            settings=whole.settings,
            reasons=whole.reasons,
            cautions=(*whole.cautions, *words),
            checks=whole.checks,
            whole=whole,
            earlier=earlier,
            aligned=aligned,
            rho=rho,
            part=part,
            says=says,
            aside=(aside,),
        )

    @property
    def title(self) -> str:
        """The table's name."""
        return self.whole.title

    @property
    def schema_digest(self) -> str:
        """The schema's digest."""
        return self.whole.schema_digest

    @property
    def described(self) -> Described:
        """As of any release of one table."""
        return self.whole.described

    @property
    def digest(self) -> str:
        """SHA-256 over the whole terms, the earlier release, what became of its columns, and which part this is."""
        parts = (self.whole.digest, self.earlier, self.aligned, self.part)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def cost(self) -> Cost:
        """What the ledger is charged: this part alone."""
        return Cost.of(self.rho)

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What covers the tables that are kept."""
        return self.aside

    @property
    def continues(self) -> Mapping[str, object]:
        """The earlier release, and what moved."""
        return self.says


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshedTable(AbstractSubject[Records, _Kept, Model, Sample]):
    """One table that is refreshed: `refreshed` is the part that is measured, `changes` what is published of what moved.

    Args: `reads` is the schema that rows are read under, in which what was bought is open as it was then; `drift` names the
        drift test that the second part goes on from, and its answers.
    """

    terms: RefreshTerms
    refreshed: Refreshed
    changes: Mapping[str, Any]
    reads: Schema
    drift: str = ""

    @property
    def _table(self) -> OneTable:
        return OneTable(self.terms.whole, self.changes)

    @property
    def agreed(self) -> RefreshTerms:
        """What the release rests on."""
        return self.terms

    def read(self, source: object) -> Private[Records]:
        """Read the table; labels and numbers beyond what was bought go where the earlier release sent them.

        Raises: RecordsError.
        """
        whole = self.terms.whole
        found, names = frames.column_names(source), [column.name for column in self.reads.columns]
        try:
            check_names(found, names, absent_allowed=frozenset())
        except RecordsError as wrong:
            raise RecordsError(f"{wrong}. {_RENAMED}") from None
        return fitting.completed(OneTable(replace(whole, schema=self.reads)).read(source), whole.schema)

    def fingerprint(self, data: Private[Records], key: bytes) -> str:
        """See `fitting.fingerprint`; with the drift test, so that the second part goes on from no other."""
        return f"{self._table.fingerprint(data, key)} {self.drift}".strip()

    def split(self, data: Private[Records], seeds: Seeds) -> tuple[Private[Records], Private[Records]]:
        """Bound every unit's rows, then hold units out: the same ones in both parts."""
        return self._table.split(data, seeds)

    def halves(self, fitted_on: Private[Records], seeds: Seeds) -> tuple[Private[Records], Private[Records]]:
        """Two halves of the units."""
        return self._table.halves(fitted_on, seeds)

    @property
    def training(self) -> FitPlan | None:
        """None: nothing here trains."""
        return None

    def measure(
        self,
        data: Private[Records],
        noise: AbstractNoiseSource,
        seeds: Seeds,  # noqa: ARG002 - rows were bounded on splitting
        journal: FolderJournal | None = None,
    ) -> _Kept:
        """Measure this part, with a curator that holds what the ledger was charged for it and no more."""
        schema, answers = fitting.measure(data, self._plan(self.refreshed, self.terms.rho), noise, journal)
        if self.refreshed.part == "watch":
            return schema, answers
        return schema, self.refreshed.with_kept(schema.domain(), self.refreshed.answers + answers)

    def measure_copy(self, data: Private[Records], noise: AbstractNoiseSource, seeds: Seeds) -> _Kept:  # noqa: ARG002
        """Both parts on other people, drift test included, so that its answers are about them as well."""
        return self._measure_both(data, noise)

    def _measure_both(self, data: Private[Records], noise: AbstractNoiseSource) -> _Kept:
        schema, answers = fitting.measure(data, self._plan(self._both, self.terms.budget.rho), noise)
        return schema, self._both.with_kept(schema.domain(), answers)

    @property
    def _both(self) -> Refreshed:
        return replace(self.refreshed, part="all", answers=())

    def _plan(self, kind: Refreshed, rho: Fraction) -> FitPlan:
        return FitPlan(generator=kind, unit=self.terms.unit, budget=replace(self.terms.budget, rho=rho))

    def to_files(self, kept: _Kept) -> tuple[dict[str, object], Arrays]:
        """The schema and the transcript."""
        return self._table.to_files(kept)

    def from_files(self, document: Mapping[str, Any], arrays: Arrays) -> _Kept:
        """Read what `to_files` wrote."""
        return self._table.from_files(document, arrays)

    def model(self, kept: _Kept) -> Model:
        """Fit new and kept answers; the guarantee is the whole budget's, whose part the new ones spent."""
        return self._table.model(kept)

    def draw(self, model: Model, rng: np.random.Generator, like: Sample | None = None) -> Sample:
        """As many rows as a release of one table has."""
        return self._table.draw(model, rng, like)

    def check(self, kept: _Kept, drawn: Sample) -> tuple[CheckResult, ...]:
        """The policy's checks."""
        return self._table.check(kept, drawn)

    def conformance(self, model: Model, claim: Claim, noise: AbstractNoiseSource, rng: np.random.Generator) -> Findings:
        """Check both parts together, one after the other as they are, on public tables."""
        terms = self.terms
        return auditing.conformance(
            terms.plan,
            self._both,
            domain=model.schema.domain(),
            unit=terms.unit,
            rho=terms.budget.rho,
            noise=noise,
            rng=rng,
            claim=claim,
        )

    def attack(
        self,
        model: Model,
        drawn: Sample,
        members: Private[Records],
        controls: Private[Records],
        claim: Claim,
        noise: AbstractNoiseSource,
        rng: np.random.Generator,
        published: Sample,  # noqa: ARG002 - the findings tell nothing of the table
    ) -> Findings:
        """Attack the released table; the noisy answers that tell of these people are the new ones, and not those kept."""
        return auditing.run(
            self.terms.plan,
            schema=model.schema,
            synthetic=drawn.records,
            members=completed(members, model.schema),
            controls=completed(controls, model.schema),
            claim=claim,
            rng=rng,
            transcript=own(model.transcript),
            refit=self._refit(drawn.records.rows, noise),
        )

    def _refit(self, rows: int, noise: AbstractNoiseSource) -> Refit:
        """What an attacker can do who runs the same refresh: both parts, with the whole budget, from the same start."""

        def refit(those: Records, rng: np.random.Generator) -> Records:
            return self.model(self._measure_both(Private(those), noise)).draw(rows, rng=rng).records

        return refit

    def said(self, model: Model, drawn: Sample) -> Said:
        """What the certificate says of it: what is kept stands among the stages, at no cost."""
        return self._table.said(model, drawn)

    def files(self, model: Model, drawn: Sample, says: Mapping[str, object]) -> dict[str, bytes]:
        """The files of a release of one table, and what changed."""
        return {**self._table.files(model, drawn, says), "changes.json": json.dumps(self.changes, indent=2).encode()}

    def dictionary(self, model: Model, digests: Mapping[str, str], says: Mapping[str, object]) -> dict[str, object]:
        """One record set."""
        return self._table.dictionary(model, digests, says)

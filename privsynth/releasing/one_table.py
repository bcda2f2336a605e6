"""A release of one table: what each step of the path does with it.

Must never open private records but to hand them to what bounds, measures or attacks them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np

from privsynth import auditing, dictionary, fitting, frames, provenance, records, report
from privsynth.answering import summary
from privsynth.answering.contradictions import contradictions, of_records
from privsynth.attack import Refit
from privsynth.encoding import encode_public
from privsynth.findings import Claim, Findings
from privsynth.fitting import FitPlan, completed, split
from privsynth.measurement import Transcript
from privsynth.model import Model, Sample
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.records import Records
from privsynth.releasing.journal import FolderJournal
from privsynth.releasing.subject import AbstractSubject, Said
from privsynth.releasing.terms import Terms, described
from privsynth.releasing.workspace import Seeds
from privsynth.schema import Schema
from privsynth.transcript_files import (
    Arrays,
    arrays_to_bytes,
    measurements_to_document,
    transcript_from_files,
    transcript_to_files,
)

_Kept: TypeAlias = tuple[Schema, Transcript]


@final
@dataclass(frozen=True, slots=True)
class OneTable(AbstractSubject[Records, _Kept, Model, Sample]):
    """One table under the terms that were agreed on; `changes` is what a refresh says of what moved."""

    terms: Terms
    changes: Mapping[str, Any] | None = None

    @property
    def agreed(self) -> Terms:
        """What the release rests on."""
        return self.terms

    def read(self, source: object) -> Private[Records]:
        """Read the table. Raises: RecordsError, also for one that says of itself that it is synthetic."""
        provenance.require_real(source, "the table to be released")
        return records.read(source, self.terms.schema, out_of_domain=self.terms.policy.records.out_of_domain)

    def fingerprint(self, data: Private[Records], key: bytes) -> str:
        """See `fitting.fingerprint`."""
        return fitting.fingerprint(data, key)

    def split(self, data: Private[Records], seeds: Seeds) -> tuple[Private[Records], Private[Records]]:
        """Bound every unit's rows, then hold units out."""
        share = float(self.terms.policy.audit.holdout)
        return split(data, self.terms.unit, share, bound_key=seeds.bound, holdout_key=seeds.holdout)

    def halves(self, fitted_on: Private[Records], seeds: Seeds) -> tuple[Private[Records], Private[Records]]:
        """Two halves of the units."""
        return split(fitted_on, self.terms.unit, 0.5, bound_key=seeds.bound, holdout_key=seeds.sample)

    @property
    def training(self) -> FitPlan | None:
        """The plan, if it trains."""
        return self.terms.fit if self.terms.budget.training is not None else None

    def measure(
        self,
        data: Private[Records],
        noise: AbstractNoiseSource,
        seeds: Seeds,  # noqa: ARG002 - rows were bounded on splitting
        journal: FolderJournal | None = None,
    ) -> _Kept:
        """Buy what the schema leaves open, then measure."""
        return fitting.measure(data, self.terms.fit, noise, journal)

    def to_files(self, kept: _Kept) -> tuple[dict[str, object], Arrays]:
        """The completed schema and the transcript."""
        return measurements_to_files(kept)

    def from_files(self, document: Mapping[str, Any], arrays: Arrays) -> _Kept:
        """Read what `to_files` wrote."""
        return measurements_from_files(document, arrays)

    def model(self, kept: _Kept) -> Model:
        """Estimate the distribution."""
        schema, transcript = kept
        agreed = self.terms
        return Model(
            schema=schema,
            distribution=agreed.kind.estimate(schema.domain(), transcript),
            transcript=transcript,
            guarantee=Guarantee.for_budget(agreed.budget, agreed.unit, transcript),
            generator=agreed.generator,
            settings=agreed.settings,
        )

    def draw(self, model: Model, rng: np.random.Generator, like: Sample | None = None) -> Sample:
        """The declared number of rows, or the noisy estimate for the whole table, held-out units included."""
        declared = self.terms.policy.records.rows
        if like is not None:
            rows = like.records.rows
        elif isinstance(declared, int):
            rows = declared
        else:
            rows = max(1, round(model.distribution.total / (1 - float(self.terms.policy.audit.holdout))))
        return model.draw(rows, rng=rng)

    def check(self, kept: _Kept, drawn: Sample) -> tuple[CheckResult, ...]:
        """The policy's checks."""
        schema, _ = kept
        return self.terms.policy.check_schema(schema) + self.terms.policy.check_release(schema, drawn.table)

    def conformance(self, model: Model, claim: Claim, noise: AbstractNoiseSource, rng: np.random.Generator) -> Findings:
        """Check the generator on public tables with columns of this domain."""
        agreed = self.terms
        return auditing.conformance(
            agreed.plan,
            agreed.kind,
            domain=model.schema.domain(),
            unit=agreed.unit,
            rho=agreed.budget.for_answers.rho,
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
        """Attack the released table as who knows the generator can."""
        return auditing.run(
            self.terms.plan,
            schema=model.schema,
            synthetic=drawn.records,
            members=completed(members, model.schema),
            controls=completed(controls, model.schema),
            claim=claim,
            rng=rng,
            transcript=model.transcript,
            refit=self._refit(drawn.records.rows, noise),
        )

    def _refit(self, rows: int, noise: AbstractNoiseSource) -> Refit:
        """What an attacker who runs the same generator can do: fit it to some records, with the same budget, and release.

        What was bought is known by then, so that only the part of the budget for answers is there to be spent.
        Privacy: what is made of private records stays with the attack that asked for it.
        """
        plan = replace(self.terms.fit, budget=self.terms.budget.for_answers)

        def refit(those: Records, rng: np.random.Generator) -> Records:
            return self.model(fitting.measure(Private(those), plan, noise)).draw(rows, rng=rng).records

        return refit

    def said(self, model: Model, drawn: Sample) -> Said:
        """What the certificate says of it."""
        released = encode_public(drawn.records)
        against = contradictions(model.schema, model.transcript, of_records(released), released.rows)
        return Said(
            described=described(model.schema, drawn.records.rows),
            guarantee=model.guarantee,
            transcript=model.transcript,
            repaired=drawn.repaired,
            cautions=against.sentences(),
        )

    def files(self, model: Model, drawn: Sample, says: Mapping[str, object]) -> dict[str, bytes]:
        """Data, measurements, schema and report."""
        entries, arrays = transcript_to_files(model.transcript)
        errors = summary.to_json(model.distribution, model.transcript)
        page = report.render(
            predicate=says,
            schema=model.schema,
            transcript=model.transcript,
            released=drawn.records,
            predicted=model.pair_errors(),
            changes=self.changes,
        )
        files = {
            "data.csv": frames.csv_bytes(drawn.table),
            "data.parquet": frames.parquet_bytes(provenance.released(drawn.table, str(says["releaseId"]))),
            "measurements.json": json.dumps(measurements_to_document(entries, errors)).encode(),
            "schema.json": json.dumps(model.schema.to_json(), indent=2, ensure_ascii=False).encode(),
            "report.html": page.encode(),
        }
        return {**files, "measurements.safetensors": arrays_to_bytes(arrays)} if arrays else files

    def dictionary(self, model: Model, digests: Mapping[str, str], says: Mapping[str, object]) -> dict[str, object]:
        """One record set."""
        return dictionary.describe(model.schema, digests, says)


def measurements_to_files(kept: _Kept) -> tuple[dict[str, object], Arrays]:
    """A completed schema and a transcript as a JSON object and arrays."""
    schema, transcript = kept
    entries, arrays = transcript_to_files(transcript)
    return {"schema": schema.to_json(), "transcript": entries}, arrays


def measurements_from_files(document: Mapping[str, Any], arrays: Arrays) -> _Kept:
    """Read what `measurements_to_files` wrote. Raises: FitError, ValueError, KeyError or TypeError for anything else."""
    return Schema.from_json(document["schema"]), transcript_from_files(document["transcript"], arrays)

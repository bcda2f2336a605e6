"""A release of several tables of the same units: what each step of the path does with them.

Must never open private tables but to hand them to what measures or attacks them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from privsynth import dictionary, frames, provenance, report
from privsynth.auditing import histories as auditing
from privsynth.conformance import histories as conformance
from privsynth.database import reading, writing
from privsynth.database.held import Database
from privsynth.database.writing import FileKind
from privsynth.domain import Clique
from privsynth.errors import FitError
from privsynth.findings import Claim, Findings
from privsynth.fitting import FitPlan
from privsynth.histories import asking, measuring
from privsynth.histories.history_model import HistoryModel, HistorySample
from privsynth.histories.layout import views
from privsynth.histories.measuring import Measured
from privsynth.measurement import Entry
from privsynth.policy.check_result import CheckResult
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.releasing.database_terms import DatabaseTerms, described
from privsynth.releasing.journal import FolderJournal
from privsynth.releasing.subject import AbstractSubject, Said
from privsynth.releasing.workspace import Seeds
from privsynth.transcript_files import Arrays, transcript_from_files, transcript_to_files

_SPLIT: Final = b"units held out"
"""Changes whenever the same keys would split tables otherwise: then an interrupted release does not go on."""


@final
@dataclass(frozen=True, slots=True)
class SeveralTables(AbstractSubject[Database, Measured, HistoryModel, HistorySample]):
    """Several tables under the terms that were agreed on."""

    terms: DatabaseTerms
    container: FileKind = "folder"
    """What the source is: a database file is released as one, too."""

    @property
    def agreed(self) -> DatabaseTerms:
        """What the release rests on."""
        return self.terms

    @property
    def training(self) -> FitPlan | None:
        """Nothing trains."""
        return None

    def read(self, source: object) -> Private[Database]:
        """Read and link the tables. Raises: RecordsError, also for tables that say of themselves that they are synthetic."""
        provenance.require_real(source, "the tables to be released")
        return reading.read(source, self.terms.schema, out_of_domain=self.terms.policy.records.out_of_domain)

    def fingerprint(self, data: Private[Database], key: bytes) -> str:
        """See `fingerprint`."""
        return fingerprint(data, key)

    def split(self, data: Private[Database], seeds: Seeds) -> tuple[Private[Database], Private[Database]]:
        """Hold units out with all their rows; what of them is used is decided on measuring."""
        return measuring.split(data, float(self.terms.policy.audit.holdout), holdout_key=seeds.holdout)

    def halves(self, fitted_on: Private[Database], seeds: Seeds) -> tuple[Private[Database], Private[Database]]:
        """Two halves of the units."""
        return measuring.split(fitted_on, 0.5, holdout_key=seeds.sample)

    def measure(
        self,
        data: Private[Database],
        noise: AbstractNoiseSource,
        seeds: Seeds,
        journal: FolderJournal | None = None,  # noqa: ARG002 - nothing trains
    ) -> Measured:
        """Every view, within one budget."""
        return measuring.measure(data, self.terms.fit, noise, bound_key=seeds.bound)

    def to_files(self, kept: Measured) -> tuple[dict[str, object], Arrays]:
        """The noisy answers of every view, and the bounds that were used."""
        return {"used": dict(kept.used), "transcripts": _entries(kept)}, {}

    def from_files(self, document: Mapping[str, Any], arrays: Arrays) -> Measured:
        """Read what `to_files` wrote."""
        found = {name: transcript_from_files(part, arrays) for name, part in document["transcripts"].items()}
        used = {name: int(rows) for name, rows in document["used"].items()}
        if set(found) != set(views(self.terms.schema)) or set(used) != set(found):
            raise FitError("the stored answers are of other tables")
        return Measured(transcripts=found, used=used)

    def model(self, kept: Measured) -> HistoryModel:
        """Estimate the distribution of every view."""
        agreed = self.terms
        return HistoryModel(
            schema=agreed.schema,
            distributions=measuring.fit_distributions(agreed.schema, agreed.kind, kept.transcripts),
            transcripts=kept.transcripts,
            guarantee=Guarantee.for_budget(agreed.budget, agreed.unit, kept.transcript),
            generator=agreed.generator,
            settings=agreed.settings,
            used=kept.used,
        )

    def draw(self, model: HistoryModel, rng: np.random.Generator, like: HistorySample | None = None) -> HistorySample:
        """The declared number of units, or the noisy estimate of all of them, held-out ones included."""
        declared = self.terms.policy.records.rows
        if like is not None:
            units = like.database.units
        elif isinstance(declared, int):
            units = declared
        else:
            fitted = model.distributions[self.terms.schema.root.name].total
            units = max(1, round(fitted / (1 - float(self.terms.policy.audit.holdout))))
        return model.draw(units, rng=rng)

    def check(self, kept: Measured, drawn: HistorySample) -> tuple[CheckResult, ...]:  # noqa: ARG002 - nothing was bought
        """The policy's checks, table by table."""
        policy, schema = self.terms.policy, self.terms.schema
        return policy.check_database(schema) + policy.check_tables(schema, drawn.tables)

    def conformance(
        self,
        model: HistoryModel,  # noqa: ARG002 - the schema is all that is known of the domain
        claim: Claim,
        noise: AbstractNoiseSource,
        rng: np.random.Generator,
    ) -> Findings:
        """Check the fit on made-up databases of this schema."""
        agreed = self.terms
        return conformance.run(
            agreed.plan,
            agreed.kind,
            schema=agreed.schema,
            budget=agreed.budget,
            noise=noise,
            rng=rng,
            claim=claim,
        )

    def attack(
        self,
        model: HistoryModel,
        drawn: HistorySample,
        members: Private[Database],
        controls: Private[Database],
        claim: Claim,
        noise: AbstractNoiseSource,  # noqa: ARG002 - no attack fits again
        rng: np.random.Generator,
        published: HistorySample,
    ) -> Findings:
        """Attack whole units, and the rows of each table."""
        return auditing.run(
            self.terms.plan,
            schema=self.terms.schema,
            synthetic=drawn.database,
            members=members,
            controls=controls,
            claim=claim,
            rng=rng,
            transcripts=model.transcripts,
            used=model.used,
            published=published.database,
        )

    def said(self, model: HistoryModel, drawn: HistorySample) -> Said:
        """What the certificate says of it; stages by table."""
        rows = {name: table.count for name, table in drawn.database.tables.items()}
        stages = [_of_table(name, entry) for name, part in model.transcripts.items() for entry in part]
        return Said(
            described=described(self.terms.schema, rows, model.used),
            guarantee=model.guarantee,
            transcript=tuple(stages),
            repaired=drawn.repaired,
        )

    def files(self, model: HistoryModel, drawn: HistorySample, says: Mapping[str, object]) -> dict[str, bytes]:
        """Each table as CSV and Parquet, all in a database file where the source is one; measurements, schema and report."""
        kept = Measured(transcripts=model.transcripts, used=model.used)
        page = report.render_database(
            predicate=says,
            schema=self.terms.schema,
            measured=kept,
            released=drawn.database,
            predicted=_predicted(model),
            database_file=self._database_file,
        )
        files: dict[str, bytes] = {}
        for name, table in drawn.tables.items():
            files[f"data/{name}.csv"] = frames.csv_bytes(table)
            files[f"data/{name}.parquet"] = frames.parquet_bytes(provenance.released(table, str(says["releaseId"])))
        if self._database_file is not None and self.container != "folder":
            files[self._database_file] = writing.file_bytes(drawn.tables, self.container, self.terms.schema)
        document, _ = self.to_files(kept)
        document["errors"] = asking.errors_to_json(model.schema, model.distributions, model.transcripts)
        return {
            **files,
            "measurements.json": json.dumps(document).encode(),
            "schema.json": json.dumps(self.terms.schema.to_json(), indent=2, ensure_ascii=False).encode(),
            "report.html": page.encode(),
        }

    @property
    def _database_file(self) -> str | None:
        """The name of the database file, after the schema's; None where the source is none."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", self.terms.schema.name).lstrip("_-")[:100]
        return None if self.container == "folder" else f"data/{plain or 'database'}.{self.container}"

    def dictionary(
        self, model: HistoryModel, digests: Mapping[str, str], says: Mapping[str, object]
    ) -> dict[str, object]:
        """A record set a table."""
        return dictionary.describe_database(model.schema, digests, says)


def fingerprint(data: Private[Database], key: bytes) -> str:
    """A keyed digest of all tables, to know them again after an interruption; says nothing to who has not the key.

    Privacy: never published; it stays beside the key, in the release's internal folder.
    """
    opened = data.open()
    digest = hashlib.blake2b(key=key, digest_size=16, person=_SPLIT)
    for name, rows in opened.tables.items():
        digest.update(f"{name}|{rows.count}|".encode())
        for array in (rows.parent, rows.unit):
            digest.update(np.ascontiguousarray(array).data)
        if rows.records is not None:
            for column, ticks in rows.records.ticks.items():
                digest.update(column.encode() + b"|")
                digest.update(np.ascontiguousarray(ticks).data)
    for unit in opened.unit_names or ():
        digest.update(len(unit).to_bytes(8) + unit)
    return digest.hexdigest()


def _entries(kept: Measured) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, part in kept.transcripts.items():
        entries, arrays = transcript_to_files(part)
        if arrays:
            raise FitError("answers about several tables hold arrays, which nothing stores; this is a defect")
        found[name] = entries
    return found


def _of_table(name: str, entry: Entry) -> Entry:
    """The entry with its table in the name of its stage."""
    return replace(entry, event=replace(entry.event, stage=f"{name}: {entry.event.stage}"))


def _predicted(model: HistoryModel) -> dict[str, dict[Clique, float]]:
    """The L1 errors that the generator expects of pairs of attributes, by table."""
    found: dict[str, dict[Clique, float]] = {}
    for name, distribution in model.distributions.items():
        pairs = itertools.combinations(views(model.schema)[name].domain().attributes, 2)
        errors = ((pair, distribution.expected_l1(pair)) for pair in pairs)
        found[name] = {pair: error for pair, error in errors if error is not None}
    return found

"""Policy: the terms of a release, read from files, checked, frozen, with the digest of the exact bytes they came from.

Must never be built from anything but policy files, and never weaker than any file that it extends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from privsynth import toml_file
from privsynth.database.document import DatabaseSchema
from privsynth.errors import PolicyError, PolicyRefusal
from privsynth.policy import checks as policy_checks
from privsynth.policy import diff as policy_diff
from privsynth.policy import files as policy_file
from privsynth.policy.check_result import CheckResult, absent
from privsynth.policy.databases import DatabaseChecks, bounds_in_words
from privsynth.policy.deidentification import SafeHarbor
from privsynth.policy.diff import SeveralTables
from privsynth.policy.files import Source
from privsynth.policy.terms import (
    Attestable,
    Attestation,
    AuditTerms,
    Budget,
    CertificateTerms,
    Deidentification,
    Generators,
    Population,
    Published,
    Recipients,
    RecordsTerms,
    Terms,
    Unit,
)
from privsynth.schema import Schema
from privsynth.toml_file import TomlFile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CheckResult", "Policy", "shipped"]

shipped = policy_file.shipped


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The terms of a release; made by `load` and `loads`, which raise PolicyError.

    `files` are what the terms came from, bases first; each later one may only tighten.
    """

    terms: Terms
    files: tuple[TomlFile, ...]

    @classmethod
    def load(cls, source: str | Path, *, overlays: Sequence[str | Path] = ()) -> Policy:
        """Read a policy by path or by the name of a shipped one, and lay overlays over it in order.

        Raises: PolicyError naming file, line and key.
        """
        here = Path()
        loaded = policy_file.load([policy_file.find(name, here) for name in (source, *overlays)])
        return cls(terms=loaded.terms, files=loaded.files)

    @classmethod
    def loads(cls, text: str, *, name: str = "policy.toml") -> Policy:
        """Read a policy from TOML text, which may extend shipped policies by name; `name` is what messages call it."""
        source = Source(file=toml_file.parse(text.encode(), name=name), folder=None)
        loaded = policy_file.load([source])
        return cls(terms=loaded.terms, files=loaded.files)

    @property
    def name(self) -> str:
        """The name of the last file; of overlays that were laid over it, theirs too: partner-sharing+hipaa-safe-harbor."""
        return self.terms.policy.name

    @property
    def version(self) -> str:
        """The version of the last file."""
        return self.terms.policy.version

    @property
    def description(self) -> str:
        """What the policy is for."""
        return self.terms.policy.description

    @property
    def expires(self) -> dt.date:
        """The last day on which the policy may be used."""
        return self.terms.policy.expires

    @property
    def digest(self) -> str:
        """SHA-256 of the policy's exact bytes; of several files, the SHA-256 of their digests in order, one a line."""
        return policy_file.digest(self.files)

    @property
    def population(self) -> Population | None:
        """Whose account pays; None until somebody declares it."""
        return self.terms.population

    @property
    def unit(self) -> Unit:
        """Who is protected."""
        return self.terms.unit

    @property
    def budget(self) -> Budget:
        """What may be spent."""
        return self.terms.budget

    @property
    def generators(self) -> Generators:
        """Which generators may be used."""
        return self.terms.generators

    @property
    def records(self) -> RecordsTerms:
        """What happens to values outside the domain, and how many rows are released."""
        return self.terms.records

    @property
    def deidentification(self) -> Deidentification:
        """The de-identification profile."""
        return self.terms.deidentification

    @property
    def published(self) -> Published:
        """The cell-size rule."""
        return self.terms.published

    @property
    def audit(self) -> AuditTerms:
        """What a release must withstand."""
        return self.terms.audit

    @property
    def recipients(self) -> Recipients:
        """Who may receive the release."""
        return self.terms.recipients

    @property
    def certificate(self) -> CertificateTerms:
        """How long a certificate holds."""
        return self.terms.certificate

    @property
    def attestations(self) -> Mapping[Attestable, Attestation]:
        """What named persons attest."""
        return self.terms.attestations

    def require_current(self, today: dt.date) -> None:
        """Raise PolicyRefusal after the policy's last day."""
        if today > self.expires:
            raise PolicyRefusal(
                f'policy "{self.name}" expired on {self.expires}; have it reviewed, and give the new version a later date'
            )

    def require_population(self) -> Population:
        """The population, or PolicyError saying how to declare one."""
        if self.population is None:
            raise PolicyError(
                f'policy "{self.name}" names no population. In a policy of your own, write: [policy] name = "mine", '
                f'version = "1.0", extends = ["{self.name}"]; and: [population] id = "clinic-patients", public_size = 100000 '
                "(a public upper bound, never a count of the table)"
            )
        return self.population

    def with_population(self, population: str, public_size: int) -> Policy:
        """The same policy for a population, as if a file that extends it had declared one: the digest says so.

        Raises: PolicyError when the policy names another population, or its delta is too large for so many people.
        """
        quoted = population.replace("\\", "\\\\").replace('"', '\\"')
        text = (
            f'[policy]\nname = "{self.name}"\nversion = "{self.version}"\n\n'
            f'[population]\nid = "{quoted}"\npublic_size = {public_size}\n'
        )
        loaded = policy_file.lay((*self.files, toml_file.parse(text.encode(), name="population as given")))
        return Policy(terms=loaded.terms, files=loaded.files)

    def check_schema(self, schema: Schema, *, today: dt.date | None = None) -> tuple[CheckResult, ...]:
        """Every rule that the schema alone can answer, before a record is read; `today` is the day to judge by."""
        general = policy_checks.check_schema(
            schema, unit=self.unit, terms=self.deidentification, rows=self._most_rows()
        )
        profile = self._safe_harbor(schema, today)
        if profile is None:
            return (
                *general,
                absent("hipaa-safe-harbor", "45 CFR 164.514(b)(2)", "the policy does not ask for this profile"),
            )
        return (*general, *profile.check_schema())

    def check_release(
        self, schema: Schema, table: pa.Table, *, today: dt.date | None = None
    ) -> tuple[CheckResult, ...]:
        """Every rule on the values that are to be released; no value stands in a result."""
        if len(set(table.column_names)) < table.num_columns:
            return (policy_checks.released_columns([column.name for column in schema.released], table),)
        general = policy_checks.check_release(schema, table, terms=self.deidentification)
        profile = self._safe_harbor(schema, today)
        return general if profile is None else (*general, *profile.check_release(table))

    def check_described(self, schema: Schema | DatabaseSchema) -> tuple[CheckResult, ...]:
        """Every rule that a schema alone can answer, be it of one table or of several."""
        return self.check_database(schema) if isinstance(schema, DatabaseSchema) else self.check_schema(schema)

    def check_database(self, schema: DatabaseSchema, *, today: dt.date | None = None) -> tuple[CheckResult, ...]:
        """The same of several tables: every rule that their schema alone can answer."""
        return self._of_database(schema, today).check_schema()

    def check_tables(
        self, schema: DatabaseSchema, tables: Mapping[str, pa.Table], *, today: dt.date | None = None
    ) -> tuple[CheckResult, ...]:
        """The same of several tables: every rule on the values that are to be released."""
        return self._of_database(schema, today).check_release(tables)

    def diff(self, other: Policy) -> list[str]:
        """What `other` tightens, loosens or changes against this policy, one readable line each."""
        return policy_diff.diff(self.terms, other.terms)

    def describe(self, schema: Schema | DatabaseSchema | None = None, *, one_table_only: Collection[str] = ()) -> str:
        """What the policy allows, in plain words; with a schema, of a release of that table or those tables.

        Args: `one_table_only` are generators that are not for several tables.
        """
        if not isinstance(schema, DatabaseSchema):
            return policy_diff.describe(self.terms)
        return policy_diff.describe(self.terms, SeveralTables(bounds=bounds_in_words(schema), without=one_table_only))

    def _most_rows(self) -> int | None:
        """How many rows a release may have by public knowledge; None where no population is declared."""
        if isinstance(self.records.rows, int):
            return self.records.rows
        return None if self.population is None else self.population.public_size * self.unit.max_rows

    def _of_database(self, schema: DatabaseSchema, today: dt.date | None) -> DatabaseChecks:
        declared, size = self.records.rows, self.population and self.population.public_size
        return DatabaseChecks(
            schema=schema,
            unit=self.unit,
            terms=self.deidentification,
            harbor=self._harbor(today),
            units=declared if isinstance(declared, int) else size,
        )

    def _safe_harbor(self, schema: Schema, today: dt.date | None) -> SafeHarbor | None:
        profile = self._harbor(today)
        return None if profile is None else profile(schema, self.deidentification)

    def _harbor(self, today: dt.date | None) -> Callable[[Schema, Deidentification], SafeHarbor] | None:
        """The profile of any table, where the policy asks for it."""
        if self.deidentification.profile == "none":
            return None
        day = today or dt.datetime.now(dt.UTC).date()
        return lambda schema, terms: SafeHarbor(schema=schema, terms=terms, attestations=self.attestations, today=day)

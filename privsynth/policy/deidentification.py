"""HIPAA Safe Harbor, 45 CFR 164.514(b)(2), as checks of a schema and of a released table.

Must never conclude that anything is HIPAA compliant: a rule passed, or a named person attested it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias, final

import pyarrow as pa
import pyarrow.compute as pc

from privsynth.detectors import DATE, find
from privsynth.policy import zip3
from privsynth.policy.ages import OLDEST, age_problem, earliest_year
from privsynth.policy.check_result import CheckResult, absent, named, verdict
from privsynth.policy.column_meaning import meaning
from privsynth.policy.terms import Attestable, Attestation, Deidentification, Holds
from privsynth.schema import Schema
from privsynth.schema.columns import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    DatetimeColumn,
    IntegerColumn,
    ModelledColumn,
    NumberColumn,
    OrderedColumn,
)

_RULE = "45 CFR 164.514(b)(2)"

_ABSENT: tuple[tuple[str, str, str, Holds], ...] = (
    ("hipaa-names", "(i)(A)", "names", "name"),
    ("hipaa-geography", "(i)(B)", "places smaller than a state, other than ZIP prefixes", "geography"),
    ("hipaa-phone", "(i)(D)", "telephone numbers", "phone"),
    ("hipaa-fax", "(i)(E)", "fax numbers", "fax"),
    ("hipaa-e-mail", "(i)(F)", "e-mail addresses", "e-mail"),
    ("hipaa-ssn", "(i)(G)", "social security numbers", "us-ssn"),
    ("hipaa-medical-record", "(i)(H)", "medical record numbers", "mrn"),
    ("hipaa-health-plan", "(i)(I)", "health plan beneficiary numbers", "health-plan"),
    ("hipaa-account", "(i)(J)", "account numbers", "account"),
    ("hipaa-license", "(i)(K)", "certificate and license numbers", "license"),
    ("hipaa-vehicle", "(i)(L)", "vehicle identifiers and plates", "vehicle"),
    ("hipaa-device", "(i)(M)", "device identifiers and serial numbers", "device"),
    ("hipaa-url", "(i)(N)", "web addresses", "url"),
    ("hipaa-ip-address", "(i)(O)", "IP addresses", "ip-address"),
    ("hipaa-biometric", "(i)(P)", "biometric identifiers", "biometric"),
    ("hipaa-photo", "(i)(Q)", "full-face photographs", "photo"),
)

_SchemaProblem: TypeAlias = Callable[[ModelledColumn], str | None]
_ValuesProblem: TypeAlias = Callable[[Sequence[object]], str | None]
_DATES = "dates are years and nothing finer"
_AGES = "no age over 89 stands by itself"
_BIRTHS = "no year of birth tells an age over 89"
_ZIPS = f'three digits with more than {zip3.MORE_THAN:,} people ({zip3.CENSUS}), or "{zip3.REPLACEMENT}"'


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SafeHarbor:
    """The profile's rules over one schema: `terms` say what columns hold, `today` whose year of birth tells too much."""

    schema: Schema
    terms: Deidentification
    attestations: Mapping[Attestable, Attestation]
    today: dt.date

    def check_schema(self) -> tuple[CheckResult, ...]:
        """Every rule that the schema alone can answer, and the two that a named person attests."""
        return (
            *(self._absent(*row) for row in _ABSENT),
            self._columns("hipaa-zip3", "(i)(B)", "zip", _zip_problem, _ZIPS),
            self._dates(),
            self._columns("hipaa-ages", "(i)(C)", "age", _age_problem, _AGES),
            self._columns("hipaa-birth-years", "(i)(C)", "birth-year", self._birth_problem, _BIRTHS),
            self._attested("hipaa-other-identifiers", "(i)(R)"),
            self._attested("hipaa-actual-knowledge", "(ii)"),
        )

    def check_release(self, table: pa.Table) -> tuple[CheckResult, ...]:
        """The same rules on the values that are to be released; a column that is not there fails its rule."""
        return (
            self._released("released-zip3", "(i)(B)", "zip", table, _zip_values, _ZIPS),
            self._released("released-ages", "(i)(C)", "age", table, _age_values, _AGES),
            self._released("released-birth-years", "(i)(C)", "birth-year", table, self._birth_values, _BIRTHS),
            self._released_dates(table),
        )

    def _holding(self, holds: Holds) -> list[ModelledColumn]:
        """Modelled columns that hold this; identifiers that are made anew hold nobody's."""
        columns, cleared = self.terms.columns, self.terms.cleared
        return [one for one in self.schema.modelled if meaning(one.name, declared=columns, cleared=cleared) == holds]

    def _absent(self, rule: str, part: str, title: str, holds: Holds) -> CheckResult:
        problems = [
            f'column "{column.name}" would be modelled and seems to hold {title}; declare kind = "identifier" (made anew) '
            "or leave it out, or say in deidentification.cleared why its name misleads"
            for column in self._holding(holds)
        ]
        return verdict(rule, _RULE + part, problems, f"no modelled column holds {title}")

    def _columns(self, rule: str, part: str, holds: Holds, check: _SchemaProblem, passed: str) -> CheckResult:
        columns = self._holding(holds)
        if not columns:
            return absent(rule, _RULE + part, f"no modelled column holds such a value ({holds})")
        found = [(column.name, check(column)) for column in columns]
        problems = [f'column "{name}" {text}' for name, text in found if text is not None]
        return verdict(rule, _RULE + part, problems, f"{named([name for name, _ in found])}: {passed}")

    def _released(
        self, rule: str, part: str, holds: Holds, table: pa.Table, check: _ValuesProblem, passed: str
    ) -> CheckResult:
        def of_table(column: ModelledColumn) -> str | None:
            if column.name not in table.column_names:
                return "is not in the released table, so it cannot be checked"
            values = pc.drop_null(pc.unique(table[column.name])).to_pylist()
            return check([value for value in values if value not in column.missing])

        return self._columns(rule, part, holds, of_table, passed)

    def _birth_problem(self, column: ModelledColumn) -> str | None:
        if isinstance(column, DateColumn | IntegerColumn):
            return self._birth_values([column.lower])
        labels = column.labels if isinstance(column, CategoryColumn | OrderedColumn) else ()
        return self._birth_values(labels)

    def _birth_values(self, values: Sequence[object]) -> str | None:
        year = earliest_year(map(str, values))
        if year is None:
            return "has no years of birth that can be read; declare them as four digits"
        first = self.today.year - OLDEST
        return None if year >= first else f"holds years of birth before {first}; put them in one class, or leave it out"

    def _dates(self) -> CheckResult:
        problems = [
            f'column "{column.name}" {problem}'
            for column in self.schema.modelled
            if (problem := self._date_problem(column))
        ]
        return verdict("hipaa-dates", _RULE + "(i)(C)", problems, _DATES)

    def _date_problem(self, column: ModelledColumn) -> str | None:
        """Why a column tells more of a date than its year; a name or labels that mislead can be cleared, a date cannot."""
        if isinstance(column, DateColumn | DatetimeColumn):
            years = isinstance(column, DateColumn) and column.granularity == "year"
            return (
                None if years else 'tells more than a year; declare a date with granularity = "year", or leave it out'
            )
        if meaning(column.name, declared=self.terms.columns, cleared=self.terms.cleared) == "date":
            return (
                "seems to hold a part of a date; leave it out, or say in deidentification.cleared why its name misleads"
            )
        if column.name in self.terms.cleared:
            return None
        if isinstance(column, IntegerColumn) and _reads_as_day(column):
            return "has bounds that read as days or moments written as numbers; leave it out, or clear its name"
        if isinstance(column, CategoryColumn | OrderedColumn) and find(
            pa.chunked_array([pa.array(column.labels)]), [DATE]
        ):
            return "has labels that read as dates; cut them to years, or say in deidentification.cleared what they are"
        return None

    def _released_dates(self, table: pa.Table) -> CheckResult:
        problems = []
        for column in self.schema.modelled:
            if column.name not in table.column_names:
                problems.append(f'column "{column.name}" is not in the released table, so it cannot be checked')
            elif column.name not in self.terms.cleared and _finer_than_year(table[column.name]):
                problems.append(f'column "{column.name}" holds dates finer than a year')
        return verdict("released-dates", _RULE + "(i)(C)", problems, _DATES)

    def _attested(self, rule: Attestable, part: str) -> CheckResult:
        said = self.attestations.get(rule)
        if said is None:
            problem = (
                f"no program can check this, and nobody attests it; add [attestations.{rule}] with by, on and document"
            )
        elif said.on > self.today:
            problem = "the attestation is dated in the future; correct its date"
        else:
            words = f"{said.by} attested this on {said.on} ({said.document})"
            return CheckResult(rule=rule, citation=_RULE + part, result="attested", method="attested", detail=words)
        return CheckResult(rule=rule, citation=_RULE + part, result="fail", method="attested", detail=problem)


def _zip_problem(column: ModelledColumn) -> str | None:
    if not isinstance(column, CategoryColumn | OrderedColumn):
        return 'holds ZIP codes and no labels; declare kind = "category" with three-digit values'
    if not column.labels:
        return "has ZIP codes that are to be bought; declare the three-digit values instead"
    return _zip_values(column.labels)


def _zip_values(values: Sequence[object]) -> str | None:
    if all(zip3.is_allowed(str(value)) for value in values):
        return None
    return f'has ZIP values other than {_ZIPS}; cut them to three digits and write "{zip3.REPLACEMENT}" for the rest'


def _age_problem(column: ModelledColumn) -> str | None:
    if isinstance(column, IntegerColumn | NumberColumn):
        if column.upper is None:
            return "has an upper bound that is to be bought; declare upper = 90 and mean 90 or more by it"
        return _age_values([column.upper])
    return age_problem(
        column.labels if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn) else ("a date",)
    )


def _age_values(values: Sequence[object]) -> str | None:
    if all(isinstance(value, int | float | Decimal) for value in values):
        over = any(value > OLDEST + 1 for value in values if isinstance(value, int | float | Decimal))
        return "goes above 90; declare upper = 90 and mean 90 or more by it" if over else None
    return age_problem(map(str, values))


def _disguised_date(column: ModelledColumn) -> str | None:
    if isinstance(column, IntegerColumn) and _reads_as_day(column):
        return "has bounds that read as days or moments written as numbers; leave it out, or clear its name"
    labels = column.labels if isinstance(column, CategoryColumn | OrderedColumn) else ()
    if find(pa.chunked_array([pa.array(labels, pa.string())]), [DATE]):
        return "has labels that read as dates; cut them to years, or say in deidentification.cleared what they are"
    return None


def _reads_as_day(column: IntegerColumn) -> bool:
    """Whether all values lie among eight-digit dates or among seconds or milliseconds since 1970, of 1900 to 2100."""
    if column.lower is None or column.upper is None:
        return False
    ranges = ((19000101, 21001231), (10**8, 41 * 10**8), (10**11, 41 * 10**11))
    return any(low <= column.lower <= column.upper <= high for low, high in ranges)


def _finer_than_year(values: pa.ChunkedArray) -> bool:
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        days = pc.drop_null(pc.unique(values))
        return bool(len(days)) and not pc.all(pc.equal(pc.day_of_year(days), 1)).as_py()
    return bool(pa.types.is_string(values.type) and find(values, [DATE]))

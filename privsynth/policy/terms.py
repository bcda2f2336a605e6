"""The terms of a policy: every section and key of the file, its type, and which way an overlay may move it.

Must never hold a default for a term that protects somebody: what a policy does not say, it refuses.
"""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType, UnionType
from typing import Annotated, Literal, TypeAlias, final, get_args

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from privsynth.detectors import pattern_detector
from privsynth.errors import PolicyError
from privsynth.policy import cell_size
from privsynth.policy.orders import ADDITIONS, FIXED, FREE, LARGER, ROW_COUNT, SMALLER, SUBSET, decimal_text, ranked

DELTA_CEILING = Fraction(1, 10**6)
"""No policy may have a larger delta, however few people it is about."""
EPSILON_CEILING = 100
"""An epsilon beyond this promises nothing that a person could be told."""

MAX_ROWS = 10**9

_DECIMAL = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE]([+-]?[0-9]{1,9}))?")
_MAX_EXPONENT = 30


def _decimal(value: object) -> object:
    """Read a decimal string exactly; refuse everything that is not a positive finite number written in quotes."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'expected a decimal string such as "1.0"; found the bare number {value}; put it in quotes')
    if not isinstance(value, str):
        raise ValueError('expected a decimal string such as "1.0"')
    if value.strip(" +-").lower() in ("nan", "inf", "infinity"):
        raise ValueError(f'"{value}" is no amount; write a finite decimal such as "1.0"')
    found = _DECIMAL.fullmatch(value)
    if found is None:
        raise ValueError(f'expected a decimal string such as "1.0" or "1e-6"; found "{value[:60]}"')
    if abs(int(found.group(3) or 0)) > _MAX_EXPONENT:
        raise ValueError(
            f'the exponent of "{value}" is out of range; keep it between -{_MAX_EXPONENT} and {_MAX_EXPONENT}'
        )
    number = Fraction(value)
    if number <= 0:
        raise ValueError(f'must be above zero; found "{value}"')
    return number


def _at_most(limit: Fraction) -> AfterValidator:
    def check(number: Fraction) -> Fraction:
        if number > limit:
            raise ValueError(f"must be at most {decimal_text(limit)}; found {decimal_text(number)}")
        return number

    return AfterValidator(check)


def _listed(value: object) -> object:
    """Turn a TOML array of different entries into a tuple."""
    if not isinstance(value, list | tuple):
        return value
    if not value:
        raise ValueError("the list is empty; name at least one")
    if len({str(entry) for entry in value}) != len(value):
        raise ValueError("an entry is given twice; remove one")
    return tuple(value)


def _shaped(pattern: str, shape: str) -> AfterValidator:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"expected {shape}; found {text[:60]!r}")
        return text

    return AfterValidator(check)


def _row_count(value: object) -> object:
    if value != "estimate" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ROWS):
        raise ValueError(f'expected a number of rows from 1 to {MAX_ROWS}, or "estimate"; found {value!r}')
    return value


def _frozen(value: Mapping[str, object]) -> Mapping[str, object]:
    return MappingProxyType(dict(value))


_NOTHING = Field(default_factory=dict, validate_default=True)
Decimal: TypeAlias = Annotated[Fraction, BeforeValidator(_decimal)]
Epsilon: TypeAlias = Annotated[Decimal, _at_most(Fraction(EPSILON_CEILING))]
Delta: TypeAlias = Annotated[Decimal, _at_most(DELTA_CEILING)]
Share: TypeAlias = Annotated[Decimal, _at_most(Fraction(1, 2))]
Words: TypeAlias = Annotated[str, _shaped(r"[^\x00-\x09\x0b-\x1f\x7f]{1,2000}", "1 to 2000 printable characters")]
Name: TypeAlias = Annotated[
    str,
    _shaped(
        r"[a-z0-9][a-z0-9._+-]{0,63}",
        "up to 64 of lower-case letters, digits, dots, dashes, plus signs and underscores",
    ),
]
Version: TypeAlias = Annotated[str, _shaped(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}", 'a version such as "1.0"')]
Names: TypeAlias = Annotated[tuple[Name, ...], BeforeValidator(_listed)]

Holds: TypeAlias = Literal[
    "name", "zip", "geography", "date", "birth-year", "age", "phone", "fax", "e-mail", "us-ssn", "mrn", "health-plan",
    "account", "license", "vehicle", "device", "url", "ip-address", "biometric", "photo",
]  # fmt: skip
"""What a column may hold that a de-identification profile has a rule for."""

Attestable: TypeAlias = Literal["hipaa-other-identifiers", "hipaa-actual-knowledge"]
"""Rules that no program can check and a named person attests."""


class AbstractSection(BaseModel, ABC):
    """A table of the policy file: frozen, strictly typed, and no key that is not listed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True)


@final
class Header(AbstractSection):
    """[policy]: which policy this is and until when it holds."""

    name: Annotated[Name, FREE]
    version: Annotated[Version, FREE]
    description: Annotated[Words, FREE]
    expires: Annotated[dt.date, SMALLER]


@final
class Population(AbstractSection):
    """[population]: whose account in the ledger pays, and how many people it is publicly said to hold at most."""

    id: Annotated[Name, FIXED]
    public_size: Annotated[int, Field(ge=1, le=10**11), LARGER]


@final
class Unit(AbstractSection):
    """[unit]: who is protected. The guarantee covers all rows of one unit, of which at most max_rows are used."""

    name: Annotated[Name, FREE]
    max_rows: Annotated[int, Field(ge=1, le=10**6), FREE]
    relation: Annotated[Literal["add-remove"], FIXED]


@final
class Budget(AbstractSection):
    """[budget]: what one release may spend, and what the population may spend in its life."""

    release_epsilon: Annotated[Epsilon, SMALLER]
    release_delta: Annotated[Delta, SMALLER]
    lifetime_epsilon: Annotated[Epsilon, SMALLER]
    lifetime_delta: Annotated[Delta, SMALLER]


@final
class Generators(AbstractSection):
    """[generators]: which generators may be used, and which one is used where none is named.

    "auto" is no generator: it chooses one of the others that are allowed.
    """

    allow: Annotated[Names, SUBSET]
    default: Annotated[Name, FREE]


@final
class RecordsTerms(AbstractSection):
    """[records]: what happens to values outside the declared domain, and how many rows are released.

    From loosest to strictest: "clamp" turns such a value into a neighbour without a trace, "other" into a level of its own
    kind, "refuse" stops.
    """

    out_of_domain: Annotated[Literal["refuse", "clamp", "other"], ranked("clamp", "other", "refuse")]
    rows: Annotated[int | Literal["estimate"], BeforeValidator(_row_count), ROW_COUNT]


@final
class Deidentification(AbstractSection):
    """[deidentification]: the profile, and what its columns hold where their names do not say it.

    `columns` says what a column holds, whatever it is called; `cleared` gives the reason why a column's name or labels
    mislead, which stands in the certificate as attested, not as checked.
    """

    profile: Annotated[Literal["none", "hipaa-safe-harbor"], ranked("none", "hipaa-safe-harbor")]
    mrn_pattern: Annotated[Words | None, FIXED] = None
    columns: Annotated[Mapping[str, Holds], AfterValidator(_frozen), ADDITIONS] = _NOTHING
    cleared: Annotated[Mapping[str, Words], AfterValidator(_frozen), ADDITIONS] = _NOTHING


@final
class Published(AbstractSection):
    """[published]: the cell-size rule for counts of real people in anything that is published.

    Released rows and noisy answers are no such counts. See `suppressed` for what hiding cells covers.
    """

    min_cell: Annotated[int, Field(ge=1, le=10**6), LARGER]

    def allows(self, count: int) -> bool:
        """Whether a count of real people may be published: zero, or at least min_cell."""
        return count == 0 or count >= self.min_cell

    def suppressed(
        self, counts: npt.NDArray[np.int64], *, margins: Literal["not-published", "published"]
    ) -> npt.NDArray[np.bool_]:
        """Which cells of a table of counts must be hidden; see `cell_size.suppressed`."""
        return cell_size.suppressed(counts, min_cell=self.min_cell, margins=margins)


@final
class AuditTerms(AbstractSection):
    """[audit]: the plan that a release must pass, the share of units held out for it, and how often it may be tried.

    From looser to stricter: a "half-copy" audit attacks a twin fitted on half of the units, "holdout" the release itself.
    """

    plan: Annotated[Name, ranked("quick", "standard")]
    holdout: Annotated[Share, LARGER]
    attempts: Annotated[int, Field(ge=1, le=10), SMALLER]
    control: Annotated[Literal["holdout", "half-copy"], ranked("half-copy", "holdout")]


@final
class Recipients(AbstractSection):
    """[recipients]: who may receive the release, and under which agreement (attested, not checked)."""

    klass: Annotated[
        Literal["public", "partner", "internal"], Field(alias="class"), ranked("public", "partner", "internal")
    ]
    contract: Annotated[Words, FREE]


@final
class CertificateTerms(AbstractSection):
    """[certificate]: how long a certificate holds, so that a release is looked at again."""

    valid_days: Annotated[int, Field(ge=1, le=3660), SMALLER]


@final
class Attestation(AbstractSection):
    """Who says so, since when, and where it is written down."""

    by: Words
    on: dt.date
    document: Words


@final
class Terms(AbstractSection):
    """All terms of a policy; `policy` is its header."""

    policy: Header
    population: Population | None = None
    unit: Unit
    budget: Budget
    generators: Generators
    records: RecordsTerms
    deidentification: Deidentification
    published: Published
    audit: AuditTerms
    recipients: Recipients
    certificate: CertificateTerms
    attestations: Annotated[Mapping[Attestable, Attestation], AfterValidator(_frozen), ADDITIONS] = _NOTHING


def section_of(field: FieldInfo) -> type[AbstractSection] | None:
    """The section that a field of Terms holds; None for a plain key."""
    kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, AbstractSection)), None)


def fields() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key of a policy file as (path, field), in the order of the file."""
    for name, field in Terms.model_fields.items():
        section = section_of(field)
        if section is None:
            yield (name,), field
        else:
            yield from (((name, inner.alias or key), inner) for key, inner in section.model_fields.items())


def largest_delta(public_size: int | None) -> Fraction:
    """The largest delta that a policy may have: min(1e-6, 1 / (10 public_size)).

    A delta near one over the number of people would allow one person's row to be published outright. The number is the
    declared public one: the private count would leak through delta.
    """
    return DELTA_CEILING if public_size is None else min(DELTA_CEILING, Fraction(1, 10 * public_size))


def contradictions(terms: Terms) -> Iterator[tuple[tuple[str, str], str]]:
    """What the terms say against each other or against the delta rule, as (key, complaint)."""
    budget, size = terms.budget, terms.population.public_size if terms.population else None
    for key, delta in (("release_delta", budget.release_delta), ("lifetime_delta", budget.lifetime_delta)):
        if delta > largest_delta(size):
            yield (
                ("budget", key),
                f"delta too large for n: {decimal_text(delta)} is above 1 / (10 * {size}) = {float(largest_delta(size)):.3g}, "
                f"with population.public_size = {size}; state a smaller one",
            )
    if budget.release_epsilon > budget.lifetime_epsilon:
        yield ("budget", "release_epsilon"), "one release may not spend more than budget.lifetime_epsilon; lower it"
    if budget.release_delta > budget.lifetime_delta:
        yield ("budget", "release_delta"), "one release may not spend more than budget.lifetime_delta; lower it"
    if terms.generators.default not in terms.generators.allow:
        yield ("generators", "default"), f'"{terms.generators.default}" is not in generators.allow; choose one that is'
    if set(terms.generators.allow) == {"auto"}:
        yield ("generators", "allow"), '"auto" chooses among the generators that are allowed; name them beside it'
    if terms.deidentification.mrn_pattern is not None:
        try:
            pattern_detector("mrn_pattern", "", terms.deidentification.mrn_pattern)
        except PolicyError as problem:
            yield ("deidentification", "mrn_pattern"), str(problem)
    for name in terms.deidentification.columns.keys() & terms.deidentification.cleared.keys():
        yield (
            ("deidentification", "cleared"),
            f'column "{name}" is in deidentification.columns too; keep one of the two',
        )

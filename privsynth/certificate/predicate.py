"""What a release's certificate may say: the predicate, member by member.

Must never let through a seed, a digest of private data, a host name, a path, a float where a decimal is due, or a release
that did not pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal, Self, TypeAlias, final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from privsynth.errors import ClaimMismatch

PREDICATE_TYPE: Final = "https://privsynth.dev/attestation/release/v0.1"
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"

_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]{0,30})(\.[0-9]{1,60})?(e-?[0-9]{1,2})?")
_PATH: Final = re.compile(r"(?<![\w:/.<])(?:/[\w.+-]+){2,}|\b[A-Za-z]:\\|\\\\|~/|\bfile:")
_DIGEST: Final = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128}|[0-9A-Fa-f]{40})(?![0-9A-Fa-f])")
FORBIDDEN: Final = ("seed", "host", "path", "user", "entropy", "secret", "nonce", "salt", "duration", "elapsed")
_DIGEST_PLACES: Final = frozenset(
    {"policy.digest.sha256", "schema.digest.sha256", "audit.plan.digest.sha256", "budget.ledgerHead"}
)


def moment(text: str) -> datetime:
    """Read an RFC 3339 time in UTC, to the second; ValueError otherwise."""
    read = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    if read.strftime(TIME_FORMAT) != text:
        raise ValueError("must be a time like 2026-11-22T10:00:00Z")
    return read


def _time(text: str) -> str:
    moment(text)
    return text


def _decimal(text: str) -> str:
    if not _DECIMAL.fullmatch(text):
        raise ValueError('must be a decimal string like "1.25" or "1e-9"')
    return text


def _positive(text: str) -> str:
    if Decimal(_decimal(text)) <= 0:
        raise ValueError("must be above zero")
    return text


def _not_seeded(text: str) -> str:
    if "unsafe" in text.lower():
        raise ValueError("must be a source that nobody can replay; a release with unsafe noise is never signed")
    return text


Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=4000)]
Time: TypeAlias = Annotated[str, AfterValidator(_time)]
Amount: TypeAlias = Annotated[str, AfterValidator(_decimal)]
PositiveAmount: TypeAlias = Annotated[str, AfterValidator(_positive)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=10**15)]
HexDigest: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Setting: TypeAlias = bool | int | float | str | None


class AbstractPart(BaseModel):
    """How every part is read: exact types, known members only, names in lowerCamelCase."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, allow_inf_nan=False, validate_by_name=False
    )


@final
class Digest(AbstractPart):
    """SHA-256 of a public document."""

    sha256: HexDigest


@final
class Tool(AbstractPart):
    """The program that made the release."""

    name: Text
    version: Text


@final
class PolicyClaim(AbstractPart):
    """The policy that the release was made under."""

    name: Text
    version: Text
    digest: Digest


@final
class UnitClaim(AbstractPart):
    """Whose participation is protected."""

    name: Text
    column: Text | None
    max_rows: Annotated[int, Field(ge=1)]


@final
class Stage(AbstractPart):
    """What one stage spent."""

    stage: Text
    mechanism: Text
    rho: Amount
    delta: Amount


@final
class Training(AbstractPart):
    """Gradient steps, of which `stages` has the sum; their cost is in epsilon, and not in rho (none were there before 0.2)."""

    mechanism: Text
    sampling_rate: PositiveAmount
    steps: Annotated[int, Field(ge=1)]
    noise_multiplier: PositiveAmount


@final
class GuaranteeClaim(AbstractPart):
    """What is promised, for which neighbours, and on which assumptions. Units: decimal strings."""

    definition: Text
    relation: Literal["add-remove", "replace-one"]
    unit: UnitClaim
    rho: Amount
    epsilon: PositiveAmount
    delta: PositiveAmount
    conversion: Text
    noise: Text
    randomness: Annotated[Text, AfterValidator(_not_seeded)]
    stages: list[Stage]
    training: Training | None = None
    assumptions: list[Text]
    not_covered: list[Text]


@final
class BudgetClaim(AbstractPart):
    """Where the population's account stood, and the ledger entry that charged this release."""

    population: Text
    spent_epsilon: PositiveAmount
    cap_epsilon: PositiveAmount
    cap_delta: PositiveAmount
    ledger_sequence: Annotated[int, Field(ge=1)]
    ledger_head: HexDigest


@final
class BoundClaim(AbstractPart):
    """How many rows of one unit shaped what was learned of a table: at most `rows`, `keep` says which.

    With `weights` "unit" all of a unit's rows together count as one, with "row" each counts as one.
    """

    rows: Annotated[int, Field(ge=1)]
    basis: Literal["declared", "bought"]
    keep: Literal["random", "first", "last"]
    weights: Literal["unit", "row"]


@final
class TableClaim(AbstractPart):
    """One of several tables as released; the units themselves have neither parent nor bound."""

    name: Text
    columns: Count
    rows: Count
    parent: Text | None
    bound: BoundClaim | None


@final
class SchemaClaim(AbstractPart):
    """The public schema, how many rows are released and why that many; of several tables, each (none were before 0.3)."""

    digest: Digest
    columns: Annotated[int, Field(ge=1)]
    rows: Count
    rows_basis: Text
    tables: list[TableClaim] = []


@final
class GeneratorClaim(AbstractPart):
    """The generator, its settings, and why it was chosen where the choice was left to privsynth (none said before 0.2)."""

    name: Text
    version: Text
    settings: dict[str, Setting | list[Setting]]
    reasons: list[Text] = []


@final
class Check(AbstractPart):
    """One rule of the policy; a failed one is never certified."""

    rule: Text
    citation: Annotated[str, Field(max_length=4000)]
    result: Literal["pass", "not-applicable", "attested"]
    method: Literal["machine", "attested"]


@final
class AuditRow(AbstractPart):
    """One attack or conformance check: verdict and public thresholds, never a figure computed on people."""

    check: Text
    family: Literal["conformance", "release"]
    threat: Text
    verdict: Literal["PASS"]
    threshold: float | int | str | None
    detectable: float | int | str | None
    ceiling: float | int | str | None
    meaning: Text


@final
class Plan(AbstractPart):
    """The audit plan."""

    name: Text
    digest: Digest


@final
class AuditClaim(AbstractPart):
    """The audit's verdict."""

    plan: Plan
    verdict: Literal["PASS"]
    rows: Annotated[list[AuditRow], Field(min_length=1)]


@final
class Attempts(AbstractPart):
    """How many attempts the policy allows, and which one this was."""

    allowed: Annotated[int, Field(ge=1)]
    used: Annotated[int, Field(ge=1)]


@final
class Recipients(AbstractPart):
    """Who may have the release."""

    class_: Annotated[Text, Field(alias="class")]
    contract: str | None


@final
class KeptFrom(AbstractPart):
    """A release that measured something which a refresh keeps, and the guarantee that covers it."""

    release: Text
    epsilon: PositiveAmount
    delta: PositiveAmount


@final
class RefreshClaim(AbstractPart):
    """Which release this one goes on from, what moved since, and what the ledger was charged for both its parts.

    `drift_test` is the ledger's entry of the first part, the last of `drift_tests` that this population's account was charged
    for against the same earlier release; `charged_rho` is of the last one and of what moved. What is `kept` is no part of this
    one's guarantee, which covers the drift test and all that was measured anew: each of the releases that it is `kept_from`
    covers its part, and who is in all of them has the sum. `kept_epsilon` and `kept_delta`, the largest of those, stand in
    certificates that do not list them. `bought` are columns whose labels or bounds an earlier release bought: what it did not
    buy goes where it went there.
    """

    previous: Text
    drift_test: Text
    drift_tests: Annotated[int, Field(ge=1)]
    charged_rho: PositiveAmount
    moved: list[Text]
    moved_pairs: list[list[Text]]
    new: list[Text]
    gone: list[Text]
    too_noisy: list[list[Text]]
    kept: Count
    kept_from: list[KeptFrom] | None = None
    kept_epsilon: PositiveAmount | None = None
    kept_delta: PositiveAmount | None = None
    bought: list[Text] = []

    @property
    def epsilons(self) -> list[str]:
        """Those of the guarantees that cover what is kept."""
        each = [one.epsilon for one in self.kept_from or ()]
        return each if self.kept_epsilon is None else [*each, self.kept_epsilon]


@final
class Predicate(AbstractPart):
    """Everything that a certificate says about its release."""

    release_id: Text
    issued_at: Time
    expires_at: Time
    tool: Tool
    policy: PolicyClaim
    decision: Literal["PASSED"]
    guarantee: GuaranteeClaim
    budget: BudgetClaim
    schema_: Annotated[SchemaClaim, Field(alias="schema")]
    generator: GeneratorClaim
    checks: list[Check]
    audit: AuditClaim
    repairs: dict[str, Count]
    attempts: Attempts
    recipients: Recipients
    limitations: list[Text]
    refresh: RefreshClaim | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.guarantee.training is None and Decimal(self.guarantee.rho) <= 0:
            raise ValueError("guarantee.rho must be above zero where nothing is learned by gradient steps")
        for epsilon in () if self.refresh is None else self.refresh.epsilons:
            if Decimal(epsilon) > Decimal(self.guarantee.epsilon):
                raise ValueError(
                    "refresh: what is kept must not have an epsilon above guarantee.epsilon: it had less noise"
                )
        if moment(self.issued_at) >= moment(self.expires_at):
            raise ValueError("issuedAt must be before expiresAt")
        if self.attempts.used > self.attempts.allowed:
            raise ValueError("attempts.used must not be above attempts.allowed")
        return self


def require(value: Mapping[str, object]) -> Predicate:
    """Check a predicate and return it typed.

    Raises: ClaimMismatch naming the member and what it must be.
    """
    try:
        predicate = Predicate.model_validate(dict(value))
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "predicate"
        raise ClaimMismatch(f'the certificate\'s "{place}" is not as it must be: {first["msg"]}') from None
    for place, text in _texts(value, ""):
        if _PATH.search(text):
            raise ClaimMismatch(f'the certificate\'s "{place}" holds a path; nothing about the machine may be signed')
        if place not in _DIGEST_PLACES and _DIGEST.search(text):
            raise ClaimMismatch(
                f'the certificate\'s "{place}" holds a digest; a digest of private data betrays the data'
            )
    return predicate


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Every text with its dotted place; ClaimMismatch for a member whose name has no business in a certificate."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for number, element in enumerate(value):
            yield from _texts(element, f"{place}.{number}")
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if place != "repairs" and any(word in str(name).lower() for word in FORBIDDEN):
                raise ClaimMismatch(f'the certificate\'s "{place}" must have no member "{name}"')
            yield from _texts(member, f"{place}.{name}" if place else str(name))

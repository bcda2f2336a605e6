"""The lines of the ledger: entries in a hash chain, how they are written and how they are read back.

Must never touch a disk or a clock, and must never read a body that it would not have written.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal, TypeAlias, TypedDict, final

from privsynth.errors import RefusedError
from privsynth.privacy.accounting import ORDERS, Cap, Cost

Kind: TypeAlias = Literal["open", "reserve", "begin", "commit", "forfeit", "void"]
State: TypeAlias = Literal["reserved", "begun", "committed", "forfeited", "voided"]
Body: TypeAlias = Mapping[str, object]

GENESIS: Final = hashlib.sha256(b"privsynth ledger, version 1").hexdigest()
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
KINDS: Final[Mapping[str, Kind]] = {
    "open": "open",
    "reserve": "reserve",
    "begin": "begin",
    "commit": "commit",
    "forfeit": "forfeit",
    "void": "void",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """How far a ledger has come: the number of its last entry (0 for none) and that entry's digest."""

    sequence: int
    digest: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry that has no place in the chain yet."""

    kind: Kind
    population: str
    release_id: str
    body: Body


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger: `digest` is SHA-256 over `previous` and every other field, `body` as its exact text."""

    sequence: int
    at: str
    kind: str
    population: str
    release_id: str
    body: str
    previous: str
    digest: str

    @classmethod
    def after(cls, head: LedgerHead, draft: Draft, at: str) -> LedgerEntry:
        """The entry that `draft` becomes when it follows `head`."""
        body = json.dumps(draft.body, sort_keys=True, separators=(",", ":"))
        unsealed = cls(
            sequence=head.sequence + 1,
            at=at,
            kind=draft.kind,
            population=draft.population,
            release_id=draft.release_id,
            body=body,
            previous=head.digest,
            digest="",
        )
        return replace(unsealed, digest=unsealed.computed_digest())

    def computed_digest(self) -> str:
        """The digest that this entry's other fields call for."""
        row = [self.sequence, self.at, self.kind, self.population, self.release_id, self.body]
        canonical = json.dumps(row, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(f"{self.previous}\n{canonical}".encode("ascii")).hexdigest()

    @property
    def head(self) -> LedgerHead:
        """The ledger's head when this entry is its last."""
        return LedgerHead(sequence=self.sequence, digest=self.digest)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What the ledger holds for one release.

    `begun` is the head that `begin` left (what a certificate cites), `attempt` which attempt of its plan that was (from 1).
    """

    release_id: str
    population: str
    cost: Cost
    plan_digest: str
    attempts_allowed: int
    reserved_at: str
    state: State = "reserved"
    attempt: int = 0
    begun: LedgerHead | None = None
    certificate_digest: str | None = None
    reason: str | None = None

    @property
    def terms(self) -> tuple[str, str, Cost, str, int]:
        """What was asked for; it never changes."""
        return self.release_id, self.population, self.cost, self.plan_digest, self.attempts_allowed


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A registered population: whose participation is protected, and what may be spent on it for life."""

    population: str
    unit: str
    cap: Cap


class _CostBody(TypedDict):
    nanoRdp: list[int]
    picoDelta: int


def opening(population: str, unit: str, cap: Cap) -> Draft:
    """The entry that registers a population; it names the grid of orders, so that costs keep their meaning."""
    body: Body = {
        "unit": _named(unit, "unit"),
        "epsilon": str(cap.epsilon),
        "delta": str(cap.delta),
        "order": str(ORDERS[cap.order_index]),
        "orders": [str(order) for order in ORDERS],
    }
    return Draft(kind="open", population=_named(population, "population"), release_id="", body=body)


def reserving(population: str, cost: Cost, release_id: str, plan_digest: str, attempts_allowed: int) -> Draft:
    """The entry that sets a cost aside for one release."""
    if attempts_allowed < 1:
        raise RefusedError(
            f"attempts_allowed must be at least 1; found {attempts_allowed}; correct the policy's [audit]"
        )
    spent: _CostBody = {"nanoRdp": list(cost.nano_rdp), "picoDelta": cost.pico_delta}
    body: Body = {
        "cost": spent,
        "planDigest": sha256_text(plan_digest, "plan_digest"),
        "attemptsAllowed": attempts_allowed,
    }
    return Draft(
        kind="reserve",
        population=_named(population, "population"),
        release_id=_named(release_id, "release_id"),
        body=body,
    )


def sha256_text(value: str, what: str) -> str:
    """Return `value` when it is a SHA-256 digest in lowercase hexadecimal digits; RefusedError otherwise."""
    if len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise RefusedError(f"{what} must be a SHA-256 digest, 64 lowercase hexadecimal digits")
    return value


def _named(value: str, what: str) -> str:
    plain = value.isprintable() and unicodedata.is_normalized("NFC", value) and value == value.strip()
    if not 1 <= len(value) <= 200 or not plain:
        raise RefusedError(f"{what} must be 1 to 200 printable characters (NFC) without blanks around them")
    return value


def _members(entry: LedgerEntry, names: Sequence[str]) -> list[object]:
    body = json.loads(entry.body)
    if not isinstance(body, dict) or sorted(body) != sorted(names):
        raise ValueError
    return [body[name] for name in names]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def account_of(entry: LedgerEntry) -> Account:
    """Read an "open" entry; ValueError, TypeError or RefusedError when it is not what `opening` writes today."""
    unit, epsilon, delta, order, orders = _members(entry, ("unit", "epsilon", "delta", "order", "orders"))
    cap = Cap(epsilon=Fraction(_text(epsilon)), delta=Fraction(_text(delta)))
    if orders != [str(known) for known in ORDERS] or order != str(ORDERS[cap.order_index]):
        raise ValueError
    return Account(population=_named(entry.population, "population"), unit=_named(_text(unit), "unit"), cap=cap)


def reservation_of(entry: LedgerEntry) -> Reservation:
    """Read a "reserve" entry; ValueError, TypeError or RefusedError when it is not what `reserving` writes."""
    cost, plan_digest, attempts_allowed = _members(entry, ("cost", "planDigest", "attemptsAllowed"))
    if not isinstance(cost, dict) or sorted(cost) != ["nanoRdp", "picoDelta"] or not isinstance(cost["nanoRdp"], list):
        raise ValueError
    return Reservation(
        release_id=_named(entry.release_id, "release_id"),
        population=entry.population,
        cost=Cost(nano_rdp=tuple(_whole(part) for part in cost["nanoRdp"]), pico_delta=_whole(cost["picoDelta"])),
        plan_digest=sha256_text(_text(plan_digest), "plan_digest"),
        attempts_allowed=_whole(attempts_allowed),
        reserved_at=entry.at,
    )


def outcome_of(kind: Kind, entry: LedgerEntry) -> tuple[str | None, str | None]:
    """Read the certificate's digest (commit) or the reason (forfeit, void) of an entry that ends or begins a release."""
    if kind == "commit":
        (digest,) = _members(entry, ("certificateDigest",))
        return sha256_text(_text(digest), "certificate_digest"), None
    if kind == "begin":
        _members(entry, ())
        return None, None
    (reason,) = _members(entry, ("reason",))
    return None, _named(_text(reason), "reason")

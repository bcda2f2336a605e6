"""The ledger's arithmetic: entries in a hash chain, and the book that they add up to.

Must never touch a disk or a clock, and must never let an entry through that the rules forbid: stores and `verify` share it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Final, Literal, TypeAlias, TypedDict, final

from privsynth.errors import BudgetExceeded, LedgerError, MechanismError, PolicyRefusal, RefusedError
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
_STEPS: Final[Mapping[Kind, tuple[State, State]]] = {
    "begin": ("reserved", "begun"),
    "commit": ("begun", "committed"),
    "forfeit": ("begun", "forfeited"),
    "void": ("reserved", "voided"),
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
class Balance:
    """An account at one moment; `spent` holds all that was ever begun, `reserved` what may still be voided."""

    cap: Cap
    spent: Cost
    reserved: Cost


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


@final
class Book:
    """What a chain of entries adds up to; grows by one legal entry at a time.

    Privacy: an account's cap is checked against all that is reserved, begun, committed or forfeited; only a reservation
        that was never begun can be given back.
    """

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.accounts: dict[str, Account] = {}
        self.releases: dict[str, Reservation] = {}
        self._spent: dict[str, Cost] = {}
        self._reserved: dict[str, dict[str, Cost]] = {}
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._allowed: dict[tuple[str, str], int] = {}

    @property
    def head(self) -> LedgerHead:
        """Where the chain stands."""
        return self.entries[-1].head if self.entries else LedgerHead(sequence=0, digest=GENESIS)

    def contains(self, head: LedgerHead) -> bool:
        """Whether this chain went through `head`."""
        if head.sequence == 0:
            return head.digest == GENESIS
        return 0 < head.sequence <= len(self.entries) and self.entries[head.sequence - 1].digest == head.digest

    def account(self, population: str) -> Account:
        """The account of a population; RefusedError when none was opened."""
        try:
            return self.accounts[population]
        except KeyError:
            raise RefusedError(f'population "{population}" has no account in this ledger; open one first') from None

    def balance(self, population: str) -> Balance:
        """The account's cap, what was spent and what is reserved."""
        account = self.account(population)
        reserved = Cost.total(self._reserved[population].values())
        return Balance(cap=account.cap, spent=self._spent[population], reserved=reserved)

    def expired(self, before: datetime) -> list[Reservation]:
        """Reservations made before a moment and never begun."""
        limit = before.strftime(TIME_FORMAT)
        held = [self.releases[release_id] for account in self._reserved.values() for release_id in account]
        return [reservation for reservation in held if reservation.reserved_at < limit]

    def successor(self, draft: Draft, at: str) -> LedgerEntry:
        """The next entry, when the rules allow `draft` now; RefusedError when they do not."""
        entry = LedgerEntry.after(self.head, draft, at)
        self._check(entry)
        return entry

    def apply(self, entry: LedgerEntry) -> None:
        """Add the next entry; LedgerError when it is not a lawful successor of this chain."""
        what = f"entry {entry.sequence}"
        if entry.sequence != self.head.sequence + 1 or entry.previous != self.head.digest:
            raise LedgerError(f"the ledger's chain is broken at {what}: it does not follow entry {self.head.sequence}")
        if entry.digest != entry.computed_digest():
            raise LedgerError(f"the ledger was altered: {what} does not have the digest of its contents")
        try:
            self._check(entry)
            self._add(entry)
        except RefusedError as broken_rule:
            raise LedgerError(f"{what} breaks the ledger's rules: {broken_rule}") from None
        except (KeyError, TypeError, ValueError, ZeroDivisionError, MechanismError):
            raise LedgerError(f"{what} cannot be read; was this ledger written by another version?") from None
        self.entries.append(entry)

    def _check(self, entry: LedgerEntry) -> None:
        kind = KINDS[entry.kind]
        if kind == "open":
            if entry.population in self.accounts:
                raise RefusedError(f'population "{entry.population}" has an account already')
            _account_of(entry)
        elif kind == "reserve":
            self._check_reserve(_reservation_of(entry))
        else:
            self._check_step(kind, entry)

    def _check_reserve(self, asked: Reservation) -> None:
        if asked.release_id in self.releases:
            raise RefusedError(f'release "{asked.release_id}" is in this ledger already; take a new release id')
        plan = (asked.population, asked.plan_digest)
        allowed = self._allowed.get(plan, asked.attempts_allowed)
        if allowed != asked.attempts_allowed:
            raise PolicyRefusal(
                f"this plan was registered with {allowed} attempts and cannot be given {asked.attempts_allowed}"
            )
        self._check_attempts(asked)
        balance = self.balance(asked.population)
        held = balance.spent + balance.reserved
        if not balance.cap.admits(held + asked.cost):
            would = balance.cap.epsilon_spent(held + asked.cost)
            has = balance.cap.epsilon_spent(held)
            raise BudgetExceeded(
                f'population "{asked.population}": with this release its lifetime epsilon would be {would:.4f}, the cap is '
                f"{float(balance.cap.epsilon):.4f} and {has:.4f} is spent or reserved (delta {float(balance.cap.delta):g}); "
                "ask for a smaller release_epsilon or release_delta"
            )

    def _check_attempts(self, asked: Reservation) -> None:
        used = self._attempts[asked.population, asked.plan_digest]
        if used >= asked.attempts_allowed:
            raise PolicyRefusal(
                f'population "{asked.population}": all {asked.attempts_allowed} attempts that the policy allows this plan '
                "were begun; a further one would be choosing among results"
            )

    def _check_step(self, kind: Kind, entry: LedgerEntry) -> None:
        reservation = self.releases.get(entry.release_id)
        if reservation is None or reservation.population != entry.population:
            raise RefusedError(f'release "{entry.release_id}" was never reserved for this population')
        needed, _ = _STEPS[kind]
        if reservation.state != needed:
            raise RefusedError(
                f'release "{entry.release_id}" is {reservation.state}; only a {needed} release can {kind}'
                + ("; nothing is refunded after begin" if kind == "void" else "")
            )
        if kind == "begin":
            self._check_attempts(reservation)
        _outcome_of(kind, entry)

    def _add(self, entry: LedgerEntry) -> None:
        kind = KINDS[entry.kind]
        if kind == "open":
            self.accounts[entry.population] = _account_of(entry)
            self._spent[entry.population] = Cost.of(0)
            self._reserved[entry.population] = {}
            return
        if kind == "reserve":
            made = _reservation_of(entry)
            self.releases[made.release_id] = made
            self._reserved[made.population][made.release_id] = made.cost
            self._allowed[made.population, made.plan_digest] = made.attempts_allowed
            return
        old = self.releases[entry.release_id]
        certificate_digest, reason = _outcome_of(kind, entry)
        new = replace(old, state=_STEPS[kind][1], certificate_digest=certificate_digest, reason=reason)
        if old.state == "reserved":
            del self._reserved[old.population][old.release_id]
        if kind == "begin":
            plan = (old.population, old.plan_digest)
            self._attempts[plan] += 1
            self._spent[old.population] = self._spent[old.population] + old.cost
            new = replace(new, begun=entry.head, attempt=self._attempts[plan])
        self.releases[entry.release_id] = new


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


def _account_of(entry: LedgerEntry) -> Account:
    unit, epsilon, delta, order, orders = _members(entry, ("unit", "epsilon", "delta", "order", "orders"))
    cap = Cap(epsilon=Fraction(_text(epsilon)), delta=Fraction(_text(delta)))
    if orders != [str(known) for known in ORDERS] or order != str(ORDERS[cap.order_index]):
        raise ValueError
    return Account(population=_named(entry.population, "population"), unit=_named(_text(unit), "unit"), cap=cap)


def _reservation_of(entry: LedgerEntry) -> Reservation:
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


def _outcome_of(kind: Kind, entry: LedgerEntry) -> tuple[str | None, str | None]:
    if kind == "commit":
        (digest,) = _members(entry, ("certificateDigest",))
        return sha256_text(_text(digest), "certificate_digest"), None
    if kind == "begin":
        _members(entry, ())
        return None, None
    (reason,) = _members(entry, ("reason",))
    return None, _named(_text(reason), "reason")

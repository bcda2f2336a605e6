"""The ledger's rules: the book that a chain of entries adds up to.

Must never touch a disk or a clock, and must never let an entry through that the rules forbid: stores and `verify` share it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, final

from privsynth.errors import BudgetExceeded, LedgerError, MechanismError, PolicyRefusal, RefusedError
from privsynth.privacy.accounting import PICO, Cap, Cost
from privsynth.privacy.ledger_entry import (
    GENESIS,
    KINDS,
    TIME_FORMAT,
    Account,
    Draft,
    Kind,
    LedgerEntry,
    LedgerHead,
    Reservation,
    State,
    account_of,
    outcome_of,
    reservation_of,
)

_STEPS: Final[Mapping[Kind, tuple[State, State]]] = {
    "begin": ("reserved", "begun"),
    "commit": ("begun", "committed"),
    "forfeit": ("begun", "forfeited"),
    "void": ("reserved", "voided"),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """An account at one moment; `spent` holds all that was ever begun, `reserved` what may still be voided."""

    cap: Cap
    spent: Cost
    reserved: Cost


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

    def require_terms(self, population: str, unit: str, cap: Cap) -> None:
        """RefusedError when a population has an account with another unit or cap; without an account, anything goes."""
        known = self.accounts.get(population)
        if known is not None and (known.unit, known.cap) != (unit, cap):
            raise RefusedError(
                f'population "{population}" was opened for unit "{known.unit}" with a lifetime epsilon of '
                f"{float(known.cap.epsilon):g} at delta {float(known.cap.delta):g}, which cannot change; found unit "
                f'"{unit}", epsilon {float(cap.epsilon):g}, delta {float(cap.delta):g}: correct the policy'
            )

    def balance(self, population: str) -> Balance:
        """The account's cap, what was spent and what is reserved."""
        account = self.account(population)
        reserved = Cost.total(self._reserved[population].values())
        return Balance(cap=account.cap, spent=self._spent[population], reserved=reserved)

    def require_attempt(self, population: str, plan_digest: str, allowed: int) -> None:
        """PolicyRefusal when so many attempts at a plan were begun since it last succeeded."""
        if self._attempts[population, plan_digest] >= allowed:
            raise PolicyRefusal(
                f'population "{population}": all {allowed} attempts that the policy allows this plan '
                "were begun; a further one would be choosing among results. An interrupted one goes on, at no cost, with the "
                "same command and the same --out; otherwise whoever owns the policy decides, in a new version of it"
            )

    def expired(self, before: datetime) -> list[Reservation]:
        """Reservations made before a moment and never begun."""
        limit = before.astimezone(UTC).strftime(TIME_FORMAT)
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
            account_of(entry)
        elif kind == "reserve":
            self._check_reserve(reservation_of(entry))
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
        self.require_attempt(asked.population, asked.plan_digest, asked.attempts_allowed)
        balance = self.balance(asked.population)
        held = balance.spent + balance.reserved
        if not balance.cap.admits(held + asked.cost):
            raise BudgetExceeded(_exceeded(asked, balance.cap, held))

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
            self.require_attempt(reservation.population, reservation.plan_digest, reservation.attempts_allowed)
        outcome_of(kind, entry)

    def _add(self, entry: LedgerEntry) -> None:
        kind = KINDS[entry.kind]
        if kind == "open":
            self.accounts[entry.population] = account_of(entry)
            self._spent[entry.population] = Cost.of(0)
            self._reserved[entry.population] = {}
            return
        if kind == "reserve":
            made = reservation_of(entry)
            self.releases[made.release_id] = made
            self._reserved[made.population][made.release_id] = made.cost
            self._allowed[made.population, made.plan_digest] = made.attempts_allowed
            return
        old = self.releases[entry.release_id]
        certificate_digest, reason = outcome_of(kind, entry)
        new = replace(old, state=_STEPS[kind][1], certificate_digest=certificate_digest, reason=reason)
        if old.state == "reserved":
            del self._reserved[old.population][old.release_id]
        if kind == "begin":
            plan = (old.population, old.plan_digest)
            self._attempts[plan] += 1
            self._spent[old.population] = self._spent[old.population] + old.cost
            new = replace(new, begun=entry.head, attempt=self._attempts[plan])
        if kind == "commit":  # a plan that succeeded may be released again: what attempts limit is retrying what failed
            self._attempts[old.population, old.plan_digest] = 0
        self.releases[entry.release_id] = new


def _exceeded(asked: Reservation, cap: Cap, held: Cost) -> str:
    with_it = held + asked.cost
    if with_it.pico_delta > cap.pico_delta:
        return (
            f'population "{asked.population}": with this release the delta of its purchases would be '
            f"{with_it.pico_delta / PICO:g}, the cap is {cap.pico_delta / PICO:g} and {held.pico_delta / PICO:g} is spent or "
            "reserved; ask for a smaller release_delta, or buy nothing"
        )
    return (
        f'population "{asked.population}": with this release its lifetime epsilon would be {cap.epsilon_spent(with_it):.4f}, '
        f"the cap is {float(cap.epsilon):.4f} and {cap.epsilon_spent(held):.4f} is spent or reserved (at delta "
        f"{float(cap.delta):g}); ask for a smaller release_epsilon"
    )

"""The ledger's contract: the only place where a population's budget is spent, or refused.

Must never give anything back after `begin`, and must never say that something was spent before it is durable.

```text
reserve --> begin --> commit      a certificate was issued
   |          `-----> forfeit     a failed audit, a crash: the budget is gone, nothing is released
   `------> void                  nothing was begun: the reservation is given back
```
`begin` without an end counts as spent for ever; it can be resumed (`find`) or forfeited.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Self, TypeAlias

from privsynth.errors import RefusedError
from privsynth.privacy.accounting import Cap, Cost
from privsynth.privacy.ledger_book import Balance, Book
from privsynth.privacy.ledger_entry import (
    Body,
    Draft,
    Kind,
    LedgerEntry,
    LedgerHead,
    Reservation,
    State,
    opening,
    reserving,
)

__all__ = ["AbstractLedger", "Balance", "LedgerEntry", "LedgerHead", "Reservation"]

Decision: TypeAlias = Callable[[Book], Draft | None]
"""Looks at the book under the store's lock and says what to write next; None for nothing, RefusedError for a refusal."""


class AbstractLedger(ABC):
    """What was spent, on which population, for which release; append-only.

    Privacy: the sum of all costs ever begun on a population stays within its cap at one fixed Renyi order, whatever
        crashes, races or retries; a population is what the steward registered, not a file.
    """

    durable: ClassVar[bool]
    """Whether what was spent survives the process: only then may a release rest on it."""

    @abstractmethod
    def _record(self, decide: Decision) -> LedgerHead:
        """Under the store's lock, ask `decide` and make its entry durable; return the head at that moment."""

    @abstractmethod
    def _read(self) -> Book:
        """The book as it stands now."""

    @abstractmethod
    def verify(self) -> None:
        """Replay everything from the first entry: chain, rules, caps; LedgerError at the first thing that is wrong."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the store holds; the ledger cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open_account(self, population: str, *, unit: str, cap: Cap) -> None:
        """Register a population with its privacy unit and its cap for life; nothing happens when it has just that.

        Raises: RefusedError when the population has another unit or cap: no later policy can raise a cap.
        """
        draft = opening(population, unit, cap)

        def decide(book: Book) -> Draft | None:
            book.require_terms(population, unit, cap)
            return None if population in book.accounts else draft

        self._record(decide)

    def reserve(
        self, population: str, *, cost: Cost, release_id: str, plan_digest: str, attempts_allowed: int
    ) -> Reservation:
        """Set a cost aside for one release; asked again in the same terms, return what is there, whatever its state.

        Raises: BudgetExceeded when the cap does not admit it; PolicyRefusal when the plan's attempts since it last
            succeeded are used up;
            RefusedError when the release id is taken in other terms or the population has no account.
        """
        draft = reserving(population, cost, release_id, plan_digest, attempts_allowed)
        terms = (release_id, population, cost, plan_digest, attempts_allowed)

        def decide(book: Book) -> Draft | None:
            known = book.releases.get(release_id)
            if known is None:
                return draft
            if known.terms != terms:
                raise RefusedError(f'release "{release_id}" was reserved in other terms; take a new release id')
            return None

        self._record(decide)
        return self._read().releases[release_id]

    def begin(self, reservation: Reservation) -> LedgerHead:
        """Charge the reservation in full; durable when this returns, and to be called before any private randomness.

        Privacy: spends the reservation's whole cost, whatever happens next.
        Returns: the head to cite in the certificate.
        Raises: RefusedError when it is not reserved any more: of two callers one wins.
        """
        return self._record(lambda book: _step(book, "begin", reservation, {}))

    def commit(self, reservation: Reservation, *, certificate_digest: str) -> LedgerHead:
        """Record that the release was certified; nothing happens when this very certificate was recorded before."""
        body = {"certificateDigest": certificate_digest}

        def decide(book: Book) -> Draft | None:
            known = book.releases.get(reservation.release_id)
            if known is not None and known.state == "committed" and known.certificate_digest == certificate_digest:
                return None
            return _step(book, "commit", reservation, body)

        return self._record(decide)

    def forfeit(self, reservation: Reservation, *, reason: str) -> LedgerHead:
        """Record that a begun release came to nothing: its cost stays spent. `reason` must be a public fact."""
        return self._record(lambda book: _end(book, "forfeit", reservation, reason))

    def void(self, reservation: Reservation) -> LedgerHead:
        """Give back a reservation that was never begun; RefusedError after begin."""
        return self._record(lambda book: _end(book, "void", reservation, "withdrawn"))

    def find(self, release_id: str) -> Reservation | None:
        """What the ledger holds for a release, or None."""
        return self._read().releases.get(release_id)

    def balance(self, population: str) -> Balance:
        """What a population's account allows, has spent and has set aside; RefusedError when there is no account."""
        return self._read().balance(population)

    def require_terms(self, population: str, *, unit: str, cap: Cap) -> None:
        """Ask whether a population's account, if it has one, has this unit and cap, and write nothing.

        Raises: RefusedError, as `open_account` would.
        """
        self._read().require_terms(population, unit, cap)

    def require_attempt(self, population: str, *, plan_digest: str, attempts_allowed: int) -> None:
        """Ask whether a plan has an attempt left, and write nothing. Raises: PolicyRefusal, as `reserve` and `begin` would."""
        self._read().require_attempt(population, plan_digest, attempts_allowed)

    def populations(self) -> tuple[str, ...]:
        """Every registered population, in the order of opening."""
        return tuple(self._read().accounts)

    def entries(self, population: str | None = None) -> list[LedgerEntry]:
        """All entries in order, or those of one population."""
        return [entry for entry in self._read().entries if population in (None, entry.population)]

    def head(self) -> LedgerHead:
        """Where the ledger stands."""
        return self._read().head


def _step(book: Book, kind: Kind, reservation: Reservation, body: Body) -> Draft:
    known = book.releases.get(reservation.release_id)
    if known is None or known.terms != reservation.terms:
        raise RefusedError(f'release "{reservation.release_id}" is not in this ledger in these terms; reserve it first')
    return Draft(kind=kind, population=reservation.population, release_id=reservation.release_id, body=body)


def _end(book: Book, kind: Kind, reservation: Reservation, reason: str) -> Draft | None:
    ended: State = "forfeited" if kind == "forfeit" else "voided"
    known = book.releases.get(reservation.release_id)
    if known is not None and known.terms == reservation.terms and known.state == ended:
        return None
    return _step(book, kind, reservation, {"reason": reason})

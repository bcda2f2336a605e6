"""The ledger's rules, entry by entry. Must never need a store: a forged entry is handed to the book itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import LedgerError, RefusedError
from privsynth.privacy.accounting import ORDERS, Cap, Cost
from privsynth.privacy.ledger_book import Book
from privsynth.privacy.ledger_entry import GENESIS, Draft, LedgerEntry, LedgerHead, opening, reserving

CAP = Cap.of("10", "1e-6")
PLAN = "a" * 64
AT = "2026-11-22T10:00:00Z"


def units(count: int) -> Cost:
    return Cost(nano_rdp=(count * (CAP.nano_rdp // 100),) * len(ORDERS), pico_delta=0)


def drafts() -> list[Draft]:
    return [
        opening("stays", "patient", CAP),
        reserving("stays", units(40), "r1", PLAN, 2),
        Draft(kind="begin", population="stays", release_id="r1", body={}),
        reserving("stays", units(60), "r2", PLAN, 2),
        Draft(kind="forfeit", population="stays", release_id="r1", body={"reason": "crash"}),
        Draft(kind="void", population="stays", release_id="r2", body={"reason": "withdrawn"}),
    ]


def filled(count: int = 6) -> Book:
    book = Book()
    for draft in drafts()[:count]:
        book.apply(book.successor(draft, AT))
    return book


def replay(entries: list[LedgerEntry]) -> Book:
    book = Book()
    for entry in entries:
        book.apply(entry)
    return book


def chained(book: Book, *forged: Draft) -> list[LedgerEntry]:
    """The book's entries and then `forged` ones with right digests, which no rule was asked about."""
    entries = list(book.entries)
    for draft in forged:
        entries.append(LedgerEntry.after(entries[-1].head, draft, AT))
    return entries


def test_a_replay_gives_the_same_book() -> None:
    book = filled()
    again = replay(book.entries)
    assert again.head == book.head
    assert again.releases == book.releases
    assert again.balance("stays") == book.balance("stays")


def test_the_digest_is_the_documented_one() -> None:
    entry = filled(1).entries[0]
    row = json.dumps([1, AT, "open", "stays", "", entry.body], separators=(",", ":"))
    assert entry.previous == GENESIS
    assert entry.digest == hashlib.sha256(f"{GENESIS}\n{row}".encode()).hexdigest()


@pytest.mark.parametrize("field", ["at", "kind", "population", "release_id", "body", "previous", "digest", "sequence"])
@pytest.mark.parametrize("position", range(6))
def test_any_changed_field_breaks_the_chain(field: str, position: int) -> None:
    entries = filled().entries
    old = entries[position]
    changed = {
        "at": replace(old, at="2026-11-22T10:00:01Z"),
        "kind": replace(old, kind="commit"),
        "population": replace(old, population="twins"),
        "release_id": replace(old, release_id="r3"),
        "body": replace(old, body=old.body + " "),
        "previous": replace(old, previous="0" * 64),
        "digest": replace(old, digest="0" * 64),
        "sequence": replace(old, sequence=old.sequence + 1),
    }[field]
    with pytest.raises(LedgerError):
        replay([*entries[:position], changed, *entries[position + 1 :]])


@given(st.permutations(range(6)))
def test_entries_have_one_order(order: list[int]) -> None:
    entries = filled().entries
    if order == sorted(order):
        assert replay([entries[index] for index in order]).head == entries[-1].head
        return
    with pytest.raises(LedgerError, match="chain is broken"):
        replay([entries[index] for index in order])


@pytest.mark.parametrize(
    ("count", "forged", "rule"),
    [
        (4, reserving("stays", units(1), "r3", PLAN, 2), "lifetime epsilon"),
        (4, opening("stays", "patient", CAP), "has an account already"),
        (4, Draft(kind="begin", population="stays", release_id="r9", body={}), "never reserved"),
        (4, Draft(kind="begin", population="twins", release_id="r2", body={}), "never reserved"),
        (4, Draft(kind="begin", population="stays", release_id="r1", body={}), "only a reserved release can begin"),
        (4, Draft(kind="void", population="stays", release_id="r1", body={"reason": "x"}), "nothing is refunded"),
        (6, Draft(kind="begin", population="stays", release_id="r2", body={}), "is voided"),
        (3, reserving("stays", units(1), "r1", PLAN, 2), "take a new release id"),
        (3, reserving("stays", units(1), "r3", PLAN, 5), "registered with 2 attempts"),
        (3, reserving("twins", units(1), "r3", PLAN, 2), "no account"),
    ],
)
def test_a_well_chained_entry_that_breaks_a_rule_is_found(count: int, forged: Draft, rule: str) -> None:
    book = filled(count)
    with pytest.raises(RefusedError, match=rule):
        book.successor(forged, AT)
    with pytest.raises(LedgerError, match=rule):
        replay(chained(book, forged))


def test_a_third_attempt_is_found() -> None:
    again = [
        part
        for number in (3, 4)
        for part in (
            reserving("stays", units(1), f"r{number}", PLAN, 2),
            Draft(kind="begin", population="stays", release_id=f"r{number}", body={}),
        )
    ]
    book = filled()
    with pytest.raises(LedgerError, match="all 2 attempts"):
        replay(chained(book, *again))
    assert replay(chained(book, *again[:2])).releases["r3"].attempt == 2


def with_body(draft: Draft, **changes: object) -> Draft:
    return replace(draft, body={**draft.body, **changes})


RESERVE = reserving("stays", units(1), "r9", PLAN, 2)
OPEN = opening("twins", "patient", CAP)


@pytest.mark.parametrize(
    "forged",
    [
        with_body(RESERVE, cost={"nanoRdp": [0.5] * len(ORDERS), "picoDelta": 0}),
        with_body(RESERVE, cost={"nanoRdp": [True] * len(ORDERS), "picoDelta": 0}),
        with_body(RESERVE, cost={"nanoRdp": [-1] * len(ORDERS), "picoDelta": 0}),
        with_body(RESERVE, cost={"nanoRdp": [0] * (len(ORDERS) - 1), "picoDelta": 0}),
        with_body(RESERVE, cost={"nanoRdp": [0] * len(ORDERS)}),
        with_body(RESERVE, cost=[]),
        with_body(RESERVE, planDigest="plan"),
        with_body(RESERVE, planDigest=7),
        with_body(RESERVE, attemptsAllowed="2"),
        with_body(RESERVE, discount=1),
        replace(RESERVE, release_id="a\nb"),
        with_body(OPEN, epsilon="1/0"),
        with_body(OPEN, epsilon=10),
        with_body(OPEN, epsilon="-1"),
        with_body(OPEN, orders=["2"]),
        with_body(OPEN, order="7"),
        with_body(Draft(kind="commit", population="stays", release_id="r1", body={}), certificateDigest="no"),
        Draft(kind="forfeit", population="stays", release_id="r1", body={}),
        Draft(kind="begin", population="stays", release_id="r2", body={"free": True}),
    ],
)
def test_a_body_that_would_not_be_written_is_not_read(forged: Draft) -> None:
    with pytest.raises(LedgerError):
        replay(chained(filled(4), forged))


def test_an_unknown_kind_is_not_read() -> None:
    book = filled(2)
    forged = replace(LedgerEntry.after(book.head, drafts()[2], AT), kind="refund")
    with pytest.raises(LedgerError, match="cannot be read"):
        book.apply(replace(forged, digest=forged.computed_digest()))


def test_a_book_knows_the_heads_it_went_through() -> None:
    book = filled()
    assert all(book.contains(entry.head) for entry in book.entries)
    assert book.contains(LedgerHead(sequence=0, digest=GENESIS))
    for foreign in (
        LedgerHead(sequence=7, digest=book.head.digest),
        LedgerHead(sequence=0, digest="0" * 64),
        LedgerHead(sequence=3, digest=book.head.digest),
        LedgerHead(sequence=-1, digest=book.head.digest),
    ):
        assert not book.contains(foreign)

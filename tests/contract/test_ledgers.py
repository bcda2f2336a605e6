"""What every ledger store must do: the same rules, whatever keeps the entries. Must never depend on one store's insides."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, consumes, invariant, multiple, rule

from privsynth.errors import BudgetExceeded, LedgerError, MechanismError, PolicyRefusal, RefusedError
from privsynth.privacy.accounting import ORDERS, Cap, Cost
from privsynth.privacy.ledger import AbstractLedger, LedgerHead, Reservation
from privsynth.privacy.ledgers.memory import MemoryLedger
from privsynth.privacy.ledgers.sqlite import SqliteLedger

CAP = Cap.of("10", "1e-6")
PLAN, OTHER_PLAN, CERTIFICATE = "a" * 64, "b" * 64, "c" * 64


def units(count: int) -> Cost:
    """`count` hundredths of CAP."""
    return Cost(nano_rdp=(count * (CAP.nano_rdp // 100),) * len(ORDERS), pico_delta=0)


STORES: dict[str, Callable[[Path], AbstractLedger]] = {
    "memory": lambda _: MemoryLedger(),
    "sqlite": lambda folder: SqliteLedger(folder / "ledger" / "ledger.sqlite"),
}


@pytest.fixture(params=sorted(STORES))
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AbstractLedger]:
    with STORES[request.param](tmp_path) as opened:
        opened.open_account("stays", unit="patient", cap=CAP)
        yield opened
        opened.verify()


def reserve(
    ledger: AbstractLedger, release_id: str, cost: int = 10, attempts: int = 3, plan: str = PLAN
) -> Reservation:
    return ledger.reserve("stays", cost=units(cost), release_id=release_id, plan_digest=plan, attempts_allowed=attempts)


def state(ledger: AbstractLedger, release_id: str) -> str:
    found = ledger.find(release_id)
    assert found is not None
    return found.state


def test_a_release_from_reservation_to_certificate(ledger: AbstractLedger) -> None:
    reservation = reserve(ledger, "r1")
    assert (reservation.state, reservation.begun, reservation.attempt) == ("reserved", None, 0)
    assert ledger.balance("stays").reserved == units(10)
    assert ledger.balance("stays").spent == units(0)
    head = ledger.begin(reservation)
    assert head == ledger.head()
    assert ledger.balance("stays").reserved == units(0)
    assert ledger.balance("stays").spent == units(10)
    begun = ledger.find("r1")
    assert begun is not None
    assert (begun.state, begun.begun, begun.attempt) == ("begun", head, 1)
    ledger.commit(begun, certificate_digest=CERTIFICATE)
    committed = ledger.find("r1")
    assert committed is not None
    assert (committed.state, committed.begun, committed.certificate_digest) == ("committed", head, CERTIFICATE)
    assert ledger.balance("stays").spent == units(10)
    assert [entry.kind for entry in ledger.entries("stays")] == ["open", "reserve", "begin", "commit"]


def test_every_entry_names_the_digest_of_the_one_before(ledger: AbstractLedger) -> None:
    ledger.begin(reserve(ledger, "r1"))
    entries = ledger.entries()
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    assert [entry.previous for entry in entries[1:]] == [entry.digest for entry in entries[:-1]]
    assert ledger.head() == LedgerHead(sequence=3, digest=entries[-1].digest)


def test_only_a_reservation_can_be_given_back(ledger: AbstractLedger) -> None:
    given_back = reserve(ledger, "r1")
    ledger.void(given_back)
    assert state(ledger, "r1") == "voided"
    assert ledger.balance("stays").reserved == units(0)
    begun = reserve(ledger, "r2")
    ledger.begin(begun)
    with pytest.raises(RefusedError, match="nothing is refunded after begin"):
        ledger.void(begun)
    assert ledger.balance("stays").spent == units(10)


def test_a_forfeit_keeps_the_cost_spent(ledger: AbstractLedger) -> None:
    reservation = reserve(ledger, "r1", cost=60)
    ledger.begin(reservation)
    ledger.forfeit(reservation, reason="audit failed")
    found = ledger.find("r1")
    assert found is not None
    assert (found.state, found.reason) == ("forfeited", "audit failed")
    assert ledger.balance("stays").spent == units(60)
    with pytest.raises(BudgetExceeded):
        reserve(ledger, "r2", cost=41)


@pytest.mark.parametrize(
    ("done", "asked"),
    [
        ((), "commit"),
        ((), "forfeit"),
        (("begin",), "begin"),
        (("begin",), "void"),
        (("begin", "commit"), "begin"),
        (("begin", "commit"), "forfeit"),
        (("begin", "commit"), "void"),
        (("begin", "forfeit"), "begin"),
        (("begin", "forfeit"), "commit"),
        (("begin", "forfeit"), "void"),
        (("void",), "begin"),
        (("void",), "commit"),
        (("void",), "forfeit"),
    ],
)
def test_unlawful_steps_are_refused_and_leave_no_trace(
    ledger: AbstractLedger, done: tuple[str, ...], asked: str
) -> None:
    reservation = reserve(ledger, "r1")
    for step in done:
        take(ledger, reservation, step)
    before = ledger.head()
    with pytest.raises(RefusedError):
        take(ledger, reservation, asked)
    assert ledger.head() == before


def take(ledger: AbstractLedger, reservation: Reservation, step: str) -> None:
    match step:
        case "begin":
            ledger.begin(reservation)
        case "commit":
            ledger.commit(reservation, certificate_digest=CERTIFICATE)
        case "forfeit":
            ledger.forfeit(reservation, reason="crash")
        case _:
            ledger.void(reservation)


def test_the_same_request_twice_is_one_request(ledger: AbstractLedger) -> None:
    first = reserve(ledger, "r1")
    assert reserve(ledger, "r1") == first
    assert ledger.balance("stays").reserved == units(10)
    ledger.begin(first)
    assert reserve(ledger, "r1").state == "begun"
    ledger.commit(first, certificate_digest=CERTIFICATE)
    head = ledger.head()
    assert ledger.commit(first, certificate_digest=CERTIFICATE) == head
    voided, forfeited = reserve(ledger, "r2"), reserve(ledger, "r3")
    ledger.void(voided)
    ledger.begin(forfeited)
    ledger.forfeit(forfeited, reason="crash")
    head = ledger.head()
    ledger.void(voided)
    ledger.forfeit(forfeited, reason="crash")
    assert ledger.head() == head


def test_one_release_never_has_two_certificates(ledger: AbstractLedger) -> None:
    reservation = reserve(ledger, "r1")
    ledger.begin(reservation)
    ledger.commit(reservation, certificate_digest=CERTIFICATE)
    with pytest.raises(RefusedError, match="committed"):
        ledger.commit(reservation, certificate_digest="d" * 64)


def test_a_release_id_is_taken_once(ledger: AbstractLedger) -> None:
    reserve(ledger, "r1", cost=10)
    for cost, attempts, plan in ((11, 3, PLAN), (10, 4, PLAN), (10, 3, OTHER_PLAN)):
        with pytest.raises(RefusedError, match="take a new release id"):
            reserve(ledger, "r1", cost=cost, attempts=attempts, plan=plan)
    ledger.open_account("twins", unit="patient", cap=CAP)
    with pytest.raises(RefusedError, match="take a new release id"):
        ledger.reserve("twins", cost=units(10), release_id="r1", plan_digest=PLAN, attempts_allowed=3)


def test_a_reservation_of_another_ledger_is_refused(ledger: AbstractLedger) -> None:
    reserve(ledger, "r1", cost=10)
    elsewhere = MemoryLedger()
    elsewhere.open_account("stays", unit="patient", cap=CAP)
    for foreign in (reserve(elsewhere, "r1", cost=1), reserve(elsewhere, "r2", cost=1)):
        for step in ("begin", "commit", "forfeit", "void"):
            with pytest.raises(RefusedError, match="not in this ledger"):
                take(ledger, foreign, step)
    assert ledger.balance("stays").reserved == units(10)


def test_the_cap_admits_exactly_its_hundred_units(ledger: AbstractLedger) -> None:
    for number in range(10):
        reservation = reserve(ledger, f"r{number}", cost=10, plan=f"{number:064x}")
        if number % 2:
            ledger.begin(reservation)
    with pytest.raises(BudgetExceeded, match="smaller release_epsilon"):
        reserve(ledger, "one-more", cost=1)
    ledger.void(reserve(ledger, "r0", cost=10, plan="0" * 64))
    assert reserve(ledger, "fits-again", cost=10, plan=OTHER_PLAN).state == "reserved"


def test_the_additional_delta_has_a_cap_of_its_own(ledger: AbstractLedger) -> None:
    nothing = (0,) * len(ORDERS)
    most = Cost(nano_rdp=nothing, pico_delta=CAP.pico_delta)
    ledger.reserve("stays", cost=most, release_id="r1", plan_digest=PLAN, attempts_allowed=1)
    one = Cost(nano_rdp=nothing, pico_delta=1)
    with pytest.raises(BudgetExceeded, match="smaller release_delta"):
        ledger.reserve("stays", cost=one, release_id="r2", plan_digest=PLAN, attempts_allowed=1)


def test_accounts_do_not_share_a_budget(ledger: AbstractLedger) -> None:
    ledger.open_account("twins", unit="row", cap=Cap.of("1", "1e-6"))
    reserve(ledger, "r1", cost=100)
    ledger.reserve("twins", cost=units(1), release_id="t1", plan_digest=PLAN, attempts_allowed=1)
    assert ledger.balance("twins").reserved == units(1)
    assert ledger.populations() == ("stays", "twins")
    assert {entry.population for entry in ledger.entries("twins")} == {"twins"}
    with pytest.raises(RefusedError, match="no account"):
        ledger.balance("nobody")
    with pytest.raises(RefusedError, match="no account"):
        ledger.reserve("nobody", cost=units(1), release_id="n1", plan_digest=PLAN, attempts_allowed=1)


def test_no_later_policy_changes_an_account(ledger: AbstractLedger) -> None:
    ledger.open_account("stays", unit="patient", cap=CAP)
    assert len(ledger.entries()) == 1
    for unit, cap in (("row", CAP), ("patient", Cap.of("11", "1e-6")), ("patient", Cap.of("10", "1e-5"))):
        with pytest.raises(RefusedError, match="cannot change"):
            ledger.open_account("stays", unit=unit, cap=cap)
    assert ledger.balance("stays").cap == CAP


def test_a_plan_begins_no_more_often_than_allowed(ledger: AbstractLedger) -> None:
    first, second, third = (reserve(ledger, f"r{number}", cost=1, attempts=2) for number in range(3))
    ledger.begin(first)
    ledger.forfeit(first, reason="audit failed")
    ledger.begin(second)
    begun = ledger.find("r1")
    assert begun is not None
    assert begun.attempt == 2
    with pytest.raises(PolicyRefusal, match="all 2 attempts"):
        ledger.begin(third)
    with pytest.raises(PolicyRefusal, match="all 2 attempts"):
        reserve(ledger, "r9", cost=1, attempts=2)
    assert reserve(ledger, "other", cost=1, attempts=2, plan=OTHER_PLAN).state == "reserved"


def test_the_attempts_of_a_plan_cannot_be_raised(ledger: AbstractLedger) -> None:
    ledger.begin(reserve(ledger, "r1", attempts=1))
    with pytest.raises(PolicyRefusal, match="registered with 1 attempts"):
        reserve(ledger, "r2", attempts=2)


@pytest.mark.parametrize("name", ["", " stays", "a\nb", "x" * 201, "e\u0301", "a\x00b"])
def test_names_are_plain_text(ledger: AbstractLedger, name: str) -> None:
    with pytest.raises(RefusedError, match="printable"):
        ledger.open_account(name, unit="patient", cap=CAP)
    with pytest.raises(RefusedError, match="printable"):
        reserve(ledger, name)
    begun = reserve(ledger, "r1")
    ledger.begin(begun)
    with pytest.raises(RefusedError, match="printable"):
        ledger.forfeit(begun, reason=name)
    assert state(ledger, "r1") == "begun"


def test_digests_are_digests(ledger: AbstractLedger) -> None:
    for wrong in ("", "plan", "A" * 64, "a" * 63, "a" * 65):
        with pytest.raises(RefusedError, match="SHA-256"):
            reserve(ledger, "r1", plan=wrong)
    begun = reserve(ledger, "r1")
    ledger.begin(begun)
    with pytest.raises(RefusedError, match="SHA-256"):
        ledger.commit(begun, certificate_digest="yes")
    with pytest.raises(RefusedError, match="at least 1"):
        reserve(ledger, "r2", attempts=0)


def test_what_was_never_there_is_none(ledger: AbstractLedger) -> None:
    assert ledger.find("nothing") is None
    with pytest.raises(MechanismError):
        Cost(nano_rdp=(-1,) * len(ORDERS), pico_delta=0)


class LedgerMachine(RuleBasedStateMachine):
    """Any sequence of calls: the sums are the model's, never above the cap, and what is spent never shrinks."""

    reservations: Bundle[Reservation] = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.make()
        self.ledger.open_account("stays", unit="patient", cap=CAP)
        self.states: dict[str, tuple[int, str]] = {}
        self.spent_before = units(0)

    def make(self) -> AbstractLedger:
        return MemoryLedger()

    def sum_of(self, *states: str) -> int:
        return sum(cost for cost, state in self.states.values() if state in states)

    @rule(target=reservations, cost=st.integers(0, 60), plan=st.sampled_from([PLAN, OTHER_PLAN]))
    def reserve(self, cost: int, plan: str) -> Reservation | MultipleResults[Reservation]:
        release_id = f"r{len(self.states)}"
        fits = self.sum_of("reserved", "begun", "committed", "forfeited") + cost <= 100
        try:
            made = reserve(self.ledger, release_id, cost=cost, attempts=1000, plan=plan)
        except BudgetExceeded:
            assert not fits
            return multiple()
        assert fits
        self.states[release_id] = (cost, "reserved")
        return made

    @rule(reservation=reservations, step=st.sampled_from(["begin", "commit", "forfeit", "void"]))
    def step(self, reservation: Reservation, step: str) -> None:
        cost, known = self.states[reservation.release_id]
        lawful = {"begin": "reserved", "commit": "begun", "forfeit": "begun", "void": "reserved"}[step]
        ended = {"begin": "begun", "commit": "committed", "forfeit": "forfeited", "void": "voided"}[step]
        try:
            take(self.ledger, reservation, step)
        except RefusedError:
            assert known != lawful
            return
        assert known == lawful or (known == ended and step != "begin")
        self.states[reservation.release_id] = (cost, ended)

    @rule(reservation=consumes(reservations))
    def spend(self, reservation: Reservation) -> None:
        if self.states[reservation.release_id][1] == "reserved":
            self.step(reservation, "begin")

    @invariant()
    def sums_agree(self) -> None:
        balance = self.ledger.balance("stays")
        assert balance.spent == units(self.sum_of("begun", "committed", "forfeited"))
        assert balance.reserved == units(self.sum_of("reserved"))
        assert CAP.admits(balance.spent + balance.reserved)
        assert balance.spent.nano_rdp >= self.spent_before.nano_rdp
        self.spent_before = balance.spent

    def teardown(self) -> None:
        self.ledger.verify()


class SqliteMachine(LedgerMachine):
    """The same over the durable store, which must also come back the same after it is closed and opened again."""

    def make(self) -> AbstractLedger:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteLedger(Path(self.folder.name) / "ledger.sqlite")

    @rule()
    def reopen(self) -> None:
        before = self.ledger.entries()
        self.ledger.close()
        with pytest.raises(LedgerError, match="is closed"):
            self.ledger.head()
        self.ledger = SqliteLedger(Path(self.folder.name) / "ledger.sqlite")
        assert self.ledger.entries() == before

    def teardown(self) -> None:
        super().teardown()
        self.ledger.close()
        self.folder.cleanup()


TestMemoryArithmetic = LedgerMachine.TestCase
TestMemoryArithmetic.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestSqliteArithmetic = SqliteMachine.TestCase
TestSqliteArithmetic.settings = settings(
    max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

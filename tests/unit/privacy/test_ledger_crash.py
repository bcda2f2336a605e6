"""The durable ledger under processes that race, die or run out of disk. Must never count less spent than was drawn.

Children are forked and hold their hooks themselves: the product has none.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from privsynth.errors import BudgetExceeded, LedgerError, RefusedError
from privsynth.privacy.accounting import ORDERS, Cap, Cost
from privsynth.privacy.ledger import Reservation
from privsynth.privacy.ledgers.sqlite import SqliteLedger

CAP = Cap.of("10", "1e-6")
PLAN, CERTIFICATE = "a" * 64, "c" * 64
UNIT = Cost(nano_rdp=(CAP.nano_rdp // 100,) * len(ORDERS), pico_delta=0)
NOBODY = 65534


def fork(work: Callable[[], int | None]) -> int:
    """Run `work` in a child; its result is the exit status."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = work() or 0
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    """The child's exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def together(*works: Callable[[], int | None]) -> list[int]:
    """Let children go at the same moment; return their exit statuses."""
    gate, opener = os.pipe()

    def held(work: Callable[[], int | None]) -> Callable[[], int | None]:
        def wait_and_work() -> int | None:
            os.close(opener)
            os.read(gate, 1)
            return work()

        return wait_and_work

    children = [fork(held(work)) for work in works]
    os.close(opener)
    os.close(gate)
    return [status_of(child) for child in children]


def reserve(ledger: SqliteLedger, release_id: str) -> Reservation:
    return ledger.reserve("stays", cost=UNIT, release_id=release_id, plan_digest=PLAN, attempts_allowed=999)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "ledger" / "ledger.sqlite"
    with SqliteLedger(made) as ledger:
        ledger.open_account("stays", unit="patient", cap=CAP)
    return made


def test_eight_processes_spend_a_cap_of_a_hundred_exactly(path: Path) -> None:
    def spender(number: int) -> Callable[[], int]:
        def spend() -> int:
            with SqliteLedger(path, busy_timeout_seconds=60) as ledger:
                for count in range(101):
                    try:
                        made = reserve(ledger, f"p{number}-{count}")
                    except BudgetExceeded:
                        return count
                    if count % 2:
                        ledger.begin(made)
            return 101

        return spend

    counts = together(*(spender(number) for number in range(8)))
    assert sum(counts) == 100
    with SqliteLedger(path) as ledger:
        ledger.verify()
        balance = ledger.balance("stays")
        assert balance.spent + balance.reserved == Cost.total([UNIT] * 100)
        with pytest.raises(BudgetExceeded):
            reserve(ledger, "one-more")


def attempt(path: Path, step: Callable[[SqliteLedger], object]) -> Callable[[], int]:
    """0 when the step was granted, 1 when it was refused."""

    def work() -> int:
        with SqliteLedger(path, busy_timeout_seconds=60) as ledger:
            try:
                step(ledger)
            except RefusedError as refusal:
                return 2 if isinstance(refusal, LedgerError) else 1
            return 0

    return work


def test_of_processes_that_begin_one_reservation_one_wins(path: Path) -> None:
    for race in range(5):
        with SqliteLedger(path) as ledger:
            made = reserve(ledger, f"r{race}")
        outcomes = together(*[attempt(path, lambda ledger: ledger.begin(made))] * 3)  # noqa: B023
        assert sorted(outcomes) == [0, 1, 1]


def test_a_void_and_a_begin_never_both_succeed(path: Path) -> None:
    for race in range(8):
        with SqliteLedger(path) as ledger:
            made = reserve(ledger, f"r{race}")
            before = ledger.balance("stays").spent
        begun, voided = together(
            attempt(path, lambda ledger: ledger.begin(made)),  # noqa: B023
            attempt(path, lambda ledger: ledger.void(made)),  # noqa: B023
        )
        assert {begun, voided} == {0, 1}
        with SqliteLedger(path) as ledger:
            grown = before + UNIT if begun == 0 else before
            assert ledger.balance("stays").spent == grown
            assert ledger.balance("stays").reserved == Cost.of(0)
            ledger.verify()


def test_processes_that_create_the_same_ledger_share_it(tmp_path: Path) -> None:
    made = tmp_path / "new" / "ledger.sqlite"
    opening = attempt(made, lambda ledger: ledger.open_account("stays", unit="patient", cap=CAP))
    assert together(*[opening] * 4) == [0, 0, 0, 0]
    with SqliteLedger(made) as ledger:
        assert len(ledger.entries()) == 1
        ledger.verify()


def test_a_ledger_does_not_cross_a_fork(path: Path) -> None:
    with SqliteLedger(path) as ledger:

        def use() -> int:
            with pytest.raises(LedgerError, match="open it again"):
                ledger.head()
            with pytest.raises(LedgerError, match="open it again"):
                reserve(ledger, "r1")
            return 7

        assert status_of(fork(use)) == 7
        reserve(ledger, "r1")


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, this process dies before its `step`-th act on disk: SQL statement, opening, sync or rename."""
    left = [step]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    real_connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect(*args: object, **named: object) -> sqlite3.Connection:
        connection = real_connect(*args, **named)
        connection.set_trace_callback(count)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    for module, name in ((os, "open"), (os, "fsync"), (os, "replace")):
        monkeypatch.setattr(module, name, before(getattr(module, name), count))


def before(act: Callable[..., object], hook: Callable[[], None]) -> Callable[..., object]:
    def hooked(*args: object, **named: object) -> object:
        hook()
        return act(*args, **named)

    return hooked


def note(folder: Path, what: str) -> None:
    (folder / what).touch()


def release(path: Path, notes: Path) -> None:
    """A release as `release.py` makes one; `notes` holds what the outside world saw happen."""
    with SqliteLedger(path) as ledger:
        ledger.open_account("stays", unit="patient", cap=CAP)
        note(notes, "opened")
    with SqliteLedger(path) as ledger:
        made = reserve(ledger, "r1")
        note(notes, "reserved")
        ledger.begin(made)
        note(notes, "drawn")
        ledger.commit(made, certificate_digest=CERTIFICATE)
        note(notes, "committed")


STATES_AFTER: dict[frozenset[str], set[str | None]] = {
    frozenset(): {None, "reserved"},
    frozenset({"opened"}): {None, "reserved"},
    frozenset({"opened", "reserved"}): {"reserved", "begun"},
    frozenset({"opened", "reserved", "drawn"}): {"begun", "committed"},
    frozenset({"opened", "reserved", "drawn", "committed"}): {"committed"},
}


def check_after_crash(path: Path, notes: Path) -> None:
    seen = frozenset(entry.name for entry in notes.iterdir())
    with SqliteLedger(path) as ledger:
        ledger.verify()
        found = ledger.find("r1")
        state = None if found is None else found.state
        assert state in STATES_AFTER[seen]
        if found is None:
            return
        spent = ledger.balance("stays").spent
        assert spent == (Cost.of(0) if state == "reserved" else UNIT)
        match state:
            case "reserved":
                ledger.void(found)
            case "begun":
                ledger.forfeit(found, reason="crash")
            case _:
                ledger.commit(found, certificate_digest=CERTIFICATE)
        assert ledger.balance("stays").spent == spent
        ledger.verify()


def test_killed_before_any_act_it_has_spent_what_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a kill leaves the system's buffers alone; this only saves time
    for step in range(400):
        work, notes = tmp_path / "work", tmp_path / "notes"
        notes.mkdir()

        def die(step: int = step, work: Path = work, notes: Path = notes) -> None:
            kill_at(step, monkeypatch)
            release(work / "ledger.sqlite", notes)

        outcome = status_of(fork(die))
        check_after_crash(work / "ledger.sqlite", notes)
        shutil.rmtree(work)
        shutil.rmtree(notes)
        if outcome == 0:
            assert step > 60
            return
        assert outcome == -signal.SIGKILL
    pytest.fail("the release never came to its end")


def test_a_full_disk_loses_nothing_that_was_acknowledged(path: Path, tmp_path: Path) -> None:
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()

    def fill() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with SqliteLedger(path) as ledger:
            size = path.with_name(path.name + "-wal").stat().st_size + 20_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            for number in range(1000):
                try:
                    reserve(ledger, f"r{number}")
                except LedgerError as refusal:
                    with pytest.raises(LedgerError):
                        reserve(ledger, "again")
                    return 7 if "disk" in str(refusal) else 8
                with acknowledged.open("a") as notes:
                    notes.write(f"r{number}\n")
        return 1

    assert status_of(fork(fill)) == 7
    with SqliteLedger(path) as ledger:
        ledger.verify()
        there = [entry.release_id for entry in ledger.entries() if entry.kind == "reserve"]
        assert there == acknowledged.read_text().split()
        assert there


def test_a_checkpoint_that_cannot_be_written_stops_a_begin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is durable, the caller is told to stop: what was drawn (nothing) is less than what is spent."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def fill() -> int:
        with SqliteLedger(path) as ledger:
            made = reserve(ledger, "r1")
            monkeypatch.setattr(os, "fsync", full)
            with pytest.raises(LedgerError, match="No space left"):
                ledger.begin(made)
            return 7

    assert status_of(fork(fill)) == 7
    with SqliteLedger(path) as ledger:
        found = ledger.find("r1")
        assert found is not None
        assert found.state == "begun"
        ledger.verify()


@pytest.fixture
def others_folder() -> Iterator[Path]:
    """A folder that an unprivileged user can reach, since nothing is read-only to root."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name) / "ledger"
        with SqliteLedger(folder / "ledger.sqlite") as ledger:
            ledger.open_account("stays", unit="patient", cap=CAP)
        if os.getuid() == 0:
            for place in (Path(name), folder, *folder.iterdir()):
                os.chown(place, NOBODY, NOBODY)
        yield folder


@pytest.mark.parametrize("read_only", ["database", "folder"])
def test_a_ledger_that_cannot_be_written_is_refused(others_folder: Path, read_only: str) -> None:
    path = others_folder / "ledger.sqlite"
    before = {file: file.read_bytes() for file in others_folder.iterdir()}
    if read_only == "database":
        path.chmod(0o400)
    else:
        others_folder.chmod(0o500)

    def use() -> int:
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        with pytest.raises(LedgerError) as refusal:
            SqliteLedger(path)
        return 7 if "cannot be written" in str(refusal.value) else 8

    assert status_of(fork(use)) == 7
    others_folder.chmod(0o700)
    assert {file: file.read_bytes() for file in others_folder.iterdir() if file in before} == before

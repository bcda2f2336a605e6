"""What the durable ledger refuses to open, and that it says why. Must never leave a refused ledger changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from privsynth.errors import LedgerError, RefusedError
from privsynth.privacy import checkpoint as checkpoint_module
from privsynth.privacy.accounting import ORDERS, Cap, Cost
from privsynth.privacy.ledger import LedgerEntry
from privsynth.privacy.ledgers.sqlite import SqliteLedger

CAP = Cap.of("10", "1e-6")
PLAN = "a" * 64
UNIT = Cost(nano_rdp=(CAP.nano_rdp // 100,) * len(ORDERS), pico_delta=0)


def spend(ledger: SqliteLedger, release_id: str) -> None:
    made = ledger.reserve("stays", cost=UNIT, release_id=release_id, plan_digest=PLAN, attempts_allowed=99)
    ledger.begin(made)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of five entries, closed."""
    made = tmp_path / "ledger" / "ledger.sqlite"
    with SqliteLedger(made) as ledger:
        ledger.open_account("stays", unit="patient", cap=CAP)
        spend(ledger, "r1")
        spend(ledger, "r2")
    return made


def beside(path: Path) -> Path:
    return path.with_name(path.name + ".checkpoint")


def run_sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def triggers(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    connection.close()
    return found


def behind_the_triggers(path: Path, statement: str) -> None:
    """What someone with a database tool can do: take the triggers away, change, put them back."""
    found = triggers(path)
    run_sql(path, *(f"DROP TRIGGER {name}" for name in found), statement, *found.values())


def test_nobody_else_can_read_any_of_its_files(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        spend(ledger, "r3")
        names = {file.name for file in path.parent.iterdir()}
        assert names == {path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.checkpoint"}
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_synchronises_fully_with_a_write_ahead_log(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        settings_of = ledger._connection.execute
        assert settings_of("PRAGMA synchronous").fetchone() == (2,)
        assert settings_of("PRAGMA journal_mode").fetchone() == ("wal",)
        assert settings_of("SELECT strict FROM pragma_table_list WHERE name = 'entry'").fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = '{}' WHERE sequence = 2",
        "DELETE FROM entry WHERE sequence = 5",
        "DELETE FROM entry",
        "INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE sequence = 5",
        "INSERT INTO entry SELECT 7, at, kind, population, release_id, body, previous, digest FROM entry LIMIT 1",
        "INSERT INTO entry SELECT NULL, at, kind, population, release_id, body, previous, digest FROM entry LIMIT 1",
        "INSERT INTO entry SELECT 6, at, 'refund', population, release_id, body, previous, digest FROM entry LIMIT 1",
    ],
)
def test_the_database_itself_is_append_only(path: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        run_sql(path, statement)
    with SqliteLedger(path) as ledger:
        assert len(ledger.entries()) == 5


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE entry SET population = 'twins' WHERE sequence = 2", "was altered"),
        ("UPDATE entry SET at = '2020-01-01T00:00:00Z' WHERE sequence = 5", "was altered"),
        ("UPDATE entry SET body = replace(body, '0', '1') WHERE sequence = 2", "was altered"),
        ("UPDATE entry SET digest = previous WHERE sequence = 5", "was altered"),
        ("DELETE FROM entry WHERE sequence = 5", "behind"),
        ("DELETE FROM entry WHERE sequence > 1", "behind"),
        ("DELETE FROM entry", "behind"),
        ("DELETE FROM entry WHERE sequence = 3", "chain is broken"),
        ("UPDATE entry SET sequence = 6 WHERE sequence = 5", "chain is broken"),
        ("CREATE TABLE more (x)", "not its own"),
        ("CREATE TRIGGER sneak AFTER INSERT ON entry BEGIN SELECT 1; END", "not its own"),
        ("PRAGMA user_version = 2", "schema version 2"),
        ("PRAGMA user_version = 0", "schema version 0"),
    ],
)
def test_edits_are_found(path: Path, statement: str, message: str) -> None:
    behind_the_triggers(path, statement)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=message):
        SqliteLedger(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["entry_never_changes", "entry_never_goes", "entry_comes_last"])
def test_a_dropped_trigger_is_found(path: Path, name: str) -> None:
    with SqliteLedger(path) as ledger:
        run_sql(path, f"DROP TRIGGER {name}")
        with pytest.raises(LedgerError, match="append-only"):
            ledger.verify()
    with pytest.raises(LedgerError, match="append-only"):
        SqliteLedger(path)


@pytest.mark.parametrize("edit", ["DELETE FROM entry", "UPDATE entry SET at = '2020-01-01T00:00:00Z'"])
def test_edits_are_found_by_a_ledger_that_is_open(path: Path, edit: str) -> None:
    with SqliteLedger(path) as ledger:
        behind_the_triggers(path, f"{edit} WHERE sequence = 5")
        for use in (ledger.head, ledger.verify, lambda: spend(ledger, "r3")):
            with pytest.raises(LedgerError):
                use()


def test_a_ledger_that_is_open_remembers_more_than_its_checkpoint(path: Path) -> None:
    """Database and checkpoint are both set back while a ledger is open: what it saw itself is still known."""
    noted = beside(path).read_bytes()
    with SqliteLedger(path) as ledger:
        spend(ledger, "r3")
        behind_the_triggers(path, "DELETE FROM entry WHERE sequence > 5")
        beside(path).write_bytes(noted)
        with pytest.raises(LedgerError, match="behind"):
            ledger.verify()
        with pytest.raises(LedgerError, match="went away"):
            ledger.head()


def test_a_file_whose_insides_disagree_is_refused(path: Path) -> None:
    """Every entry can still be read; only the list of free pages is wrong."""
    content = bytearray(path.read_bytes())
    content[36:40] = b"\x00\x00\x00\x07"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="corrupted"):
        SqliteLedger(path)


def test_a_rewritten_chain_does_not_pass_the_checkpoint(path: Path) -> None:
    """Someone recomputes every digest after an edit: the entries are lawful, the history is another one."""
    with SqliteLedger(path) as ledger:
        entries = ledger.entries()
    rows: list[LedgerEntry] = []
    for entry in entries:
        previous = rows[-1].digest if rows else entry.previous
        moved = replace(entry, at="2020-01-01T00:00:00Z", previous=previous)
        rows.append(replace(moved, digest=moved.computed_digest()))
    found = triggers(path)
    updates = [
        f"UPDATE entry SET at = '{row.at}', previous = '{row.previous}', digest = '{row.digest}' "
        f"WHERE sequence = {row.sequence}"
        for row in rows
    ]
    run_sql(path, *(f"DROP TRIGGER {name}" for name in found), *updates, *found.values())
    with pytest.raises(LedgerError, match="forked"):
        SqliteLedger(path)


def test_a_restored_backup_is_found(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copy(path, backup)
    with SqliteLedger(path) as ledger:
        spend(ledger, "r3")
    shutil.copy(backup, path)
    with pytest.raises(LedgerError, match="behind"):
        SqliteLedger(path)


def test_a_restored_folder_is_found_by_a_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "ledger", tmp_path / "safe" / "checkpoint"
    with SqliteLedger(folder / "l.sqlite", elsewhere) as ledger:
        ledger.open_account("stays", unit="patient", cap=CAP)
    shutil.copytree(folder, tmp_path / "backup")
    with SqliteLedger(folder / "l.sqlite", elsewhere) as ledger:
        spend(ledger, "r1")
    shutil.rmtree(folder)
    (tmp_path / "backup").rename(folder)
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    with pytest.raises(LedgerError, match="behind"):
        SqliteLedger(folder / "l.sqlite", elsewhere)


def test_two_copies_spent_from_have_different_heads(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy" / path.name
    shutil.copytree(path.parent, other.parent)
    with SqliteLedger(path) as first, SqliteLedger(other) as second:
        spend(first, "r3")
        spend(second, "r4")
        assert first.head().sequence == second.head().sequence
        assert first.head().digest != second.head().digest
    shutil.copy(beside(path), beside(other))
    with pytest.raises(LedgerError, match="forked"):
        SqliteLedger(other)


def test_two_copies_that_share_a_checkpoint_cannot_both_go_on(tmp_path: Path) -> None:
    shared = tmp_path / "safe" / "checkpoint"
    first = SqliteLedger(tmp_path / "a" / "l.sqlite", shared)
    first.open_account("stays", unit="patient", cap=CAP)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    second = SqliteLedger(tmp_path / "b" / "l.sqlite", shared)
    spend(first, "r1")
    with pytest.raises(LedgerError, match="forked"):
        spend(second, "r2")
    assert second.find("r2") is None
    first.close()
    second.close()


def test_a_missing_database_is_not_a_new_one(path: Path) -> None:
    path.unlink()
    with pytest.raises(LedgerError, match="5 entries were made"):
        SqliteLedger(path)
    assert not path.exists()


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 8191])
def test_a_truncated_database_is_refused(path: Path, size: int) -> None:
    os.truncate(path, size)
    with pytest.raises(LedgerError):
        SqliteLedger(path)
    assert path.stat().st_size == size


def test_a_missing_checkpoint_is_refused(path: Path) -> None:
    with SqliteLedger(path) as ledger:
        text = beside(path).read_bytes()
        beside(path).unlink()
        for use in (ledger.verify, lambda: spend(ledger, "r3")):
            with pytest.raises(LedgerError, match="is missing"):
                use()
        assert ledger.find("r3") is None
    with pytest.raises(LedgerError, match="newest certificate"):
        SqliteLedger(path)
    beside(path).write_bytes(text)
    beside(path).chmod(0o600)
    with SqliteLedger(path) as ledger:
        ledger.verify()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0), st.integers(0, 7))
@example(0, 0)
@example(18, 1)
@example(19, 2)
@example(63, 0)
def test_a_flipped_bit_is_found_or_changes_nothing(path: Path, tmp_path: Path, position: int, bit: int) -> None:
    with SqliteLedger(path) as ledger:
        entries = ledger.entries()
    copy = tmp_path / "flipped" / path.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(path.parent, copy.parent)
    content = bytearray(copy.read_bytes())
    content[position % len(content)] ^= 1 << bit
    copy.write_bytes(content)
    with contextlib.suppress(LedgerError), SqliteLedger(copy) as ledger:
        assert ledger.entries() == entries
        ledger.verify()


def test_what_is_no_ledger_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"these are the accounts of 2025\n" * 99)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="no ledger"):
        SqliteLedger(path)
    assert path.read_bytes() == before
    path.unlink()
    run_sql(path, "CREATE TABLE mine (x)")
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(LedgerError):
        SqliteLedger(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_ledger_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(LedgerError, match="chmod 600"):
        SqliteLedger(path)


def test_a_linked_ledger_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    link = tmp_path / "private" / path.name
    link.symlink_to(path)
    with pytest.raises(LedgerError, match="plain file"):
        SqliteLedger(link)


def test_a_network_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "network_filesystem", lambda path, mounts: "nfs4")
    with pytest.raises(LedgerError, match="use a local disk"):
        SqliteLedger(tmp_path / "ledger.sqlite")


def test_a_locked_ledger_says_so(path: Path) -> None:
    with SqliteLedger(path, busy_timeout_seconds=0.05) as ledger:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked by another process"):
            spend(ledger, "r3")
        with pytest.raises(LedgerError, match="locked by another process"):
            SqliteLedger(path, busy_timeout_seconds=0.05)
        holder.close()
        spend(ledger, "r3")
        ledger.verify()


def test_old_reservations_are_voided_at_the_next_opening(path: Path) -> None:
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def at(moment: datetime) -> Callable[[], datetime]:
        return lambda: moment

    with SqliteLedger(path, clock=at(now)) as ledger:
        for name in ("late-1", "late-2"):
            ledger.reserve("stays", cost=UNIT, release_id=name, plan_digest=PLAN, attempts_allowed=99)
    with SqliteLedger(path, clock=at(now + timedelta(hours=23))) as ledger:
        kept = ledger.reserve("stays", cost=UNIT, release_id="kept", plan_digest=PLAN, attempts_allowed=99)
        assert ledger.balance("stays").reserved == Cost.total([UNIT] * 3)
    with SqliteLedger(path, clock=at(now + timedelta(hours=25))) as ledger:
        states = {name: found.state for name in ("late-1", "late-2", "kept", "r1") if (found := ledger.find(name))}
        assert states == {"late-1": "voided", "late-2": "voided", "kept": "reserved", "r1": "begun"}
        assert ledger.balance("stays").reserved == UNIT
        late = ledger.find("late-1")
        assert late is not None
        with pytest.raises(RefusedError, match="is voided"):
            ledger.begin(late)
        ledger.begin(kept)
    with SqliteLedger(path, reservation_ttl=timedelta(0), clock=at(now + timedelta(days=9))) as ledger:
        assert ledger.balance("stays").spent == Cost.total([UNIT] * 3)


def test_a_clock_that_jumps_changes_no_sum(path: Path) -> None:
    with SqliteLedger(path, clock=lambda: datetime(1999, 1, 1, tzinfo=UTC)) as ledger:
        spend(ledger, "r3")
        ledger.verify()
    with SqliteLedger(path, clock=lambda: datetime(2039, 1, 1, tzinfo=UTC)) as ledger:
        ledger.verify()
        assert ledger.balance("stays").spent == Cost.total([UNIT] * 3)

"""SqliteLedger: the durable ledger, one file on a local disk and a checkpoint in a second place.

Must never open a database that it cannot vouch for, and must never report an entry that a power cut could undo.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final, final

from privsynth.certificate.places import require_outside
from privsynth.errors import LedgerError
from privsynth.privacy.checkpoint import (
    Checkpoint,
    folder_lock,
    forked,
    prepare_folder,
    require_private_file,
    sync_folder,
)
from privsynth.privacy.ledger import AbstractLedger, Decision
from privsynth.privacy.ledger_book import Book
from privsynth.privacy.ledger_entry import TIME_FORMAT, Draft, LedgerEntry, LedgerHead

VERSION: Final = 1
_TABLE: Final = """CREATE TABLE entry (
    sequence INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('open', 'reserve', 'begin', 'commit', 'forfeit', 'void')),
    population TEXT NOT NULL,
    release_id TEXT NOT NULL,
    body TEXT NOT NULL,
    previous TEXT NOT NULL CHECK (length(previous) = 64),
    digest TEXT NOT NULL CHECK (length(digest) = 64)
) STRICT"""
_NO_UPDATE: Final = """CREATE TRIGGER entry_never_changes BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""
_NO_DELETE: Final = """CREATE TRIGGER entry_never_goes BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""
_IN_ORDER: Final = """CREATE TRIGGER entry_comes_last BEFORE INSERT ON entry
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM entry)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""
_SCHEMA: Final = (_TABLE, _NO_UPDATE, _NO_DELETE, _IN_ORDER)
_COLUMNS: Final = "sequence, at, kind, population, release_id, body, previous, digest"

_REASONS: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process; try again when it has finished",
    sqlite3.SQLITE_LOCKED: "is locked by another process; try again when it has finished",
    sqlite3.SQLITE_READONLY: "cannot be written; make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; make the file and its folder readable and writable for this user",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; nothing was recorded by this call",
    sqlite3.SQLITE_IOERR: "met a disk error; check the disk and its free space, then run privsynth ledger verify",
}
_CORRUPT: Final = "is corrupted or no ledger; restore the copy that went furthest"


def _now() -> datetime:
    return datetime.now(UTC)


@final
class SqliteLedger(AbstractLedger):
    """A ledger in an SQLite file: write-ahead log, full synchronisation, immediate transactions, append-only.

    Args: `checkpoint_path` is where the head is noted after every entry (default beside the database; another disk
        protects better: a backup that is restored without it is found out); reservations older than `reservation_ttl`
        are voided when a ledger is opened; a lock is waited for at most `busy_timeout_seconds`.
    Raises: LedgerError, always before anything is written, when the database is locked, read-only, corrupted, edited,
        of another version, behind its checkpoint or forked from it, or readable by others; OutputError for a new one in a
            release's folder.
    """

    durable: ClassVar[bool] = True

    def __init__(
        self,
        path: Path | str,
        checkpoint_path: Path | str | None = None,
        *,
        reservation_ttl: timedelta = timedelta(days=1),
        busy_timeout_seconds: float = 10.0,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.path = Path(path).absolute()
        beside = self.path.with_name(self.path.name + ".checkpoint")
        noted_at = beside if checkpoint_path is None else Path(checkpoint_path).absolute()
        self._checkpoint = Checkpoint(noted_at, timeout_seconds=busy_timeout_seconds)
        self._busy_timeout_seconds = busy_timeout_seconds
        self._clock = clock
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._book = Book()
        with self._translated():
            for file in (self.path, self._checkpoint.path):
                if not os.path.lexists(file):
                    require_outside(file)
            prepare_folder(self.path.parent)
            prepare_folder(self._checkpoint.path.parent)
            with folder_lock(self.path.parent, timeout_seconds=busy_timeout_seconds):
                noted = self._checkpoint.read()
                self._connection = self._connect(noted)
                self._or_close(lambda: self._prepare(noted))
            self._or_close(lambda: self._start(reservation_ttl))

    def _connect(self, noted: LedgerHead | None) -> sqlite3.Connection:
        if not os.path.lexists(self.path):
            if noted is not None and noted.sequence > 0:
                raise LedgerError(
                    f'ledger "{self.path}" is missing, but its checkpoint "{self._checkpoint.path}" says that '
                    f"{noted.sequence} entries were made; bring the ledger back"
                )
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            sync_folder(self.path.parent)
        require_private_file(self.path)
        return sqlite3.connect(
            self.path.as_uri() + "?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=self._busy_timeout_seconds,
            check_same_thread=False,
        )

    def _or_close(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, noted: LedgerHead | None) -> None:
        """Set the connection up; write the schema into a database that is still blank, prove that any other is writable."""
        connection = self._connection
        for setting in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {setting}")
        blank = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not blank or connection.execute("PRAGMA user_version").fetchone() != (0,):
            self._require_sound_file()
        elif noted is not None and noted.sequence > 0:
            raise LedgerError(forked(self._checkpoint.path))
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise LedgerError(f'ledger "{self.path}" cannot use a write-ahead log here; use a local disk')
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA if blank else ():
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")  # refused here when the file is read-only
        connection.execute("COMMIT" if blank else "ROLLBACK")

    def _start(self, reservation_ttl: timedelta) -> None:
        """Replay the ledger, hold it against its checkpoint, prove that this can be written, void what is too old."""
        self._catch_up()
        if self._book.head.sequence > 0 and self._checkpoint.read() is None:
            raise self._checkpoint_missing()
        self._checkpoint.advance(self._book.head, self._book.contains)
        limit = self._clock() - reservation_ttl

        def oldest(book: Book) -> Draft | None:
            for late in book.expired(limit):
                return Draft(
                    kind="void", population=late.population, release_id=late.release_id, body={"reason": "expired"}
                )
            return None

        self._record(oldest)
        while self._book.expired(limit):
            self._record(oldest)

    def _record(self, decide: Decision) -> LedgerHead:
        with self._lock, self._translated():
            connection = self._own_connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._catch_up()
                noted = self._checkpoint.read()
                if noted is None:
                    raise self._checkpoint_missing()
                if not self._book.contains(noted):
                    raise LedgerError(forked(self._checkpoint.path))
                draft = decide(self._book)
                if draft is None:
                    return self._book.head
                entry = self._book.successor(draft, self._clock().astimezone(UTC).strftime(TIME_FORMAT))
                connection.execute(
                    f"INSERT INTO entry ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        entry.sequence,
                        entry.at,
                        entry.kind,
                        entry.population,
                        entry.release_id,
                        entry.body,
                        entry.previous,
                        entry.digest,
                    ),
                )
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            self._book.apply(entry)
            self._checkpoint.advance(entry.head, self._book.contains)
            return entry.head

    def _read(self) -> Book:
        with self._lock, self._translated():
            self._own_connection()
            self._catch_up()
            return self._book

    def verify(self) -> None:
        """Check the file, its schema and its checkpoint, and replay every entry into a fresh book."""
        with self._lock, self._translated():
            noted = self._checkpoint.read()
            self._own_connection()
            self._require_sound_file()
            fresh = Book()
            for entry in self._rows(1):
                fresh.apply(entry)
            if noted is None:
                raise self._checkpoint_missing()
            if not fresh.contains(noted) or not fresh.contains(self._book.head):
                raise LedgerError(forked(self._checkpoint.path))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _own_connection(self) -> sqlite3.Connection:
        if os.getpid() != self._process:
            raise LedgerError("this ledger was opened in another process; open it again after a fork")
        return self._connection

    def _rows(self, first: int) -> Iterator[LedgerEntry]:
        query = f"SELECT {_COLUMNS} FROM entry WHERE sequence >= ? ORDER BY sequence"
        for sequence, at, kind, population, release_id, body, previous, digest in self._connection.execute(
            query, (first,)
        ):
            yield LedgerEntry(
                sequence=sequence,
                at=at,
                kind=kind,
                population=population,
                release_id=release_id,
                body=body,
                previous=previous,
                digest=digest,
            )

    def _catch_up(self) -> None:
        last = self._book.head
        rows = self._rows(last.sequence)
        if last.sequence > 0 and next(rows, None) != self._book.entries[-1]:
            raise LedgerError(f'ledger "{self.path}": entry {last.sequence} changed or went away while it was open')
        for entry in rows:
            self._book.apply(entry)

    def _require_sound_file(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise LedgerError(
                f'ledger "{self.path}" has schema version {version}, expected {VERSION}; use the privsynth that wrote it'
            )
        found = {sql for (sql,) in self._connection.execute("SELECT sql FROM sqlite_master")}
        if found != set(_SCHEMA):
            raise LedgerError(
                f'ledger "{self.path}" lost a rule that keeps it append-only, or gained something that is not its own; '
                "restore the copy that went furthest"
            )
        if self._connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise LedgerError(f'ledger "{self.path}" {_CORRUPT}')

    def _checkpoint_missing(self) -> LedgerError:
        return LedgerError(
            f'ledger "{self.path}" has entries but its checkpoint "{self._checkpoint.path}" is missing; restore it, or '
            "write it anew from the ledger sequence and head of the newest certificate"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the database's and the system's errors into LedgerError."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise LedgerError(f'ledger "{self.path}" is closed; open it again') from None
        except (sqlite3.Error, UnicodeDecodeError) as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            raise LedgerError(f'ledger "{self.path}" {_REASONS.get(code, _CORRUPT)}') from None
        except OSError as error:
            raise LedgerError(
                f'ledger "{self.path}" or its checkpoint cannot be used: {error.strerror}; check rights and free space'
            ) from None

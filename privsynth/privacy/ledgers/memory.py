"""MemoryLedger: the ledger of one process, for exploring and for benchmarks.

Must never stand behind a certificate: it forgets what was spent when the process ends.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import ClassVar, final

from privsynth.privacy.ledger import AbstractLedger, Decision
from privsynth.privacy.ledger_book import Book
from privsynth.privacy.ledger_entry import TIME_FORMAT, LedgerHead


@final
class MemoryLedger(AbstractLedger):
    """A ledger that lives as long as its process; the same rules as the durable one."""

    durable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._book = Book()

    def _record(self, decide: Decision) -> LedgerHead:
        with self._lock:
            draft = decide(self._book)
            if draft is not None:
                self._book.apply(self._book.successor(draft, datetime.now(UTC).strftime(TIME_FORMAT)))
            return self._book.head

    def _read(self) -> Book:
        return self._book

    def verify(self) -> None:
        """Replay every entry into a fresh book."""
        fresh = Book()
        for entry in self._book.entries:
            fresh.apply(entry)

    def close(self) -> None:
        """Nothing to let go of."""

"""The audit: nearest neighbours, the transcript's bounds and what they catch, and the battery beside Anonymeter."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import audit_battery, audit_neighbours, audit_transcript
from tests.bench.row import Row

PEERS = {**audit_neighbours.COMMANDS, **audit_battery.COMMANDS}


def rows() -> Iterator[Row]:
    """All of them; the peer, which takes minutes, comes last."""
    yield from audit_neighbours.rows()
    yield from audit_transcript.rows()
    yield from audit_battery.rows()

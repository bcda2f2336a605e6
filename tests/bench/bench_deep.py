"""The deep generators: what a step under DP-SGD costs, what their records are worth, beside marginal methods and peers."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import deep_step, deep_utility, peers
from tests.bench.row import Row

PEERS = peers.DEEP_COMMANDS


def rows() -> Iterator[Row]:
    """All figures; other libraries' generators are read from stored runs, their steps are measured."""
    yield from deep_step.rows()
    yield from deep_utility.rows()

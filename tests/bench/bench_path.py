"""The path's figures: size of the core, fidelity and time of records, counting, drawing, noise."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import fidelity, install, speed
from tests.bench.peers import COMMANDS
from tests.bench.row import Row

PEERS = COMMANDS


def rows() -> Iterator[Row]:
    """All figures, cheapest first."""
    yield from install.rows()
    yield from speed.rows()
    yield from fidelity.rows()

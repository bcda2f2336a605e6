"""The flagship, `latent_class`: errors, predictions, costs, training on its records, and AIM on AIM's own tables."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import aim_tables, downstream, flagship
from tests.bench.row import Row

PEERS = aim_tables.COMMANDS


def rows() -> Iterator[Row]:
    """All figures; those of AIM's tables are read from a stored run."""
    yield from flagship.rows()
    yield from downstream.rows()
    yield from aim_tables.rows()

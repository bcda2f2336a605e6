"""Trust: coverage of error bars and of regressions, fairness, what-ifs, refreshes, and how long an evaluation takes.

Every `trust_*.py` beside this file is a part; each has `rows()` and runs alone as `python -m tests.bench.trust_NAME`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.bench import trust_speed
from tests.bench.row import Row

PEERS = {**trust_speed.COMMANDS}
LAST = "trust_speed"


def rows() -> Iterator[Row]:
    """All of them; the one with the peer, which takes minutes, comes last."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("trust_*.py") if path.stem != LAST)
    for name in [*found, LAST]:
        yield from importlib.import_module(f"tests.bench.{name}").rows()

"""Progress: how long steps say what they do and how far they are, to whoever listens.

Must never carry a number that depends on private data: steps and totals are functions of public settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

Sink: TypeAlias = Callable[[str, int, int], None]
"""Receives (stage, steps done, steps in all; 0 when the total is not known)."""

_sink: ContextVar[Sink | None] = ContextVar("privsynth_progress", default=None)


def report(stage: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, how far a stage is."""
    sink = _sink.get()
    if sink is not None:
        sink(stage, done, total)


@contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Send every report made inside the block to `sink`."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)

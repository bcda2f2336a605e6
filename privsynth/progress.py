"""Progress: how long steps say what they do and how far they are, to whoever listens.

Must never carry a number that depends on private data: steps and totals are functions of public settings, and notes say what
noisy answers say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

PRETRAINING: Final = "learning from records of a model"
"""The stage of steps that a generator takes on records of a model, before its gradient steps: they cost time alone."""

Note: TypeAlias = Callable[[], str]
"""A few public words on how it goes, made when they are shown."""

Sink: TypeAlias = Callable[[str, int, int, Note | None], None]
"""Receives (stage, steps done, steps in all, 0 when the total is not known, and a note where there is one)."""

_sink: ContextVar[Sink | None] = ContextVar("privsynth_progress", default=None)


def report(stage: str, done: int, total: int, note: Note | None = None) -> None:
    """Tell the listener, if there is one, how far a stage is."""
    sink = _sink.get()
    if sink is not None:
        sink(stage, done, total, note)


def on_training(loss: float | None, epsilon: float | None) -> str:
    """What a training's note says: "loss about 12.3, epsilon 0.41 so far".

    Args: `loss` is a noisy one, never one that was computed on records; `epsilon` is of what was answered and claimed so far.
    """
    words = [] if loss is None else [f"loss about {loss:.3g}"]
    return ", ".join(words if epsilon is None else [*words, f"epsilon {epsilon:.2f} so far"])


@contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Send every report made inside the block to `sink`."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


@contextmanager
def overhearing(sink: Sink) -> Iterator[None]:
    """The same, and who listens already goes on listening."""
    heard = _sink.get()

    def both(stage: str, done: int, total: int, note: Note | None) -> None:
        sink(stage, done, total, note)
        if heard is not None:
            heard(stage, done, total, note)

    with listening(both):
        yield

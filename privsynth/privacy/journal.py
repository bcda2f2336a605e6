"""The journal of a fit: what was answered and claimed so far, so that a fit that was killed goes on and nothing is un-spent.

Must never let an answer be drawn twice for one charge: what was begun and lost stays spent, and is not drawn again.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import FitError, OutputError, RefusedError
from privsynth.measurement import Entry

State: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""A training's public state by name: weights, what the optimiser remembers, averages. Floating point, of any shape."""

CLAIMS: Final = 64
"""A training's steps are claimed in about so many blocks: a kill loses one of them at most."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """The state that was kept last, and how many steps had been taken by then, those that were lost included."""

    step: int
    state: State


class AbstractJournal(ABC):
    """What a fit has done so far: questions and their answers, steps that were claimed, and the last state that was kept.

    A question is begun before its noise is drawn and recorded before anybody sees the answer; steps are claimed before the
    key of the first of them is drawn. Each of these is on disk, where the journal is durable, when the method returns.
    Privacy: answers are noisy, and states are functions of noisy answers: all of it is public, and kept closed all the same.
    """

    def __init__(self) -> None:
        self._next = 0

    @property
    @abstractmethod
    def begun(self) -> tuple[str, ...]:
        """The questions that were begun, in order."""

    @abstractmethod
    def begin(self, question: str) -> None:
        """Note that the noise of the next question is about to be drawn."""

    @abstractmethod
    def answer(self, number: int) -> tuple[Entry, ...] | None:
        """What was answered to the question of this number (from 0); None where the answer was lost."""

    @abstractmethod
    def record(self, number: int, entries: Sequence[Entry]) -> None:
        """Keep the answer to a question that was begun."""

    @property
    @abstractmethod
    def claimed(self) -> int:
        """How many gradient steps are spent: taken, about to be taken, or lost."""

    @abstractmethod
    def claim(self, steps: int) -> None:
        """Spend gradient steps up to this number."""

    @property
    @abstractmethod
    def kept(self) -> Kept | None:
        """The last state that was kept."""

    @abstractmethod
    def keep(self, kept: Kept) -> None:
        """Keep a state in place of the one before."""

    @final
    def ask(self, question: str, draw: Callable[[], Sequence[Entry]]) -> tuple[Entry, ...]:
        """The recorded answer where this question was asked before it was killed; else a new one, which is recorded.

        Raises: OutputError when another question was asked in this place: nothing is lost by it; RefusedError when the
            answer was lost while it was drawn.
        """
        number = self._next
        if number < len(self.begun):
            if self.begun[number] != question:
                raise OutputError(
                    "this fit was begun with other questions, by another version of privsynth or of its generator; go on with "
                    "the one that began it, or start again in a new place (what was spent here stays spent)"
                )
            known = self.answer(number)
            if known is None:
                raise RefusedError(
                    "an earlier attempt was cut off while it measured: its budget is spent and that answer is lost; start "
                    "again in a new place"
                )
            self._next += 1
            return known
        self.begin(question)
        self._next += 1
        found = tuple(draw())
        self.record(number, found)
        return found


@final
class MemoryJournal(AbstractJournal):
    """A journal that ends with the process: nothing outlives a kill."""

    def __init__(self) -> None:
        super().__init__()
        self._begun: list[str] = []
        self._answers: dict[int, tuple[Entry, ...]] = {}
        self._claimed = 0
        self._kept: Kept | None = None

    @property
    def begun(self) -> tuple[str, ...]:
        """The questions that were begun, in order."""
        return tuple(self._begun)

    def begin(self, question: str) -> None:
        """Note the question."""
        self._begun.append(question)

    def answer(self, number: int) -> tuple[Entry, ...] | None:
        """The answer to a question, if there is one."""
        return self._answers.get(number)

    def record(self, number: int, entries: Sequence[Entry]) -> None:
        """Note the answer."""
        self._answers[number] = tuple(entries)

    @property
    def claimed(self) -> int:
        """Steps that are spent."""
        return self._claimed

    def claim(self, steps: int) -> None:
        """Note the claim."""
        self._claimed = steps

    @property
    def kept(self) -> Kept | None:
        """The last state."""
        return self._kept

    def keep(self, kept: Kept) -> None:
        """Note the state."""
        self._kept = kept


def question_of(kind: str, *parts: object) -> str:
    """A digest of a question: its kind, and what it asks in texts, integers, fractions and tuples of them."""
    return hashlib.sha256(repr((kind, *parts)).encode()).hexdigest()


def require_state(state: State) -> None:
    """Refuse what cannot be kept as named arrays, or would be of no use.

    Raises: FitError.
    """
    for name, array in state.items():
        if (
            not isinstance(name, str)
            or not isinstance(array, np.ndarray)
            or array.dtype not in (np.float32, np.float64)
        ):
            raise FitError("a training's state is arrays of single or double precision by name")
        if not np.isfinite(array).all():
            raise FitError(
                "training has diverged: its weights are not finite; train with a smaller learning rate, in a new fit"
            )

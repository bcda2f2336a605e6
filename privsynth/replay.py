"""Recording what a fit asks of its noise source, and asking a fit on a neighbouring table the same again.

Must never be used on private tables: a recording holds exact answers. It is for tables that an audit generates itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import AuditError
from privsynth.privacy.source import AbstractNoiseSource

Int64s = npt.NDArray[np.int64]


class DivergedError(AuditError):
    """A fit on a neighbouring table asked something else, although every answer so far was the same."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One use of a noise source.

    Shapes: `exact` is what went in, flattened: counts, or scores. `noisy` is what came out: as many counts, or one index.
    Units: `parameter` is sigma squared, or the exponential mechanism's rate.
    """

    kind: Literal["gaussian", "exponential"]
    shape: tuple[int, ...]
    parameter: Fraction
    exact: Int64s
    noisy: Int64s


@final
class RecordingNoise(AbstractNoiseSource):
    """Passes every question on to another source, and keeps questions and answers."""

    name: ClassVar[str] = "recording"
    signable: ClassVar[bool] = False

    def __init__(self, source: AbstractNoiseSource) -> None:
        self._source = source
        self._turns: list[Literal["call", "key"]] = []
        self.calls: list[Call] = []
        self.keys: list[bytes] = []
        self.expected: list[float | None] = []
        """How many rows each gradient step was said to hold, of a fit that is watched."""

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        """Noise from the source, recorded."""
        noisy = self._source.gaussian(exact, sigma_squared)
        self._keep(_call("gaussian", exact, sigma_squared, noisy))
        return noisy

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """A choice from the source, recorded."""
        chosen = self._source.exponential(scores, rate)
        self._keep(_call("exponential", scores, rate, np.array([chosen])))
        return chosen

    def key(self) -> bytes:
        """A key from the source, recorded."""
        self.keys.append(self._source.key())
        self._turns.append("key")
        return self.keys[-1]

    def keys_before(self, call: int) -> tuple[bytes, ...]:
        """The keys that were drawn since the call before this one."""
        ends = [place for place, turn in enumerate(self._turns) if turn == "call"]
        start = ends[call - 1] + 1 if call else 0
        first = start - call
        return tuple(self.keys[first : first + ends[call] - start])

    def asked_again(self, source: AbstractNoiseSource) -> list[Call]:
        """Put all questions to a source again, keys included, in their order; its answers to the calls."""
        again = RecordingNoise(source)
        waiting = iter(self.calls)
        for turn in self._turns:
            if turn == "key":
                again.key()
                continue
            call = next(waiting)
            if call.kind == "gaussian":
                again.gaussian(call.exact.reshape(call.shape), call.parameter)
            else:
                again.exponential(call.exact, call.parameter)
        return again.calls

    def _keep(self, call: Call) -> None:
        self.calls.append(call)
        self._turns.append("call")


@final
class ReplayingNoise(AbstractNoiseSource):
    """Gives the recorded answers again, and keeps the questions that it is asked this time.

    Raises: DivergedError, from its methods, when a question is of another kind, shape or scale than the recorded one.
    """

    name: ClassVar[str] = "replaying"
    signable: ClassVar[bool] = False

    def __init__(self, recorded: RecordingNoise) -> None:
        self._recorded = recorded
        self._keys = iter(recorded.keys)
        self.calls: list[Call] = []

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        """The recorded noisy counts."""
        return self._answer("gaussian", exact, sigma_squared).noisy.reshape(exact.shape)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """The recorded choice."""
        return int(self._answer("exponential", scores, rate).noisy[0])

    def key(self) -> bytes:
        """The recorded key."""
        try:
            return next(self._keys)
        except StopIteration:
            raise DivergedError("a key more was drawn than on the neighbouring table") from None

    def require_all_used(self) -> None:
        """Raise DivergedError unless every recorded question was asked again."""
        if len(self.calls) != len(self._recorded.calls) or next(self._keys, None) is not None:
            raise DivergedError("fewer questions were asked than on the neighbouring table")

    def _answer(self, kind: Literal["gaussian", "exponential"], exact: Int64s, parameter: Fraction) -> Call:
        turn = len(self.calls)
        if turn == len(self._recorded.calls):
            raise DivergedError("more questions were asked than on the neighbouring table")
        then = self._recorded.calls[turn]
        if (kind, exact.shape, parameter) != (then.kind, then.shape, then.parameter):
            raise DivergedError(f"question {turn + 1} differs in kind, shape or scale from the neighbouring table's")
        self.calls.append(_call(kind, exact, parameter, then.noisy))
        return then


def _call(kind: Literal["gaussian", "exponential"], exact: Int64s, parameter: Fraction, noisy: Int64s) -> Call:
    return Call(
        kind=kind,
        shape=exact.shape,
        parameter=parameter,
        exact=exact.reshape(-1).copy(),
        noisy=noisy.reshape(-1).copy(),
    )

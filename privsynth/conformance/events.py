"""Which event pays for which use of noise: one each, with the same scale, and at the right price.

Must never accept a use of noise without an event, or an event that costs less than its mechanism does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, final

import numpy as np

from privsynth.measurement import Entry, ErrorScores, Event, Measurement, Selection, Trained, Transcript
from privsynth.replay import Call


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """An event, and the cells of the call that it pays for; `shape` is that of what it published."""

    event: Event
    kind: Literal["gaussian", "exponential"]
    call: int
    cells: slice
    shape: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A gradient step: the call that it made, and the event of the training that it is part of."""

    event: Event
    call: int

    @property
    def rate(self) -> Fraction:
        """The chance with which a unit takes part, as the event says."""
        return self.event.sampling_rate or Fraction(1)

    @property
    def multiplier(self) -> Fraction:
        """Sigma over the sensitivity, as the event says."""
        return self.event.noise_multiplier or Fraction(0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What is paid for, one payment an entry, but for trained weights; the steps that they were made in; what is wrong."""

    paid: tuple[Payment, ...]
    problems: tuple[str, ...]
    steps: tuple[Step, ...] = ()


def payments(calls: Sequence[Call], transcript: Transcript) -> Accounts:
    """Match a transcript's entries with the uses of noise, in order.

    One draw may answer several tables at once; their entries then follow each other and share it out without a rest. Trained
    weights stand for as many draws as there were gradient steps.
    """
    paid: list[Payment] = []
    steps: list[Step] = []
    turn, start = 0, 0
    for entry in transcript:
        if turn == len(calls):
            return Accounts(paid=tuple(paid), problems=("an event without a use of noise",), steps=tuple(steps))
        if isinstance(entry, Trained):
            found = range(turn, turn + (entry.event.steps or 0))
            wrong = "a table without a part of its noise" if start else _no_steps(calls[turn : found.stop], entry.event)
            if wrong:
                problem = f'stage "{entry.event.stage}": {wrong}'
                return Accounts(paid=tuple(paid), problems=(problem,), steps=tuple(steps))
            steps += [Step(event=entry.event, call=place) for place in found]
            turn = found.stop
            continue
        call = calls[turn]
        shape = entry.values.shape if isinstance(entry, Measurement | ErrorScores) else call.exact.shape
        size = math.prod(shape)
        cells = slice(start, start + size)
        wrong = _mismatch(entry, call, cells) or _underpaid(entry.event)
        if wrong:
            return Accounts(paid=tuple(paid), problems=(f'stage "{entry.event.stage}": {wrong}',), steps=tuple(steps))
        paid.append(Payment(event=entry.event, kind=call.kind, call=turn, cells=cells, shape=shape))
        start += size
        if start >= call.exact.size:
            turn, start = turn + 1, 0
    unpaid = turn < len(calls) or start > 0
    problems = ("a use of noise that no event pays for",) if unpaid else ()
    return Accounts(paid=tuple(paid), problems=problems, steps=tuple(steps))


def _no_steps(calls: Sequence[Call], event: Event) -> str:
    """Why some uses of noise are not the gradient steps of an event; empty where they are."""
    if len(calls) < (event.steps or 0):
        return f"{event.steps} gradient steps are accounted for, and {len(calls)} uses of noise were made"
    if event.mechanism != "sampled-gaussian" or event.rho or not event.sampling_rate or not event.noise_multiplier:
        return "the event is not one of gradient steps"
    if len({(call.kind, call.shape, call.parameter) for call in calls}) > 1 or calls[0].kind != "gaussian":
        return "its steps differ in kind, shape or scale of their noise"
    return ""


def _mismatch(entry: Entry, call: Call, cells: slice) -> str:
    """How an entry differs from the use of noise whose turn it is; empty where it does not."""
    if (call.kind == "exponential") != isinstance(entry, Selection):
        return "the event is not of the use of noise that was made"
    if isinstance(entry, Selection):
        paid_for = entry.event.epsilon == call.parameter * 2 * math.isqrt(entry.event.sensitivity_squared)
        same = paid_for and entry.candidates == call.exact.size
        return "" if same else "the selection does not use the rate that its epsilon and sensitivity give"
    if entry.event.sigma_squared != call.parameter:
        return "the noise was drawn with another sigma than the event states"
    if isinstance(entry, Measurement | ErrorScores) and not np.array_equal(entry.values.reshape(-1), call.noisy[cells]):
        return "what was published is not what the mechanism gave out"
    return ""


def _underpaid(event: Event) -> str:
    """Whether an event costs less than its mechanism; the formulas are those of `measurement.Event`."""
    if event.mechanism == "exponential":
        enough = event.epsilon is not None and event.rho >= event.epsilon**2 / 8
    else:
        enough = bool(event.sigma_squared) and event.rho * 2 * (event.sigma_squared or 1) >= event.sensitivity_squared
    return "" if enough else "the event costs less than its noise and sensitivity require"

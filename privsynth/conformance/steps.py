"""Gradient steps, one by one: who took part, what each record added, and whether one unit can add more than its share.

Must never be run on private tables: it works exact sums out again, record by record.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from privsynth.conformance import coins, recount
from privsynth.conformance.events import Step, payments
from privsynth.conformance.fits import Run, recorded, replayed
from privsynth.conformance.tables import Laboratory, Neighbours
from privsynth.conformance.watching import Change, Chunk, Codes, Trained, Watch, Watched, hosted, with_rows
from privsynth.dataset import Dataset
from privsynth.privacy.gradient import CHUNK_ROWS, Factors
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import Records
from privsynth.replay import Call, DivergedError

Floats = npt.NDArray[np.float64]

_ROOM = 1 + 1 / 64
"""What a row may move a sum by, over the clipping norm."""

_RECOUNTED = 1 / 64
"""How far rounding may leave a chunk's sum from the one that is worked out again, over the clipping norm."""

_CANARIES = 4
_CHUNKS = 6
"""Chunks' worth of records in a table of many, of which a quarter takes part."""

_EXTREMES: Mapping[str, tuple[float, float]] = {
    "huge": (1e3, 1e3),
    "beyond single precision": (1e18, 1e18),
    "infinite": (math.inf, 1.0),
    "not a number": (1.0, math.nan),
    "nothing": (0.0, 0.0),
    "hidden in a product": (1e-23, 1e19),
    "moderate": (10.0, 1.0),
}
"""Inputs and slopes of a canary's rows."""


def moved(pair: Neighbours, run: Run, one: Sequence[Call], other: Sequence[Call], unit: PrivacyUnit) -> Iterator[str]:
    """Gradient steps that moved by more than their noise is made for; none of a fit that takes no steps.

    Args: the pair's second table holds all units of the first and some more after them: those of them that take part in a step,
        by their coins, may move its sum by sigma over the noise multiplier each, and the others not at all.
    """
    steps = payments(run.noise.calls, run.transcript).steps
    if not steps:
        return
    before, after = (recount.encoded(run, table, unit) for table in (pair.table, pair.other))
    if not coins.follows(before, after):
        yield f"{pair.what}: more units change the rows of the others"
        return
    if len(run.noise.expected) != len(steps):
        return  # a fit that is not watched: its rows may be dealt in any number of chunks
    for number, (step, rows) in enumerate(zip(steps, run.noise.expected, strict=True), 1):
        key = run.noise.keys_before(step.call)[-1:]
        if not key:
            continue  # `_sampled` says so
        may = coins.Difference.of(before, after, key[0], step.rate, rows)
        if not may.split and coins.moved_too_far(one[step.call], other[step.call], may.units, step.multiplier):
            yield f"{pair.what}: gradient step {number} moved further than the units that took part may move it"


def extremes(
    trained: Trained, laboratory: Laboratory, table: Records, noise: AbstractNoiseSource
) -> Iterator[tuple[str, str]]:
    """What is wrong when records have extreme gradients, and when steps are worked out again: (kind of problem, problem).

    Kinds: "diverged", "moved", "sampled", "recounted" and "alone".
    """
    after, watch = laboratory.joined(table, _CANARIES), Watch()
    run = recorded(trained.watched(watch), table, noise)
    yield from _seen(run, watch, table, trained.unit)
    alone = recount.encoded(run, after, trained.unit)
    canary = alone.codes(np.array([alone.rows - 1]))[0]
    for name, change in _changes(len(watch.steps[0].loss.shapes) if watch.steps else 0, canary).items():
        what = f"records whose gradients are {name}"
        try:
            calls = replayed(trained.watched(Watch(change)), after, run)
        except DivergedError as difference:
            yield "diverged", f"{what}: {difference}"
            continue
        pair = Neighbours(what=what, table=table, other=after)
        for problem in moved(pair, run, run.noise.calls, calls, trained.unit):
            yield "moved", problem


def many_rows(
    trained: Trained, laboratory: Laboratory, noise: AbstractNoiseSource, rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """The same, without canaries' gradients, on tables of so many records that a step is computed in several chunks."""
    table, watch = laboratory.table(_CHUNKS * CHUNK_ROWS, rng), Watch()
    run = recorded(trained.watched(watch), table, noise)
    yield from _seen(run, watch, table, trained.unit)
    pair = Neighbours(what="more units among many", table=table, other=laboratory.joined(table, _CANARIES))
    calls = replayed(trained.watched(Watch()), pair.other, run)
    for problem in moved(pair, run, run.noise.calls, calls, trained.unit):
        yield "moved", problem


def _seen(run: Run, watch: Watch, table: Records, unit: PrivacyUnit) -> Iterator[tuple[str, str]]:
    data = recount.encoded(run, table, unit)
    steps = payments(run.noise.calls, run.transcript).steps
    if len(steps) != len(watch.steps):
        yield "sampled", f"{len(watch.steps)} sums of gradients were made for {len(steps)} gradient steps"
        return
    keys: set[bytes] = set()
    for number, (step, watched) in enumerate(zip(steps, watch.steps, strict=True), 1):
        dealt = _dealt(run, data, step, number - 1)
        wrong = list(_sampled(run, step, watched, dealt, keys))
        yield from (("sampled", f"gradient step {number}: {problem}") for problem in wrong)
        if not wrong and not _same_sum(run.noise.calls[step.call], step, watched, dealt, unit):
            yield "recounted", f"gradient step {number} is not the sum of its records' clipped gradients"
    for watched in watch.steps[-2:]:
        for problem in _alone(watched):
            yield "alone", problem


def _dealt(run: Run, data: Dataset, step: Step, number: int) -> list[npt.NDArray[np.int64]]:
    """The chunks of a step as its key says, each in codes; in no order. Nothing where it draws no key."""
    key = run.noise.keys_before(step.call)[-1:]
    expected = run.noise.expected[number]
    return [data.codes(rows) for rows in coins.chunks(data, key[0], step.rate, expected)] if key else []


def _sampled(run: Run, step: Step, watched: Watched, dealt: list[Codes], keys: set[bytes]) -> Iterator[str]:
    """Whether the records of a step are those whose units' coins say so, in the chunks that their bits say."""
    drawn = run.noise.keys_before(step.call)
    own = [drawn[-1:], *((chunk.key,) for chunk in watched.chunks)]
    if not drawn or any(key in keys for pair in own for key in pair) or len(set(own)) < len(own):
        yield "it draws no key of its own"
        return
    keys.update(key for pair in own for key in pair)
    sizes = {len(chunk.codes) for chunk in watched.chunks}
    if len(sizes) > 1 or any(len(codes) > size for codes in dealt for size in sizes):
        yield "its chunks have other sizes than is public"
        return
    expected = Counter(_filled(codes, size) for codes in dealt for size in sizes)
    if len(dealt) != len(watched.chunks) or expected != Counter(chunk.codes.tobytes() for chunk in watched.chunks):
        yield "who takes part is not what the coins of its key say"


def _filled(codes: Codes, rows: int) -> bytes:
    """The codes, filled up with nobody's."""
    return np.concatenate([codes, np.zeros((rows - len(codes), codes.shape[1]), dtype=np.int64)]).tobytes()


def _same_sum(call: Call, step: Step, watched: Watched, dealt: list[Codes], unit: PrivacyUnit) -> bool:
    """Whether an exact answer is the sum of its records' gradients, each clipped over all matrices, in double precision.

    The answer's unit of measurement follows from its noise: a unit's rows may move it by sigma over the noise multiplier.
    """
    clip = float(watched.clip)
    grid = unit.max_rows * clip * _ROOM * float(step.multiplier) / math.sqrt(call.parameter)
    total = np.zeros(call.exact.size)
    present = {_filled(codes, len(chunk.codes)): len(codes) for chunk in watched.chunks[:1] for codes in dealt}
    for chunk in watched.chunks:
        rows = present[chunk.codes.tobytes()]
        total += np.concatenate([part.reshape(-1) for part in _clipped(chunk, rows, clip)] or [np.zeros(0)])
    away = float(np.linalg.norm(call.exact * grid - total))
    return away <= _RECOUNTED * clip * max(1, len(watched.chunks)) + 1e-4 * float(np.linalg.norm(total))


def _clipped(chunk: Chunk, rows: int, clip: float) -> Iterator[Floats]:
    """The sums of the first rows' clipped gradients, matrix by matrix."""
    factors = [(inputs[:rows], slopes[:rows]) for inputs, slopes in chunk.factors]
    scale = clip / np.maximum(np.sqrt(_inner(factors, factors)), clip)
    for inputs, slopes in factors:
        yield (slopes * scale[:, None]).T @ inputs


def _inner(one: Sequence[tuple[Floats, Floats]], other: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Inner products of two gradients of each row, over all matrices."""
    parts = ((x * y).sum(1) * (s * t).sum(1) for (x, s), (y, t) in zip(one, other, strict=True))
    return np.asarray(sum(parts))


def _alone(watched: Watched) -> Iterator[str]:
    """Whether a row's gradient is its own: the same bits with other records in the other rows, and asked for again."""
    chunk = next((chunk for chunk in watched.chunks if len(chunk.codes) > 1), None)
    if chunk is None:
        return
    loss, half = watched.loss, len(chunk.codes) // 2
    others = chunk.codes.copy()
    others[half:] = chunk.codes[:1]
    mine, beside, again = (hosted(loss, loss.factors(codes, chunk.key)) for codes in (chunk.codes, others, chunk.codes))
    if not _same(mine, beside, half):
        yield "a record's gradient is another one beside other records"
    if not _same(mine, again, len(chunk.codes)):
        yield "a record's gradient is another one when it is asked for again"


def _same(one: Sequence[tuple[Floats, Floats]], other: Sequence[tuple[Floats, Floats]], rows: int) -> bool:
    return all(
        np.array_equal(a[:rows], b[:rows], equal_nan=True)
        for pair, with_it in zip(one, other, strict=True)
        for a, b in zip(pair, with_it, strict=True)
    )


def _changes(matrices: int, canary: Codes) -> Mapping[str, Change]:
    """Factors of a canary's rows: each extreme in all matrices at once, and a huge one in each of them alone."""
    every = {name: partial(_set, canary, None, *sizes) for name, sizes in _EXTREMES.items()}
    single = {f"huge in weight matrix {at + 1}": partial(_set, canary, at, 1e3, 1e3) for at in range(matrices)}
    return {**every, **(single if matrices > 1 else {})}


def _set(canary: Codes, only: int | None, inputs: float, slopes: float, factors: Factors, codes: Codes) -> Factors:
    rows = np.flatnonzero((codes == canary).all(axis=1)).tolist()
    return [
        (with_rows(x, rows, inputs), with_rows(s, rows, slopes))
        if only is None or at == only
        else (with_rows(x, rows, 0.0), s)
        for at, (x, s) in enumerate(factors)
    ]

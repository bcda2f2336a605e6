"""Poisson sampling: each privacy unit takes part by a coin of its own, and its rows are dealt into chunks by secret bits.

Must never let one unit's presence decide anything about another: every row's coin and place come from bits of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from privsynth.errors import MechanismError

_COINS, _PLACES, _CHUNKS = b"coins", b"places", b"chunk"
_BITS = 64
_SPLITS = 32


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Rows that are computed together. Shapes: `rows` is (at most the limit,) positions; `key` is 32 bytes of their own."""

    rows: npt.NDArray[np.intp]
    key: bytes


def poisson(units: npt.NDArray[np.int64] | None, rows: int, rate: Fraction, key: bytes) -> npt.NDArray[np.intp]:
    """Positions of the rows of the units that take part, each unit with probability floor(rate 2^64) / 2^64.

    Args: `units` numbers each row's unit from 0, or is None where each row is a unit; `key` is 32 fresh secret bytes.
    Privacy: a unit's coin is a word of the key's stream that no other unit reads, so the coins are independent, and taking a
        unit away leaves the others' distribution as it was. The rate is rounded down, which samples less.
    """
    if units is not None and units.min(initial=0) < 0:
        raise MechanismError("privacy units are numbered from 0")
    count = rows if units is None else int(units.max(initial=-1)) + 1
    if rate >= 1:
        return np.arange(rows)
    heads = _words(key, _COINS, count) < np.uint64(int(rate * 2**_BITS))
    return np.flatnonzero(heads if units is None else heads[units])


def dealing(expected: float, most: int) -> tuple[int, int]:
    """(parts to begin with, rows of a chunk), both public, for so many rows expected in a step: few splits, little room left.

    A part holds expected / parts rows on average, and 2.5 standard deviations more before it is split.
    """
    parts = max(1, math.ceil(expected / (0.9 * most)))
    each = max(1.0, expected / parts)
    return parts, min(most, 32 * math.ceil((each + 2.5 * math.sqrt(each) + 4) / 32))


def dealt(sampled: npt.NDArray[np.intp], rows: int, most: int, key: bytes, *, parts: int = 1) -> Iterator[Chunk]:
    """Deal the sampled rows into chunks of at most `most`, by secret bits of each row.

    The high half of a row's word says in which of the public number of parts it begins. A part of more than `most` rows is
    split by the lowest bit of each of its rows, and so on: which chunk a row is in depends on other rows only through how
    often its chunk is split, so a row more or less changes the one chunk that it is in (or splits it), and no other.
    """
    if parts == 1 and len(sampled) <= most:  # one chunk, or none: no bit is asked for
        if len(sampled):
            yield Chunk(rows=sampled, key=_own_key(key, 0, 0, 0))
        return
    places = _words(key, _PLACES, rows)[sampled]
    begin = (places >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)
    order = np.argsort(begin, kind="stable")
    begun = np.split(order, np.searchsorted(begin[order], np.arange(1, parts, dtype=np.uint64)))
    waiting = [(among, part, 0, 0) for part, among in enumerate(begun)]
    while waiting:
        among, part, depth, path = waiting.pop()
        if len(among) > most and depth < _SPLITS:
            bit = (places[among] >> np.uint64(depth)) & np.uint64(1) > 0
            waiting += [(among[~bit], part, depth + 1, path), (among[bit], part, depth + 1, path | 1 << depth)]
        elif len(among):
            yield Chunk(rows=sampled[among], key=_own_key(key, part, depth, path))


def _own_key(key: bytes, *place: int) -> bytes:
    """A chunk's key, from the step's and from its place: (part, splits, the bits that its rows share)."""
    named = b"".join(number.to_bytes(8, "big") for number in place)
    return hashlib.blake2b(_CHUNKS + named, key=key, digest_size=32).digest()


def _words(key: bytes, purpose: bytes, count: int) -> npt.NDArray[np.uint64]:
    """`count` 64-bit words of a stream of AES-256 in counter mode that `key` gives for a purpose."""
    stream = hashlib.blake2b(purpose, key=key, digest_size=48).digest()
    encrypt = Cipher(algorithms.AES256(stream[:32]), modes.CTR(stream[32:])).encryptor()
    return np.frombuffer(encrypt.update(bytes(8 * count)), dtype="<u8")

"""Who takes part in a gradient step, worked out again from its key: by the scheme as it is written down, not by its code.

Must never draw coins, or deal rows, with `privacy/sampling.py`: it is what is held against this. How many chunks there are, and
how large they may be, is public, and taken from there.

The scheme. A key and a purpose give 48 bytes, BLAKE2b of the purpose keyed with the key: a key of AES-256 and the first value
of a 128-bit counter. Encrypted counter values, two little-endian words of 64 bits in each, are the purpose's words. Unit u
takes part if word u of "coins" is below floor(rate 2^64). Row r has word r of "places": its high half, as a fraction of 2^32,
says in which of the parts it begins; a part with more rows than a chunk may have is split by the lowest bit of their words,
each half that still has too many by the next bit, and so on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from privsynth.dataset import Dataset
from privsynth.privacy.gradient import CHUNK_ROWS
from privsynth.privacy.sampling import dealing
from privsynth.replay import Call

Rows = npt.NDArray[np.int64]
_WHEEL, _SPLITS = 1 << 128, 32


def words(key: bytes, purpose: bytes, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` words of a purpose. Shapes: (count,)."""
    secret = hashlib.blake2b(purpose, key=key, digest_size=48).digest()
    start = int.from_bytes(secret[32:], "big")
    blocks = ((start + turn) % _WHEEL for turn in range((count + 1) // 2))
    plain = b"".join(block.to_bytes(16, "big") for block in blocks)
    encrypt = Cipher(algorithms.AES256(secret[:32]), modes.ECB()).encryptor()  # noqa: S305  (a counter's blocks)
    return np.frombuffer(encrypt.update(plain) + encrypt.finalize(), dtype="<u8")[:count]


def heads(key: bytes, units: int, rate: Fraction) -> npt.NDArray[np.bool_]:
    """Which of so many units take part. Shapes: (units,)."""
    if rate >= 1:
        return np.ones(units, dtype=bool)
    return words(key, b"coins", units) < np.uint64(rate.numerator * 2**64 // rate.denominator)


def units_of(data: Dataset) -> Rows:
    """The unit of each row. Shapes: (rows,)."""
    return np.arange(data.rows) if data.units is None else data.units


def count_of(data: Dataset) -> int:
    """How many units there are."""
    return int(units_of(data).max(initial=-1)) + 1


def taking_part(data: Dataset, key: bytes, rate: Fraction) -> Rows:
    """Positions of the rows that take part."""
    return np.flatnonzero(heads(key, count_of(data), rate)[units_of(data)])


def chunks(data: Dataset, key: bytes, rate: Fraction, expected: float | None) -> list[Rows]:
    """The chunks of a step: positions of rows, each in order; in the order of their first rows.

    Args: `expected` is how many rows the step was said to hold, a public number that decides how large chunks are.
    """
    parts, most = (1, CHUNK_ROWS) if expected is None else dealing(expected, CHUNK_ROWS)
    places = words(key, b"places", data.rows)
    rows = taking_part(data, key, rate)
    begin = [(int(place) >> 32) * parts >> 32 for place in places[rows]]
    found = [split for part in range(parts) for split in _split(rows[np.equal(begin, part)], places, 0, most)]
    return sorted((part for part in found if len(part)), key=lambda part: int(part[0]))


def _split(rows: Rows, places: npt.NDArray[np.uint64], depth: int, most: int) -> Iterator[Rows]:
    if len(rows) <= most or depth == _SPLITS:
        yield rows
        return
    high = places[rows] & np.uint64(1 << depth) != 0
    yield from _split(rows[~high], places, depth + 1, most)
    yield from _split(rows[high], places, depth + 1, most)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a step may differ by on a table that holds some units more, all after the others."""

    units: int
    split: bool

    @classmethod
    def of(cls, before: Dataset, after: Dataset, key: bytes, rate: Fraction, expected: float | None) -> Difference:
        """Who of the units that are more takes part, and whether chunks of the others are split for it."""
        first = count_of(before)
        more = int(np.count_nonzero(heads(key, count_of(after), rate)[first:]))
        if not more:
            return cls(units=0, split=False)
        known = [part.tolist() for part in chunks(before, key, rate, expected)]
        rest = [part[part < before.rows].tolist() for part in chunks(after, key, rate, expected)]
        return cls(units=more, split=known != [part for part in rest if part])


def follows(before: Dataset, after: Dataset) -> bool:
    """Whether a table begins with all rows of another one, unit by unit."""
    rows = np.arange(before.rows)
    return (
        after.rows >= before.rows
        and np.array_equal(units_of(before), units_of(after)[: before.rows])
        and np.array_equal(before.codes(rows), after.codes(rows))
    )


def moved_too_far(one: Call, other: Call, units: int, multiplier: Fraction) -> bool:
    """Whether so many units moved an answer, in L2, by more than sigma over the noise multiplier each.

    Exact: what is not above that is a sum of squares below 2^53.
    """
    difference = other.exact.astype(np.float64) - one.exact.astype(np.float64)
    return Fraction(float(difference @ difference)) * multiplier**2 > units**2 * one.parameter

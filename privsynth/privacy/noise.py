"""The only place where noise is drawn: exact integers, from the operating system's entropy, with no seed.

Must never round a probability: a draw that 64 random bits cannot decide is decided with more bits and more precision.

How the rounded Gaussian, round(N(0, sigma^2)), is drawn: the magnitude's distribution function is enclosed between integers
(`exact_cdf.py`); 63 random bits u name the interval [u, u+1) / 2^63; where no threshold lies inside it the answer is certain,
and where one does (one draw in 2^56 at sigma 10) further bits are drawn until it is. So the output has the exact distribution.
Where sigma is too large for a table of the thresholds, floats propose (`half_normal.py`) and their proven bound says which
proposals are certain; the others (one in a million at sigma 2^20) are inverted as above, one at a time.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from privsynth.errors import MechanismError
from privsynth.privacy.exact_cdf import MagnitudeCdf, pick_exactly
from privsynth.privacy.half_normal import HalfNormal
from privsynth.privacy.source import MAX_SIGMA, AbstractNoiseSource

_BLOCK = 1 << 17
_UNIFORM_BITS = 63
_CELLS_PER_SIGMA = 4
"""A table of 9 sigma entries is built where it serves a quarter of sigma cells or more; one draw costs 30 entries."""

_TABLE_SIGMA = 1 << 11
"""Up to here a table is built in 50 ms or less; the nodes of `half_normal.py`, which serve every sigma, in 130, once."""

_FEW = 64
"""Fewer draws than this cost less one at a time than the nodes."""

_CACHED_BLOCK = 1 << 14
"""Words that are proposed at a time: small enough that the work space stays in the second-level cache."""


class _AbstractBitSource(AbstractNoiseSource):
    """Exact sampling from a stream of unpredictable bits."""

    @abstractmethod
    def _stream_key(self) -> bytes:
        """48 bytes that key one call's AES-256-CTR stream; never the same twice."""

    @final
    def gaussian(self, exact: npt.NDArray[np.int64], sigma_squared: Fraction) -> npt.NDArray[np.int64]:
        """Add round(N(0, sigma_squared)) to every cell, exactly."""
        if exact.dtype != np.int64:
            raise MechanismError(f"noise is added to int64 counts, not to {exact.dtype}")
        if sigma_squared <= 0 or sigma_squared > MAX_SIGMA**2:
            raise MechanismError(f"sigma must be above 0 and at most {MAX_SIGMA}; raise the budget")
        bits = _Bits(self._stream_key())
        noise = np.empty(exact.size, dtype=np.int64)
        if sigma_squared <= min(_TABLE_SIGMA, _CELLS_PER_SIGMA * exact.size) ** 2:
            table = _table(sigma_squared)
            for start in range(0, exact.size, _BLOCK):
                stop = min(start + _BLOCK, exact.size)
                noise[start:stop] = _draw_block(table, bits, stop - start)
        elif exact.size < _FEW:
            noise[:] = _draw_singly(sigma_squared, bits, exact.size)
        else:
            _draw_proposed(sigma_squared, bits, noise)
        noise += exact.reshape(-1)
        return noise.reshape(exact.shape)

    @final
    def exponential(self, scores: npt.NDArray[np.int64], rate: Fraction) -> int:
        """Choose exactly: floats decide when their error bound allows it, enclosures of the weights otherwise."""
        return int(self.choices(scores, rate, 1)[0])

    @final
    def choices(self, scores: npt.NDArray[np.int64], rate: Fraction, count: int) -> npt.NDArray[np.int64]:
        """Independent exact choices, all from one stream."""
        if scores.dtype != np.int64 or scores.ndim != 1 or not scores.size:
            raise MechanismError("the exponential mechanism needs at least one int64 score")
        if rate < 0:
            raise MechanismError("the exponential mechanism's rate cannot be negative")
        bits = _Bits(self._stream_key())
        uniform = bits.words(count)
        gaps = (scores.max() - scores).view(np.uint64)  # exact for every pair of int64
        weights = np.exp(-gaps.astype(np.float64) * float(rate))
        cumulative = np.cumsum(weights)
        total = float(cumulative[-1])
        share = uniform.astype(np.float64)
        low, high = share / 2**64 * total, (share + 1) / 2**64 * total
        chosen = np.searchsorted(cumulative, low, side="right")
        inside = np.minimum(chosen, len(scores) - 1)
        below = np.where(chosen > 0, cumulative[inside - 1], -total)  # nothing is below the first
        # Each weight is off by at most 2^-41 of itself (argument below 746, rounded three times), the sum by 2^-52 a term.
        margin = total * (2.0**-40 + len(scores) * 2.0**-51)
        certain = (chosen < len(scores)) & (low - below > margin) & (cumulative[inside] - high > margin)
        for index in np.flatnonzero(~certain).tolist():
            chosen[index] = pick_exactly([int(gap) for gap in gaps], rate, int(uniform[index]), 64, bits.integer)
        return chosen.astype(np.int64)

    @final
    def key(self) -> bytes:
        """Fresh key bytes."""
        return self._stream_key()[:32]


@final
class SystemNoise(_AbstractBitSource):
    """Noise from the operating system's entropy: each call keys its own AES-256-CTR stream with 48 fresh bytes.

    Privacy: safe after a fork and after a virtual machine is copied, because nothing is kept between calls.
    """

    name: ClassVar[str] = "os-entropy-aes256ctr"
    signable: ClassVar[bool] = True

    def _stream_key(self) -> bytes:
        return os.urandom(48)


@final
class UnsafeSeededNoise(_AbstractBitSource):
    """NOT PRIVATE: noise that anyone who knows the seed can subtract. For tests; a release made with it is never signed."""

    name: ClassVar[str] = "UNSAFE-seeded"
    signable: ClassVar[bool] = False

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._calls = 0

    def _stream_key(self) -> bytes:
        self._calls += 1
        return hashlib.sha384(f"unsafe {self._seed} {self._calls}".encode()).digest()


@final
class _Bits:
    """One call's stream of bits: AES-256-CTR."""

    def __init__(self, key: bytes) -> None:
        self._encrypt = Cipher(algorithms.AES256(key[:32]), modes.CTR(key[32:48])).encryptor()

    def words(self, count: int) -> npt.NDArray[np.uint64]:
        """`count` independent uniform 64-bit words."""
        return np.frombuffer(self._encrypt.update(bytes(8 * count)), dtype="<u8")

    def integer(self, bits: int) -> int:
        """A uniform integer of that many bits (a multiple of 8)."""
        return int.from_bytes(self._encrypt.update(bytes(bits // 8)), "big")


@lru_cache(maxsize=64)
def _table(sigma_squared: Fraction) -> tuple[MagnitudeCdf, npt.NDArray[np.int64]]:
    cdf = MagnitudeCdf(sigma_squared)
    return cdf, np.array(cdf.thresholds(_UNIFORM_BITS), dtype=np.int64)


def _draw_block(table: tuple[MagnitudeCdf, npt.NDArray[np.int64]], bits: _Bits, count: int) -> npt.NDArray[np.int64]:
    """Draw `count` values: bit 0 of each word is the sign, the other 63 invert the magnitude's distribution function.

    thresholds[m] = floor(2^63 P(|X| <= m)), so u < thresholds[m] proves |X| <= m and u > thresholds[m] proves |X| > m.
    """
    cdf, thresholds = table
    words = bits.words(count)
    uniform = (words >> np.uint64(1)).view(np.int64)
    magnitude = np.searchsorted(thresholds, uniform, side="right")
    undecided = np.flatnonzero(thresholds[np.maximum(magnitude - 1, 0)] == uniform)
    for index in undecided:
        first = int(np.searchsorted(thresholds, uniform[index], side="left"))
        magnitude[index] = cdf.invert(int(uniform[index]), _UNIFORM_BITS, first, bits.integer)
    return np.where((words & np.uint64(1)).astype(bool), -magnitude, magnitude).astype(np.int64)


def _draw_proposed(sigma_squared: Fraction, bits: _Bits, out: npt.NDArray[np.int64]) -> None:
    """Draw as many values as `out` holds: floats propose, and what their error bound leaves open is inverted."""
    inversion, proposer = _Inversion(sigma_squared, bits), HalfNormal(sigma_squared, min(_CACHED_BLOCK, len(out)))
    for start in range(0, len(out), _CACHED_BLOCK):
        block = out[start : start + _CACHED_BLOCK]
        words = bits.words(len(block))
        for index in proposer.propose(words, block).tolist():
            block[index] = inversion.value(int(words[index]))


def _draw_singly(sigma_squared: Fraction, bits: _Bits, count: int) -> npt.NDArray[np.int64]:
    """Draw without a table: enclosures of the distribution function decide each draw."""
    inversion = _Inversion(sigma_squared, bits)
    return np.array([inversion.value(word) for word in bits.words(count).tolist()], dtype=np.int64)


@final
class _Inversion:
    """One word at a time: a float guesses where the draw lies, and enclosures of the distribution function decide."""

    def __init__(self, sigma_squared: Fraction, bits: _Bits) -> None:
        self._cdf, self._sigma, self._bits = MagnitudeCdf(sigma_squared), float(sigma_squared) ** 0.5, bits

    def value(self, word: int) -> int:
        """The word's draw; takes further bits from the stream where the word does not decide."""
        uniform = word >> 1
        outside = ((1 << _UNIFORM_BITS) - uniform) / (2 << _UNIFORM_BITS)
        guess = round(-NormalDist().inv_cdf(outside) * self._sigma)
        magnitude = self._cdf.invert(uniform, _UNIFORM_BITS, guess, self._bits.integer)
        return -magnitude if word & 1 else magnitude

"""The proposals of rounded Gaussians: their bound holds in every cell, and what it leaves open is decided exactly.

The bound is checked against enclosures, which are themselves checked against mpmath in test_exact_cdf.
"""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from privsynth.privacy import half_normal, noise
from privsynth.privacy.enclosure import exp_minus, normal_within, pi
from privsynth.privacy.exact_cdf import MagnitudeCdf
from privsynth.privacy.half_normal import ERROR, NODE_ERROR, HalfNormal

P = 120
NODES = [Fraction((64 + j) << e, 64) for e in range(43, 63) for j in range(64)] + [Fraction(1 << 63)]
"""Left nodes of the cells of T, and the last one's right node."""


class Words:
    """A stream of given words; further bits are zeros, and counted."""

    def __init__(self, words):
        self.given, self.asked = list(words), 0

    def words(self, count):
        out, self.given = self.given[:count], self.given[count:]
        return np.array(out, dtype=np.uint64)

    def integer(self, bits):
        self.asked += 1
        return 0


def quantiles() -> list[float]:
    """z at each node, as the module has it."""
    return [*half_normal._coefficients()[5, 1:-1].tolist(), 0.0]


def density(z: Fraction) -> Fraction:
    """The normal density, to 100 bits."""
    return Fraction(exp_minus(z**2 / 2, P).low, math.isqrt(2 * pi(P).low << P))


def is_within(z: Fraction, low: Fraction, high: Fraction, error: Fraction) -> bool:
    """Whether z(t) is within `error` of z for each t in [low, high], by enclosures."""
    if z + error <= 0:
        return False
    beyond = 1 - Fraction(normal_within((z + error) ** 2, P).low, 1 << P)
    before = Fraction(1) if z <= error else 1 - Fraction(normal_within((z - error) ** 2, P).high, 1 << P)
    return beyond <= low and (high <= before or z <= error)


def word_of(tail: int, sign: int = 0) -> int:
    """The word whose v is `tail`."""
    return (((1 << 63) - 1 - tail) << 1) | sign


def every_cell() -> list[int]:
    """Tails on both sides of each node and inside each cell."""
    rng = np.random.default_rng(5)
    found = []
    for left, right in itertools.pairwise(NODES):
        start, width = int(left), int(right - left)
        found += [start, start + 1, start + width // 2, start + width - 1, start + int(rng.integers(width))]
    return [tail for tail in found if tail < (1 << 63) - 512]  # those that are nearest to 2^63 have no cell


def broken_bounds(tails: list[int], error: Fraction) -> int:
    """For how many words sigma p(T) is farther than `error` sigma from some magnitude that the word stands for."""
    proposer = HalfNormal(Fraction(1), len(tails))
    found = proposer._magnitudes(np.array([word_of(tail) for tail in tails], dtype=np.uint64)).tolist()
    whole = 1 << 63
    return sum(
        not is_within(Fraction(z), Fraction(tail, whole), Fraction(tail + 1, whole), error)
        for z, tail in zip(found, tails, strict=True)
    )


def test_every_node_is_proved():
    for z, node in zip(quantiles()[:-1], NODES, strict=False):
        tail = node / 2**63
        assert is_within(Fraction(z), tail, tail, Fraction(NODE_ERROR))


def test_slopes_and_curvatures_are_those_of_the_quantile():
    rows = half_normal._coefficients()[:, 1:-1]
    for z, node, slope, half in zip(quantiles(), NODES[:-1], rows[4].tolist(), rows[3].tolist(), strict=False):
        wanted = -1 / (2 * density(Fraction(z))) / 2**63
        assert abs(slope / wanted - 1) < 2**-46
        assert half == pytest.approx(z * float(wanted) ** 2 / 2, rel=2.0**-44)
        assert node > 0


def test_neighbouring_cells_meet():
    """The quintic of each cell ends where the next one begins: value, slope and curvature."""
    rows = half_normal._coefficients()[:, 1:-1]
    for cell, (left, right) in enumerate(itertools.pairwise(NODES)):
        width = float(right - left)
        scaled = rows[::-1, cell] * width ** np.arange(6)
        assert scaled.sum() == pytest.approx(quantiles()[cell + 1], abs=2.0**-50)
        if cell + 1 < len(NODES) - 1:
            following = rows[::-1, cell + 1] * width ** np.arange(6)
            assert (np.arange(6) * scaled).sum() == pytest.approx(following[1], abs=2.0**-50)
            assert (np.arange(6) * (np.arange(6) - 1) * scaled).sum() == pytest.approx(2 * following[2], abs=2.0**-46)


def test_each_term_of_the_bound_holds_in_every_cell():
    interpolation, standing = Fraction(0), Fraction(0)
    for z, left, right in zip(quantiles()[:-1], NODES[:-1], NODES[1:], strict=True):
        x = Fraction(z) + Fraction(NODE_ERROR)
        slope = 1 / (2 * density(x))
        sixth = (127 * x + 326 * x**3 + 120 * x**5) * slope**6
        interpolation = max(interpolation, ((right - left) / 2**63) ** 6 / 46080 * sixth)
        standing = max(standing, (1 + left / 2**53 + Fraction(1, 2**50)) / 2**63 * slope)
        assert x < 5
    assert interpolation < 2**-45.8
    assert standing < 2**-45.2
    rest = 2**-49 + 2**-52 + 2**-54 + 2**-51 + 2**-49
    total = 2**-45.8 + 2**-45.2 + rest
    assert total < 2**-44.2 < ERROR == 2**-44
    assert 0.1 * (ERROR - total) > 2**-54  # the comparison's rounding, from sigma 0.1 on
    assert 0.1 * quantiles()[0] < 0.5 - ERROR  # below, magnitudes with a cell are all zero


def test_the_sixth_derivative_is_the_one_in_the_proof():
    with mpmath.workprec(400):
        for t in (0.9, 0.5, 0.01):
            found = mpmath.diff(lambda x: mpmath.sqrt(2) * mpmath.erfinv(1 - x), mpmath.mpf(t), 6)
            z = mpmath.sqrt(2) * mpmath.erfinv(1 - mpmath.mpf(t))
            twice = 2 * mpmath.npdf(z)
            wanted = (127 * z + 326 * z**3 + 120 * z**5) / twice**6
            assert abs(found / wanted - 1) < 1e-15


def test_the_bound_holds_at_many_points_of_every_cell():
    assert broken_bounds(every_cell(), Fraction(ERROR)) == 0


def test_the_bound_is_not_idle():
    """A quarter of it would be broken somewhere: the points tried are where the error is."""
    assert broken_bounds(every_cell()[:640], Fraction(ERROR) / 4) > 0


@pytest.mark.parametrize("off", [-1, 1])
def test_a_cell_number_that_is_off_by_one_would_be_noticed(monkeypatch, off):
    monkeypatch.setattr(half_normal, "_BEFORE", half_normal._BEFORE + off)
    tails = every_cell()[500:1500]
    assert broken_bounds(tails, Fraction(ERROR)) > len(tails) // 2


def near_thresholds(sigma_squared: Fraction, magnitudes: list[int], steps: list[int]) -> list[int]:
    """Words whose 63 bits are a few steps from floor(2^63 P(|X| <= m)), of both signs."""
    cdf = MagnitudeCdf(sigma_squared)
    return [
        (((cdf.enclose(m, P).low >> (P - 63)) + step) << 1) | sign
        for m in magnitudes
        for step in steps
        for sign in (0, 1)
    ]


def proposed(sigma_squared: Fraction, words: list[int]) -> tuple[np.ndarray, np.ndarray]:
    out = np.empty(len(words), dtype=np.int64)
    uncertain = HalfNormal(sigma_squared, len(words)).propose(np.array(words, dtype=np.uint64), out)
    return out, uncertain


def drawn(sigma_squared: Fraction, words: list[int]) -> tuple[list[int], int]:
    stream, out = Words(words), np.empty(len(words), dtype=np.int64)
    noise._draw_proposed(sigma_squared, stream, out)
    return out.tolist(), stream.asked


SIGMAS = [
    Fraction(9, 10),
    Fraction(20),
    Fraction(5, 3) * 10**3,
    Fraction(1 << 17),
    Fraction(1 << 21),
    Fraction(1 << 30),
]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_at_a_threshold_nothing_is_certain_and_the_exact_draw_decides(sigma):
    s2 = sigma**2
    magnitudes = [int(sigma * k / 10) for k in range(0, 46, 3)]
    words = near_thresholds(s2, magnitudes, [-1, 0, 1])
    out, uncertain = proposed(s2, words)
    assert len(uncertain) == len(words)
    assert not out.any()
    found, asked = drawn(s2, words)
    assert asked >= 2 * len(set(magnitudes))  # at a threshold itself 63 bits do not decide
    for m, start in zip(magnitudes, range(0, len(words), 6), strict=True):
        assert found[start : start + 2] == [m, -m]  # u just below: |X| <= m
        assert found[start + 4 : start + 6] == [m + 1, -m - 1]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_around_the_edge_of_the_margin_draws_are_exact(sigma):
    """Words from inside to well outside the margin: wherever the floats decide, they decide as enclosures do."""
    s2, words = sigma**2, []
    for k in (1, 4, 11, 26, 41, 47):
        m = int(sigma * k / 10)
        margin = int(2 * float(density(Fraction(k, 10))) * ERROR * 2**63)  # in steps of u
        steps = sorted({sign * margin * share // 16 for share in (1, 6, 12, 15, 17, 24) for sign in (-1, 1)})
        words += near_thresholds(s2, [m], steps)
    stream = Words(words)
    assert drawn(s2, words)[0] == noise._draw_singly(s2, stream, len(words)).tolist()
    if sigma <= 1 << 21:
        assert 0 < len(proposed(s2, words)[1]) < len(words)


def test_without_a_margin_floats_would_decide_wrongly(monkeypatch):
    s2 = Fraction(1 << 21) ** 2
    words = near_thresholds(s2, [(1 << 21) * k // 10 for k in range(1, 47)], [-(1 << 12), -1, 1, 1 << 12])
    exact = noise._draw_singly(s2, Words(words), len(words)).tolist()
    assert drawn(s2, words)[0] == exact
    monkeypatch.setattr(half_normal, "ERROR", 0.0)
    assert drawn(s2, words)[0] != exact


@pytest.mark.parametrize("sigma", SIGMAS)
def test_proposals_are_what_single_draws_are_from_the_same_words(sigma, full):
    s2, count = sigma**2, 20_000 if full else 700
    words = np.random.default_rng(int(sigma)).integers(0, 2**64, count, dtype=np.uint64).tolist()
    words += [0, 1, 2, 3, 2**63, 2**63 + 1, word_of(1 << 62), word_of(1 << 62, 1), word_of((1 << 62) - 1)]
    assert drawn(s2, words)[0] == noise._draw_singly(s2, Words(words), len(words)).tolist()


def test_the_sign_is_a_bit_of_its_own():
    """Words that differ in the last bit alone are each other's negatives; those that differ in the one before it are not."""
    pairs = np.random.default_rng(8).integers(0, 2**63, 500, dtype=np.uint64) << np.uint64(1)
    plus, _ = proposed(Fraction(1 << 40), pairs.tolist())
    minus, _ = proposed(Fraction(1 << 40), (pairs + np.uint64(1)).tolist())
    assert (plus == -minus).all()
    assert (plus >= 0).all()
    assert (minus < 0).any()


@pytest.mark.parametrize("tail", [0, 1, 5, (1 << 20) + 3, (1 << 43) - 1, (1 << 63) - 1, (1 << 63) - 2])
def test_tails_and_ends_are_never_certain(tail):
    s2 = Fraction(1 << 18) ** 2
    words = [word_of(tail), word_of(tail, 1)]
    out, uncertain = proposed(s2, words)
    assert uncertain.tolist() == [0, 1]
    assert out.tolist() == [0, 0]
    assert drawn(s2, words)[0] == noise._draw_singly(s2, Words(words), 2).tolist()


def test_few_words_are_left_open():
    """Expected at sigma 2^20: a millionth for the tail, an eighth of that for the margin. Chance of 12 or more here: 1e-8."""
    words = np.random.default_rng(9).integers(0, 2**64, 1_000_000, dtype=np.uint64)
    out = np.empty(len(words), dtype=np.int64)
    assert len(HalfNormal(Fraction(1 << 40), len(words)).propose(words, out)) < 12


def test_blocks_of_every_length_use_their_own_words(monkeypatch):
    s2 = Fraction(1 << 17) ** 2
    words = np.random.default_rng(10).integers(0, 2**64, 100, dtype=np.uint64).tolist()
    whole = drawn(s2, words)[0]
    monkeypatch.setattr(noise, "_CACHED_BLOCK", 33)
    assert drawn(s2, words)[0] == whole


def test_a_node_that_starts_far_off_is_corrected(monkeypatch):
    class Crude:
        def inv_cdf(self, p):
            return -1.0

    monkeypatch.setattr(half_normal, "NormalDist", Crude)
    for tail in (Fraction(1, 2), Fraction(1, 4), Fraction(129, 256)):
        z, phi = half_normal._node(tail)
        assert is_within(Fraction(z), tail, tail, Fraction(NODE_ERROR))
        assert phi == pytest.approx(float(density(Fraction(z))), rel=2.0**-48)


@pytest.mark.parametrize(
    ("sigma", "cells", "path"),
    [
        (2048, 512, "_table"),
        (2048, 511, "_draw_proposed"),
        (2049, 10**4, "_draw_proposed"),
        (1 << 22, 64, "_draw_proposed"),
        (1 << 22, 63, "_draw_singly"),
        (40, 9, "_draw_singly"),
    ],
)
def test_which_way_is_taken(monkeypatch, sigma, cells, path):
    taken = []
    for name in ("_table", "_draw_proposed", "_draw_singly"):
        original = getattr(noise, name)
        monkeypatch.setattr(noise, name, lambda *a, f=original, n=name: taken.append(n) or f(*a))
    exact = np.full(cells, 10**15, dtype=np.int64)
    noisy = noise.SystemNoise().gaussian(exact, Fraction(sigma) ** 2)
    assert taken == [path]
    assert (exact == 10**15).all()
    assert np.abs(noisy - exact).max() < 12 * sigma
    assert len(set(noisy.tolist())) > cells // 2

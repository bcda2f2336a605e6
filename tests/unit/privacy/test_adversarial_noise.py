"""What an adversarial reading of the privacy core tried: each test kills a mutation that no other test noticed."""

import hashlib
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from privsynth.errors import MechanismError
from privsynth.privacy import mechanism, noise
from privsynth.privacy.accounting import NANO, ORDERS, Cap, Cost, epsilon_of
from privsynth.privacy.noise import SystemNoise

ORDERS_DIGEST = "419224b3312231cf05ed98fc0ecb0496e104427d875ec4cd7ff786b4b8669a49"


class Words:
    """A stream whose 64-bit words, then further bits, are given."""

    def __init__(self, words, further=()):
        self.given, self.further, self.asked = list(words), list(further), 0

    def words(self, count):
        out, self.given = self.given[:count], self.given[count:]
        return np.array(out, dtype=np.uint64)

    def integer(self, bits):
        self.asked += 1
        return self.further.pop(0)


def below(sigma_squared, m, precision=400):
    """floor(2^precision P(|X| <= m))."""
    with mpmath.workprec(precision + 200):
        x = mpmath.mpf(2 * m + 1) / mpmath.sqrt(mpmath.mpf(8) * sigma_squared.numerator / sigma_squared.denominator)
        return int(mpmath.floor(mpmath.erf(x) * mpmath.mpf(2) ** precision))


@pytest.mark.parametrize("m", [0, 1, 7])
@pytest.mark.parametrize("step", [-1, 0, 1])
def test_at_a_threshold_the_next_bits_decide(m, step):
    s2 = Fraction(9)
    cdf, t = noise._table(s2)
    u = int(t[m])
    assert noise._draw_block((cdf, t), Words([(u - 1) << 1]), 1)[0] == m
    assert noise._draw_block((cdf, t), Words([(u + 1) << 1]), 1)[0] == m + 1
    tail = below(s2, m, 191) & ((1 << 128) - 1)  # the bits of P(|X| <= m) that follow the threshold
    bits = Words([u << 1], [tail + step, (1 << 128) - 1] if step == 0 else [tail + step])
    # tie: next 128 bits of the bound itself
    got = noise._draw_block((cdf, t), bits, 1)[0]
    if step:
        assert (got, bits.asked) == (m if step < 0 else m + 1, 1)
    else:
        assert (got, bits.asked) == (m + 1, 2)


def test_the_last_word_reaches_beyond_the_table():
    cdf, t = noise._table(Fraction(9))
    bits = Words([2**64 - 2, 2**64 - 1], [2**128 - 1, 2**127, 2**128 - 1, 2**127])
    far = noise._draw_block((cdf, t), bits, 2)
    assert far[0] >= len(t) and far[1] <= -len(t)


@pytest.mark.parametrize("sigma", [5, 2**20])
def test_few_draws_are_made_without_a_table_and_are_the_same_ones(sigma):
    s2 = Fraction(sigma) ** 2
    words = [*np.random.default_rng(4).integers(0, 2**64, 40, dtype=np.uint64).tolist(), 0, 1, 2**63]
    singly = noise._draw_singly(s2, Words(words), len(words)).tolist()
    if sigma < 100:
        assert singly == noise._draw_block(noise._table(s2), Words(words), len(words)).tolist()
    for word, found in zip(words, singly, strict=True):
        m, u = abs(found), word >> 1
        assert u <= below(s2, m, 63) and (m == 0 or u >= below(s2, m - 1, 63))
        assert found == 0 or (found < 0) == bool(word & 1)


def test_a_wide_draw_needs_no_table(monkeypatch):
    monkeypatch.setattr(noise, "_table", None)
    drawn = SystemNoise().gaussian(np.zeros(50, np.int64), Fraction(2**80))
    assert 2**38 < drawn.astype(float).std() < 2**42
    assert SystemNoise().gaussian(np.zeros(0, np.int64), Fraction(4)).tolist() == []


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_floats_never_decide_within_their_error(monkeypatch, n):
    asked = []
    monkeypatch.setattr(noise, "pick_exactly", lambda *a: asked.append(1) or -1)
    for k in range(1, min(n, 4)):
        for off in (-(2**20), -1, 0, 1, 2**20):
            asked.clear()
            monkeypatch.setattr(noise, "_Bits", lambda key, w=k * 2**64 // n + off: Words([w]))
            assert SystemNoise().exponential(np.zeros(n, dtype=np.int64), Fraction(1)) == -1
        monkeypatch.setattr(noise, "_Bits", lambda key, w=k * 2**64 // n + 2**45: Words([w]))
        assert SystemNoise().exponential(np.zeros(n, dtype=np.int64), Fraction(1)) == k


def test_each_call_takes_48_fresh_bytes_and_nothing_else(monkeypatch):
    taken = []

    def urandom(n):
        taken.append(n)
        return bytes([len(taken)]) * n

    monkeypatch.setattr(noise.os, "urandom", urandom)
    s = SystemNoise()
    keys = []
    real = noise._Bits
    monkeypatch.setattr(noise, "_Bits", lambda key: keys.append(key) or real(key))
    s.gaussian(np.zeros(3, np.int64), Fraction(4))
    s.exponential(np.zeros(3, np.int64), Fraction(1))
    assert taken == [48, 48] and keys == [b"\x01" * 48, b"\x02" * 48]
    monkeypatch.undo()
    a = real(bytes(31) + b"\x00" + bytes(16)).words(4)
    for i in range(48):
        k = bytearray(48)
        k[i] = 1
        assert (real(bytes(k)).words(4) != a).any()


def test_variance_is_rounded_up_off_the_grid():
    for s, rho in ((1, Fraction(3, 7)), (5, Fraction(1, 3**18)), (4, Fraction(22, 7))):
        v = mechanism.gaussian_variance(s, rho)
        assert Fraction(s) / (2 * v) <= rho < Fraction(s) / (2 * (v - Fraction(1, 2**20)))
    for bad in (Fraction(0), Fraction(-1)):
        with pytest.raises(MechanismError):
            mechanism.gaussian_variance(1, bad)
        with pytest.raises(MechanismError):
            mechanism.exponential_epsilon(bad)


@pytest.mark.parametrize("eps", [Fraction(1, 100), Fraction(1), Fraction(10), Fraction(300)])
@pytest.mark.parametrize("delta", [Fraction(1, 10**6), Fraction(1, 3 * 10**9)])
def test_a_cap_is_the_floor_of_its_room(eps, delta):
    cap = Cap.of(eps, delta)
    a = ORDERS[cap.order_index]
    with mpmath.workprec(300):
        alpha, d = mpmath.mpf(a.numerator) / a.denominator, mpmath.mpf(delta.numerator) / delta.denominator / 2
        c = mpmath.log1p(-1 / alpha) - (mpmath.log(d) + mpmath.log(alpha)) / (alpha - 1)
        room = (mpmath.mpf(eps.numerator) / eps.denominator - c) * NANO
        assert room * (1 - mpmath.mpf(10) ** -11) - 1 <= cap.nano_rdp <= room

    def cost(nano, pico=0):
        return Cost(
            nano_rdp=tuple(nano if i == cap.order_index else 10**15 for i in range(len(ORDERS))), pico_delta=pico
        )

    assert cap.admits(cost(cap.nano_rdp)) and not cap.admits(cost(cap.nano_rdp + 1))
    assert cap.pico_delta <= delta / 2 * 10**12
    shown = cap.epsilon_spent(cost(cap.nano_rdp))
    assert float(eps) * (1 - 1e-6) <= shown <= float(eps) * (1 + 1e-11)


def test_pico_delta_is_rounded_down():
    assert Cap.of("1", "1e-11").pico_delta == 5 and Cap.of("1", "1.1e-11").pico_delta == 5


def test_costs_add_their_delta_and_refuse_negatives():
    assert (Cost.of(1, "1e-9") + Cost.of(1, "1e-9")).pico_delta == 2000
    with pytest.raises(MechanismError):
        Cost(nano_rdp=(-1,) * len(ORDERS), pico_delta=0)
    with pytest.raises(MechanismError):
        Cost(nano_rdp=(0,) * len(ORDERS), pico_delta=-1)


def test_no_budget_is_no_cap():
    with pytest.raises(MechanismError):
        Cap.of("1e-6", "1e-300")


def test_the_ledgers_orders_never_move():
    assert (len(ORDERS), ORDERS[0], ORDERS[-1]) == (73, Fraction(9, 8), Fraction(32769))
    assert hashlib.sha256(",".join(map(str, ORDERS)).encode()).hexdigest() == ORDERS_DIGEST


def test_epsilon_is_never_below_the_exact_conversion():
    for rho, delta in ((0.5, 1e-6), (1e-4, 1e-9), (30, 1e-10), (1e-9, 1e-6)):
        with mpmath.workprec(300):

            def at(x, rho=rho, delta=delta):
                a = 1 + mpmath.e**x
                return (
                    mpmath.mpf(rho) * a
                    + mpmath.log1p(-1 / a)
                    - (mpmath.log(mpmath.mpf(delta)) + mpmath.log(a)) / (a - 1)
                )

            min(at(mpmath.mpf(k) / 1000) for k in range(-13000, 20000, 10))
            # refine
            low, h = mpmath.mpf(-13), mpmath.mpf(20)
            for _ in range(200):
                t = (h - low) / 3
                low, h = (low, h - t) if at(low + t) <= at(h - t) else (low + t, h)
            assert (
                max(0, at((low + h) / 2))
                <= epsilon_of(rho, delta)
                <= max(mpmath.mpf(10) ** -30, at((low + h) / 2)) * (1 + mpmath.mpf(10) ** -10)
            )

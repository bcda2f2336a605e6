"""Canaries: made-up records that share no pair of values with each other, so that one fit can be asked about each of them.

Must never be mixed into a table of real records, nor hold anything of one: they are made from a domain's sizes alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import AuditError

Int64s = npt.NDArray[np.int64]

_MOST_LEVELS = 64
"""4,096 canaries: more cost a fit more than they add."""
_GOOD_LEVELS = 8


# ---- arithmetic of finite fields -------------------------------------------------------------------------------------


def prime_power(number: int) -> tuple[int, int] | None:
    """(p, k) where number = p^k with p prime and k at least 1, or None."""
    if number < 2:
        return None
    prime = next((factor for factor in range(2, number) if number % factor == 0), number)
    power, rest = 0, number
    while rest % prime == 0:
        power, rest = power + 1, rest // prime
    return (prime, power) if rest == 1 else None


def _digits(number: int, prime: int, length: int) -> list[int]:
    return [number // prime**place % prime for place in range(length)]


def _product(first: list[int], second: list[int], modulus: list[int], prime: int) -> list[int]:
    """The product of two polynomials, lowest coefficient first, modulo a monic one."""
    degree = len(modulus) - 1
    product = [0] * (2 * degree)
    for place, one in enumerate(first):
        for other_place, other in enumerate(second):
            product[place + other_place] = (product[place + other_place] + one * other) % prime
    for place in range(len(product) - 1, degree - 1, -1):
        lead = product[place]
        for offset, coefficient in enumerate(modulus):
            product[place - degree + offset] = (product[place - degree + offset] - lead * coefficient) % prime
    return product[:degree]


@lru_cache(maxsize=64)
def _multiplication(prime: int, power: int) -> Int64s:
    """The multiplication table of GF(prime^power), elements numbered by their digits. Shapes: (q, q).

    The monic polynomials of that degree are tried in turn, until one has no zero divisors: then it is irreducible.
    """
    size = prime**power
    elements = [_digits(number, prime, power) for number in range(size)]
    weights = [prime**place for place in range(power)]
    for low in range(size):
        modulus = [*_digits(low, prime, power), 1]
        table = np.zeros((size, size), dtype=np.int64)
        for one in range(1, size):
            row = [_product(elements[one], elements[other], modulus, prime) for other in range(1, size)]
            table[one, 1:] = np.array(row) @ np.array(weights)
            if not table[one, 1:].all():
                break
        else:
            return table
    raise AuditError(f"no field of {size} elements was found; this is a defect of privsynth")


def _addition(prime: int, power: int) -> Int64s:
    digits = np.array([_digits(number, prime, power) for number in range(prime**power)])
    summed: Int64s = ((digits[:, None] + digits[None, :]) % prime) @ np.array([prime**place for place in range(power)])
    return summed


def orthogonal_array(levels: int, columns: int) -> Int64s:
    """OA(levels^2, columns, levels, 2): any two columns show each pair of levels in exactly one row.

    So two rows agree in at most one column. Shapes: (levels^2, columns), values 0 to levels - 1.
    Source: Bush 1952: rows are the lines y = a x + b over GF(levels), columns their values at each x, and a itself.
    Raises: AuditError unless `levels` is a prime power and `columns` from 2 to levels + 1.
    """
    found = prime_power(levels)
    if found is None or not 2 <= columns <= levels + 1:
        raise AuditError(
            f"an orthogonal array needs a prime power of levels, and two columns to one more than there are levels; "
            f"found {levels} levels and {columns} columns"
        )
    times, plus = _multiplication(*found), _addition(*found)
    slope, intercept = np.divmod(np.arange(levels**2), levels)
    values = [plus[times[slope, x], intercept] for x in range(min(columns, levels))]
    return np.stack([*values, slope][:columns], axis=1)


# ---- canaries for a domain -------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canaries:
    """Canary records of a domain, and the ordinary records among which they are hidden.

    `factors` are columns, or groups of small columns read as one: its level 0 is what ordinary records show, and canaries show
    levels 1 to `levels`, in the rows of an orthogonal array, so that each pair of levels of two factors belongs to one canary.
    Ordinary records leave level 0 in one factor at most, so no such pair is theirs. Columns in no factor say nothing: canaries
    and ordinary records alike hold random levels there.
    Shapes: `array` is (levels^2, factors), `codes` is (levels^2, attributes of the domain).
    """

    domain: Domain
    factors: tuple[Clique, ...]
    levels: int
    array: Int64s
    codes: Int64s

    @classmethod
    def of(cls, domain: Domain, *, rng: np.random.Generator, most_levels: int = _MOST_LEVELS) -> Canaries | None:
        """Canaries for a domain, or None where it is too small for two factors of three levels.

        As many levels as leave four factors, or else three, or two, where that leaves eight at least.
        """
        sizes = [size for size in range(most_levels, 1, -1) if prime_power(size)]
        plans = [(levels, _factors(domain, levels)) for levels in sizes]
        chosen = next(
            (
                plan
                for fewest, least in ((4, _GOOD_LEVELS), (3, _GOOD_LEVELS), (2, 2))
                for plan in plans
                if len(plan[1]) >= fewest and plan[0] >= least
            ),
            None,
        )
        if chosen is None:
            return None
        levels, factors = chosen
        array = orthogonal_array(levels, len(factors)) + 1
        codes = _anything(domain, levels**2, rng)
        _set(domain, codes, factors, array)
        return cls(domain=domain, factors=factors, levels=levels, array=array, codes=codes)

    @property
    def count(self) -> int:
        """How many canaries there are."""
        return len(self.codes)

    def ordinary(self, rows: int, *, rng: np.random.Generator) -> Int64s:
        """Codes of ordinary records. Shapes: (rows, attributes)."""
        codes = _anything(self.domain, rows, rng)
        shown = np.zeros((rows, len(self.factors)), dtype=np.int64)
        shown[np.arange(rows), rng.integers(0, len(self.factors), rows)] = rng.integers(0, self.levels + 1, rows)
        _set(self.domain, codes, self.factors, shown)
        return codes

    def score(self, released: Dataset) -> npt.NDArray[np.float64]:
        """How often the release shows each canary's pairs of levels, over all pairs of factors. Shapes: (count,).

        A released row that agrees with a canary in a factors adds a (a - 1) / 2. As canaries agree with each other in one
        factor at most, a copy of one adds to its own score alone.
        """
        shown = np.stack([_level(self.domain, released, factor) for factor in self.factors], axis=1)
        shown[shown > self.levels] = 0
        found = np.zeros(self.count)
        width = self.levels + 1
        for first, second in itertools.combinations(range(len(self.factors)), 2):
            cells = np.bincount(shown[:, first] * width + shown[:, second], minlength=width**2)
            found += cells[self.array[:, first] * width + self.array[:, second]]
        return found


def _factors(domain: Domain, levels: int) -> tuple[Clique, ...]:
    """Columns with more than `levels` levels, and groups of smaller ones that have so many together; levels + 1 at most."""
    found: list[Clique] = []
    group: Clique = ()
    for name in sorted(domain.attributes, key=domain.size, reverse=True):
        group = (*group, name)
        if domain.cells(group) > levels:
            found, group = [*found, group], ()
    return tuple(found[: levels + 1])


def _set(domain: Domain, codes: Int64s, factors: Sequence[Clique], shown: Int64s) -> None:
    """Write levels of factors as codes of their columns, the last column fastest."""
    for factor, column in zip(factors, shown.T, strict=True):
        for name, code in zip(factor, np.unravel_index(column, domain.shape(factor)), strict=True):
            codes[:, domain.index(name)] = code


def _level(domain: Domain, released: Dataset, factor: Clique) -> Int64s:
    """Which level of a factor each released row shows."""
    return np.ravel_multi_index([released.column(name).astype(np.int64) for name in factor], domain.shape(factor))


def _anything(domain: Domain, rows: int, rng: np.random.Generator) -> Int64s:
    """Codes drawn at random in every column."""
    return rng.integers(0, np.array(domain.sizes), (rows, len(domain)))

"""Canaries: made-up records that share no pair of values with each other, so that one fit can be asked about each of them.

Must never be mixed into a table of real records, nor hold anything of one: they are made from a domain's sizes alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import AuditError

Int64s = npt.NDArray[np.int64]

_MOST_LEVELS = 64
"""4,096 canaries: more cost a fit more than they add."""
_WANTED_COLUMNS = 4


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

    In the columns `columns` level 0 is what ordinary records show, and canaries show levels 1 to `levels` in the rows of an
    orthogonal array: each pair of canary levels belongs to one canary. Ordinary records leave level 0 in one column at most,
    so no pair of canary levels is theirs. All other columns, among them those with too few levels, say nothing: canaries and
    ordinary records alike hold random levels there that are drawn without regard to who is who.
    Shapes: `codes` is (levels^2, attributes of the domain).
    """

    domain: Domain
    columns: tuple[str, ...]
    levels: int
    codes: Int64s

    @classmethod
    def of(cls, domain: Domain, *, rng: np.random.Generator, most_levels: int = _MOST_LEVELS) -> Canaries | None:
        """Canaries for a domain, or None where it has no two columns of three levels.

        As many levels as four columns have (all columns, where there are fewer), and then all columns with so many.
        """
        by_size = sorted(domain.attributes, key=domain.size, reverse=True)
        if len(by_size) < 2:
            return None
        enough = domain.size(by_size[min(_WANTED_COLUMNS, len(by_size)) - 1])
        if enough < 3:
            enough = domain.size(by_size[1])
        levels = next((size for size in range(min(enough - 1, most_levels), 1, -1) if prime_power(size)), 0)
        if not levels:
            return None
        wide = [name for name in by_size if domain.size(name) > levels][: levels + 1]
        columns = tuple(name for name in domain.attributes if name in set(wide))
        codes = _anything(domain, levels**2, rng)
        codes[:, [domain.index(name) for name in columns]] = orthogonal_array(levels, len(columns)) + 1
        return cls(domain=domain, columns=columns, levels=levels, codes=codes)

    @property
    def count(self) -> int:
        """How many canaries there are."""
        return len(self.codes)

    def ordinary(self, rows: int, *, rng: np.random.Generator) -> Int64s:
        """Codes of ordinary records. Shapes: (rows, attributes)."""
        codes = _anything(self.domain, rows, rng)
        for name in self.columns:
            codes[:, self.domain.index(name)] = 0
        column = rng.integers(0, len(self.columns), rows)
        place = np.array([self.domain.index(name) for name in self.columns], dtype=np.int64)[column]
        codes[np.arange(rows), place] = rng.integers(0, self.levels, rows, endpoint=True)
        return codes

    def score(self, released: Dataset) -> npt.NDArray[np.float64]:
        """How often the release shows each canary's pairs of levels, over all pairs of canary columns. Shapes: (count,).

        A released row that agrees with a canary in a columns adds a (a - 1) / 2. As canaries agree with each other in one
        column at most, a copy of one adds to its own score alone.
        """
        found = np.zeros(self.count)
        mine = {name: self.codes[:, self.domain.index(name)] for name in self.columns}
        for first, second in itertools.combinations(self.columns, 2):
            found += released.marginal((first, second))[mine[first], mine[second]]
        return found


def _anything(domain: Domain, rows: int, rng: np.random.Generator) -> Int64s:
    """Codes drawn at random in every column."""
    return rng.integers(0, np.array(domain.sizes), (rows, len(domain)))

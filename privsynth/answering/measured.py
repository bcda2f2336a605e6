"""Measured: what the noisy tables themselves say of a question's sums, without any model, and how exactly.

Must never use anything but measurements and the size of their noise, both public.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.answering.forms import Factors, Form
from privsynth.measurement import Measurement

Floats = npt.NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Direct:
    """Unbiased estimates of a form's sums. Shapes: `sums` is (sums,), `covariance` (sums, sums)."""

    sums: Floats
    covariance: Floats


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cover:
    """A table that a form's sums are sums of: its number, and the factors over its groups.

    `whole` says that no factor tells levels of a group apart; otherwise a group's factor is the mean over its levels.
    """

    number: int
    factors: tuple[Factors, ...]
    whole: bool


def covering(form: Form, tables: Sequence[Measurement], shares: Mapping[str, Floats]) -> list[Cover]:
    """The tables that a form's sums are sums of; where some are so without regard to groups' insides, these alone.

    A form without columns, the number of records, is a sum of every table.

    Args: `shares` are noisy counts of each column's levels, by which levels of one group are weighed.
    """
    wanted = set(form.columns)
    found = []
    for number, table in enumerate(tables):
        if wanted <= set(table.clique):
            pairs = [_grouped(one, table.groups, shares) for one in form.sums]
            factors, whole = tuple(one for one, _ in pairs), all(each for _, each in pairs)
            found.append(Cover(number=number, factors=factors, whole=whole))
    clean = [one for one in found if one.whole]
    return clean or found


def _grouped(
    factors: Factors, groups: Mapping[str, tuple[int, ...]], shares: Mapping[str, Floats]
) -> tuple[Factors, bool]:
    out, whole = {}, True
    for name, factor in factors.items():
        if name not in groups:
            out[name] = factor
            continue
        of, share = np.array(groups[name]), np.maximum(shares[name], 1e-9)
        mean = np.bincount(of, weights=share * factor) / np.bincount(of, weights=share)
        whole &= bool(np.allclose(mean[of], factor, rtol=1e-9, atol=1e-12))
        out[name] = mean
    return out, whole


def direct(form: Form, covered: Sequence[Cover], tables: Sequence[Measurement]) -> Direct | None:
    """What the tables say together, each weighed by how exactly it is known; None where none covers the form."""
    if not covered:
        return None
    count = len(form.sums)
    sums, covariance, total = np.zeros(count), np.zeros((count, count)), 0.0
    for cover in covered:
        table, factors = tables[cover.number], cover.factors
        inner = _inner(factors, table)
        summed = math.prod(
            size for name, size in zip(table.clique, table.values.shape, strict=True) if name not in form.columns
        )
        weight = 1 / (table.variance * summed)
        sums += weight * np.array([_summed(one, table) for one in factors])
        covariance += weight**2 * table.variance * inner
        total += weight
    return Direct(sums=sums / total, covariance=covariance / total**2)


def _summed(factors: Factors, table: Measurement) -> float:
    current = table.values.astype(np.float64)
    for name in table.clique:
        current = np.tensordot(factors[name], current, axes=(0, 0)) if name in factors else current.sum(axis=0)
    return float(current)


def _inner(factors: Sequence[Factors], table: Measurement) -> Floats:
    """Sums over the table's cells of products of two sums' weights. Shapes: (sums, sums)."""
    out = np.ones((len(factors), len(factors)))
    for name, size in zip(table.clique, table.values.shape, strict=True):
        stacked = np.stack([one.get(name, np.ones(size)) for one in factors])
        out *= stacked @ stacked.T
    return out

"""Speed of the parts: counting all pairs, drawing records, drawing noise of counts and of gradients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.markov_random_field import MarkovRandomField
from privsynth.privacy.noise import SystemNoise
from tests.bench.row import Row, cpu_seconds

SIZES = (2, 42, 16, 7, 15, 6, 5, 2, 9, 20, 30, 25, 12, 3, 10)
DOMAIN = Domain(tuple(f"c{i}" for i in range(len(SIZES))), SIZES)


def rows() -> Iterator[Row]:
    """All of them."""
    yield from counting()
    yield from drawing()
    yield from noise()
    yield from gradient_noise()


def counting() -> Iterator[Row]:
    """All 105 pairs of 15 columns with 2 to 42 levels, unevenly filled."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.combinations(DOMAIN.attributes, 2))
    for records, scale, unit, target, repeat in (
        (45_000, 1e3, "CPU ms", "<= 15", 7),
        (10_000_000, 1, "CPU s", "<= 1.1", 2),
    ):
        columns = tuple((rng.random(records, dtype=np.float32) ** 2 * size).astype(np.uint8) for size in SIZES)
        data = Dataset(tuple(np.minimum(c, size - 1) for c, size in zip(columns, SIZES, strict=True)), DOMAIN)
        seconds = cpu_seconds(lambda data=data: data.marginals(pairs), repeat)  # type: ignore[misc]
        yield Row(name=f"105 pairs of {records} records", value=seconds * scale, unit=unit, target=target)


def drawing() -> Iterator[Row]:
    """A tree over 15 attributes; each hangs on one before it."""
    rng = np.random.default_rng(1)
    names = DOMAIN.attributes
    edges = [(names[int(rng.integers(i))], names[i]) for i in range(1, len(names))]
    tables = {edge: rng.normal(size=DOMAIN.shape(edge)) for edge in edges}
    model = MarkovRandomField(CliqueVector.of(DOMAIN, tables), 1.0)
    records = 2_000_000
    seconds = cpu_seconds(lambda: model.draw(records, rng), 3)
    yield Row(name="records of a tree over 15 attributes", value=records / seconds, unit="per CPU s", target=">= 2e6")


def noise() -> Iterator[Row]:
    """Rounded Gaussian noise at sigma 10, from the system's entropy, against OpenDP's exact discrete one."""
    exact = np.zeros(10_000_000, dtype=np.int64)
    source = SystemNoise()
    ours = len(exact) / cpu_seconds(lambda: source.gaussian(exact, Fraction(100)), 3)
    yield Row(name="exact noise values, sigma 10", value=ours, unit="per CPU s", target=">= 1e7")
    theirs = _opendp(100_000)
    yield Row(name="OpenDP's exact noise values, sigma 10", value=theirs, unit="per CPU s")
    yield Row(name="noise over OpenDP's", value=ours / theirs, unit="ratio", target=">= 100")


def gradient_noise() -> Iterator[Row]:
    """The noise of one gradient step, wide and rounded exactly, and how it compares with as much of a count's noise."""
    exact = np.zeros(160_000, dtype=np.int64)
    source = SystemNoise()
    wide = cpu_seconds(lambda: source.gaussian(exact, Fraction(1 << 36)), 50) / len(exact)
    yield Row(name="noise, sigma 2^18, 160000 cells", value=wide * 1e9, unit="CPU ns a draw", target="<= 30")
    counts = cpu_seconds(lambda: source.gaussian(exact, Fraction(100)), 50) / len(exact)
    yield Row(name="noise at sigma 2^18 over sigma 10", value=wide / counts, unit="ratio", target="<= 1")


def _opendp(values: int) -> float:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i32")), dp.l2_distance(T=float)
    mechanism = dp.m.make_gaussian(*space, scale=10.0)
    exact = [0] * values
    return values / cpu_seconds(lambda: mechanism(exact), 2)

"""Other people's generators with a claim, as functions: broken ones. What is right in them is right by the same code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest

from privsynth import records
from privsynth.audit_plan import AuditPlan
from privsynth.black_box import checks as black_box
from privsynth.black_box.adapter import Adapter
from privsynth.dataset import Dataset
from privsynth.encoding import decode, encode_public
from privsynth.findings import Findings
from privsynth.records import Records
from tests.kill_matrix import references
from tests.kill_matrix.defect import Defect
from tests.kill_matrix.population import CLAIM, SCHEMA

Sample: TypeAlias = Callable[[Records, int, np.random.Generator], Records]
"""Fits records and gives so many."""

SIGMA = math.sqrt(len(SCHEMA.modelled) / (2 * 0.03))
"""For one table a column, (1, 1e-5)-differential privacy takes rho = 0.0306 (Canonne, Kamath, Steinke 2020)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackBox:
    """A function that somebody else wrote, and its claim."""

    sample: Sample
    seeded: bool = False
    plan: str = "quick"

    def audited(self, patch: pytest.MonkeyPatch, seed: int) -> Findings:
        """Run it on made-up tables of the schema, as the audit of a function with a claim does."""
        rng = np.random.default_rng(seed)

        def generate(training: Any, rows: int) -> object:
            own = np.random.default_rng(7) if self.seeded else rng
            return records.to_arrow(self.sample(records.read_public(training, SCHEMA), rows, own), {})

        return black_box.check(
            AuditPlan.load(self.plan).black_box,
            Adapter.of_function(generate),
            schema=SCHEMA,
            claim=CLAIM,
            max_rows=1,
            rng=np.random.default_rng(seed + 1),
        )


def _independent(table: Records, rows: int, rng: np.random.Generator, sigma: float) -> Dataset:
    data = encode_public(table)
    columns = {}
    for name, size in zip(data.domain.attributes, data.domain.sizes, strict=True):
        noisy = np.maximum(data.marginal((name,)) + rng.normal(0, sigma, size), 0) if sigma else data.marginal((name,))
        columns[name] = rng.choice(size, rows, p=noisy / noisy.sum())
    return Dataset.from_columns(columns, data.domain)


def independent(sigma: float) -> Sample:
    """One noisy table a column."""
    return lambda table, rows, rng: decode(_independent(table, rows, rng, sigma), SCHEMA, rng=rng)


def chain(sigma: float) -> Sample:
    """A noisy table of every two neighbouring columns, and each column drawn given the one before it."""

    def sample(table: Records, rows: int, rng: np.random.Generator) -> Records:
        data = encode_public(table)
        names = data.domain.attributes
        first = np.maximum(data.marginal((names[0],)) + rng.normal(0, sigma, data.domain.size(names[0])), 1e-9)
        columns = {names[0]: rng.choice(len(first), rows, p=first / first.sum())}
        for before, name in pairwise(names):
            exact = data.marginal((before, name))
            noisy = np.maximum(exact + rng.normal(0, sigma, exact.shape), 1e-9)
            up_to = np.cumsum(noisy / noisy.sum(axis=1, keepdims=True), axis=1)[columns[before]]
            columns[name] = np.minimum((up_to < rng.random((rows, 1))).sum(axis=1), exact.shape[1] - 1)
        return decode(Dataset.from_columns(columns, data.domain), SCHEMA, rng=rng)

    return sample


def resampled(table: Records, rows: int, rng: np.random.Generator) -> Records:
    """Records drawn from the training data, with a fifth of the cells from other people: no noise at all."""
    ticks = {}
    chosen = rng.integers(0, table.rows, rows)
    for name, column in table.ticks.items():
        other = rng.integers(0, table.rows, rows)
        ticks[name] = column[np.where(rng.random(rows) < 0.2, other, chosen)]
    return Records(schema=SCHEMA, ticks=ticks)


def within_range(table: Records, rows: int, rng: np.random.Generator) -> Records:
    """Noisy tables, scaled to the smallest and largest number of the training data."""
    drawn = independent(SIGMA)(table, rows, rng)
    ticks = {}
    for name, column in drawn.ticks.items():
        known = table.ticks[name]
        labels = name in {"ward", "diagnosis"}
        scaled = known.min() + (column * (known.max() - known.min())) // max(1, int(column.max()))
        ticks[name] = np.where(np.isin(column, known), column, known[0]) if labels else scaled
    return drawn.with_ticks(ticks)


DEFECTS = (
    Defect(
        name="epsilon is read and not used",
        drawn_from=references.DATAXID_19,
        what="A function that claims epsilon 1 and mixes training rows without any noise.",
        target=BlackBox(sample=resampled),
        caught_by="black box: one-run canaries",
    ),
    Defect(
        name="range and labels from the data",
        drawn_from=references.SYNTHCITY_278,
        what="Noisy tables, but numbers and labels are fitted to those that occur in the training data.",
        target=BlackBox(sample=within_range),
        caught_by="black box: values that nobody else has",
    ),
    Defect(
        name="a fixed seed",
        drawn_from=references.DP_RECORDER,
        what="The right noise, from a seed that is the same for every fit.",
        target=BlackBox(sample=independent(SIGMA), seeded=True),
        caught_by="black box: repeats itself",
    ),
    Defect(
        name="n times too little noise in a black box",
        drawn_from=references.DATASYNTHESIZER_34,
        what="Noise made for shares is added to counts, in somebody else's chain of conditional tables.",
        target=BlackBox(sample=chain(SIGMA / 300)),
        caught_by="black box: one-run canaries",
    ),
)

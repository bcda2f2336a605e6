"""Model collapse in numbers, and how well learning curves are fitted.

credit_default at epsilon 1: a model is fitted to 10,000 real rows, the next one to as many rows that it drew, and so on; each
is held against the real rows. Curves: 200 made ones whose law is known, six sizes with four scores each. The command is
`python -m tests.bench trust`, or `python -m tests.bench.trust_growth` for these rows alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import privsynth as ps
from privsynth import encoding, frames, records
from privsynth.dataset import Dataset
from privsynth.growth.curve import fit_curve
from privsynth.schema import Schema
from tests.bench.downstream import EXAMPLES
from tests.bench.row import Row

GENERATIONS = 4
RECORDS = 10_000
TAIL = 0.005
"""A level that fewer real rows than this share have is of the tail."""
CURVES = 200


def rows() -> Iterator[Row]:
    """Collapse over generations, then the curves."""
    yield from collapse()
    yield from curves()


def collapse() -> Iterator[Row]:
    """Errors of pairs, and the share of the tail's levels that still occur, generation by generation."""
    folder = EXAMPLES / "credit_default"
    schema = Schema.load(folder / "schema.toml")
    source = folder / "clients.csv.gz"
    every = pa.table(frames.read(source, frames.column_names(source)))
    real = every.take(pa.array(np.random.default_rng(1).choice(every.num_rows, RECORDS, replace=False)))
    truth = encoding.encode_public(records.read_public(real, schema, out_of_domain="clamp"))
    table = real
    for generation in range(1, GENERATIONS + 1):
        rng = np.random.default_rng(generation)
        model = ps.fit(table, schema, epsilon=1, delta="1e-6", out_of_domain="clamp", synthetic="allow")
        table = model.sample(RECORDS, rng=rng)
        made = encoding.encode_public(records.read_public(table, schema, out_of_domain="clamp"))
        yield Row(name=f"collapse, generation {generation}: mean error of pairs", value=_pairs(truth, made), unit="TV")
        yield Row(
            name=f"collapse, generation {generation}: levels of the tail that still occur",
            value=_tail(truth, made),
            unit="share",
        )


def _pairs(truth: Dataset, made: Dataset) -> float:
    pairs = list(itertools.combinations(truth.domain.attributes, 2))
    return float(np.mean([_apart(truth.marginal(pair), made.marginal(pair)) for pair in pairs]))


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)


def _tail(truth: Dataset, made: Dataset) -> float:
    kept: list[bool] = []
    for name in truth.domain.attributes:
        counts = truth.marginal((name,))
        rare = (counts > 0) & (counts < TAIL * counts.sum())
        kept += (made.marginal((name,))[rare] > 0).tolist()
    return float(np.mean(kept))


def curves() -> Iterator[Row]:
    """Known laws with known noise: the ceiling and its interval; and scores that do not depend on the size."""
    rng = np.random.default_rng(1)
    sizes = np.repeat([250, 500, 1000, 2000, 4000, 8000], 4)
    off, covered, wrong = [], [], 0
    for _ in range(CURVES):
        noise = rng.normal(0, 0.005, sizes.size)
        found = fit_curve(sizes, 0.9 - 1.5 * sizes**-0.5 + noise, gain=0.005, rng=rng)
        if found.ceiling is not None and found.ceiling_interval is not None:
            off.append(abs(found.ceiling - 0.9))
            covered.append(found.ceiling_interval[0] <= 0.9 <= found.ceiling_interval[1])
        wrong += fit_curve(sizes, 0.8 + noise, gain=0.005, rng=rng).shape != "flat"
    yield Row(name="learning curves: a known growing curve is called one", value=len(off) / CURVES, unit="share")
    yield Row(name="learning curves: mean error of the ceiling", value=float(np.mean(off)), unit="score")
    yield Row(name="learning curves: coverage of its 95 % interval", value=float(np.mean(covered)), unit="share")
    yield Row(name="learning curves: flat scores called something else", value=wrong / CURVES, unit="share")


if __name__ == "__main__":
    for row in rows():
        print(row.to_json())

"""Correlations of mixed kinds agree with their definitions, missing values left out, and constants count as uncorrelated."""

import numpy as np
import pytest
from scipy.stats.contingency import association

from privsynth import records
from privsynth.encoding import encode_public
from privsynth.metrics import correlations
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "t"
[columns.x]
kind = "integer"
lower = 0
upper = 999
missing = [""]
bins = { method = "uniform", count = 10 }
[columns.y]
kind = "integer"
lower = 0
upper = 999
missing = [""]
bins = { method = "uniform", count = 10 }
[columns.g]
kind = "category"
values = ["A", "B", "C"]
[columns.h]
kind = "category"
values = ["P", "Q", "R", "S"]
missing = ["?"]
""")


def table(rows, seed, *, tie=0.6, constant=False):
    rng = np.random.default_rng(seed)
    latent = rng.random(rows)
    mixed = [tie * latent + (1 - tie) * rng.random(rows) for _ in range(4)]
    x, y = ((part * 999).astype(np.int64) for part in mixed[:2])
    g, h = (np.minimum((part * size).astype(np.int64), size - 1) for part, size in zip(mixed[2:], (3, 4), strict=True))
    gone = rng.random((3, rows)) < 0.1
    frame = {
        "x": ["" if lost else str(value) for value, lost in zip(x, gone[0], strict=True)],
        "y": ["" if lost else str(value) for value, lost in zip(y, gone[1], strict=True)],
        "g": ["A" if constant else "ABC"[value] for value in g],
        "h": ["?" if lost else "PQRS"[value] for value, lost in zip(h, gone[2], strict=True)],
    }
    found = records.read_public(frame, SCHEMA)
    return found, encode_public(found), {"x": np.where(gone[0], np.nan, x), "y": np.where(gone[1], np.nan, y)}


def test_each_measure_is_its_definition():
    found, data, values = table(800, 1)
    got = correlations.compare(SCHEMA, (found, data), (found, data))
    both = ~np.isnan(values["x"]) & ~np.isnan(values["y"])
    assert got.real[0, 1] == pytest.approx(np.corrcoef(values["x"][both], values["y"][both])[0, 1])
    known = ~np.isnan(values["x"])
    x, g = values["x"][known], data.column("g")[known]
    between = sum((g == code).sum() * (x[g == code].mean() - x.mean()) ** 2 for code in range(3))
    left = (1 - between / ((x - x.mean()) ** 2).sum()) * (len(x) - 1) / (len(x) - 3)
    assert got.real[0, 2] == pytest.approx(np.sqrt(1 - left))
    counts = data.marginal(("g", "h"))
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    phi = max(0.0, ((counts - expected) ** 2 / expected).sum() / 800 - 2 * 4 / 799)
    assert got.real[2, 3] == pytest.approx(np.sqrt(phi / (3 - 4 / 799 - 1)))
    assert got.real[2, 3] == pytest.approx(association(counts, method="cramer"), abs=0.02)
    assert np.array_equal(np.isnan(got.real), np.eye(4, dtype=bool))
    assert got.gaps.max() == 0
    assert [got.measure(*pair) for pair in ((0, 1), (0, 2), (2, 3))] == ["Pearson", "correlation ratio", "Cramér's V"]


def test_independent_labels_have_no_association_left_by_chance():
    rng = np.random.default_rng(0)
    found = [correlations.cramers_v((rng.integers(0, 9, 300), rng.integers(0, 9, 300)), (9, 9)) for _ in range(20)]
    assert np.mean(found) < 0.06


def test_numbers_that_go_with_no_label_have_no_correlation_ratio_left_by_chance():
    rng = np.random.default_rng(0)
    found = [correlations._ratios(rng.integers(0, 60, 500), rng.normal(size=(1, 500)))[0] for _ in range(40)]
    assert np.mean(found) < 0.1, "without the correction .34"
    alone = correlations._ratios(np.arange(5), rng.normal(size=(1, 5)))
    assert np.isnan(alone).all(), "groups of one row explain everything"


def test_many_levels_are_counted_by_the_cells_that_occur():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, 400), rng.integers(0, 5, 400)
    assert correlations.cramers_v(codes, (5, 5)) == pytest.approx(correlations.cramers_v(codes, (5, 5000)))


def test_a_dependence_that_is_gone_is_a_difference_even_where_the_column_is_constant():
    real, gone = table(800, 1), table(800, 2, constant=True)
    got = correlations.compare(SCHEMA, real[:2], gone[:2])
    assert got.synthetic[2, 3] == 0
    assert got.difference[2, 3] == pytest.approx(-got.real[2, 3])
    assert (2, 3) in got.worst(3)
    both = correlations.compare(SCHEMA, gone[:2], gone[:2])
    assert np.isnan(both.real[2]).all()
    assert both.to_json()["real"][2] == [None] * 4

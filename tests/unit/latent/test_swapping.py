"""Swapping: what it keeps, what it lowers, and that its running tables are those of the records."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.latent import swapping
from privsynth.latent.layout import Layout, pair_counts
from privsynth.latent.swapping import passes_for, swap

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LAYOUT = Layout((3, 4, 2))


def dealt(seed: int, rows: int = 120) -> tuple[Ints, Ints, Floats]:
    """Independent records in four classes, and the tables of other records that depend on each other."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, rows) for size in LAYOUT.sizes])
    classes = np.sort(rng.integers(0, 4, rows))
    hidden = rng.integers(0, 3, rows)
    wanted = [hidden, np.minimum(3, hidden + rng.integers(0, 2, rows)), (hidden > 1) ^ (rng.random(rows) < 0.1)]
    return codes, classes, pair_counts([one.astype(np.int64) for one in wanted], LAYOUT)


def distance(codes: Ints, tables: Floats) -> float:
    """Squared differences over the square root of what a cell should hold; empty cells count as ruled out."""
    excess = pair_counts(list(codes), LAYOUT) - tables + np.where(tables > 0, 0.0, 1e6)
    return float((excess**2 / np.sqrt(tables + 1))[LAYOUT.above()].sum())


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_every_attribute_keeps_its_counts_in_every_class_and_tables_come_closer(seed: int) -> None:
    codes, classes, tables = dealt(seed)
    before = codes.copy()
    swap(codes, classes, tables, LAYOUT, np.random.default_rng(seed))
    for attribute in range(3):
        for which in range(4):
            inside = classes == which
            assert sorted(codes[attribute, inside]) == sorted(before[attribute, inside])
    tables = np.maximum(tables, 1e-9)
    assert (
        np.abs(pair_counts(list(codes), LAYOUT) - tables).sum()
        < np.abs(pair_counts(list(before), LAYOUT) - tables).sum()
    )


@pytest.mark.parametrize("seed", range(4))
def test_one_at_a_time_the_distance_falls_by_what_is_judged(seed: int) -> None:
    """Batches of one: every swap that is taken lowers the distance, and those that would lower it are taken."""
    codes, _, tables = dealt(seed)
    places = codes + LAYOUT.starts[:, None]
    excess = pair_counts(list(codes), LAYOUT) - tables + np.where(tables > 0, 0.0, 1e6)
    flat = excess.astype(np.float32).reshape(-1)
    scale = (1 / np.sqrt(tables + 1)).astype(np.float32).reshape(-1)
    rng = np.random.default_rng(seed)
    taken = 0
    for _ in range(150):
        attribute, first, second = (int(rng.integers(3)), int(rng.integers(120)), int(rng.integers(120)))
        if codes[attribute, first] == codes[attribute, second]:
            continue
        proposed = codes.copy()
        proposed[attribute, [first, second]] = codes[attribute, [second, first]]
        gain = distance(proposed, tables) - distance(codes, tables)
        swapping._improve(places, attribute, np.array([first]), np.array([second]), flat, scale)
        swapped = places[attribute, first] != codes[attribute, first] + LAYOUT.starts[attribute]
        assert swapped == (gain < -1e-3) or abs(gain) < 1e-2
        if swapped:
            codes, taken = proposed, taken + 1
        np.testing.assert_array_equal(places - LAYOUT.starts[:, None], codes)
    assert taken > 20
    blocks = LAYOUT.owner[:, None] != LAYOUT.owner[None, :]
    running = flat.reshape(excess.shape) - np.where(tables > 0, 0.0, 1e6) + tables
    np.testing.assert_allclose(running[blocks], pair_counts(list(codes), LAYOUT)[blocks], atol=0.2)


def test_swapping_in_batches_of_one_never_raises_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swapping, "_BATCH", (1, 1, 1))
    monkeypatch.setattr(swapping, "_PASSES", 1)
    codes, classes, tables = dealt(5)
    tables += 1.0
    found = [distance(codes, tables)]
    for seed in range(12):
        swap(codes, classes, tables, LAYOUT, np.random.default_rng(seed))
        found.append(distance(codes, tables))
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(found))
    assert found[-1] < 0.5 * found[0]


def test_a_batch_is_judged_against_the_same_tables_and_carried_out_whole() -> None:
    codes = np.array([[0, 0, 1, 1], [1, 1, 0, 0]])
    layout = Layout((2, 2))
    tables = pair_counts([np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])], layout)
    excess = (pair_counts(list(codes), layout) - tables).astype(np.float32).reshape(-1)
    places = codes + layout.starts[:, None]
    scale = np.ones(16, dtype=np.float32)
    swapping._improve(places, 0, np.array([0, 1]), np.array([2, 3]), excess, scale)
    assert places[0].tolist() == [1, 1, 0, 0]
    off = layout.owner[:, None] != layout.owner[None, :]
    assert not excess.reshape(4, 4)[off].any()


def test_cells_that_are_ruled_out_are_emptied_before_all_others() -> None:
    rng = np.random.default_rng(0)
    codes, classes, _ = dealt(1, 600)
    tables = pair_counts([rng.integers(0, size, 600) for size in LAYOUT.sizes], LAYOUT)
    tables[0, 6] = tables[6, 0] = tables[4, 8] = tables[8, 4] = 0.0
    wrong = ((codes[0] == 0) & (codes[1] == 3)) | ((codes[1] == 1) & (codes[2] == 1))
    assert wrong.sum() > 100
    swap(codes, classes, tables, LAYOUT, rng)
    wrong = ((codes[0] == 0) & (codes[1] == 3)) | ((codes[1] == 1) & (codes[2] == 1))
    assert wrong.sum() <= 2


def test_pairs_of_rows_are_of_one_class_and_no_row_is_in_two() -> None:
    classes = np.repeat(np.arange(50), 7)
    met = set()
    for seed in range(30):
        first, second = swapping._partners(classes, np.random.default_rng(seed))
        np.testing.assert_array_equal(classes[first], classes[second])
        both = np.concatenate([first, second])
        assert len(set(both.tolist())) == len(both)
        assert 2 * len(first) > 0.75 * len(classes)
        assert (np.diff(first) < 0).mean() > 0.3
        met |= {tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(met) > 0.6 * 50 * 21


@pytest.mark.parametrize("rows", [2, 3])
def test_few_rows_are_no_trouble(rows: int) -> None:
    codes, _, tables = dealt(0, rows)
    before = codes.copy()
    swap(codes, np.zeros(rows, dtype=np.int64), tables, LAYOUT, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(codes), np.sort(before))


def test_passes_are_as_many_as_their_time_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swapping, "_WORK", 8e8)
    assert passes_for(0, 0) == passes_for(1000, 10) == 10
    assert [passes_for(10**6, attributes) for attributes in (9, 20, 28, 29)] == [9, 2, 1, 0]

"""Rows that no rule allows are replaced so that every attribute's shares stay: fresh rows alone would move them."""

import numpy as np
import pytest

from privsynth.domain import Domain, Impossible
from privsynth.latent.replacing import replace_impossible
from privsynth.structural import StructuralZeros

ROWS = 20_000
DRUG, CHANGE, SEX = np.array([0.7, 0.2, 0.1]), np.array([0.6, 0.4]), np.array([0.5, 0.5])
"""A drug that was raised or lowered (levels 1 and 2) is a change (level 1): so 0.3 of rows cannot have both as they like."""


def zeros() -> StructuralZeros:
    cells = np.zeros((3, 2), dtype=bool)
    cells[1:, 0] = True
    return StructuralZeros(
        Domain(("drug", "change", "sex"), (3, 2, 2), impossible=(Impossible.of(("drug", "change"), cells),))
    )


def drawer(rng):
    return lambda rows: [rng.choice(len(part), rows, p=part).astype(np.uint8) for part in (DRUG, CHANGE, SEX)]


@pytest.fixture
def drawn():
    return drawer(np.random.default_rng(1))(ROWS)


def gaps(codes):
    return [
        float(np.abs(np.bincount(column, minlength=len(part)) / len(column) - part).sum())
        for column, part in zip(codes, (DRUG, CHANGE, SEX), strict=True)
    ]


def test_no_row_hits_an_impossible_cell_and_shares_stay(drawn):
    rng = np.random.default_rng(2)
    replace_impossible(drawn, zeros(), (DRUG, CHANGE, SEX), drawer(rng), rng)
    assert zeros().allowed(drawn).all()
    assert max(gaps(drawn)) < 0.01


def test_fresh_rows_alone_would_move_them(drawn):
    rng = np.random.default_rng(2)
    while (wrong := np.flatnonzero(~zeros().allowed(drawn))).size:
        for column, fresh in zip(drawn, drawer(rng)(wrong.size), strict=True):
            column[wrong] = fresh
    assert max(gaps(drawn)) > 0.1


def test_rows_that_obey_are_left_alone(drawn):
    allowed = zeros().allowed(drawn)
    obeying = [column[allowed] for column in drawn]
    before = [column.copy() for column in obeying]
    rng = np.random.default_rng(2)
    replace_impossible(obeying, zeros(), (DRUG, CHANGE, SEX), drawer(rng), rng)
    for one, two in zip(obeying, before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_where_nothing_allowed_is_drawn_rows_are_left_to_repair(drawn):
    def only_wrong(rows):
        return [np.full(rows, code, dtype=np.uint8) for code in (1, 0, 0)]

    before = [column.copy() for column in drawn]
    replace_impossible(drawn, zeros(), (DRUG, CHANGE, SEX), only_wrong, np.random.default_rng(2))
    for one, two in zip(drawn, before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_level_that_no_candidate_has_is_no_division_by_zero(drawn):
    def without_level_two(rows):
        rng = np.random.default_rng(rows)
        return [
            rng.integers(0, 2, rows, dtype=np.uint8),
            np.ones(rows, np.uint8),
            rng.integers(0, 2, rows, dtype=np.uint8),
        ]

    replace_impossible(drawn, zeros(), (DRUG, CHANGE, SEX), without_level_two, np.random.default_rng(2))
    assert zeros().allowed(drawn).all()

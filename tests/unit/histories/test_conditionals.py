"""Attributes given others: regressions match what they were fitted to, many levels are looked up, evidence is chosen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.domain import Domain
from privsynth.histories import conditionals
from privsynth.histories.conditionals import ConditionalDraws
from privsynth.histories.matching import Pool
from privsynth.histories.regressing import Regression
from tests import made_models

Ints = npt.NDArray[np.int64]


def table(one: Ints, other: Ints, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]) / len(one)


def made(rows: int = 4000) -> tuple[list[Ints], Ints]:
    """Two dependent attributes of three and four levels, and one of five that depends on both, in two cells for certain."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, rows)
    second = (first + (rng.random(rows) < 0.3) * rng.integers(0, 4, rows)) % 4
    target = np.where(rng.random(rows) < 0.6, first + (second == 3), rng.integers(0, 5, rows))
    return [first, second], np.where(second == 2, 4, target)


def test_a_regression_matches_the_table_of_every_pair_it_was_fitted_to() -> None:
    evidence, target = made()
    found = Regression.fit(evidence, (3, 4), target, 5)
    rng = np.random.default_rng(1)
    repeated = [np.tile(codes, 50) for codes in evidence]
    drawn = found.draw(repeated, len(repeated[0]), rng)
    for codes, many, size in zip(evidence, repeated, (3, 4), strict=True):
        apart = table(codes, target, (size, 5)) - table(many, drawn, (size, 5))
        assert np.abs(apart).sum() < 0.015
    assert (drawn[repeated[1] == 2] == 4).mean() > 0.99


def test_without_evidence_or_variety_the_shares_are_kept() -> None:
    rng = np.random.default_rng(2)
    target = (rng.random(3000) < 0.25).astype(np.int64)
    drawn = Regression.fit([], (), target, 2).draw([], 40_000, rng)
    assert abs(float(drawn.mean()) - float(target.mean())) < 0.01
    one = Regression.fit([np.zeros(30, dtype=np.int64)], (1,), np.zeros(30, dtype=np.int64), 1)
    assert (one.draw([np.zeros(4, dtype=np.int64)], 4, rng) == 0).all()
    assert one.draw([np.zeros(0, dtype=np.int64)], 0, rng).shape == (0,)


def test_levels_without_room_are_never_drawn_and_others_in_proportion_where_nothing_else_tells() -> None:
    rng = np.random.default_rng(4)
    room = rng.integers(0, 4, (6000, 5)).astype(np.float32)
    room[:, 0] += 1
    chances = room * np.array([1, 1, 1, 1, 6]) / (room * np.array([1, 1, 1, 1, 6])).sum(axis=1, keepdims=True)
    target = (np.cumsum(chances, axis=1) <= rng.random((6000, 1))).sum(axis=1).clip(max=4)
    fitted = Regression.fit([], (), target, 5, room)
    other = np.tile(np.array([[2, 0, 1, 0, 0], [1, 0, 0, 0, 1]], dtype=np.float32), (20_000, 1))
    drawn = fitted.draw([], len(other), rng, other)
    assert (other[np.arange(len(other)), drawn] > 0).all()
    assert abs((drawn[::2] == 0).mean() - 2 / 3) < 0.03
    assert abs((drawn[1::2] == 4).mean() - 6 / 7) < 0.03


def test_draws_follow_the_distribution_given_what_matters_and_leave_out_what_does_not() -> None:
    rng = np.random.default_rng(3)
    copied = np.concatenate([np.eye(4), np.eye(4), np.full((3, 4), 1 / 3)])
    domain = Domain(("a", "b", "c"), (4, 4, 3))
    draws = ConditionalDraws(made_models.mixture(domain, copied, np.full(4, 0.25)))
    given = {"a": rng.integers(0, 4, 500), "c": rng.integers(0, 3, 500)}
    found = draws.draw(given, ["b"], 500, rng)["b"]
    assert (found == given["a"]).mean() > 0.98
    assert draws.evidence(("a", "c"), "b") == ("a",)
    assert draws.draw(given, [], 500, rng) == {}


def test_what_is_drawn_first_is_evidence_for_what_is_drawn_next() -> None:
    rng = np.random.default_rng(4)
    domain = Domain(("a", "b", "c"), (2, 3, 3))
    halves = np.concatenate([np.full((2, 3), 0.5), np.eye(3), np.eye(3)])
    found = ConditionalDraws(made_models.mixture(domain, halves, np.full(3, 1 / 3))).draw(
        {"a": np.zeros(600, dtype=np.int64)}, ["b", "c"], 600, rng
    )
    assert (found["b"] == found["c"]).mean() > 0.98
    assert np.bincount(found["b"], minlength=3).min() > 100


@pytest.mark.parametrize("direct", [True, False])
def test_attributes_of_many_levels_are_drawn_directly_or_matched(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditionals, "_LEVELS", 3)
    rng = np.random.default_rng(5)
    copied = np.concatenate([np.eye(4), np.eye(4)])
    model = made_models.mixture(Domain(("a", "b"), (4, 4)), copied, np.full(4, 0.25))
    if not direct:
        monkeypatch.setattr(type(model), "draw_each", lambda self, given, wanted, rng: None)
    given = {"a": rng.integers(0, 4, 300)}
    np.testing.assert_array_equal(ConditionalDraws(model).draw(given, ["b"], 300, rng)["b"], given["a"])


def test_evidence_of_many_levels_counts_as_its_frequent_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditionals, "_TOLD_APART", 3)
    rng = np.random.default_rng(6)
    copied = np.concatenate([np.eye(6), np.eye(6)])
    weights = np.array([0.05, 0.4, 0.05, 0.4, 0.05, 0.05])
    model = made_models.mixture(Domain(("a", "b"), (6, 6)), copied, weights)
    given = {"a": np.repeat(np.arange(6), 200)}
    found = ConditionalDraws(model).draw(given, ["b"], 1200, rng)["b"].reshape(6, 200)
    assert (found[1] == 1).mean() > 0.95
    assert (found[3] == 3).mean() > 0.95
    assert set(found[[0, 2, 4, 5]].ravel().tolist()) >= {0, 2, 4, 5}


def test_matching_leaves_out_the_last_evidence_first() -> None:
    pool = Pool({"a": np.array([0, 0, 1]), "b": np.array([0, 1, 1])})
    rng = np.random.default_rng(7)
    exact = pool.match({"a": np.array([0, 0, 1]), "b": np.array([0, 1, 1])}, 3, rng)
    np.testing.assert_array_equal(exact, [0, 1, 2])
    assert pool.match({"a": np.array([1]), "b": np.array([0])}, 1, rng).tolist() == [2]
    assert set(pool.match({"a": np.full(90, 5)}, 90, rng).tolist()) == {0, 1, 2}
    assert set(pool.match({}, 90, rng).tolist()) == {0, 1, 2}

"""Which links are best, and how sure they are, on files small enough to reason about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.linkage import Linkage, Links, _Field
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

GAP = MISSING
Column = Sequence[int] | npt.NDArray[np.int64]


def records(columns: Mapping[str, Column]) -> Records:
    """A table; columns whose names begin with "n" are whole numbers, others labels."""
    number = 'kind = "integer"\nlower = 0\nupper = 9999\nbins = {method = "uniform", count = 3}'
    label = f'kind = "category"\nvalues = {[f"v{i}" for i in range(200)]}'
    text = '[table]\nname = "t"\n' + "".join(
        f'[columns.{name}]\n{number if name.startswith("n") else label}\nmissing = ["?"]\n' for name in columns
    )
    ticks = {name: np.asarray(column, dtype=np.int64) for name, column in columns.items()}
    return Records(schema=Schema.loads(text), ticks=ticks)


def linked(
    released: Mapping[str, Column],
    persons: Mapping[str, Column],
    *,
    learn: bool = False,
    close: float = 0.02,
    seed: int = 0,
) -> Links:
    rng = np.random.default_rng(seed)
    linkage = Linkage(records(released), records(persons), list(released), close)
    if learn:
        linkage.learn(rng=rng)
    return linkage.best(rng=rng, told=lambda percent: None)


def test_agreeing_on_a_rare_value_counts_more_than_on_a_common_one() -> None:
    released = {"a": [0] * 5 + [7, 8, 9, 6, 5], "b": [3, *range(10, 18), 4]}
    # Row 9 agrees on the rare label of b alone; rows 0 to 4 on the common label of a alone.
    assert linked(released, {"a": [0], "b": [4]}).row.tolist() == [9]


def test_a_near_number_is_better_than_a_far_one_and_an_equal_one_is_best() -> None:
    released = {"n": list(range(0, 1000, 10)), "a": [1] * 100}
    assert linked(released, {"n": [500, 501], "a": [1, 1]}).row.tolist()[0] == 50
    assert linked(released, {"n": [501], "a": [1]}).row[0] in (49, 50, 51, 52)
    # The neighbours of a value are close, however few ranks `close` is.
    assert linked(released, {"n": [503], "a": [1]}, close=0.0).row[0] in (50, 51)


def test_labels_are_never_close() -> None:
    sure = linked({"a": [*range(50)], "b": [*range(50)]}, {"a": [10], "b": [11]}, close=0.4)
    assert sure.row[0] in (10, 11)


def test_a_gap_in_either_file_adds_nothing() -> None:
    released = {"a": [1, 2, GAP], "b": [1, 1, 2]}
    assert linked(released, {"a": [GAP], "b": [2]}).row.tolist() == [2]
    # The third record's gap does not count as disagreement, so its label decides.
    assert linked(released, {"a": [3], "b": [2]}).row.tolist() == [2]
    every = linked({"a": [GAP] * 4}, {"a": [GAP, 1]})
    assert every.log_odds[0] == every.log_odds[1]


def test_equal_records_share_the_odds_and_either_is_drawn() -> None:
    released = {"a": [*range(50), 7], "n": [*range(50), 7]}
    alone, shared = linked(released, {"a": [8, 7], "n": [8, 7]}).log_odds
    assert shared < 0 < alone
    drawn = {int(linked(released, {"a": [7], "n": [7]}, seed=seed).row[0]) for seed in range(20)}
    assert drawn == {7, 50}
    # Different records that are equally good, too.
    drawn = {int(linked({"a": [1, 2, 3]}, {"a": [9]}, seed=seed).row[0]) for seed in range(30)}
    assert drawn == {0, 1, 2}


def test_more_released_records_make_a_link_less_sure() -> None:
    few, many = (linked({"a": [i % 150 for i in range(rows)]}, {"a": [149]}).log_odds[0] for rows in (150, 1500))
    assert many < few < 0


@pytest.mark.parametrize("wrong", ["a", "b"])
def test_which_column_is_unreliable_is_learnt_without_the_truth(wrong: str) -> None:
    rng = np.random.default_rng(1)
    released = {name: rng.integers(0, 100, 400) for name in ("a", "b", "c", "d")}
    persons = {name: column[:100].copy() for name, column in released.items()}
    persons[wrong] = rng.integers(100, 150, 100)
    # The last person agrees with record 300 in a, and with record 301 in b.
    released["a"][300], released["b"][301] = 190, 191
    last = {"a": 190, "b": 191, "c": GAP, "d": GAP}
    row = linked(released, {name: np.append(persons[name], last[name]) for name in persons}, learn=True).row
    assert row[-1] == (301 if wrong == "a" else 300)
    assert (row[:-1] == np.arange(100)).mean() > 0.95


def test_that_hardly_anybody_has_a_link_is_learnt() -> None:
    rng = np.random.default_rng(2)
    released = {name: rng.integers(0, 20, 500) for name in ("a", "b", "c")}
    strangers = {name: rng.integers(0, 20, 200) for name in released}
    same = {name: column[:200] for name, column in released.items()}
    chance = {name: np.append(strangers[name], released[name][0]) for name in released}
    known = {name: np.append(same[name], released[name][0]) for name in released}
    assert linked(released, chance, learn=True).log_odds[-1] < linked(released, known, learn=True).log_odds[-1] - 1


def test_many_columns_and_very_long_odds_are_numbers() -> None:
    rng = np.random.default_rng(3)
    released = {f"a{i}": rng.integers(0, 200, 300) for i in range(190)}
    persons = {name: np.append(column[:20], 5) for name, column in released.items()}
    links = linked(released, persons, learn=True)
    assert np.isfinite(links.log_odds).all()
    assert links.row[:20].tolist() == list(range(20))


@pytest.mark.parametrize("name", ["a", "n"])
def test_how_often_records_agree_by_chance_is_counted_among_the_values_that_are_known(name: str) -> None:
    rng = np.random.default_rng(4)
    released = np.where(rng.random(300) < 0.3, GAP, rng.integers(0, 12, 300) * 2)
    persons = np.append(rng.integers(0, 26, 60), GAP)
    field = _Field(records({name: released}), records({name: persons}), name, 0.0)
    known = np.unique(released[released != GAP])
    for value, case in zip(persons[:-1], field.cases[:-1], strict=True):
        place = int(np.searchsorted(known, value))
        beside = set(known[max(0, place - 1) : place].tolist())
        beside |= set(known[place : place + 2].tolist() if value in known else known[place : place + 1].tolist())
        close = beside - {int(value)} if name == "n" else set()
        counts = np.array([0, np.isin(released, list(close)).sum(), (released == value).sum()])
        counts[0] = (released != GAP).sum() - counts.sum()
        assert field.chance[case] == pytest.approx((counts + 0.5) / (counts.sum() + 1.5))


@pytest.mark.parametrize("name", ["a", "n"])
def test_the_weight_of_a_pair_is_that_of_its_agreement(name: str) -> None:
    rng = np.random.default_rng(5)
    released = np.where(rng.random(300) < 0.1, GAP, rng.integers(0, 60, 300) ** 2 // 20)
    persons = np.append(rng.integers(0, 190, 40), GAP)
    field = _Field(records({name: released}), records({name: persons}), name, 0.05)
    weights = field.weights(np.array([0.2, 0.5, 0.3]))
    disagree, close, agree, unknown = weights.T
    assert disagree.max() <= 0
    assert (close <= agree).all()
    assert not unknown.any()
    people = np.arange(41)
    levels = field.levels(people, np.tile(field.kinds, (41, 1)))
    rows = np.stack([field.row(weights, int(case)) for case in field.cases])
    assert np.allclose(weights[field.cases[:, None], levels], rows[:, field.kinds], atol=1e-6)
    assert not weights[field.cases[-1]].any()
    assert set(np.unique(levels).tolist()) == ({0, 2, 3} if name == "a" else {0, 1, 2, 3})
    if name == "a":
        assert disagree[~field.gap] == pytest.approx(np.minimum(0.0, np.log(0.2) - np.log(field.chance[~field.gap, 0])))

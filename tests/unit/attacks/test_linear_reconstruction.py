"""The system of equations, what is guessed from it, and what makes it strong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.attack import Outcome, View
from privsynth.attacks.linear_reconstruction import LinearReconstruction, _keys, _least_squares, _signs
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

LABELS = [f"v{number}" for number in range(20)]
TEXT = f"""
[table]
name = "t"
[columns.a]
kind = "category"
values = {LABELS}
[columns.b]
kind = "category"
values = {LABELS}
[columns.n]
kind = "integer"
lower = 0
upper = 1000
bins = {{method = "uniform", count = 3}}
missing = ["?"]
[columns.s]
kind = "category"
values = ["x", "y", "z"]
role = "sensitive"
"""
SCHEMA = Schema.loads(TEXT)


def people(rows: int, seed: int, schema: Schema = SCHEMA) -> Records:
    rng = np.random.default_rng(seed)
    columns = (
        rng.integers(0, 20, rows),
        rng.integers(0, 20, rows),
        rng.integers(0, 1000, rows),
        rng.integers(0, 3, rows),
    )
    return Records(schema=schema, ticks=dict(zip(("a", "b", "n", "s"), columns, strict=True)))


def joined(first: Records, second: Records) -> Records:
    return first.with_ticks({name: np.concatenate([first.ticks[name], second.ticks[name]]) for name in first.ticks})


def tried(released: Records, targets: Records, **settings: float) -> tuple[Outcome, ...]:
    attack = LinearReconstruction.model_validate(settings)
    return attack.attack(
        View(schema=released.schema, synthetic=released, targets=targets), rng=np.random.default_rng(0)
    )


def test_conjugate_gradients_solve_what_least_squares_solves() -> None:
    rng = np.random.default_rng(1)
    cells = np.stack([rng.integers(0, 6, 30), 6 + rng.integers(0, 4, 30), 10 + rng.integers(0, 20, 30)])
    answers, weights = rng.normal(size=30), rng.uniform(0.5, 2.0, 30)
    matrix = np.zeros((30, 30))
    for marginal in cells:
        matrix[marginal, np.arange(30)] = 1
    rows = np.concatenate([matrix * np.sqrt(weights)[:, None], np.sqrt(0.3) * np.eye(30)])
    right = np.concatenate([answers * np.sqrt(weights), np.zeros(30)])
    expected = np.linalg.lstsq(rows, right, rcond=None)[0]
    assert np.allclose(_least_squares(cells, answers, weights, 0.3, 200), expected, atol=1e-5)
    assert not _least_squares(cells, np.zeros(30), weights, 0.3, 200).any()


def test_members_secrets_are_told_and_controls_are_not() -> None:
    members, controls = people(150, 1), people(150, 2)
    (outcome,) = tried(joined(members, people(300, 3)), joined(members, controls), share=0.5)
    assert outcome.label == "linear reconstruction: s"
    assert outcome.success[:150].mean() > 0.8
    assert outcome.success[150:].mean() < 0.2
    assert outcome.score is not None
    assert outcome.score[:150].mean() > 2 * outcome.score[150:].mean()


@pytest.mark.parametrize("times", [1, 4])
def test_members_count_for_as_many_as_there_are_targets_however_many_rows_are_released(times: int) -> None:
    members, controls = people(150, 1), people(150, 2)
    (outcome,) = tried(members.take(np.tile(np.arange(150), times)), joined(members, controls), ridge=1e-3)
    assert outcome.score is not None
    assert np.median(outcome.score[:150]) == pytest.approx(2.0, abs=0.1)
    assert np.median(outcome.score[150:]) < 0.1


def test_released_records_that_agree_with_nobody_say_nothing() -> None:
    targets, released = people(50, 1), people(50, 2)
    for name, beyond in (("a", 10), ("b", 10), ("n", 500)):
        targets.ticks[name][:] %= beyond
        released.ticks[name][:] = released.ticks[name] % beyond + beyond
    targets.ticks["n"][:] = MISSING
    (outcome,) = tried(released, targets)
    assert outcome.score is not None
    assert not outcome.score.any()
    assert outcome.baseline == 0


def test_a_target_s_own_secret_is_not_looked_at() -> None:
    released, targets = people(200, 1), people(100, 2)
    other = targets.with_ticks({**targets.ticks, "s": (targets.ticks["s"] + 1) % 3})
    (first,), (second,) = tried(released, targets), tried(released, other)
    assert first.score is not None
    assert second.score is not None
    assert first.score.tolist() == second.score.tolist()
    assert first.success.tolist() != second.success.tolist()


def test_wrong_secrets_in_the_release_are_wrong_guesses() -> None:
    members = people(100, 1)
    lying = members.with_ticks({**members.ticks, "s": np.where(members.ticks["s"] == 0, 1, 0)})
    lying.ticks["s"][:5] = 0
    commonest = int(np.bincount(lying.ticks["s"]).argmax())
    (outcome,) = tried(lying, members, share=1.0)
    assert outcome.success.mean() < 0.5
    assert outcome.baseline == pytest.approx((members.ticks["s"] == commonest).mean(), abs=0.05)


def test_more_released_rows_make_it_stronger() -> None:
    def excess(times: int) -> int:
        total = 0
        for seed in range(4):
            rng = np.random.default_rng(seed)
            members, controls = people(150, 10 + seed), people(150, 20 + seed)
            released = members.take(rng.integers(0, 150, 150 * times))
            changed = people(released.rows, 30 + seed)
            ticks = {
                name: np.where(rng.random(released.rows) < 0.35, changed.ticks[name], column)
                for name, column in released.ticks.items()
            }
            (outcome,) = tried(released.with_ticks(ticks), joined(members, controls), share=0.5)
            total += int(outcome.success[:150].sum()) - int(outcome.success[150:].sum())
        return total

    once, often = excess(1), excess(10)
    assert often > 1.3 * once > 0


def test_the_surest_share_is_guessed_and_nothing_that_no_count_speaks_of() -> None:
    released, targets = people(100, 1), people(60, 2)
    strangers = targets.with_ticks({**targets.ticks, "a": targets.ticks["a"] % 5, "b": np.full(60, 19)})
    released.ticks["b"][:] = 0
    (outcome,) = tried(released, strangers, share=1.0)
    assert outcome.score is not None
    assert not outcome.success[outcome.score == 0].any()
    (few,), (all_of_them,) = (tried(people(100, 1), targets, share=share) for share in (0.1, 1.0))
    assert few.score is not None
    surest = few.score >= np.sort(few.score)[-6]
    assert (few.success == (all_of_them.success & surest)).all()


@pytest.mark.parametrize(
    ("name", "ticks", "signs"),
    [
        ("s", [2, 2, 2, 0, 1], [1, 1, 1, -1, -1]),
        ("n", [1, 2, 3, 4, MISSING], [-1, -1, 1, 1, -1]),
        ("n", [7, 7, 7], [-1, -1, -1]),
    ],
)
def test_a_secret_is_cut_at_the_commonest_label_or_above_the_median(
    name: str, ticks: list[int], signs: list[int]
) -> None:
    base = people(len(ticks), 1)
    table = base.with_ticks({**base.ticks, name: np.array(ticks)})
    assert _signs(table, table, name).tolist() == signs


def test_rows_have_equal_keys_where_they_agree_in_the_columns_taken() -> None:
    columns = [np.array([0, 0, 1, 0]), np.array([5, 5, 5, 5]), np.array([2, 2, 2, 3]), np.array([1, 1, 1, 1])]
    seen: set[tuple[bool, ...]] = set()
    for seed in range(50):
        keys: npt.NDArray[np.int64] = _keys(columns, 4, np.random.default_rng(seed))
        assert keys[0] == keys[1]
        seen.add(tuple((keys == keys[0]).tolist()))
    assert seen == {(True, True, third, fourth) for third in (True, False) for fourth in (True, False)}


def test_half_of_the_columns_or_more_are_taken_and_no_more_than_twenty() -> None:
    for columns, least, most in ((6, 3, 6), (40, 10, 20)):
        each_differs_in_one = [
            np.append((np.arange(columns) == column).astype(np.int64), 0) for column in range(columns)
        ]
        taken = set()
        for seed in range(200):
            keys = _keys(each_differs_in_one, columns + 1, np.random.default_rng(seed))
            taken.add(int((keys != keys[-1]).sum()))
        assert taken == set(range(least, most + 1))


def test_where_no_secret_is_declared_the_most_even_columns_are_secrets() -> None:
    schema = Schema.loads(TEXT.replace('role = "sensitive"', ""))
    labels = [each.label for each in tried(people(101, 1, schema), people(20, 2, schema), undeclared=2)]
    assert labels == ["linear reconstruction: n", "linear reconstruction: s"]

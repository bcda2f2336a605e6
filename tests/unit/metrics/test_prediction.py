"""Learners taught on synthetic rows: intervals, gaps, one answer only, and rows of one person on one side."""

import numpy as np
import pytest

from privsynth.errors import RecordsError
from privsynth.learning.task import Task
from privsynth.metrics import prediction
from tests.unit.learning.test_task import SCHEMA, table

TASK = Task.of(SCHEMA)


def examples(rows, seed):
    return TASK.examples(table(rows, np.random.default_rng(seed)))


def blurred(rows, seed):
    """Answers that have nothing to do with the inputs."""
    found = examples(rows, seed)
    return prediction.Examples(
        inputs=found.inputs, answers=np.random.default_rng(seed).permutation(found.answers), rows=found.rows
    )


@pytest.fixture(scope="module")
def baseline():
    split = prediction.parts(TASK, examples(900, 1), examples(600, 2), rng=np.random.default_rng(0))
    return prediction.Baseline(TASK, split, rng=np.random.default_rng(0))


def test_rows_of_the_population_teach_as_much_as_real_ones_and_noise_teaches_nothing(baseline):
    same, problem = baseline.of_synthetic(examples(900, 3))
    assert problem is None
    for one in same:
        assert one.real.lower < one.real.value < one.real.upper
        assert one.gap is not None and one.synthetic is not None
        assert abs(one.gap.value) < 0.05
        assert one.gap.value == pytest.approx(one.synthetic.value - one.real.value)
    noise, _ = baseline.of_synthetic(blurred(900, 3))
    for one in noise:
        assert one.gap is not None
        assert one.gap.upper < -0.1


def test_a_synthetic_table_with_one_answer_is_reported_and_the_real_one_still_judged(baseline):
    found = examples(300, 4)
    lone = found.take(found.answers == 1)
    learned, problem = baseline.of_synthetic(lone)
    assert problem is not None and "same in every synthetic row" in problem
    assert all(one.synthetic is None and one.gap is None for one in learned)
    assert all(one.real.value > 0.7 for one in learned)


@pytest.mark.parametrize("holdout", [False, True])
def test_a_real_table_with_one_answer_is_refused(holdout):
    lone = examples(300, 4).take(examples(300, 4).answers == 1)
    real, held = (examples(300, 5), lone) if holdout else (lone, None)
    with pytest.raises(RecordsError, match="the holdout" if holdout else "the real table"):
        prediction.parts(TASK, real, held, rng=np.random.default_rng(0))


def test_too_few_people_with_an_answer_to_judge_by_are_told_of():
    found = examples(300, 5)
    few = found.take(np.flatnonzero(found.answers == 0))
    answers = few.answers.copy()
    answers[0] = 1
    one = prediction.Examples(inputs=few.inputs, answers=answers, rows=few.rows)
    split = prediction.parts(TASK, one, None, rng=np.random.default_rng(0))
    assert split.people == 0
    assert "of too few people" in str(prediction.too_few(TASK, split.people, 11))


def test_people_are_counted_with_the_rarer_answer_where_they_are_fewer():
    found = examples(900, 1)
    ones = np.flatnonzero(found.answers == 1)
    assert prediction.people_with(TASK, found, None) == min(len(ones), 900 - len(ones))
    units = np.arange(900)
    units[ones] = np.arange(len(ones)) % 4
    assert prediction.people_with(TASK, found, units) == 4
    assert prediction.too_few(TASK, 11, 11) is None
    split = prediction.parts(TASK, found, examples(40, 2).take(np.arange(30)), rng=np.random.default_rng(0))
    assert split.people == prediction.people_with(TASK, split.test, None) < 30


def test_all_rows_of_a_unit_are_on_one_side():
    found = examples(400, 6)
    units = np.repeat(np.arange(80), 5)
    split = prediction.parts(TASK, found, None, units=units, rng=np.random.default_rng(0))
    assert split.seen
    assert not set(units[split.train.rows]) & set(units[split.test.rows])
    assert 0.15 < len(split.test) / 400 < 0.35
    alone = prediction.parts(TASK, found, None, rng=np.random.default_rng(0))
    assert set(units[alone.train.rows]) & set(units[alone.test.rows])

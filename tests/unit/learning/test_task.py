"""What is predicted from what: classes and inputs follow from the schema alone, and what cannot be learned is refused."""

import numpy as np
import pytest

from privsynth import records
from privsynth.errors import RecordsError, SchemaError
from privsynth.learning import learners
from privsynth.learning.task import Task
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "stays"
[columns.age]
kind = "integer"
lower = 0
upper = 99
missing = [""]
bins = { method = "uniform", count = 10 }
[columns.ward]
kind = "category"
values = ["A", "B", "C"]
missing = [""]
[columns.back]
kind = "boolean"
[use]
target = "back"
""")


def table(rows: int, rng: np.random.Generator) -> records.Records:
    age = rng.integers(0, 100, rows)
    ward = np.array(["A", "B", "C", ""])[rng.integers(0, 4, rows)]
    back = rng.random(rows) < np.where(age > 50, 0.9, 0.1) * np.where(ward == "A", 1.0, 0.5)
    ages = [str(value) if keep else "" for value, keep in zip(age, rng.random(rows) > 0.1, strict=True)]
    frame = {"age": ages, "ward": ward.tolist(), "back": ["true" if one else "false" for one in back]}
    return records.read_public(frame, SCHEMA)


@pytest.fixture(scope="module")
def found():
    return table(1500, np.random.default_rng(5))


def test_a_boolean_target_is_an_outcome_and_its_truth_is_what_is_predicted():
    task = Task.of(SCHEMA)
    assert (task.kind, task.classes, task.inputs, task.labels) == (
        "outcome",
        ("false", "true"),
        ("age", "ward"),
        (0, 3),
    )


def test_named_labels_count_as_the_outcome_together():
    task = Task.of(SCHEMA, "ward", ["A", "C"])
    assert task.classes == ("not A or C", "A or C")
    frame = {"age": ["1", "2", "3", "4"], "ward": ["A", "B", "C", ""], "back": ["true"] * 4}
    examples = task.examples(records.read_public(frame, SCHEMA))
    assert examples.answers.tolist() == [1, 0, 1]
    assert examples.rows.tolist() == [0, 1, 2]


def test_missing_inputs_are_not_numbers(found):
    task = Task.of(SCHEMA)
    examples = task.examples(found)
    assert len(examples) == found.rows
    assert np.isnan(examples.inputs).any(axis=0).tolist() == [True, True]


@pytest.mark.parametrize("learner", learners.LEARNERS)
@pytest.mark.parametrize(("target", "least"), [("back", 0.7), ("ward", 0.55), ("age", 0.2)])
def test_every_learner_learns_what_there_is(found, learner, target, least):
    task = Task.of(SCHEMA, target)
    examples = task.examples(found)
    half = np.arange(len(examples)) % 2 == 0
    predictor = learners.fit(task, examples.take(half), learner, seed=1)
    rest = examples.take(~half)
    predicted = predictor.predict(rest.inputs)
    if task.kind != "number":
        assert predicted.shape == (len(rest), len(task.classes))
        assert np.allclose(predicted.sum(axis=1), 1)
    assert least < learners.score(task, rest.answers, predicted) < 1


def test_the_same_seed_gives_the_same_predictions(found):
    task = Task.of(SCHEMA)
    examples = task.examples(found)
    first, second = (learners.fit(task, examples, "random_forest", seed=3).predict(examples.inputs) for _ in range(2))
    assert np.array_equal(first, second)


def test_what_is_the_same_everywhere_is_refused(found):
    task = Task.of(SCHEMA)
    examples = task.examples(found)
    alike = examples.take(examples.answers == 1)
    with pytest.raises(RecordsError, match="nothing can be learned"):
        learners.fit(task, alike, "gradient_boosting", seed=0)
    with pytest.raises(RecordsError, match="to be judged by"):
        learners.score(task, alike.answers, np.tile([0.5, 0.5], (len(alike), 1)))


def test_a_class_that_was_never_seen_has_no_chance_and_is_judged_all_the_same(found):
    task = Task.of(SCHEMA, "ward")
    examples = task.examples(found)
    predictor = learners.fit(task, examples.take(examples.answers != 2), "gradient_boosting", seed=0)
    predicted = predictor.predict(examples.inputs)
    assert not predicted[:, 2].any()
    assert 0 < learners.score(task, examples.answers, predicted) < 1


def test_a_target_that_is_none_is_refused():
    with pytest.raises(SchemaError, match="nothing is declared to be predicted"):
        Task.of(SCHEMA.model_copy(update={"use": type(SCHEMA.use)()}))
    with pytest.raises(SchemaError, match="no modelled column"):
        Task.of(SCHEMA, "wards")
    with pytest.raises(SchemaError, match="no column to predict"):
        Task.of(SCHEMA, without=["age", "ward"])

"""Contradictions: a table that breaks a rule is told of, by name and with its share; one that keeps it, never."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import privsynth as ps
from privsynth import report
from privsynth.answering import contradictions as subject
from privsynth.measurement import Event, Measurement
from privsynth.report.trust import trust
from privsynth.schema import Schema

SCHEMA = Schema.loads(
    """
[table]
name = "doses"
[columns.insulin]
kind = "category"
values = ["No", "Steady", "Up"]
[columns.medicated]
kind = "boolean"
true = ["yes"]
false = ["no"]
[columns.sex]
kind = "category"
values = ["F", "M"]
[columns.age]
kind = "integer"
lower = 0
upper = 99
bins = {method = "uniform", count = 5}
[[rules]]
kind = "order"
left = "age"
op = ">="
value = 20
[[rules]]
kind = "implication"
if = {column = "insulin", in = ["Up"]}
then = {column = "medicated", in = ["yes"]}
"""
)
ROWS, BROKEN = 3000, 0.05


def made(broken, seed=0):
    import pandas as pd

    rng = np.random.default_rng(seed)
    insulin = rng.choice(["No", "Steady", "Up"], ROWS, p=[0.5, 0.3, 0.2])
    medicated = np.where((insulin != "No") | (rng.random(ROWS) < 0.3), "yes", "no")
    bad = rng.random(ROWS) < broken
    insulin[bad], medicated[bad] = "Up", "no"
    sex, age = rng.choice(["F", "M"], ROWS), rng.integers(20, 100, ROWS)
    return pd.DataFrame({"insulin": insulin, "medicated": medicated, "sex": sex, "age": age})


def fitted(table):
    return ps.fit(table, SCHEMA, generator="latent_class", settings={"components": 10}, epsilon=3, delta=1e-6)


@pytest.fixture(scope="module")
def model():
    return fitted(made(BROKEN))


def event(sigma):
    return Event(
        stage="s",
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma**2),
    )


def table_of(clique, values, sigma, groups=None):
    return Measurement(clique=clique, values=np.array(values), event=event(sigma), groups=groups or {})


def test_a_broken_rule_is_named_with_its_share_and_noise(model):
    (found,) = subject.broken_rules(SCHEMA, model.transcript)
    assert (found.number, found.columns) == (2, ("insulin", "medicated"))
    assert abs(found.share - BROKEN) < 3 * max(found.half, 0.005)
    assert 0 < found.half < 0.02
    assert "rule 2 of the schema" in found.text
    assert not found.least


def test_a_rule_that_is_kept_is_never_said_to_be_broken():
    for seed in range(20):
        model = fitted(made(0.0, seed))
        released = ps_records(model)
        found = subject.contradictions(SCHEMA, model.transcript, subject.of_records(released), released.rows)
        assert found == subject.Contradictions()
        assert found.sentences() == ()


def ps_records(model, rows=ROWS):
    from privsynth.encoding import encode_public

    return encode_public(model.draw(rows, rng=np.random.default_rng(0)).records)


def test_noise_alone_is_taken_for_a_broken_rule_no_more_often_than_is_said(monkeypatch):
    monkeypatch.setattr(subject, "FALSE_ALARM", 0.05)
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(1000):
        pair = np.rint(np.array([[900, 600], [0, 900], [0, 600]]) + rng.normal(0, 40, (3, 2))).astype(int)
        age = np.rint(np.array([0, 700, 800, 700, 800]) + rng.normal(0, 20, 5)).astype(int)
        transcript = (table_of(("insulin", "medicated"), pair, 40), table_of(("age",), age, 20))
        alarms += bool(subject.broken_rules(kept_schema(), transcript))
    assert 10 <= alarms <= 70


def kept_schema():
    """As the schema, but that neither Steady nor Up goes without medication."""
    document = SCHEMA.to_json()
    document["rules"][1]["if"]["in"] = ["Steady", "Up"]
    return Schema.from_json(document)


def test_rules_of_one_column_are_looked_at_too():
    age = table_of(("age",), [400, 700, 800, 700, 800], 20)
    (found,) = subject.broken_rules(SCHEMA, (age,))
    assert found.number == 1
    assert found.share == pytest.approx(400 / 3400)


def test_what_was_not_measured_is_not_spoken_of():
    assert subject.broken_rules(SCHEMA, ()) == ()
    together = table_of(("insulin", "medicated"), [[900, 600], [200, 900]], 10, {"insulin": (0, 1, 1)})
    assert subject.broken_rules(SCHEMA, (together,)) == ()  # Steady and Up are one group, in which a row may be


def test_a_table_that_is_not_followed_is_told_of_and_little_noise_alone_is_not():
    pair = table_of(("insulin", "sex"), [[900, 600], [400, 500], [300, 300]], 5)
    exact = lambda tables: [one.values for one in tables]  # noqa: E731
    other = lambda tables: [one.values[:, ::-1] for one in tables]  # noqa: E731
    assert subject.contradictions(SCHEMA, (pair,), exact, np.inf).tables == ()
    found = subject.contradictions(SCHEMA, (pair,), other, np.inf)
    assert [one.columns for one in found.tables] == [("insulin", "sex")]
    assert "insulin x sex" in found.sentences()[0]
    near = lambda tables: [one.values + np.array([[8, -8]] * 3) for one in tables]  # noqa: E731
    precise = replace(pair, event=event(1))
    assert subject.contradictions(SCHEMA, (precise,), near, np.inf).tables == ()  # 8 standard deviations, 0.8 % of rows


def test_the_pair_is_a_red_light_with_a_sentence(model):
    drawn = model.draw(ROWS, rng=np.random.default_rng(0))
    facts = report.gather({"guarantee": {"unit": {"name": "row"}}}, SCHEMA, model.transcript, drawn.records)
    first = trust(facts)["lines"][0]
    assert first["style"] == "red"
    assert "insulin × medicated" in first["what"]
    assert "rule 2 of the schema" in first["source"]
    assert subject.ADVICE in first["advice"]
    kept = fitted(made(0.0))
    records = kept.draw(ROWS, rng=np.random.default_rng(0)).records
    facts = report.gather({"guarantee": {"unit": {"name": "row"}}}, SCHEMA, kept.transcript, records)
    assert trust(facts)["lines"][0]["what"] == "Share of one value"


def test_answers_on_these_columns_say_so_and_are_wide_enough(model):
    table = made(BROKEN)
    truth = float(((table.insulin == "Up") & (table.medicated == "no")).sum())
    found = model.answer("count where insulin == Up and medicated == no")
    assert any("rule 2 of the schema" in note for note in found.notes)
    assert found.lower <= model.project(("insulin", "medicated"))[2, 0] + 1
    assert found.upper >= truth - 30
    whole = model.answer("count")
    assert whole.lower <= ROWS + 30
    assert whole.upper >= ROWS - 30
    assert abs(whole.value - ROWS) < 60
    assert any("rule 2" in note for note in whole.notes)
    wide = model.answer("share where insulin == Up and medicated == no and sex == F")
    assert wide.upper >= BROKEN / 3
    assert not any("rule 2" in note for note in model.answer("count where sex == F").notes)


def test_a_rule_of_many_labels_is_cut_short():
    rule = subject.BrokenRule(what="x" * 9000, number=7, columns=("a", "b"), share=0.1, half=0.01, least=False)
    (sentence,) = subject.Contradictions(rules=(rule,)).sentences()
    assert "rule 7 of the schema" in sentence
    assert len(sentence) < 1000


def test_what_a_certificate_says_is_found_again_for_the_terminal(model):
    released = ps_records(model)
    found = subject.contradictions(SCHEMA, model.transcript, subject.of_records(released), released.rows)
    (sentence, *_) = found.sentences()
    assert subject.ADVICE in sentence
    assert subject.spoken(["Synthetic records: no row is a person.", *found.sentences()]) == list(found.sentences())

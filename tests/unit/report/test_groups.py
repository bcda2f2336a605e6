"""Groups compared: rates and intervals from the noisy tables, and no number where the noise could have made it."""

import re
from fractions import Fraction

import numpy as np
import pytest

from privsynth import report
from privsynth.encoding import encode_public
from privsynth.measurement import Event, Measurement
from privsynth.records import MISSING, Records
from privsynth.report import groups
from privsynth.schema import Schema

TEXT = """
[table]
name = "t"
[columns.group]
kind = "category"
values = ["large", "small", "tiny", "none", "<b>"]
[columns.result]
kind = "category"
values = ["good", "poor", "bad"]
missing = ["?"]
[columns.other]
kind = "boolean"
true = ["yes"]
false = ["no"]
"""
USE = '[use]\ntarget = "result"\noutcome = ["bad", "poor"]\nprotected = ["group"]\nlegitimate = ["other"]\n'
SCHEMA = Schema.loads(TEXT + USE)
SIGMA = 12


def measured(table, clique, sigma=SIGMA, noise=None, grouping=None):
    event = Event(
        stage="s",
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma * sigma),
    )
    encoded = encode_public(table)
    values = (encoded.regrouped(grouping) if grouping else encoded).marginal(clique)
    if noise is not None:
        values = values + np.rint(noise.normal(0, sigma, values.shape)).astype(np.int64)
    return Measurement(clique=clique, values=values, event=event, groups=grouping or {})


@pytest.fixture(scope="module")
def table():
    """Large: 4000 rows, 30 % with the outcome, 200 more unknown; small: 1000 and 50 %; tiny: 150; none: 10; last: 0."""
    group = np.repeat([0, 1, 2, 3], [4200, 1000, 150, 10])
    result = np.zeros(len(group), dtype=np.int64)
    result[:1200] = np.arange(1200) % 2 + 1
    result[4000:4200] = MISSING
    result[4200:4700] = 1
    ticks = {"group": group, "result": result, "other": np.arange(len(group)) % 2}
    return Records(schema=SCHEMA, ticks={name: values.astype(np.int64) for name, values in ticks.items()})


def facts_of(table, *transcript, schema=SCHEMA):
    return report.gather({}, schema, transcript, Records(schema=schema, ticks=dict(table.ticks)), {})


def test_a_rate_is_that_of_known_outcomes_and_its_interval_that_of_the_noise(table):
    facts = facts_of(table, measured(table, ("group", "result")))
    large, small, tiny, none, empty = groups.rates(facts, "group", "result", ("bad", "poor"))
    assert (large.state, small.state) == ("told", "told")
    assert (large.released, small.released) == (pytest.approx(0.3), pytest.approx(0.5))
    rng = np.random.default_rng(3)
    with_it, without = 500 + rng.normal(0, SIGMA, (2, 40_000)).sum(0), 500 + rng.normal(0, SIGMA, 40_000)
    spread = np.std(with_it / (with_it + without))
    assert small.half == pytest.approx(1.645 * spread, rel=0.02)
    assert (tiny.state, none.state, empty.state) == ("wide", "below", "below")


def test_the_interval_holds_the_real_rate_nine_times_in_ten(table):
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(300):
        facts = facts_of(table, measured(table, ("group", "result", "other"), noise=rng))
        large, small = groups.rates(facts, "group", "result", ("bad", "poor"))[:2]
        inside += [abs(large.rate - 0.3) <= large.half, abs(small.rate - 0.5) <= small.half]
    assert 0.86 <= np.mean(inside) <= 0.94  # 600 coverages of .9 have a standard deviation of .012


def test_two_tables_are_better_than_one_and_the_order_of_columns_does_not_matter(table):
    one = facts_of(table, measured(table, ("group", "result")))
    both = facts_of(table, measured(table, ("group", "result")), measured(table, ("result", "other", "group")))
    turned = facts_of(table, measured(table, ("result", "group")))
    halves = [groups.rates(facts, "group", "result", ("bad", "poor"))[1].half for facts in (one, both, turned)]
    assert halves[1] == pytest.approx(halves[0] * np.sqrt(2 / 3), rel=1e-3)
    assert halves[2] == pytest.approx(halves[0])


def test_what_was_not_counted_on_its_own_is_not_known(table):
    alone = facts_of(table, measured(table, ("group",)), measured(table, ("result",)))
    assert {group.state for group in groups.rates(alone, "group", "result", ("bad",))} == {"unmeasured"}
    merged = facts_of(table, measured(table, ("group", "result"), grouping={"group": (0, 1, 1, 1, 1)}))
    states = [group.state for group in groups.rates(merged, "group", "result", ("bad", "poor"))]
    assert states == ["told", *["unmeasured"] * 4]
    mixed = facts_of(table, measured(table, ("group", "result"), grouping={"result": (0, 0, 1, 2)}))
    assert groups.rates(mixed, "group", "result", ("poor", "bad"))[0].state == "unmeasured"
    assert groups.rates(mixed, "group", "result", ("bad",))[0].state == "told"


def test_a_group_that_cannot_be_told_has_no_number(table):
    facts = facts_of(table, measured(table, ("group", "result")))
    section = groups.groups(facts)
    svg = section["figures"][0]["svg"]
    assert len(re.findall(r'class="num"', svg)) == 2
    assert svg.count('class="track"') == 3
    assert svg.count("below the noise") == 2
    assert "&lt;b&gt;" in svg
    assert "20 points, between small and large; that is more than what the noise leaves open" in section["figures"][0][
        "words"
    ].replace("\u00a0", " ")
    assert "other" in section["legitimate"]


def test_a_small_difference_is_said_to_be_within_the_noise():
    told = [
        groups.GroupRate(label=name, state="told", released=rate, rate=rate, half=0.02)
        for name, rate in (("a", 0.30), ("b", 0.32))
    ]
    assert "no more than what the noise leaves open" in groups._gap(told)
    assert groups._gap(told[:1]) == "Too little is known to compare groups."


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("", "declares no protected columns"),
        ('[use]\nprotected = ["group"]\n', "no outcome of a labelled target"),
        ('[use]\ntarget = "result"\nprotected = ["group"]\n', "no outcome of a labelled target"),
    ],
)
def test_why_nothing_is_compared_is_said(table, use, words):
    section = groups.groups(facts_of(table, measured(table, ("group",)), schema=Schema.loads(TEXT + use)))
    assert section["figures"] == []
    assert words in section["lead"]


def test_of_two_labels_the_last_is_the_outcome(table):
    schema = Schema.loads(TEXT + '[use]\ntarget = "other"\nprotected = ["group"]\n')
    facts = facts_of(table, measured(table, ("group", "other")), schema=schema)
    assert groups.outcome_of(facts) == ("other", schema.modelled_column("other").labels[-1:])

"""The pictures section: which columns and pairs are drawn, in which order of values, and what stands in a line instead."""

import re
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from privsynth import report
from privsynth.encoding import encode_public
from privsynth.measurement import Event, Measurement
from privsynth.records import MISSING, Records
from privsynth.report.gallery import SHOWN_PAIRS, inside_intervals, picture_section, value_order
from privsynth.schema import Schema

SCHEMA = Schema.loads(
    """
[table]
name = "visits"
[columns.code]
kind = "category"
values = ["few", "many", "none"]
[columns.rank]
kind = "ordered"
values = ["low", "mid", "high"]
[columns.stay]
kind = "integer"
lower = -2
upper = 9
atoms = [0]
missing = [""]
bins = { method = "edges", edges = [-2, 1, 5] }
[columns.long]
kind = "integer"
lower = 0
upper = 39
bins = { method = "uniform", count = 20 }
[columns.flat]
kind = "boolean"
true = ["yes"]
false = ["no"]
"""
)


@pytest.fixture
def facts():
    """400 rows: rank follows code, long is independent of all, flat holds one value in 99.5 % of rows."""
    index = np.arange(400)
    code = np.repeat([0, 1, 2], [100, 250, 50])
    ticks = {
        "code": code,
        "rank": np.where(code == 1, 2, np.where(code == 2, 1, 0)),
        "stay": np.where(index % 9 == 0, MISSING, np.where(index % 2 == 0, 0, 7)),
        "long": index % 40,
        "flat": (index < 2).astype(int),
    }
    released = Records(schema=SCHEMA, ticks={name: np.asarray(values, np.int64) for name, values in ticks.items()})
    domain = SCHEMA.domain()
    event = Event(
        stage="s", mechanism="rounded-gaussian", rho=Fraction(1), sensitivity_squared=1, sigma_squared=Fraction(16)
    )
    table = encode_public(released)
    cliques = [*((name,) for name in domain.attributes if name != "long"), *combinations(domain.attributes[:4], 2)]
    transcript = tuple(Measurement(clique=clique, values=table.marginal(clique), event=event) for clique in cliques)
    return report.gather({}, SCHEMA, transcript, released)


def labels(svg):
    return re.findall(r'<text class="(?:label|mid)"[^>]*>([^<]*)<', svg)


def test_levels_stand_in_the_order_of_their_values():
    """Encoded: bins from -2, 1 and 5, then the atom 0, then missing; by value the atom is second."""
    assert value_order(SCHEMA, "stay").tolist() == [0, 3, 1, 2, 4]


def test_categories_go_by_size_and_ordered_levels_by_rank(facts):
    drawn = {figure["name"]: figure for figure in picture_section(facts)["columns"]}
    assert labels(drawn["code"]["svg"]) == ["many", "few", "none"]
    assert labels(drawn["rank"]["svg"]) == ["low", "mid", "high"]
    assert labels(drawn["stay"]["svg"]) == ["-2 to -1", "0", "1 to 4", "5 to 9", "missing"]


def test_many_levels_make_a_histogram(facts):
    drawn = {figure["name"]: figure for figure in picture_section(facts)["columns"]}
    assert drawn["long"]["svg"].count('class="bar"') == 20
    assert labels(drawn["long"]["svg"])[0] == "0 to 1"


def test_a_nearly_constant_column_is_a_line_with_its_interval(facts):
    section = picture_section(facts)
    assert "flat" not in [figure["name"] for figure in section["columns"]]
    (line,) = section["constant"]
    half = 1.96 * 4 / facts.bought.total
    low = 100 * (398 / facts.bought.total - half)
    assert (line["name"], line["label"]) == ("flat", "no")
    assert line["released"] == "99.5\u00a0%"
    assert line["interval"] == f"{low:.1f}\u00a0% to 100\u00a0%"


def test_the_strongest_pairs_are_drawn_first(facts):
    pairs = [(pair["rows"], pair["columns"]) for pair in picture_section(facts)["pairs"]]
    assert len(pairs) == SHOWN_PAIRS < 6
    assert pairs[0] == ("code", "rank")


def test_shares_inside_their_intervals_are_counted(facts):
    assert inside_intervals(facts) == (33, 33)
    assert "100\u00a0% of the 33 released shares" in picture_section(facts)["lead"]


def test_a_pair_is_drawn_in_the_order_of_values(facts):
    """Rows of stay: -2 to -1 and 1 to 4 hold nothing, the atom 0 comes second, as by value and not as encoded."""
    (svg,) = (
        pair["svg"] for pair in picture_section(facts)["pairs"] if (pair["rows"], pair["columns"]) == ("stay", "long")
    )
    assert labels(svg) == ["-2 to -1", "0", "1 to 4", "5 to 9", "missing"]
    dark = {
        y for path in re.findall(r'class="c[4-7]" d="([^"]*)"', svg) for y in re.findall(r"M[\d.]+ ([\d.]+)h", path)
    }
    assert {(float(y) - 22) / 18 for y in dark} == {1, 3, 4}

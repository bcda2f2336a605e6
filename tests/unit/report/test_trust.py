"""What to trust: every light has a shape and a word beside its colour, and the number that decided it."""

import re

import numpy as np
import pytest

from privsynth import report
from privsynth.encoding import encode_public
from privsynth.measurement import Measurement
from privsynth.records import Records
from privsynth.report import trust
from tests.unit.report.test_kinds import SCHEMA, N, event

CLAIMS = {"guarantee": {"unit": {"name": "visitor"}}}


@pytest.fixture(scope="module")
def section():
    rng = np.random.default_rng(4)
    ticks = {"x": rng.integers(0, 10, N), "y": rng.integers(0, 100, N), "g": rng.integers(0, 3, N)}
    table = Records(schema=SCHEMA, ticks={name: values.astype(np.int64) for name, values in ticks.items()})
    encoded = encode_public(table)
    cliques = [("x",), ("y",), ("g",), ("x", "g")]
    transcript = tuple(Measurement(clique=one, values=encoded.marginal(one), event=event(9)) for one in cliques)
    return trust.trust(report.gather(CLAIMS, SCHEMA, transcript, table, {}))


def test_every_kind_has_a_line(section):
    assert [line["what"] for line in section["lines"]] == [
        "Share of one value",
        "Table of two columns that was measured",
        "Any table of two columns that was not measured",
        "Three columns at once",
        "Mean of a number",
        "Correlation of two numbers",
        "Rare categories",
        "Regression on other columns",
        "A single row",
    ]


def test_no_light_is_told_by_its_colour_alone(section):
    shapes = {}
    for line in section["lines"]:
        assert line["words"] == trust.WORDS[line["style"]]
        assert f"<title>{line['words']}</title>" in line["light"]
        shapes.setdefault(line["style"], set()).add(str(re.search(r' d="([^"]*)"', line["light"]).group(1)))
        assert line["rule"]
    assert all(len(shape) == 1 for shape in shapes.values())
    assert len(set().union(*shapes.values())) == len(shapes) == 3


def test_the_deciding_number_stands_beside_the_light(section):
    by_name = {line["what"]: line for line in section["lines"]}
    share = by_name["Share of one value"]
    assert share["style"] == "green"
    assert re.fullmatch(r"±0\.\d+ points, ±\d+ rows", share["number"])
    assert by_name["Any table of two columns that was not measured"]["number"] == "not known"
    assert by_name["Correlation of two numbers"]["number"] == "not known"
    assert by_name["A single row"]["advice"] == "No row stands for a visitor."


def test_the_strip_is_as_long_as_the_lights_are_many(section):
    for line in section["lines"]:
        widths = [
            float(width) for width in re.findall(r'class="light-\w+" x="[\d.]+" y="1" width="([\d.]+)"', line["strip"])
        ]
        if line["strip"]:
            assert sum(widths) == pytest.approx(120, abs=0.2)


def test_tables_that_are_not_shown_are_counted(section):
    assert section["tables_title"] == "Tables of several columns that were measured"
    assert [line["name"] for line in section["tables"]] == ["x × g"]

"""The report: order, safety against markup, size, determinism, and that it says what it was given."""

import base64
import copy
import hashlib
import inspect
import re
from fractions import Fraction
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from privsynth import report
from privsynth.errors import ClaimMismatch, FitError
from privsynth.measurement import Event, Measurement, Purchase
from privsynth.records import Records
from privsynth.schema import Schema

HOSPITAL = Path(__file__).parents[3] / "examples" / "hospital_stays" / "schema.toml"
MARKUP = "<script>alert(1)</script>"
SCHEMA = """
[table]
name = "visits"
title = "Visits <b>of</b> people"
[columns.ward]
kind = "category"
values = ["north", "south", "<script>alert(1)</script>", "\\"><img src=x onerror=alert(2)>"]
[columns.stay]
kind = "integer"
lower = 0
upper = 29
atoms = [0]
bins = { method = "uniform", count = 12 }
[columns.seen]
kind = "boolean"
true = ["yes"]
false = ["no"]
[columns.pat]
kind = "identifier"
make = "P-######"
[[rules]]
kind = "implication"
if = { column = "ward", in = ["<script>alert(1)</script>"] }
then = { column = "seen", in = ["yes"] }
[[rules]]
kind = "implication"
if = { column = "seen", in = ["no"] }
then = { column = "stay", lower = 0, upper = 20 }
"""
RULES = tuple(rule.text for rule in Schema.loads(SCHEMA).rules)
DIGEST = "ab" * 32


def event(sigma, stage="one-way", rho=Fraction(1, 100)):
    return Event(
        stage=stage,
        mechanism="rounded-gaussian",
        rho=rho,
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma * sigma),
    )


def measured(clique, values, sigma=10):
    return Measurement(clique=clique, values=np.asarray(values, dtype=np.int64), event=event(sigma))


@pytest.fixture
def schema():
    return Schema.loads(SCHEMA)


@pytest.fixture
def released(schema):
    """1000 rows: 600 north, 300 south, 100 with markup for a name, none of the fourth ward; no row breaks a rule."""
    ward = np.repeat([0, 1, 2], [600, 300, 100])
    seen = np.where(ward == 0, 0, 1)
    stay = np.where(seen == 0, np.arange(1000) % 21, np.arange(1000) % 30)
    ticks = {name: values.astype(np.int64) for name, values in (("ward", ward), ("stay", stay), ("seen", seen))}
    return Records(schema=schema, ticks=ticks)


@pytest.fixture
def transcript():
    return (
        measured(("ward",), [612, 290, 101, 7]),
        measured(("stay",), [77] * 13),
        measured(("ward", "seen"), [[598, 4], [2, 305], [-3, 99], [1, -2]], sigma=12),
    )


@pytest.fixture
def predicate():
    row = {"family": "release", "threat": "release only", "verdict": "PASS", "threshold": 0.0512, "detectable": 0.0234}
    return {
        "releaseId": "release-4711",
        "issuedAt": "2026-11-22T09:00:00Z",
        "expiresAt": "2027-11-22T09:00:00Z",
        "tool": {"name": "privsynth", "version": "9.8.7"},
        "policy": {"name": f"policy {MARKUP}", "version": "3.1", "digest": {"sha256": DIGEST}},
        "decision": "PASSED",
        "guarantee": {
            "definition": "zCDP",
            "relation": "add-remove",
            "unit": {"name": "visitor", "column": "pat", "maxRows": 1},
            "rho": "0.0321",
            "epsilon": "1.2345",
            "delta": "0.00000025",
            "conversion": "optimal conversion",
            "noise": "discrete Gaussian",
            "randomness": "system",
            "stages": [{"stage": "one-way", "mechanism": "rounded-gaussian", "rho": "0.0107", "delta": "0"}],
            "assumptions": [f"assumed {MARKUP}"],
            "notCovered": ["not covered at all"],
        },
        "budget": {
            "population": "everybody",
            "spentEpsilon": "2.4690",
            "capEpsilon": "9",
            "capDelta": "0.000001",
            "ledgerSequence": 8642,
            "ledgerHead": "cd" * 32,
        },
        "schema": {"digest": {"sha256": DIGEST}, "columns": 4, "rows": 1000, "rowsBasis": "declared in the policy"},
        "generator": {"name": "mst", "version": "1", "settings": {"degree": 7531}},
        "checks": [
            {"rule": f"rule {MARKUP}", "citation": "45 CFR 164", "result": "pass", "method": "machine"},
            {"rule": "another", "citation": "none", "result": "not-applicable", "method": "machine"},
        ],
        "audit": {
            "plan": {"name": "standard", "digest": {"sha256": DIGEST}},
            "verdict": "PASS",
            "rows": [
                {"check": "singling_out", **row, "ceiling": 0.2718, "meaning": f"meaning {MARKUP}"},
                {"check": "replay", **row, "family": "conformance", "threshold": None, "ceiling": None, "meaning": "m"},
            ],
        },
        "repairs": {RULES[0]: 0, RULES[1]: 37},
        "attempts": {"allowed": 3, "used": 2},
        "recipients": {"class": "partner", "contract": "agreement"},
        "limitations": ["limited in this way"],
    }


@pytest.fixture
def page(predicate, schema, transcript, released):
    return report.render(predicate=predicate, schema=schema, transcript=transcript, released=released)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.attributes, self.ids, self.words, self.style = [], [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        if self.seen and self.seen[-1] == "style" and not self.style:
            self.style = data
        else:
            self.words.append(data)


def parsed(page):
    tags = Tags()
    tags.feed(page)
    return tags


def words(page):
    return " ".join(" ".join(parsed(page).words).replace("\u00a0", " ").split())


def test_the_sections_stand_in_the_order_of_the_product(page):
    found = parsed(page).ids
    assert " ".join(found) == "guarantee impossible trust rare attacks pictures groups rows policy reproduce ledger"
    assert page.index('class="verdict"') < page.index('class="cards"') < page.index('id="guarantee"')
    links = [value for tag, name, value in parsed(page).attributes if tag == "a" and name == "href"]
    assert links == [f"#{anchor}" for anchor in found] == [f"#{anchor}" for anchor, _ in report.SECTIONS]


def test_what_an_attack_would_have_seen_is_explained_before_it_is_said(page):
    explained = "may be larger than the limit, but an attack passes only where the people really tried"
    assert words(page).index(explained) < words(page).index(", would have seen ")


def test_the_same_contents_give_the_same_bytes(page, predicate, schema, transcript, released):
    again = report.render(
        predicate=copy.deepcopy(predicate), schema=Schema.loads(SCHEMA), transcript=transcript, released=released
    )
    assert again == page


def test_markup_in_labels_names_and_claims_stays_inert(page):
    allowed = {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "header",
            "p",
            "h1",
            "h2",
            "h3",
            "div",
            "nav",
            "a",
            "section",
        ),
        *(
            "span",
            "strong",
            "figure",
            "figcaption",
            "ul",
            "li",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "pre",
            "code",
        ),
        *("br", "footer", "svg", "rect", "path", "text"),
    }
    tags = parsed(page)
    assert set(tags.seen) <= allowed
    assert not [name for _, name, _ in tags.attributes if name.startswith("on") or name in {"src", "style", "srcset"}]
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("&lt;script&gt;") >= 5  # a label, a rule, a policy, a check and an assumption


def test_nothing_is_loaded_from_anywhere(page):
    assert not re.search(r"https?://|//[a-z]|@import|url\(|data:", page)
    tags = parsed(page)
    policy = next(
        value for tag, name, value in tags.attributes if tag == "meta" and name == "content" and "default-src" in value
    )
    digest = base64.b64encode(hashlib.sha256(tags.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert len(tags.style) > 1000


@pytest.mark.parametrize(
    "planted",
    [
        "(epsilon 1.2345)",
        "factor of 3.44",  # e^1.2345 = 3.4367, rounded up
        "1 in 4,000,000",  # delta
        "0.00000025",
        "0.0107",  # rho of the stage
        "33.3 %",  # its share of rho
        "at most 77.5 %",  # 1 / (1 + e^-1.2345) = 0.77461, rounded up
        "37",  # repairs
        "3.7 %",  # of 1000 rows
        "5.1 %",  # threshold
        "2.3 %",  # detectable
        "27.2 %",  # ceiling
        "2 of 3",  # attempts
        "1 of 2 checks passed",
        "spent epsilon 2.4690 of the 9 ",
        "(27.4 %)",
        "8642",
        "cd" * 32,
        "release-4711",
        "degree = 7531",
        "not covered at all",
        "limited in this way",
        "45 CFR 164",
        "not-applicable",
        "2 rules checked, none failed",
    ],
)
def test_what_the_predicate_says_is_shown(predicate, schema, transcript, released, planted):
    predicate["audit"]["rows"][1]["verdict"] = "INCONCLUSIVE"
    page = report.render(predicate=predicate, schema=schema, transcript=transcript, released=released)
    assert planted in words(page)


def test_the_released_table_and_the_noise_make_the_numbers(page):
    """total = weighted mean of (1010, 100 * 4), (1001, 100 * 13), (1004, 144 * 8): 1007 rows to the nearest."""
    text = words(page)
    total = np.average([1010, 1001, 1004], weights=[1 / 400, 1 / 1300, 1 / 1152])
    sigma = 1 / np.sqrt(1 / 100 + 1 / (144 * 2))
    assert "60 %" in text
    assert f"±{100 * 1.96 * sigma / total:.1f} points for each share" in text
    assert f"±{100 * 1.96 * 12 / total:.1f} points" in text
    assert "3 of 3 columns measured" in text
    assert "1 of 3 pairs measured" in text
    assert f"{round(3 * sigma):,} to" in text


def test_a_changed_answer_changes_the_page(page, predicate, schema, transcript, released):
    changed = (measured(("ward",), [500, 290, 101, 7]), *transcript[1:])
    assert report.render(predicate=predicate, schema=schema, transcript=changed, released=released) != page


def test_a_category_below_the_noise_and_one_without_rows_are_named(predicate, schema, released):
    seen_but_absent = measured(("ward",), [600, 290, 5, 90])
    facts = (seen_but_absent, measured(("stay",), [77] * 13), measured(("seen",), [600, 400]))
    text = words(report.render(predicate=predicate, schema=schema, transcript=facts, released=released))
    assert "Of 6 categories in 2 columns: 4 seen above the noise and in the release, 1 not seen above the noise" in text
    assert ", 1 seen but without a released row" in text


def test_what_the_generator_predicts_and_why_it_was_chosen_is_said(page, predicate, schema, transcript, released):
    assert not re.search("predicted by the generator|Chosen by", words(page))
    predicate["generator"]["reasons"] = ["mst: because", "and so on"]
    predicted = {("ward", "stay"): 0.25, ("ward", "seen"): 0.06, ("stay", "seen"): 0.08}
    facts = {"predicate": predicate, "schema": schema, "transcript": transcript, "released": released}
    text = words(report.render(**facts, predicted=predicted))
    assert "1 of 3 pairs measured, all fitted together; predicted by the generator, no bound 12.5 % of rows" in text
    assert "middle 4 % of rows" in text
    assert "worst 12.5 % of rows (ward × stay)" in text
    assert "that was not measured" not in text
    assert "as its generator predicts it" in text
    assert "Chosen by “auto” mst: because; and so on" in text


def test_broken_rules_are_counted_on_the_released_table(page, predicate, schema, transcript, released):
    assert "No released row breaks any of the 2 business rules. 37 repairs were needed" in words(page)
    seen = released.ticks["seen"].copy()
    seen[released.ticks["ward"] == 2] = 0
    broken = Records(schema=schema, ticks={**released.ticks, "seen": seen, "stay": released.ticks["stay"] * 0})
    text = words(report.render(predicate=predicate, schema=schema, transcript=transcript, released=broken))
    assert "100 released rows break a business rule." in text


def test_what_was_bought_is_said(predicate, schema, transcript, released):
    purchase = Purchase(column="ward", fact="categories", found=("a", "b"), event=event(3))
    text = words(
        report.render(predicate=predicate, schema=schema, transcript=(*transcript, purchase), released=released)
    )
    assert "ward: 2 categories were found often enough to be named." in text


@pytest.mark.parametrize(
    "path",
    ["guarantee.epsilon", "guarantee.unit.name", "audit.rows", "budget.ledgerHead", "repairs", "checks", "decision"],
)
def test_a_missing_claim_is_an_error_not_a_blank(predicate, schema, transcript, released, path):
    *parents, last = path.split(".")
    holder = predicate
    for parent in parents:
        holder = holder[parent]
    del holder[last]
    with pytest.raises(ClaimMismatch, match=path):
        report.render(predicate=predicate, schema=schema, transcript=transcript, released=released)


def test_a_transcript_without_measurements_is_refused(predicate, schema, released):
    with pytest.raises(FitError, match="needs measurements"):
        report.render(predicate=predicate, schema=schema, transcript=(), released=released)


def test_the_report_takes_nothing_but_public_contents():
    public = ["predicate", "schema", "transcript", "released", "predicted", "changes"]
    assert list(inspect.signature(report.render).parameters) == public


def test_fifty_columns_stay_small(predicate):
    """The hospital's schema with every column and a tree of pairs measured: far below the limit of 2 MB."""
    schema = Schema.load(HOSPITAL)
    rng = np.random.default_rng(3)
    domain = schema.domain()
    ticks = {}
    for column in schema.modelled:
        layout = schema.levels(column.name)
        ticks[column.name] = rng.integers(layout.lower, layout.upper + 1, 2000).astype(np.int64)
    names = domain.attributes
    cliques = [(name,) for name in names] + list(pairwise(names))
    transcript = tuple(measured(clique, rng.integers(0, 900, domain.shape(clique)), sigma=40) for clique in cliques)
    predicate["repairs"] = {rule.text: 0 for rule in schema.rules}
    page = report.render(
        predicate=predicate, schema=schema, transcript=transcript, released=Records(schema=schema, ticks=ticks)
    )
    assert len(page.encode()) < 400_000


def test_many_repaired_rules_are_cut_but_never_a_broken_one(predicate, schema, transcript, released):
    predicate["repairs"] |= {f"rule {index}": 100 + index for index in range(20)}
    seen = np.where(released.ticks["ward"] == 2, 0, released.ticks["seen"])
    broken = Records(schema=schema, ticks={**released.ticks, "seen": seen, "stay": released.ticks["stay"] * 0})
    text = words(report.render(predicate=predicate, schema=schema, transcript=transcript, released=broken))
    assert text.index(RULES[0]) < text.index("rule 19") < text.index("rule 6")
    assert "rule 5 " not in text
    assert f"7 more rules needed fewer repairs, {sum(range(100, 106)) + 37} in all." in text

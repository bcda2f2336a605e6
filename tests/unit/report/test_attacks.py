"""The audit's rows on a page, and the page of a refusal: what failed first, equal rows together, nothing but public rows."""

import re

import pytest

from privsynth import report
from privsynth.report.attacks import attack_rows
from privsynth.report.claims import Claims

MARKUP = "<script>alert(1)</script>"
ROW = {
    "check": "singling_out",
    "family": "release",
    "threat": "release only",
    "verdict": "PASS",
    "threshold": 0.0512,
    "detectable": 0.0234,
    "ceiling": 0.2718,
    "meaning": f"meaning {MARKUP}",
}


def rows(*changes):
    return attack_rows([Claims({**ROW, **change}) for change in changes])


def test_a_row_shows_its_limit_power_and_ceiling_and_a_picture():
    (line,) = rows({})
    assert line["numbers"].replace("\u00a0", " ") == "limit 5.1 %, would have seen 2.3 %, ceiling 27.2 %"
    assert line["picture"].startswith("<svg")
    assert line["style"] == "pass"


def test_a_conformance_row_has_no_picture_and_only_the_numbers_it_has():
    (line,) = rows({"family": "conformance", "threshold": None, "ceiling": None})
    assert line["numbers"].replace("\u00a0", " ") == "would have seen 2.3 %"
    assert line["picture"] == ""
    assert rows({"threshold": None, "detectable": None, "ceiling": None})[0]["numbers"] == ""


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE"])
def test_what_did_not_pass_comes_first_and_looks_so(verdict):
    found = rows({"check": "a"}, {"check": "b", "verdict": verdict})
    assert [(line["check"], line["style"]) for line in found] == [("b", "fail"), ("a", "pass")]


def test_checks_that_differ_in_name_alone_share_a_line():
    names = ["inference: age, everyone", "inference: ward, everyone", "inference: age, the isolated", "replay"]
    found = rows(*({"check": name} for name in names), {"check": "inference: stay, everyone", "verdict": "FAIL"})
    assert [(line["check"], line["covers"]) for line in found] == [
        ("inference: stay, everyone", ""),
        ("inference, everyone", "age, ward"),
        ("inference: age, the isolated", ""),
        ("replay", ""),
    ]


@pytest.mark.parametrize("key", ["threshold", "detectable", "ceiling", "meaning", "threat"])
def test_checks_that_differ_in_anything_else_do_not(key):
    found = rows({"check": "inference: age, everyone"}, {"check": "inference: ward, everyone", key: 0.4})
    assert len(found) == 2


def test_a_refusal_says_why_and_holds_no_data():
    findings = [ROW, {**ROW, "check": "replay", "verdict": "FAIL"}]
    reasons = ["replay: FAIL. m", "cell-size: counts <b>below</b> 11."]
    page = report.render_refusal(reasons=reasons, findings=findings, what=f"visits {MARKUP}")
    assert "REFUSED" in page
    assert "PASSED" not in page
    assert "cell-size: counts &lt;b&gt;below&lt;/b&gt; 11." in page
    assert "1 check of the audit did not pass, out of 2" in page
    assert "replay: FAIL" not in page
    assert page.index("replay") < page.index("singling_out")
    assert not re.search(r"https?://|<script|<b>|@import|url\(", page)
    assert len(page) < 30_000


def test_a_refusal_without_findings_has_no_empty_table():
    page = report.render_refusal(reasons=["the budget is spent"], findings=[], what="visits")
    assert "<table" not in page
    assert "the budget is spent" in page

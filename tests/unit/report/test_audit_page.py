"""The audit's page: the verdict in words, every attack on one scale, and no private figure where it may not be."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from privsynth.audit_plan import AuditPlan
from privsynth.findings import Claim, Finding, Findings, Verdict
from privsynth.report import audit_page, audit_pictures

PLAN = AuditPlan.load("quick")
CLAIM = Claim(epsilon=1.0, delta=1e-5, rho=0.03, unit="patient")


def attacked(
    check: str,
    verdict: Verdict = "PASS",
    *,
    meaning: str = "The attack works less than 5 percentage points more often.",
    threshold: float | None = 0.05,
) -> Finding:
    return Finding(
        check=check,
        family="release",
        threat="that a record was copied (attacker has: release only)",
        verdict=verdict,
        threshold=threshold,
        detectable=0.0811,
        ceiling=0.2449,
        meaning=meaning,
        figures={"attempts": 1987, "member successes": 777, "control successes": 313, "area under the curve": 0.61234},
        estimate=0.23351,
        interval=(0.20117, 0.26629),
        curve=((0.0, 0.0), (0.123, 0.456), (1.0, 1.0)),
    )


CONTROL = Finding(
    check="control: planted leak",
    family="release",
    threat="that the audit is blind",
    verdict="PASS",
    threshold=None,
    detectable=None,
    ceiling=None,
    meaning="Noticed.",
    figures={"p-value of no leak, near_match": 0.000123},
)
STAGE = Finding(
    check="transcript: pairs",
    family="conformance",
    threat="that the answers tell more than was paid for",
    verdict="PASS",
    threshold=0.25,
    detectable=None,
    ceiling=None,
    meaning="The attack reached a mu of 0.24.",
    figures={"adjusted p-value": 0.98765},
    estimate=0.2431,
    interval=(0.2404, 0.2457),
    curve=((0.0, 0.0), (0.31, 0.42), (1.0, 1.0)),
    allowed=((0.0, 0.0), (0.31, 0.52), (1.0, 1.0)),
)
EVERYONE, ISOLATED = "near match, everyone", "near match, the most isolated people"
FOUND = Findings(
    rows=(STAGE, attacked(EVERYONE), attacked(ISOLATED), CONTROL),
    not_tried={"transcript_ratio": "It needs the noisy answers."},
)


def public(findings: Findings = FOUND, what: str = "Stays", claim: Claim | None = CLAIM) -> str:
    return audit_page.render(findings, plan=PLAN, what=what, claim=claim)


def internal(findings: Findings = FOUND) -> str:
    return audit_page.render_internal(findings, plan=PLAN, what="Stays", claim=CLAIM)


def seen(page: str) -> str:
    """The text of a page as it is read."""
    body = page.split("</style>")[1]
    return " ".join(re.sub(r"<[^>]*>", " ", body).replace("\xa0", " ").replace("&nbsp;", " ").split())


def shapes(page: str, style: str) -> list[str]:
    return re.findall(rf'<path class="{style}" d="([^"]*)"', page)


PRIVATE = ("1987", "777", "313", "0.612", "23.4", "20.1", "26.6", "0.000123", "0.123", "0.456", "0.98765")


def test_no_private_figure_is_on_the_public_page_and_all_are_on_the_internal_one() -> None:
    page = public()
    assert not [figure for figure in PRIVATE if figure in page]
    changed = [
        replace(row, figures={}, estimate=-0.5, interval=(-0.9, 0.9), curve=()) if row.family == "release" else row
        for row in FOUND.rows
    ]
    assert public(Findings(rows=tuple(changed), not_tried=FOUND.not_tried)) == page
    inside = seen(internal())
    assert "Worked on 777 of 1987 people in the data and on 313 of 1987 others" in inside
    assert "difference +23.4 points, between +20.1 and +26.6" in inside
    assert "area under the curve: 0.612" in inside


def test_only_the_internal_page_has_a_banner_and_curves_of_attacks() -> None:
    assert "MUST NOT LEAVE" in internal()
    assert "MUST NOT LEAVE" not in public()
    assert len(shapes(internal(), "roc")) == 3
    assert len(shapes(public(), "roc")) == 1, "that of the made-up tables"


@pytest.mark.parametrize(
    ("verdict", "words", "style"),
    [
        ("PASS", "Passed: no attack that was tried tells who was in the data.", "pass"),
        ("FAIL", "Failed: do not release this.", "fail"),
        ("INCONCLUSIVE", "Not decided: this is no pass", "open"),
    ],
)
def test_the_verdict_comes_first_in_words(verdict: Verdict, words: str, style: str) -> None:
    page = public(Findings(rows=(attacked(EVERYONE, verdict), CONTROL)))
    text = seen(page)
    assert f'<p class="verdict {style}">{verdict}</p>' in page
    assert text.index(verdict) < text.index(words) < text.index("What someone could do")


def test_a_generator_that_was_audited_alone_is_not_said_to_have_been_attacked() -> None:
    text = seen(public(Findings(rows=(STAGE,))))
    assert "the generator kept its claim" in text
    assert "What someone could do" not in text
    assert "no private record was used" in text


def test_what_failed_stands_on_top_with_its_meaning() -> None:
    text = seen(
        public(
            Findings(rows=(attacked(EVERYONE), attacked("exact match, everyone", "FAIL", meaning="It leaks."), CONTROL))
        )
    )
    assert text.index("exact match, everyone : It leaks.") < text.index("Checks passed")
    assert text.index("Exact match The fear") < text.index("Near match The fear")


def test_each_attack_says_on_whom_with_what_and_with_what_power() -> None:
    text = seen(public())
    assert "The fear: that a record was copied." in text
    assert "The attacker has: the released table and nothing else." in text
    assert "On everyone" in text
    assert "On the most isolated people" in text
    assert "limit 5 %; a leak of 8.1 % would have been seen; the claim allows 24.5 %" in text
    assert "It may be larger than the limit, but an attack passes only where the people really tried" in text


def test_equal_rows_of_many_secrets_share_a_line_on_the_public_page_alone() -> None:
    secrets = [attacked(f"attribute inference: {name}, everyone") for name in ("race", 'say "yes", no', "a: b")]
    found = Findings(rows=(*secrets, CONTROL))
    assert seen(public(found)).count("On everyone") == 1
    assert "race, say &#34;yes&#34;, no, a: b" in seen(public(found))
    assert seen(internal(found)).count("On everyone") == 3


def test_all_limits_are_drawn_on_one_scale() -> None:
    rows = (attacked(EVERYONE), attacked(ISOLATED, threshold=0.2), CONTROL)
    places = [
        float(data.split()[0][1:]) for data in shapes(public(Findings(rows=rows)).split("The audit’s own")[1], "limit")
    ]
    first, second = places[1:3] if len(places) > 2 else places
    assert second / first == pytest.approx(4, rel=0.01)


def test_intervals_stand_on_their_own_scale_with_a_mark_where_the_claim_is() -> None:
    whole = replace(STAGE, check="transcript: whole fit", threshold=None, estimate=0.8, interval=(0.6, 1.0))
    share = replace(STAGE, check="transcript: select", threshold=None, estimate=0.95, interval=(0.9, 0.99))
    page = public(Findings(rows=(whole, share)))
    assert "epsilon; mark: what is claimed" in seen(page)
    assert "mu as a share of the ledger’s entry; mark: all of it" in seen(page)
    marks = [float(data.split()[0][1:]) for data in shapes(page.split("Does the generator")[1], "limit")]
    assert marks == pytest.approx([260 / 1.1, 260 / 1.1], abs=0.1)
    assert len(shapes(page.split("tell neighbours apart")[1], "ceiling")) == 2


def test_what_was_not_tried_and_how_to_repeat_are_said() -> None:
    text = seen(public())
    assert "Transcript ratio : It needs the noisy answers." in text
    assert PLAN.digest in text
    assert str(PLAN.seed) in text
    assert "Everything in the plan was tried." in seen(public(Findings(rows=(CONTROL, attacked(EVERYONE)))))


def test_a_claim_says_what_the_best_attack_could_do_and_no_claim_says_that() -> None:
    assert "at most 2.7 % of the people in the data while taking 1 % of others" in seen(public())
    assert "there is no ceiling" in seen(public(claim=None))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"} or name.startswith("on")]


@pytest.mark.parametrize("page", [public, internal])
def test_the_page_is_self_contained_and_escapes_what_it_shows(page: object) -> None:
    render = audit_page.render if page is public else audit_page.render_internal
    nasty = "<script>alert(1)</script>\"'&"
    rows = (
        replace(attacked(f"{nasty}: {nasty}, everyone"), meaning=nasty, threat=nasty),
        replace(STAGE, check=nasty),
        CONTROL,
    )
    html = render(Findings(rows=rows, not_tried={nasty: nasty}), plan=PLAN, what=nasty, claim=CLAIM)
    tags = Tags()
    tags.feed(html)
    assert not tags.seen & {"script", "img", "link", "iframe", "object"}
    assert all(link.startswith("#") for link in tags.links)
    assert "default-src 'none'" in html.replace("&#39;", "'")


def test_ceilings_are_those_of_the_claim() -> None:
    most = audit_pictures.allowed(Claim(epsilon=math.log(3), delta=0.01, rho=None, unit="row"))
    assert most(0.1) == pytest.approx(0.31)
    assert most(0.9) == pytest.approx(1 - (1 - 0.01 - 0.9) / 3)
    assert (most(0.0), most(1.0)) == (pytest.approx(0.01), 1.0)
    gaussian = audit_pictures.allowed(Claim(epsilon=1.0, delta=1e-5, rho=0.5, unit="row", composition="gdp"))
    assert gaussian(0.5) == pytest.approx(0.8413447, abs=1e-6)
    assert (gaussian(0.0), gaussian(1.0)) == (0.0, 1.0)

"""What may be kept under which promises: never under smaller ones than it was measured with, never for more people."""

import pytest

from privsynth.certificate.predicate import RefreshClaim
from privsynth.errors import PolicyRefusal
from privsynth.policy import Policy
from privsynth.refreshing.covering import _require_as_many_people, covered, kept_stage, rests_on
from privsynth.releasing.terms import terms
from tests import made_refresh as made
from tests.unit.refreshing.conftest import POLICY

WHOLE = terms(made.SCHEMA, Policy.loads(POLICY), generator="latent_class")
DELTA = str(float(WHOLE.policy.budget.release_delta))


def claimed(epsilon="4", delta=DELTA, **refresh):
    found = {
        "releaseId": made.RELEASE,
        "guarantee": {"epsilon": epsilon, "delta": delta},
        "recipients": {"class": WHOLE.policy.recipients.klass},
    }
    return {**found, "refresh": refresh} if refresh else found


def kept_from(*releases):
    return [{"release": release, "epsilon": epsilon, "delta": "0.0000001"} for release, epsilon in releases]


def test_who_is_in_every_release_of_a_chain_is_covered_by_the_sum():
    found = covered(claimed("1", "0.0000001", keptFrom=kept_from(("a", "3.5"), ("b", "2"))), WHOLE)
    assert found.claim == [
        {"release": made.RELEASE, "epsilon": "1", "delta": "0.0000001"},
        *kept_from(("a", "3.5"), ("b", "2")),
    ]
    assert "epsilon 6.5 at delta 0.0000003" in found.words
    assert "release a (epsilon 3.5 at delta 0.0000001)" in found.words
    part = found.by({"a", "b"})
    assert [one.release for one in part.promises] == ["a", "b"]
    assert "epsilon 5.5 at delta 0.0000002" in part.words
    assert "sum" not in found.by({"b"}).words
    assert "Nothing is kept" in found.by(()).words


def test_a_chain_of_too_many_releases_is_refused_before_its_words_are_too_long_for_a_certificate():
    chain = kept_from(*((f"{place:032x}", "1.2345") for place in range(20)))
    longest = covered(claimed("1.2345", "0.0000001", keptFrom=chain[1:]), WHOLE)
    assert len(longest.claim) == 20
    assert len(longest.words) < 2500  # of the 4,000 that a certificate's sentence may have
    with pytest.raises(PolicyRefusal, match=r"21 releases.*20 at most.*make a release of its own"):
        covered(claimed("1.2345", "0.0000001", keptFrom=chain), WHOLE)


def test_a_table_of_a_release_that_promised_nothing_known_is_refused():
    with pytest.raises(PolicyRefusal, match="does not say what covers all"):
        covered(claimed("1"), WHOLE).by({made.RELEASE, "unknown"})


@pytest.mark.parametrize("releases", [("a",), ("a", "b"), ("a", "b", "c")])
def test_the_stage_of_a_kept_answer_names_every_release(releases):
    assert tuple(rests_on(kept_stage(releases), "other")) == releases
    assert rests_on("drift: columns", "other") == ["other"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (claimed("4.0001"), "epsilon 4.0001"),
        (claimed("1", keptFrom=kept_from(("a", "1"), ("b", "4.1"))), "epsilon 4.1"),
        (claimed("1", "0.1"), "delta 0.1"),
        (claimed("1", keptEpsilon="1", keptDelta="1e-12"), "does not say what covers"),
    ],
)
def test_what_was_measured_under_weaker_promises_is_not_kept(said, words):
    with pytest.raises(PolicyRefusal, match=words):
        covered(said, WHOLE)


@pytest.mark.parametrize(
    ("said", "epsilons"),
    [
        ({"keptEpsilon": "3", "keptDelta": "0.000001"}, ["3"]),
        ({"keptFrom": kept_from(("a", "3"), ("b", "2"))}, ["3", "2"]),
        ({"keptFrom": []}, []),
    ],
)
def test_certificates_that_list_no_releases_are_still_read(said, epsilons):
    claim = {"previous": "a", "driftTest": "b", "driftTests": 1, "chargedRho": "1", "kept": 1}
    claim |= {name: [] for name in ("moved", "movedPairs", "new", "gone", "tooNoisy")}
    assert RefreshClaim.model_validate(claim | said).epsilons == epsilons


@pytest.mark.parametrize(
    ("before", "now", "allowed"),
    [
        ("internal", "internal", True),
        ("public", "internal", True),
        ("public", "partner", True),
        ("internal", "public", False),
        ("partner", "public", False),
        ("internal", "partner", False),
        ("friends", "internal", False),
    ],
)
def test_tables_go_on_to_no_more_people_than_they_were_measured_for(before, now, allowed):
    if allowed:
        _require_as_many_people(before, now)
    else:
        with pytest.raises(PolicyRefusal, match="for recipients of class"):
            _require_as_many_people(before, now)

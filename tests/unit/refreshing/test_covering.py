"""What may be kept under which promises: never under smaller ones than it was measured with, never for more people."""

from decimal import Decimal

import pytest

from privsynth.errors import PolicyRefusal
from privsynth.policy import Policy
from privsynth.refreshing.covering import _require_as_many_people, covered
from privsynth.releasing.terms import terms
from tests import made_refresh as made
from tests.unit.refreshing.test_making import POLICY

WHOLE = terms(made.SCHEMA, Policy.loads(POLICY), generator="latent_class")
DELTA = str(float(WHOLE.policy.budget.release_delta))


def claimed(epsilon="4", delta=DELTA, **refresh):
    found = {
        "releaseId": made.RELEASE,
        "guarantee": {"epsilon": epsilon, "delta": delta},
        "recipients": {"class": WHOLE.policy.recipients.klass},
    }
    return {**found, "refresh": refresh} if refresh else found


def test_the_largest_of_a_chain_covers_what_is_kept():
    found = covered(claimed("1", keptEpsilon="3.5", keptDelta="1e-12"), WHOLE)
    assert (found.epsilon, Decimal(found.delta)) == ("3.5", Decimal(DELTA))
    assert covered(claimed("2"), WHOLE).epsilon == "2"
    assert made.RELEASE in found.words
    assert "epsilon 3.5" in found.words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (claimed("4.0001"), "epsilon 4.0001"),
        (claimed("1", keptEpsilon="4.1", keptDelta="1e-12"), "epsilon 4.1"),
        (claimed("1", "0.1"), "delta 0.1"),
        (claimed("1", driftTest="x"), "does not say what covers"),
    ],
)
def test_what_was_measured_under_weaker_promises_is_not_kept(said, words):
    with pytest.raises(PolicyRefusal, match=words):
        covered(said, WHOLE)


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

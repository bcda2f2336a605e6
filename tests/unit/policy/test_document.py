import datetime as dt
from fractions import Fraction
from pathlib import Path

import pytest

from privsynth import generators, policy
from privsynth.audit_plan import AuditPlan
from privsynth.choosing import AUTO
from privsynth.errors import PolicyError, PolicyRefusal
from privsynth.policy import Policy

NAMES = ("internal-research", "partner-sharing", "public-release")
TODAY = dt.date(2026, 11, 22)
TOP = Path(__file__).resolve().parents[3] / "policies"


def test_the_policies_that_ship():
    assert policy.shipped() == ("hipaa-safe-harbor", *NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_policies_load_by_name_and_by_path_and_are_usable(name):
    found = Policy.load(name)
    assert found.digest == Policy.load(TOP / f"{name}.toml").digest
    assert found.name == name
    assert set(found.generators.allow) <= {AUTO, *generators.NAMES}
    assert AuditPlan.load(found.audit.plan).name == found.audit.plan
    assert found.audit.holdout == Fraction(1, 10)
    assert found.certificate.valid_days == 365
    assert found.population is None
    assert found.budget.release_epsilon < found.budget.lifetime_epsilon
    found.require_current(TODAY)


def test_the_lifetime_caps_are_ordered_by_who_may_see_the_table():
    assert [Policy.load(name).budget.lifetime_epsilon for name in NAMES] == [10, 6, 3]
    assert [Policy.load(name).recipients.klass for name in NAMES] == ["internal", "partner", "public"]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_numbers_are_called_choices_and_name_their_precedents(name):
    text = (TOP / f"{name}.toml").read_text()
    assert "this project's choices" in text
    assert "9.98" in text
    assert "17.14" in text


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        PolicyError, match='no shipped policy "partner"; there are hipaa-safe-harbor, internal-research'
    ):
        Policy.load("partner")


def test_policies_are_frozen():
    found = Policy.load("partner-sharing")
    with pytest.raises(Exception, match="frozen"):
        found.budget.release_epsilon = Fraction(100)
    with pytest.raises(AttributeError):
        found.terms = None
    with pytest.raises(TypeError):
        found.deidentification.cleared["x"] = "y"


def test_an_expired_policy_refuses_the_day_after():
    found = Policy.load("partner-sharing")
    found.require_current(found.expires)
    with pytest.raises(PolicyRefusal, match=rf'policy "partner-sharing" expired on {found.expires}'):
        found.require_current(found.expires + dt.timedelta(days=1))


def test_a_population_must_be_declared_by_somebody():
    found = Policy.load("partner-sharing")
    with pytest.raises(PolicyError, match=r'extends = \["partner-sharing"\].*\[population\]'):
        found.require_population()
    given = found.with_population("clinic", 100_000)
    assert given.require_population().id == "clinic"
    assert given.require_population().public_size == 100_000
    assert given.name == found.name
    assert given.digest != found.digest
    assert given.digest == found.with_population("clinic", 100_000).digest
    assert given.digest != found.with_population("clinic", 100_001).digest


@pytest.mark.parametrize(
    ("population", "size"), [('a"\npublic_size = 1\n[x]', 5), ("A", 5), ("", 5), ("a", 0), ("a", -5)]
)
def test_a_population_is_checked_as_if_it_stood_in_a_file(population, size):
    with pytest.raises(PolicyError):
        Policy.load("partner-sharing").with_population(population, size)


def test_delta_too_large_for_the_declared_population():
    with pytest.raises(
        PolicyError, match=r"budget.release_delta: delta too large for n: 1e-7 is above 1 / \(10 \* 2000000\)"
    ):
        Policy.load("partner-sharing").with_population("clinic", 2_000_000)
    assert Policy.load("partner-sharing").with_population("clinic", 1_000_000).budget.release_delta == Fraction(
        1, 10**7
    )


def test_diff_of_shipped_policies():
    lines = Policy.load("internal-research").diff(Policy.load("public-release"))
    assert lines[0] == "loosened: recipients.class from internal to public"
    assert "tightened: budget.release_epsilon from 4 to 1" in lines
    assert "tightened: audit.plan from quick to standard" in lines
    assert any(line.startswith("changed: policy.name from") for line in lines)
    assert Policy.load("public-release").diff(Policy.load("public-release")) == []


def test_diff_sees_populations_and_profiles():
    base = Policy.load("partner-sharing")
    lines = base.diff(Policy.load("partner-sharing", overlays=["hipaa-safe-harbor"]).with_population("clinic", 5000))
    assert "tightened: deidentification.profile from none to hipaa-safe-harbor" in lines
    assert "tightened: population.id from nothing to clinic" in lines
    assert "changed: policy.name from partner-sharing to partner-sharing+hipaa-safe-harbor" in lines


def test_describe_says_every_term_in_words():
    text = Policy.load("partner-sharing").with_population("clinic", 5000).describe()
    for said in (
        'account of "clinic" pays, publicly at most 5000', "epsilon 2 (delta 1e-7)", "for ever, 6 (delta 1e-7)",
        "full releases",
        "at most one row of theirs", "latent_class, aim, mst, independent, vae, gan (auto where none is named)", "from 1 to 10",
        'audit plan "standard"',
        "10 % of the people are held out", "one attempt", "named partner", "forbids re-identification", "365 days",
        "nearest declared one", "no de-identification profile",
    ):  # fmt: skip
        assert said in text
    assert f"until {Policy.load('partner-sharing').expires}" in text
    assert "No population is declared" in Policy.load("partner-sharing").describe()
    strict = Policy.load("partner-sharing", overlays=["hipaa-safe-harbor"]).describe()
    assert "Safe Harbor" in strict
    assert "compliant" not in strict.lower()


def test_the_room_for_releases_is_the_ledgers_own_sum():
    tight = Policy.loads(
        '[policy]\nname = "x"\nversion = "1"\nextends = ["partner-sharing"]\n[budget]\nlifetime_epsilon = "2"\n'
    )
    assert "room for no full release" in tight.describe()
    assert "room for 6 to 7 full releases, depending on the generator" in Policy.load("public-release").describe()

"""A refresh from one folder to the next: what is charged and when, what is published, and what is refused unspent."""

import json
import shutil

import pyarrow as pa
import pytest

from privsynth import api, fitting
from privsynth.errors import (
    BudgetExceeded,
    CertificateError,
    InputError,
    PolicyRefusal,
    RecordsError,
    RefusedError,
    SchemaError,
    SubjectMismatch,
)
from privsynth.measurement import measurements
from privsynth.model import Model
from privsynth.policy import Policy
from privsynth.privacy.accounting import Cost
from privsynth.refreshing import changes as what_changed
from privsynth.refreshing import making
from privsynth.schema import Schema
from tests import made_refresh as made
from tests.unit.refreshing.conftest import POLICY, interrupted, kinds, refresh, release, table

DRIFT = {"drift: columns", "drift: pairs"}


def charged(ledger, known):
    return ledger.balance("clinic").spent.nano_rdp[0] - known.nano_rdp[0]


def budget():
    terms = Policy.loads(POLICY).budget
    return made.Budget.of(terms.release_epsilon, terms.release_delta, buys=False, composition="gdp").rho


def test_where_nothing_moved_no_release_is_made_and_the_drift_test_alone_is_charged(at):
    folder, ledger = at
    known = ledger.balance("clinic").spent
    found = refresh(at, table(folder, "same"))
    assert (found.release, found.folder, found.predicate) == (None, None, None)
    assert not (folder / "second").exists()
    assert {column["status"] for column in found.changes["columns"]} == {"kept"}
    assert kinds(ledger) == ["reserve", "begin", "commit"]
    assert charged(ledger, known) == Cost.of(budget() * 15 / 100).nano_rdp[0]
    again = refresh(at, table(folder, "same"))
    assert again.changes == found.changes
    assert (found.again, again.again) == (False, True)
    assert found.changes["covered"].startswith("No release was made")
    assert kinds(ledger) == ["reserve", "begin", "commit"]


def test_what_moved_is_released_charged_for_and_said(at):
    folder, ledger = at
    known = ledger.balance("clinic").spent
    found = refresh(at, table(folder, "moved", column=0.3))
    verified = api.verify(found.folder, trust=folder / "trust.toml")
    claim, guarantee = verified.predicate["refresh"], verified.predicate["guarantee"]
    first = json.loads((folder / "first.internal" / "state.json").read_text())["releaseId"]
    assert (claim["previous"], claim["moved"], claim["new"], claim["gone"]) == (first, ["d"], [], [])
    assert guarantee["epsilon"] == "4"
    stages = {stage["stage"]: float(stage["rho"]) for stage in guarantee["stages"]}
    assert set(stages) == DRIFT | {"renewed: columns", "renewed: pairs", f"kept from release {first}"}
    assert stages[f"kept from release {first}"] == 0
    assert sum(stages.values()) == pytest.approx(float(claim["chargedRho"]), rel=1e-6)
    assert float(claim["chargedRho"]) < float(guarantee["rho"]) * 0.7
    assert kinds(ledger) == ["reserve", "begin", "commit", "reserve", "begin", "commit"]
    assert charged(ledger, known) == pytest.approx(Cost.of(1).nano_rdp[0] * sum(stages.values()), rel=1e-6)
    assert ledger.find(claim["driftTest"]).state == "committed"
    assert json.loads((found.folder / "changes.json").read_text()) == found.changes
    page = (found.folder / "report.html").read_text()
    assert "What changed" in page
    assert f"goes on from release {first}" in page
    assert claim["keptFrom"] == [{"release": first, "epsilon": guarantee["epsilon"], "delta": guarantee["delta"]}]
    said = f"release {first} (epsilon 4 at delta {guarantee['delta']})."
    assert any(said in text for text in guarantee["notCovered"])
    assert said in page
    assert said in what_changed.lines(found.changes)[-1]
    assert "What changed" not in (folder / "first" / "report.html").read_text()
    model = Model.from_release(found.folder)
    assert len(measurements(model.transcript)) > claim["kept"]
    assert model.distribution.total == pytest.approx(3600, rel=0.1)


def fill(ledger):
    """Other releases, until one more does not fit."""
    balance = ledger.balance("clinic")
    while balance.cap.admits(balance.spent + balance.reserved + Cost.of(budget())):
        other = f"{len(ledger.entries()):064x}"
        ledger.begin(
            ledger.reserve("clinic", cost=Cost.of(budget()), release_id=other, plan_digest=other, attempts_allowed=1)
        )
        balance = ledger.balance("clinic")


def test_a_cap_that_could_not_bear_it_refuses_with_nothing_spent(at):
    folder, ledger = at
    fill(ledger)
    before = len(ledger.entries())
    ledger.reserve(
        "clinic", cost=Cost.of(budget() * 15 / 100), release_id="drift", plan_digest="f" * 64, attempts_allowed=1
    )
    ledger.void(ledger.find("drift"))  # the drift test alone would fit
    with pytest.raises(BudgetExceeded, match="Nothing was spent"):
        refresh(at, table(folder, "moved", column=0.3))
    assert len(ledger.entries()) == before + 2
    assert not list(folder.glob("second*"))


def test_a_crash_between_the_parts_goes_on_from_the_answers(at, monkeypatch):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    measured, fits = fitting.measure, []

    def crash_at_second(*args):
        fits.append(args[1].generator.part)
        if len(fits) == 2:
            raise KeyboardInterrupt
        return measured(*args)

    monkeypatch.setattr(fitting, "measure", crash_at_second)
    with pytest.raises(KeyboardInterrupt):
        refresh(at, source)
    assert kinds(ledger) == ["reserve", "begin", "commit", "reserve", "begin"]
    with pytest.raises(RefusedError, match="cut off while it measured"):
        refresh(at, source)
    assert fits == ["watch", "renew"]
    assert kinds(ledger)[-1] == "forfeit"


def test_a_crash_in_the_drift_test_forfeits_it_and_draws_nothing_again(at, monkeypatch):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    fits = []

    def crash(*args):
        fits.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "measure", crash)
    for expected in (KeyboardInterrupt, RefusedError, RefusedError):
        with pytest.raises(expected):
            refresh(at, source)
    assert len(fits) == 1
    assert kinds(ledger) == ["reserve", "begin", "forfeit"]


def test_another_table_under_the_same_out_is_refused(at):
    folder, ledger = at
    refresh(at, table(folder, "same"))
    with pytest.raises(RefusedError, match="another table"):
        refresh(at, table(folder, "others"))
    assert kinds(ledger) == ["reserve", "begin", "commit"]


def test_answers_that_this_account_did_not_pay_for_are_refused(at, tmp_path):
    folder, ledger = at
    with api.open_ledger(tmp_path / "other.sqlite3") as other:
        release(folder, other, table(folder, "before"), "foreign")
        with pytest.raises(RefusedError, match="not one that the account"):
            refresh(at, table(folder, "same"), previous=folder / "foreign")
        with pytest.raises(RefusedError, match="not one that the account"):
            refresh(at, table(folder, "same"), ledger=api.open_ledger(tmp_path / "new.sqlite3"))
    assert kinds(ledger) == []


def test_a_changed_file_of_the_earlier_release_is_refused(at):
    folder, ledger = at
    path = folder / "first" / "measurements.json"
    path.write_text(path.read_text().replace("1", "2", 1))
    for trust in (folder / "trust.toml", None):
        with pytest.raises(SubjectMismatch):
            refresh(at, table(folder, "same"), trust=trust)
    with pytest.raises((InputError, CertificateError)):
        refresh(at, table(folder, "same"), previous=folder, trust=None)
    assert kinds(ledger) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "clinic"', 'id = "other"', "is of the population"),
        ('allow = ["independent", "latent_class", "mst"]', 'allow = ["independent", "mst"]', "does not allow"),
    ],
)
def test_another_population_or_a_generator_that_is_not_allowed_is_refused(at, old, new, words):
    folder, ledger = at
    policy = POLICY.replace(old, new).replace('default = "latent_class"', 'default = "independent"')
    with pytest.raises(PolicyRefusal, match=words):
        refresh(at, table(folder, "same"), policy=Policy.loads(policy))
    assert kinds(ledger) == []


def test_a_smaller_epsilon_than_the_earlier_releases_is_refused(at):
    folder, ledger = at
    policy = POLICY + '[budget]\nrelease_epsilon = "2"\n'
    with pytest.raises(PolicyRefusal, match="measured under epsilon 4"):
        refresh(at, table(folder, "moved", column=0.3), policy=Policy.loads(policy))
    assert kinds(ledger) == []


def test_a_place_whose_attempt_this_ledger_does_not_know_is_refused(at, place, tmp_path):
    folder, _ = at
    shutil.copytree(place, tmp_path / "copy")
    refresh(at, table(folder, "same"))
    with (
        api.open_ledger(tmp_path / "copy" / "ledger.sqlite3") as other,
        pytest.raises(RefusedError, match="this ledger does not know"),
    ):
        refresh(at, table(folder, "same"), ledger=other)


def test_the_certificate_counts_the_drift_tests_against_its_earlier_release_under_whatever_policy(at):
    folder, _ = at
    refresh(at, table(folder, "same"))
    policy = Policy.loads(POLICY.replace('version = "1.0"', 'version = "1.1"'))
    found = refresh(at, table(folder, "moved", column=0.3), out=folder / "third", policy=policy)
    assert found.predicate["refresh"]["driftTests"] == 2


def test_another_map_under_the_same_out_is_refused(at):
    _, ledger = at
    sizes = {**made.SIZES, "f": 3}
    del sizes["c"]
    columns = made.people(6000, 30)
    columns["f"] = columns.pop("c")
    renamed = {"schema": Schema.from_domain(sizes), "map": {"c": "f"}}
    assert refresh(at, pa.table(columns), **renamed).release is None
    for changed in ({"a": "f", "c": "a"}, {}):
        with pytest.raises(RefusedError, match="another table, or with another"):
            refresh(at, pa.table(columns), **(renamed | {"map": changed}))
    assert kinds(ledger) == ["reserve", "begin", "commit"]


def test_a_drift_test_whose_noise_cannot_be_drawn_is_refused_before_it_is_charged(at, monkeypatch):
    folder, ledger = at
    monkeypatch.setattr(making, "MAX_COUNT_SIGMA", 1)
    with pytest.raises(PolicyRefusal, match="larger than any count"):
        refresh(at, table(folder, "same"))
    assert kinds(ledger) == []


def test_a_cap_that_filled_up_before_the_drift_test_began_is_looked_at_again(at, monkeypatch):
    folder, ledger = at
    with monkeypatch.context() as patch:
        patch.setattr(making, "measured", interrupted)
        with pytest.raises(KeyboardInterrupt):
            refresh(at, table(folder, "same"))
    assert kinds(ledger) == ["reserve"]
    fill(ledger)
    with pytest.raises(BudgetExceeded, match="Nothing was spent"):
        refresh(at, table(folder, "same"))
    assert [entry.kind for entry in ledger.entries()].count("commit") == 1


def test_a_schema_that_changed_is_followed_where_it_can_be_and_refused_where_not(at):
    folder, _ = at
    sizes = {**made.SIZES, "f": 3}
    del sizes["c"]
    columns = made.people(6000, 30)
    columns["f"] = columns.pop("c")
    found = refresh(at, pa.table(columns), schema=Schema.from_domain(sizes))
    assert found.predicate["refresh"]["new"] == ["f"]
    assert found.predicate["refresh"]["gone"] == ["c"]
    assert found.predicate["refresh"]["moved"] == []
    renamed = refresh(at, pa.table(columns), schema=Schema.from_domain(sizes), map={"c": "f"}, out=folder / "renamed")
    assert renamed.release is None
    (said,) = [line for line in what_changed.lines(renamed.changes) if "declared otherwise" in line]
    assert "c, now f" in said
    assert "make a release of its own" in said
    with pytest.raises(RecordsError, match=r'lacks column "c".*--schema.*--map'):
        refresh(at, pa.table(columns), out=folder / "unnamed")
    with pytest.raises(SchemaError, match="nothing of the earlier release"):
        refresh(at, pa.table(columns), schema=Schema.from_domain({"x": 2}), out=folder / "none")

"""A refresh from one folder to the next: what is charged and when, what is published, and what is refused unspent."""

import functools
import json
import re
import shutil
from fractions import Fraction

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

import privsynth as ps
from privsynth import api, fitting
from privsynth.certificate import keys
from privsynth.errors import (
    BudgetExceeded,
    CertificateError,
    InputError,
    OutputError,
    PolicyRefusal,
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
from privsynth.refreshing.refreshed import Refreshed
from privsynth.schema import Schema
from tests import clinic
from tests import made_refresh as made

POLICY = (
    clinic.POLICY.replace('allow = ["independent", "mst"]', 'allow = ["independent", "latent_class", "mst"]')
    .replace('default = "independent"', 'default = "latent_class"')
    .replace('name = "person"', 'name = "row"')
)
DRIFT = {"drift: columns", "drift: pairs"}


def table(place, name, **moved):
    """A table of the population, as a file."""
    path = place / f"{name}.csv"
    pa_csv.write_csv(pa.table(made.people(6000, len(name) + 20, **moved)), path)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("population")
    keys.new(folder / "key.pem", folder / "trust.toml", "machine")
    ledger = api.open_ledger(folder / "ledger.sqlite3")
    with pytest.MonkeyPatch.context() as patch:
        clinic.pass_every_audit(patch.setattr)
        release(folder, ledger, table(folder, "before"), "first")
    ledger.close()
    return folder


def release(folder, ledger, source, out, policy=POLICY):
    return api.release(
        source, schema=made.SCHEMA, policy=Policy.loads(policy), key=folder / "key.pem", out=folder / out, ledger=ledger
    )


@pytest.fixture
def at(place, tmp_path, monkeypatch):
    """A copy of the population's folder and ledger, in which the audit lets everything through."""
    clinic.pass_every_audit(monkeypatch.setattr)
    calm = functools.partial(Refreshed, false_alarm=Fraction(1, 10**7))  # so that chance makes no test fail
    monkeypatch.setattr(making, "Refreshed", calm)
    folder = tmp_path / "population"
    shutil.copytree(place, folder)
    with api.open_ledger(folder / "ledger.sqlite3") as ledger:
        yield folder, ledger


def refresh(at, source, **changes):
    folder, ledger = at
    arguments = {
        "previous": folder / "first",
        "policy": Policy.loads(POLICY),
        "key": folder / "key.pem",
        "out": folder / "second",
        "ledger": ledger,
        "trust": folder / "trust.toml",
    }
    return ps.refresh(source, **(arguments | changes))


def kinds(ledger):
    return [entry.kind for entry in ledger.entries()][4:]


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
    assert (claim["keptEpsilon"], claim["keptDelta"]) == (guarantee["epsilon"], guarantee["delta"])
    assert any(f"kept of release {first} is covered by" in text for text in guarantee["notCovered"])
    assert f"kept of release {first} is covered by" in page
    assert f"kept of release {first} is covered by" in what_changed.lines(found.changes)[-1]
    assert "What changed" not in (folder / "first" / "report.html").read_text()
    model = Model.from_release(found.folder)
    assert len(measurements(model.transcript)) > claim["kept"]
    assert model.distribution.total == pytest.approx(3600, rel=0.1)


def test_a_refresh_can_itself_be_refreshed(at):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    refresh(at, source)
    found = refresh(at, source, previous=folder / "second", out=folder / "third")
    assert found.release is None
    assert kinds(ledger)[-3:] == ["reserve", "begin", "commit"]


def fill(ledger):
    """Other releases, until one more does not fit."""
    balance = ledger.balance("clinic")
    while balance.cap.admits(balance.spent + balance.reserved + Cost.of(budget())):
        other = f"{len(ledger.entries()):064x}"
        ledger.begin(
            ledger.reserve("clinic", cost=Cost.of(budget()), release_id=other, plan_digest=other, attempts_allowed=1)
        )
        balance = ledger.balance("clinic")


def interrupted(*_):
    """What a crash is, to whoever is called."""
    raise KeyboardInterrupt


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


def test_the_certificate_counts_the_drift_tests_under_its_terms(at):
    folder, _ = at
    refresh(at, table(folder, "same"))
    found = refresh(at, table(folder, "moved", column=0.3), out=folder / "third")
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


def test_drift_answers_that_somebody_changed_are_refused(at):
    folder, ledger = at
    source = table(folder, "same")
    refresh(at, source)
    path = folder / "second.drift.internal" / "measurements.json"
    text = path.read_text()
    changed = re.sub(r'("values": \[)(-?\d+)', lambda found: f"{found[1]}{int(found[2]) + 900}", text, count=1)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(RefusedError, match="not those that the ledger knows"):
        refresh(at, source)
    path.unlink()
    with pytest.raises(OutputError, match="lost the drift test's answers"):
        refresh(at, source)
    assert kinds(ledger) == ["reserve", "begin", "commit"]


def test_a_second_part_that_another_attempt_left_is_refused_before_anything_is_charged(at):
    folder, ledger = at
    source = table(folder, "moved", column=0.3)
    refresh(at, source)
    shutil.copytree(folder / "second.internal", folder / "third.internal")
    before = kinds(ledger)
    with pytest.raises(OutputError, match="what another attempt left"):
        refresh(at, source, out=folder / "third")
    assert kinds(ledger) == before


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
    with pytest.raises(SchemaError, match="nothing of the earlier release"):
        refresh(at, pa.table(columns), schema=Schema.from_domain({"x": 2}), out=folder / "none")

"""What the path refuses, when, and at what cost; and what it does about interruptions, copies and bought facts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from privsynth import attacks, auditing, fitting, releasing
from privsynth.attack import Target
from privsynth.certificate.keys import Signer
from privsynth.errors import (
    AuditFailed,
    BudgetExceeded,
    CertificateError,
    OutputError,
    PolicyRefusal,
    RecordsError,
    RefusedError,
)
from privsynth.findings import Findings
from privsynth.fitting import measure
from privsynth.measurement import measurements
from privsynth.membership import measured_rows
from privsynth.policy import Policy
from privsynth.privacy.ledgers.memory import MemoryLedger
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.private import Private
from privsynth.releasing import path as release_path
from privsynth.schema import Schema
from tests import clinic


def test_noise_that_can_be_replayed_is_never_signed(make):
    with pytest.raises(PolicyRefusal, match="replayed"):
        make(noise=UnsafeSeededNoise(1))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"generator": "aim"}, PolicyRefusal),
        ({"source": "missing.csv"}, RecordsError),
        ({"schema": Schema.from_domain({"x": 3})}, PolicyRefusal),
    ],
)
def test_a_refusal_beforehand_spends_nothing_and_writes_nothing(make, tmp_path, change, error):
    ledger = clinic.fresh_ledger()
    with pytest.raises(error):
        make(ledger=ledger, **change)
    assert not [entry for entry in ledger.entries() if entry.kind == "begin"]
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_exists_is_refused(make, tmp_path):
    (tmp_path / "release").mkdir()
    with pytest.raises(OutputError, match="exists"):
        make()
    with pytest.raises(OutputError, match="not a folder"):
        make(out=tmp_path / "nowhere" / "release")


def test_an_expired_policy_is_refused(make, place):
    policy = Policy.loads(clinic.POLICY.replace("2036-12-31", "2020-01-01"))
    with pytest.raises(PolicyRefusal, match="expire"):
        make(policy=policy)


def test_the_lifetime_cap_ends_the_releases(make, tmp_path):
    ledger = clinic.fresh_ledger()
    outcomes = []
    for attempt in range(6):
        policy = Policy.loads(clinic.POLICY.replace('version = "1.0"', f'version = "1.{attempt}"'))
        try:
            make(ledger=ledger, policy=policy, out=tmp_path / f"release{attempt}")
            outcomes.append("made")
        except BudgetExceeded:
            outcomes.append("refused")
    assert outcomes[0] == "made"
    assert outcomes[-1] == "refused"
    assert ledger.balance("clinic").cap.admits(ledger.balance("clinic").spent)


def test_an_audit_that_cannot_tell_refuses_with_reasons_and_without_data(make, place, tmp_path):
    small = tmp_path / "small.csv"
    lines = place["table"].read_text().splitlines()
    small.write_text("\n".join(lines[:300]) + "\n")
    ledger = clinic.fresh_ledger()
    with pytest.raises(AuditFailed, match="refused"):
        make(audited=True, source=small, ledger=ledger)
    assert [entry.kind for entry in ledger.entries()][-1] == "forfeit"
    refused = tmp_path / "release.refused"
    assert {path.name for path in refused.iterdir()} == {"refusal.json", "refusal.html"}
    assert not (tmp_path / "release").exists()
    assert not list(tmp_path.rglob("certificate.json"))
    document = json.loads((refused / "refusal.json").read_text())
    assert document["decision"] == "REFUSED"
    assert document["reasons"]
    assert "SECRET" not in (refused / "refusal.html").read_text()
    with pytest.raises(OutputError, match="refused attempt"):
        make(source=small, ledger=ledger)


def test_changed_terms_cannot_take_over_an_earlier_attempt(make, place, tmp_path):
    ledger = clinic.fresh_ledger()
    make(ledger=ledger)
    (tmp_path / "release").rename(tmp_path / "elsewhere")
    policy = Policy.loads(clinic.POLICY.replace('version = "1.0"', 'version = "2.0"'))
    with pytest.raises(RefusedError, match="another policy"):
        make(ledger=ledger, policy=policy)


def test_a_plan_that_succeeded_may_be_released_again_and_one_that_failed_may_not(make, place, tmp_path):
    ledger = clinic.fresh_ledger()
    make(ledger=ledger, out=tmp_path / "first")
    make(ledger=ledger, out=tmp_path / "second")
    small = tmp_path / "small.csv"
    small.write_text("\n".join(place["table"].read_text().splitlines()[:300]) + "\n")
    with pytest.raises(AuditFailed):
        make(audited=True, source=small, ledger=ledger, out=tmp_path / "third")
    with pytest.raises(PolicyRefusal, match="attempts"):
        make(ledger=ledger, out=tmp_path / "fourth")


def test_what_cannot_be_certified_is_refused_before_anything_is_spent(make):
    ledger = clinic.fresh_ledger()
    text = clinic.POLICY + '[recipients]\ncontract = "See /home/alice/contract.pdf"\n'
    with pytest.raises(CertificateError):
        make(ledger=ledger, policy=Policy.loads(text))
    assert not ledger.entries()


def test_an_interrupted_release_cannot_go_on_with_another_table(make, place, tmp_path, monkeypatch):
    ledger = clinic.fresh_ledger()
    with monkeypatch.context() as patched:
        patched.setattr(release_path, "_audited", lambda *_: (_ for _ in ()).throw(OutputError("stopped")))
        with pytest.raises(OutputError):
            make(ledger=ledger)
    other = tmp_path / "other.csv"
    other.write_text(place["table"].read_text().replace("SECRET-p", "OTHER-p"))
    with pytest.raises(RefusedError, match="another table"):
        make(source=other, ledger=ledger)
    assert make(ledger=ledger).folder.exists()


def test_a_policy_about_people_needs_a_schema_that_names_them(make):
    schema = Schema.loads(clinic.SCHEMA.replace('unit = "patient"\n', ""))
    with pytest.raises(PolicyRefusal, match="names no unit column"):
        make(schema=schema)


def test_too_few_people_for_the_audit_is_known_beforehand(make):
    with pytest.raises(PolicyRefusal, match="held-out people"):
        make(policy=Policy.loads(clinic.POLICY.replace("public_size = 10000", "public_size = 2000")))


def test_a_lifetime_budget_that_fits_no_release_is_refused(make):
    policy = Policy.loads(clinic.POLICY + '[budget]\nlifetime_epsilon = "4"\n')
    with pytest.raises(PolicyRefusal, match="not even one"):
        make(policy=policy)


def test_one_row_ends_in_a_refusal_that_is_on_record(make, place, tmp_path):
    ledger, single = clinic.fresh_ledger(), tmp_path / "single.csv"
    single.write_text("\n".join(place["table"].read_text().splitlines()[:2]) + "\n")
    with pytest.raises(AuditFailed, match="budget of this attempt is spent"):
        make(audited=True, source=single, ledger=ledger)
    assert [entry.kind for entry in ledger.entries()][-1] == "forfeit"
    assert (tmp_path / "release.refused" / "refusal.html").exists()


def test_a_purchase_that_fails_is_forfeited(make, place):
    text = clinic.SCHEMA.replace('lower = "0.00"\nupper = "5000.00"\nprecision', 'buy = "bounds"\nprecision')
    policy = Policy.loads(clinic.POLICY + '[budget]\nrelease_epsilon = "0.01"\n')
    ledger = clinic.fresh_ledger()
    with pytest.raises(RefusedError, match="could not be told from the noise"):
        make(schema=Schema.loads(text), policy=policy, ledger=ledger)
    assert [entry.kind for entry in ledger.entries()][-1] == "forfeit"


def test_without_people_to_spare_a_copy_fitted_on_half_is_attacked(make, place, monkeypatch):
    shipped = Path(__file__).resolve().parents[3] / "policies" / "internal-research.toml"
    text = shipped.read_text().replace('control = "holdout"', 'control = "half-copy"')
    policy = Policy.loads(text + '[population]\nid = "clinic"\npublic_size = 10000\n')
    seen = {}

    def run(plan, *, schema, synthetic, members, controls, claim, rng, transcript, refit):
        seen.update(members=members.open().rows, controls=controls.open().rows, synthetic=synthetic)
        seen.update(transcript=transcript, refitted=refit(synthetic.take(slice(100)), rng))
        return clinic.passing_audit()

    clinic.pass_every_audit(monkeypatch.setattr)
    monkeypatch.setattr(auditing, "run", run)
    made = releasing.release(
        place["table"],
        schema=place["schema"],
        policy=policy,
        signer=Signer.load(place["folder"] / "key.pem"),
        out=place["folder"] / "half",
        ledger=clinic.fresh_ledger(),
        generator="independent",
    )
    assert seen["members"] + seen["controls"] > 5000
    assert abs(seen["members"] - seen["controls"]) < 600
    attacked = seen["synthetic"].ticks["age"]
    released = json.loads((made.folder / "measurements.json").read_text())["entries"]
    assert len(attacked) == seen["refitted"].rows == made.predicate["schema"]["rows"]
    assert released
    assert measured_rows(measurements(seen["transcript"])) == pytest.approx(seen["members"], abs=100)


def test_bought_categories_are_released_and_attacked_under_the_completed_schema(make, place, monkeypatch):
    """Every copied row must be found again: the audit has to compare labels, not their places in two different lists."""
    wards = 'values = ["A & E", "<b>Bold</b>", "Surgery, general", "Maternity"]\nother = "A & E"'
    text = clinic.SCHEMA.replace(wards, "buy = true")
    schema = Schema.loads(text[: text.index("[[rules]]")])
    seen = {}

    def run(plan, *, schema, synthetic, members, controls, claim, rng, transcript, refit):
        seen.update(schema=schema, synthetic=synthetic, members=members.open(), controls=controls.open())
        few = seen["controls"].take(slice(300))
        seen.update(transcript=transcript, refitted=refit(few, rng))
        target = Target(
            schema=schema,
            synthetic=synthetic,
            members=Private(seen["members"].take(slice(300))),
            controls=Private(few),
            transcript=transcript,
        )
        (seen["attacked"],) = attacks.get("transcript_ratio", {}).run(target, rng=rng)
        return clinic.passing_audit()

    clinic.pass_every_audit(monkeypatch.setattr)
    monkeypatch.setattr(auditing, "run", run)
    plans = []
    watched = lambda *given, **named: (plans.append(given[1]), measure(*given, **named))[1]  # noqa: E731
    monkeypatch.setattr(fitting, "measure", watched)
    releasing.release(
        place["table"],
        schema=schema,
        policy=place["policy"],
        signer=Signer.load(place["folder"] / "key.pem"),
        out=place["folder"] / "bought",
        ledger=clinic.fresh_ledger(),
    )
    assert not seen["schema"].unresolved
    assert seen["attacked"].attempts == 300
    assert seen["refitted"].rows == seen["synthetic"].rows
    paid, again = (plan.budget for plan in plans)
    assert (again.rho, again.purchase_rho) == (paid.rho - paid.purchase_rho, 0)
    assert seen["refitted"].schema == seen["schema"]
    for table in (seen["synthetic"], seen["members"], seen["controls"]):
        assert table.schema == seen["schema"]
        bold = seen["schema"].column("ward").values.index("<b>Bold</b>")
        assert np.mean(table.ticks["ward"] == bold) == pytest.approx(0.31, abs=0.04)


def test_a_ledger_that_dies_with_the_process_backs_no_release(make):
    with pytest.raises(PolicyRefusal, match="outlives"):
        make(ledger=MemoryLedger())


def test_a_failed_audit_cannot_be_tried_again_for_free(make, tmp_path, monkeypatch):
    """Whatever stands in the refusal's place: the forfeit is on record before the reasons are written."""
    ledger = clinic.fresh_ledger()
    (tmp_path / "release.refused").mkdir()
    with pytest.raises(OutputError, match="refused attempt"):
        make(ledger=ledger)
    assert not ledger.entries()
    (tmp_path / "release.refused").rmdir()
    (row,) = clinic.passing_audit().rows
    failed = Findings(rows=(replace(row, verdict="FAIL"),))
    monkeypatch.setattr(clinic, "passing_audit", lambda *_, **__: failed)
    monkeypatch.setattr(release_path, "write_refusal", lambda *_: (_ for _ in ()).throw(OutputError("disk full")))
    with pytest.raises(OutputError, match="disk full"):
        make(ledger=ledger)
    assert [entry.kind for entry in ledger.entries()][-1] == "forfeit"


def test_two_processes_cannot_work_in_one_place(make, tmp_path):
    from privsynth.releasing.workspace import Workspace

    with Workspace(tmp_path / "release").locked(), pytest.raises(OutputError, match="another process"):
        make()
    assert make().folder.exists()


def test_a_bought_label_that_identifies_somebody_is_refused(make, place, tmp_path):
    wards = 'values = ["A & E", "<b>Bold</b>", "Surgery, general", "Maternity"]\nother = "A & E"'
    text = clinic.SCHEMA.replace(wards, "buy = true")
    table = tmp_path / "table.csv"
    table.write_text(place["table"].read_text().replace("<b>Bold</b>", "jane.roe@hospital.org"))
    policy = Policy.loads(clinic.POLICY + "[records]\nrows = 5\n")
    with pytest.raises(AuditFailed, match="labels"):
        make(source=table, schema=Schema.loads(text[: text.index("[[rules]]")]), policy=policy)
    assert not list(tmp_path.rglob("certificate.json"))


def test_who_comes_second_does_not_take_the_lock_away(tmp_path):
    from privsynth.releasing.workspace import Workspace

    with Workspace(tmp_path / "release").locked():
        for _ in range(3):
            with pytest.raises(OutputError, match="another process"), Workspace(tmp_path / "release").locked():
                pass
    assert not (tmp_path / "release.internal").exists()
    with Workspace(tmp_path / "release").locked():
        assert (tmp_path / "release.internal").exists()

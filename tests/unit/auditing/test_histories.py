"""Audits at the unit: copied histories fail, other people's pass, error rates are shared, and controls are of whole units."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from privsynth.attack import NoisyTables
from privsynth.audit_plan import AuditPlan
from privsynth.auditing import histories, overlap, own_controls, verdicts
from privsynth.auditing.trials import Tried
from privsynth.auditing.units import Units
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.errors import AuditError, MechanismError
from privsynth.findings import Claim, Finding, Findings
from privsynth.histories.bounding import rows_used
from privsynth.histories.gathering import taken, together
from privsynth.histories.kinship import without
from privsynth.histories.profiling import profile
from privsynth.histories.viewing import view_datasets
from privsynth.private import Private
from privsynth.records import Records
from tests.made_database import CLINIC_TOML, bank, clinic
from tests.unit.attacks.test_history_attacks import moved, noisy_answers
from tests.unit.auditing.test_edges import QUICK

UNITS = 300


def only(plan: AuditPlan, *names: str) -> AuditPlan:
    """The plan with these attacks alone, all where none is named."""
    kept = tuple(entry for entry in plan.release.attacks if not names or entry.name in names)
    return replace(plan, release=plan.release.model_copy(update={"attacks": kept}))


def plan_of(*names: str) -> AuditPlan:
    """The quick plan for few people, with limits that chance does not reach; of these attacks alone."""
    text = QUICK
    for key, value in (
        ("attempts", f"[{UNITS}]"),
        ("attempts_min", str(UNITS)),
        ("isolated_pool", str(UNITS)),
        ("isolated_share", "0.5"),
        ("control_attempts", str(UNITS // 2)),
    ):
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    text = re.sub(r"^tau(_max)? = .*$", r"tau\1 = 0.3", text, flags=re.MULTILINE)
    return only(
        AuditPlan.loads(re.sub(r"\{share = 0.\d+", "{share = 0.25", text)),
        *names,
    )


def groups(seed: int, *, units: int = UNITS, made=clinic) -> tuple[Database, Database, Database]:
    """Members, controls and others, of one population."""
    everybody = made(3 * units, np.random.default_rng(seed))
    first, second, third = (taken(everybody, np.arange(k * units, (k + 1) * units)) for k in range(3))
    return first, second, replace(third, unit_names=None)


def with_copies(release: Database, copies: Database) -> Database:
    return together(taken(release, np.arange(release.units - copies.units)), replace(copies, unit_names=None))


def audited(
    release: Database,
    members: Database,
    controls: Database,
    plan: AuditPlan,
    *,
    noisy: NoisyTables | None = None,
    claim: Claim | None = None,
) -> Findings:
    return histories.run(
        plan,
        schema=release.schema,
        synthetic=release,
        members=Private(members),
        controls=Private(controls),
        claim=claim,
        rng=np.random.default_rng(4),
        transcripts=None if noisy is None else noisy.transcripts,
    )


def failed(found: Findings) -> list[Finding]:
    return [row for row in found.rows if row.verdict == "FAIL"]


@pytest.fixture(scope="module")
def honest() -> Findings:
    members, controls, others = groups(1)
    return audited(others, members, controls, plan_of(), noisy=noisy_answers(others))


def test_a_release_of_other_people_passes_in_every_part_and_both_controls_are_run(honest):
    assert honest.verdict == "PASS", [row.check for row in honest.rows if row.verdict != "PASS"]
    parts = {row.check.partition(":")[0] for row in honest.rows}
    assert parts == {"histories", "stays", "diagnoses", "control"}
    assert [row.check for row in honest.rows[-2:]] == ["control: planted leak", "control: holdout as release"]
    names = {row.check for row in honest.rows}
    assert {f"histories: {name}, everyone" for name in ("exact match", "history ratio", "table linkage")} <= names
    assert "diagnoses: exact match, the most isolated people" in names
    assert len(names) == len(honest.rows)


def test_what_was_not_tried_is_said(honest, monkeypatch):
    assert set(honest.not_tried) == {"transcript_ratio"}
    assert "attacked by attacks on histories" in honest.not_tried["transcript_ratio"]
    monkeypatch.setattr(histories, "_LEAST", 0.95)
    members, controls, others = groups(12, units=60)
    found = audited(others, members, controls, plan_of("exact_match", "history_ratio"))
    assert set(found.not_tried) == {"history_ratio", "stays", "diagnoses"}
    assert "noisy answers about histories" in found.not_tried["history_ratio"]
    assert "Too few units have rows" in found.not_tried["stays"]
    assert {row.check.partition(":")[0] for row in found.rows} == {"histories", "control"}


@pytest.mark.parametrize("group", [0, 1])
def test_how_many_people_have_rows_in_a_table_does_not_decide_whether_it_is_tried(group):
    """What is tried is published; a group without rows is refused, and never passed over."""
    made = list(groups(12, units=60))
    made[group] = without(made[group], {"stays": np.ones(made[group].tables["stays"].count, dtype=bool)})
    members, controls, others = made
    with pytest.raises(AuditError, match="members and at least two controls"):
        audited(others, members, controls, plan_of("exact_match"))


def test_what_findings_tell_of_tables_is_read_off_what_is_published(monkeypatch):
    """Of a copy that nobody paid for, the public part of the findings is to tell nothing but verdicts."""
    monkeypatch.setattr(histories.trials, "attack_all", planned)
    members, controls, others = groups(14)
    having = np.unique(others.tables["stays"].unit)
    fewer = without(others, {"stays": np.isin(others.tables["stays"].unit, having[:25])})
    plan = plan_of("exact_match")
    assert histories.run(plan, **told(others, members, controls)).public() != (
        histories.run(plan, **told(fewer, members, controls)).public()
    )
    assert histories.run(plan, **told(others, members, controls)).public() == (
        histories.run(plan, **told(fewer, members, controls), published=others).public()
    )


def planned(plan, attacks, people, claim, rng):
    """The rows of a part as they are before anybody is attacked."""
    rows = [verdicts.unfinished(trial, plan.release, None) for trial in verdicts.trials(plan, attacks)]
    return Tried(rows=rows, failing=attacks)


def told(release, members, controls):
    return {
        "schema": release.schema,
        "synthetic": release,
        "members": Private(members),
        "controls": Private(controls),
        "claim": None,
        "rng": np.random.default_rng(4),
    }


def test_planted_units_are_noticed_by_the_attacks_on_histories(honest):
    figures = honest.rows[-2].figures
    for name in ("exact_match", "sequence_matching", "table_linkage", "density_ratio"):
        assert figures[f"noticed, histories: {name}"] in ("a share", "all")


@pytest.mark.parametrize("made", [clinic, bank])
def test_histories_of_a_tenth_of_the_members_are_a_leak(made):
    members, controls, others = groups(2, units=1000, made=made)
    found = audited(with_copies(others, taken(members, np.arange(100))), members, controls, AuditPlan.loads(QUICK))
    assert found.verdict == "FAIL"
    assert all(row.check.startswith("histories: ") for row in failed(found))
    later = [row for row in found.rows if not row.check.startswith(("histories", "control"))]
    assert later
    assert {row.meaning for row in later} == {verdicts.STOPPED}
    assert found.rows[-2].meaning.startswith("Not run")
    assert found.rows[-1].verdict == "PASS"


def test_histories_that_were_moved_in_time_are_a_leak_by_their_sequences():
    members, controls, others = groups(3, units=1000, made=bank)
    copies = moved(taken(members, np.arange(200)), np.random.default_rng(1))
    plan = only(AuditPlan.loads(QUICK), "exact_match", "sequence_matching")
    found = audited(with_copies(others, copies), members, controls, plan)
    assert [row.check for row in failed(found)] == ["histories: sequence matching, everyone"]


def test_rows_that_are_dealt_to_other_people_are_a_leak_in_their_table():
    """Members' transactions, a few to each released person: no history is like anyone's."""
    members, controls, others = groups(4, made=bank)
    rows, mine = others.tables["transactions"], members.tables["transactions"]
    order = np.random.default_rng(2).permutation(mine.count)[: rows.count]
    records = mine.records.take(np.resize(order, rows.count))
    dealt = replace(others, tables={**others.tables, "transactions": replace(rows, records=records)})
    found = audited(dealt, members, controls, only(AuditPlan.loads(QUICK), "exact_match"))
    assert {row.check.partition(":")[0] for row in failed(found)} == {"transactions"}


def test_false_alarms_are_shared_half_to_histories_and_passes_are_not(monkeypatch):
    seen = {}
    attack_all = histories.trials.attack_all

    def watched(plan, attacks, people, claim, rng):
        seen[people.table] = plan.release
        return attack_all(plan, attacks, people, claim, rng)

    monkeypatch.setattr(histories.trials, "attack_all", watched)
    members, controls, others = groups(5, made=bank)
    plan = plan_of("exact_match", "near_match")
    plan = replace(plan, release=plan.release.model_copy(update={"isolated_share": 0.2}))
    audited(others, members, controls, plan)
    assert list(seen) == [None, "accounts", "transactions"]
    whole = plan.release.alpha_fail
    assert [terms.alpha_fail for terms in seen.values()] == pytest.approx([whole / 2, whole / 4, whole / 4])
    assert {terms.alpha_pass for terms in seen.values()} == {plan.release.alpha_pass}
    assert [len(terms.attacks) for terms in seen.values()] == [2, 1, 1]
    assert seen[None].attempts_min == UNITS
    pools = [terms.isolated_pool * terms.isolated_share for terms in seen.values()]
    assert pools[1:] == pytest.approx([UNITS * 0.2] * 2, abs=1)
    assert UNITS / 2 <= seen["accounts"].attempts_min < UNITS


def test_a_broken_claim_fails_by_the_noisy_answers():
    """Answers with hardly any noise about the members, and a release of other people that claims an epsilon of a tenth."""
    members, controls, others = groups(6)
    claim = Claim(epsilon=0.1, delta=1e-9, rho=None, unit="patient")
    plan = plan_of("history_ratio", "exact_match")
    found = audited(others, members, controls, plan, noisy=noisy_answers(members, noise=0.1), claim=claim)
    assert "histories: history ratio, everyone" in {row.check for row in failed(found)}


def test_a_planted_release_holds_whole_histories_and_answers_that_count_it():
    members, controls, others = groups(7)
    people = Units.draw(
        None,
        synthetic=others,
        members=Private(members),
        controls=Private(controls),
        rng=np.random.default_rng(1),
        noisy=noisy_answers(others),
    )
    target = people.planted(100, 40)
    inside, release = profile(target.histories.members.open()), profile(target.histories.synthetic)
    assert (inside.rows, release.rows) == (100, 100)
    for name, ticks in release.ticks.items():
        assert np.array_equal(ticks[60:], inside.ticks[name][:40])
        assert np.array_equal(ticks, target.synthetic.ticks[name])
    counted = view_datasets(target.histories.synthetic, bytes(32), rows_used(others.schema))
    for table, answers in target.histories.noisy.transcripts.items():
        for one in answers:
            assert np.array_equal(one.values, counted[table].marginal(one.clique))


def test_a_tables_part_tries_one_row_a_unit_and_plants_all_of_them():
    members, controls, others = groups(8)
    people = Units.draw(
        "stays", synthetic=others, members=Private(members), controls=Private(controls), rng=np.random.default_rng(1)
    )
    having = [len(np.unique(group.tables["stays"].unit)) for group in (members, controls)]
    assert (people.available, people.all_controls) == (min(having), having[1])
    target, copied = people.planted(50, 50), people.members.open().units[:50]
    assert target.members.open().rows == 50
    assert target.histories is None
    rows = members.tables["stays"]
    expected = rows.records.ticks["admit"][np.isin(rows.unit, copied)]
    assert sorted(target.synthetic.ticks["admit"].tolist()) == sorted(expected.tolist())
    held = people.holdout(50)
    left = controls.tables["stays"].unit
    assert held.synthetic.rows == int(np.isin(left, people.controls.open().units[50:]).sum())


def test_who_is_in_both_groups_is_refused_by_name_and_by_history():
    members, controls, others = groups(9)
    plan = plan_of("exact_match")
    with pytest.raises(AuditError, match="somebody is among the members"):
        audited(others, members, together_named(controls, taken(members, np.arange(1))), plan)
    copies = together(taken(controls, np.arange(200)), taken(members, np.arange(100)))
    with pytest.raises(AuditError, match="more records of the holdout"):
        audited(others, members, copies, plan)


def together_named(first: Database, second: Database) -> Database:
    return replace(together(first, second), unit_names=first.unit_names + second.unit_names)


def test_tables_of_another_schema_and_empty_groups_are_refused():
    members, controls, others = groups(10, units=20)
    with pytest.raises(AuditError, match="not of the schema"):
        audited(bank(20, np.random.default_rng(1)), members, controls, plan_of())
    with pytest.raises(AuditError, match="is empty"):
        audited(others, taken(members, np.arange(0)), controls, plan_of())


def test_few_people_pass_nothing_and_a_bought_bound_must_be_told():
    members, controls, others = groups(11, units=30)
    found = audited(others, members, controls, plan_of("exact_match", "density_ratio"))
    assert found.verdict == "INCONCLUSIVE"
    text = CLINIC_TOML.replace("bound = {rows = 6}", 'bound = {rows = "buy", most = 6}')
    bought = DatabaseSchema.loads(text)
    tables = [replace(one, schema=bought) for one in (others, members, controls)]
    with pytest.raises(MechanismError, match="to be bought"):
        audited(*tables, plan_of(), noisy=NoisyTables(transcripts={"stays": ()}, used={}))


@pytest.mark.parametrize("only_units", [True, False])
def test_units_alone_and_events_of_units_without_columns_are_audited(only_units):
    """A table of units without children; and events of which no column is the unit's own, in a release of one row each."""
    tables = {
        True: """
[tables.people]
key = ["id"]
[tables.people.columns]
id = {kind = "identifier", make = "####"}
n = {kind = "integer", lower = 0, upper = 100000, bins = {method = "uniform", count = 9}}
""",
        False: """
[tables.events]
parent = {columns = ["id"]}
bound = {rows = 3}
[tables.events.columns]
id = {kind = "identifier", make = "####"}
n = {kind = "integer", lower = 0, upper = 100000, bins = {method = "uniform", count = 9}}
""",
    }[only_units]
    schema = DatabaseSchema.loads(f'[database]\nname = "d"\nunit = "people"\n{tables}')
    name = schema.tables[-1].name

    def made(seed: int, units: int) -> Database:
        ticks = {"n": np.random.default_rng(seed).integers(0, 100_001, units)}
        records = Records(schema=schema.table(name).content, ticks=ticks)
        place = np.arange(units)
        found = {"people": Rows(records=None, parent=np.full(units, -1), unit=place)}
        found[name] = Rows(records=records, parent=place if name == "events" else np.full(units, -1), unit=place)
        return Database(schema=schema, tables=found)

    plan = plan_of("exact_match", "sequence_matching", "table_linkage", "near_match")
    found = audited(made(1, UNITS), made(2, 2 * UNITS), made(3, 2 * UNITS), plan)
    assert not failed(found)
    assert {row.check.partition(":")[0] for row in found.rows} >= {"histories", "control"}
    leaky = audited(made(2, 2 * UNITS), made(2, 2 * UNITS), made(3, 2 * UNITS), plan)
    assert failed(leaky)


def test_a_planted_leak_is_excused_in_a_table_where_histories_see_it_alone(monkeypatch):
    members, controls, others = groups(13, units=60)
    plan = plan_of("exact_match")

    def verdict(whole: str, table: str) -> str:
        def sights(plan, attacks, people, *, rng):
            seen = [whole] if people.table is None else table.split(" and ")
            return {str(place): own_controls.Sight(p_value=0.5, seen=one) for place, one in enumerate(seen)}

        monkeypatch.setattr(own_controls, "sights", sights)
        return audited(others, members, controls, plan).rows[-2].verdict

    assert verdict("a share", "nothing") == "PASS"
    assert verdict("a share", "harmless") == "PASS"
    assert verdict("harmless", "harmless") == "INCONCLUSIVE"
    assert verdict("harmless", "nothing") == "INCONCLUSIVE"
    assert verdict("nothing", "all") == "INCONCLUSIVE"
    assert verdict("harmless", "all and nothing") == "INCONCLUSIVE"
    assert verdict("all", "all and nothing") == "PASS"


def test_the_holdout_is_shown_to_all_parts_and_after_a_failure_to_what_failed(honest):
    labels = {name.removeprefix("p-value of no difference, ") for name in honest.rows[-1].figures}
    assert {label.partition(":")[0] for label in labels} == {"histories", "stays", "diagnoses"}
    members, controls, others = groups(14, units=1000)
    release = with_copies(others, taken(members, np.arange(200)))
    found = audited(release, members, controls, only(AuditPlan.loads(QUICK), "exact_match", "density_ratio"))
    assert list(found.rows[-1].figures) == ["p-value of no difference, histories: exact match"]


def test_a_hash_of_a_history_is_of_all_its_rows():
    database = clinic(10, np.random.default_rng(15), biggest=4)
    hashes = overlap._histories(database)
    assert len(np.unique(hashes)) == 10
    order = np.random.default_rng(16).permutation(10)
    assert np.array_equal(overlap._histories(taken(database, order)), hashes[order])
    for table in ("patients", "stays", "diagnoses"):
        rows = database.tables[table]
        for row in np.flatnonzero(rows.unit == 0).tolist():
            ticks = {name: values.copy() for name, values in rows.records.ticks.items()}
            next(iter(ticks.values()))[row] += 1
            changed = {**database.tables, table: replace(rows, records=rows.records.with_ticks(ticks))}
            other = overlap._histories(Database(schema=database.schema, tables=changed))
            assert np.flatnonzero(other != hashes).tolist() == [0]

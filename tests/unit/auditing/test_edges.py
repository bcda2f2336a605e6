"""Whole audits, with every attack of the quick plan, on tables at the edges: odd names, odd kinds, odd sizes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from privsynth import auditing
from privsynth.audit_plan import AuditPlan
from privsynth.errors import AuditError
from privsynth.findings import Findings
from privsynth.private import Private
from privsynth.records import MISSING, Records
from privsynth.schema import Schema
from tests.attackers import noisy_answers
from tests.unit.test_audit_plan import ROOT

QUICK = (ROOT / "audits" / "quick.toml").read_text(encoding="utf-8")
ON_HISTORIES = {"history_ratio", "sequence_matching", "table_linkage"}
ODD = ("ward no. 1", 'smoker "yes"', "grade'", "income; drop", "stay.days", "born ü", "always")


def small_plan(attempts: int = 120) -> AuditPlan:
    text = QUICK
    for key, value in (
        ("attempts", f"[{attempts}]"),
        ("attempts_min", str(attempts // 2)),
        ("isolated_pool", str(attempts)),
        ("control_attempts", str(attempts // 2)),
    ):
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    return AuditPlan.loads(text)


def schema_of(names: tuple[str, ...] = ODD) -> Schema:
    labels = json.dumps([f"v{number}" for number in range(9)])
    bodies = (
        f'kind = "category"\nvalues = {labels}\nrole = "quasi"\nmissing = ["?"]',
        'kind = "boolean"\ntrue = ["yes"]\nfalse = ["no"]\nrole = "quasi"\nmissing = ["?"]',
        f'kind = "ordered"\nvalues = {labels}\nrole = "sensitive"',
        'kind = "number"\nlower = "-500.00"\nupper = "500.00"\nprecision = "0.01"\nbins = {method = "uniform", count = 5}',
        'kind = "integer"\nlower = -50\nupper = 0\nbins = {method = "uniform", count = 10}\nmissing = ["?"]',
        'kind = "date"\nlower = 1970-01-01\nupper = 2020-01-01\ngranularity = "day"',
        'kind = "category"\nvalues = ["same"]',
    )
    columns = "\n".join(
        f"[columns.{json.dumps(name, ensure_ascii=False)}]\n{body}" for name, body in zip(names, bodies, strict=True)
    )
    return Schema.loads(f'[table]\nname = "stays"\n{columns}\n')


def people(schema: Schema, rows: int, rng: np.random.Generator) -> Records:
    kind = rng.integers(0, 4, rows)
    columns = (
        np.where(rng.random(rows) < 0.1, MISSING, kind * 2),
        np.where(rng.random(rows) < 0.1, MISSING, (rng.integers(0, 4, rows) <= kind).astype(np.int64)),
        np.minimum(8, kind + rng.poisson(1.0, rows)),
        rng.integers(-50_000, 50_000, rows),
        np.where(rng.random(rows) < 0.1, MISSING, -rng.integers(0, 51, rows)),
        rng.integers(0, 18_000, rows),
        np.zeros(rows, dtype=np.int64),
    )
    ticks = {column.name: values for column, values in zip(schema.modelled, columns, strict=True)}
    return Records(schema=schema, ticks=ticks)


def audited(
    synthetic: Records, members: Records, controls: Records, *, plan: AuditPlan | None = None, order: int = 2
) -> Findings:
    return auditing.run(
        plan or small_plan(),
        schema=synthetic.schema,
        synthetic=synthetic,
        members=Private(members),
        controls=Private(controls),
        claim=None,
        rng=np.random.default_rng(4),
        transcript=noisy_answers(synthetic, order=order),
    )


def verdicts(findings: Findings) -> set[str]:
    return {row.verdict for row in findings.rows}


@pytest.mark.parametrize("names", [("a", "b", "c", "d", "e", "f", "g"), ODD])
def test_odd_names_missing_values_negatives_dates_and_constants_are_handled(names: tuple[str, ...]) -> None:
    schema, rng = schema_of(names), np.random.default_rng(1)
    members, controls, release = (people(schema, rows, rng) for rows in (150, 150, 300))
    found = audited(release, members, controls)
    assert "FAIL" not in verdicts(found)
    assert set(found.not_tried) == ON_HISTORIES
    assert {row.check.partition(":")[0].partition(",")[0] for row in found.rows} >= {"exact match", "linkability"}
    leaky = audited(members, members, controls)
    assert leaky.verdict == "FAIL"
    assert len([row for row in leaky.rows if row.verdict == "FAIL"]) < len(found.rows)


@pytest.mark.parametrize(("inside", "outside"), [(120, 400), (400, 120)])
def test_groups_of_unequal_size_are_tried_on_equally_many(inside: int, outside: int) -> None:
    schema, rng = schema_of(), np.random.default_rng(2)
    members, controls, release = (people(schema, rows, rng) for rows in (inside, outside, 300))
    found = audited(release, members, controls)
    tried = [row.figures["attempts"] for row in found.rows if row.check.endswith("everyone")]
    assert set(tried) == {120}
    assert "FAIL" not in verdicts(found)


def test_a_release_of_one_row_and_people_too_few_pass_nothing() -> None:
    schema, rng = schema_of(), np.random.default_rng(3)
    release, few, some = (people(schema, rows, rng) for rows in (1, 2, 30))
    assert "FAIL" not in verdicts(audited(release, people(schema, 150, rng), people(schema, 150, rng)))
    found = audited(release, few, some)
    assert found.verdict == "INCONCLUSIVE"
    needed = {row.meaning for row in found.rows if row.check.endswith("everyone")}
    assert needed == {
        "There are fewer than 60 people in a group, too few for this plan: the training table and the holdout need 60 "
        "people each."
    }


def test_one_member_is_no_pass() -> None:
    schema, rng = schema_of(), np.random.default_rng(5)
    assert audited(people(schema, 40, rng), people(schema, 1, rng), people(schema, 40, rng)).verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_empty_tables_are_an_error(empty: int) -> None:
    schema, rng = schema_of(), np.random.default_rng(6)
    tables = [people(schema, 0 if index == empty else 30, rng) for index in range(3)]
    with pytest.raises(AuditError, match="one of the tables is empty"):
        audited(tables[0] if empty else people(schema, 0, rng), tables[1], tables[2])


def test_two_hundred_columns_are_handled() -> None:
    schema = Schema.from_domain({f"column {number}": 2 + number % 5 for number in range(200)})
    rng = np.random.default_rng(7)

    def wide(rows: int) -> Records:
        kind = rng.integers(0, 2, rows)
        ticks = {column.name: (kind + rng.integers(0, 2, rows)) % 2 for column in schema.modelled}
        return Records(schema=schema, ticks=ticks)

    members = wide(80)
    found = audited(wide(160), members, wide(80), plan=small_plan(60), order=1)
    assert "FAIL" not in verdicts(found)
    assert set(found.not_tried) == ON_HISTORIES
    assert audited(members, members, wide(80), plan=small_plan(60), order=1).verdict == "FAIL"

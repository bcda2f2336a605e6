"""The audit of a release of several tables: whole people are attacked, and the rows of each table, at the privacy unit.

Must never let a table's rows pass for people of their own: whoever is tried, copied or presented is a unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from privsynth.attack import AbstractAttack, NoisyTables
from privsynth.audit_plan import AuditPlan
from privsynth.auditing import overlap, own_controls, trials, verdicts
from privsynth.auditing.units import Units
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.errors import AuditError
from privsynth.findings import Claim, Finding, Findings
from privsynth.histories.bounding import rows_used
from privsynth.measurement import Transcript
from privsynth.private import Private

WHOLE: Final = "histories"
"""What the part is called that attacks whole people: their profiles and their histories."""

ON_ROWS: Final = ("exact_match", "record_linkage", "attribute_inference")
"""Attacks on the rows of one table: that a row was copied, that it names a person to an intruder who makes mistakes, and that
it tells a secret. The others ask how near or likely a record is, which whole people answer better: a person's rows come and
go together, and the profile holds them all."""

_LIKELY: Final = 0.9
"""Of the people who are likely to have rows in a table, from the release, this share is asked for."""
_LEAST: Final = 0.5
"""Tables in which a smaller share of the plan's people could be tried are attacked as a part of histories alone."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One part of the audit: whose check names begin with `name`, with its own share of the plan's error rate."""

    name: str
    people: Units
    plan: AuditPlan
    attacks: Sequence[AbstractAttack]


def run(
    plan: AuditPlan,
    *,
    schema: DatabaseSchema,
    synthetic: Database,
    members: Private[Database],
    controls: Private[Database],
    claim: Claim | None,
    rng: np.random.Generator,
    transcripts: Mapping[str, Transcript] | None = None,
    used: Mapping[str, int] | None = None,
    published: Database | None = None,
) -> Findings:
    """Attack a release of several tables as the plan says, with units of its training data and units that were not in it.

    Parts: "histories" tries every attack of the plan that fits on profiles, one row a unit, and on whole histories; each child
    table by itself is tried with one row a unit and the attacks of `ON_ROWS`. `alpha_fail` is shared: half to histories, half
    to the tables together, so that a right release fails with at most that probability. `alpha_pass` is not, because all
    rows must pass. Names of checks begin with their part's. A planted leak copies whole units, and may show in any part.
    Privacy: reads private tables and spends nothing; `Findings.public` may be published, the rest may not.
    Args: `claim` is what the release promises for one unit; `transcripts` are its noisy answers by table, with `used`, how
        many rows of a unit they used at most, where the schema leaves that to be bought. `published` is what is released, where
        `synthetic` is a copy that is attacked in its stead and stays: what the findings' public part says of tables, which
        are tried and how finely, is read off it alone.
    Raises: AuditError when an attack could not be carried out, none could be tried, members and controls cannot be compared,
        or one of the two groups has no rows in a table that is tried; MechanismError when a bound was bought and `used` does
        not say what came of it.
    """
    if any(part.schema.digest() != schema.digest() for part in (synthetic, members.open(), controls.open())):
        raise AuditError("the audited tables are not of the schema that was given; read all of them with it")
    overlap.require_histories_apart(members.open(), controls.open(), rng=rng)
    noisy = None if not transcripts else NoisyTables(transcripts=transcripts, used=rows_used(schema, used))
    not_tried: dict[str, str] = {}
    parts = [_whole(plan, synthetic, members, controls, noisy, rng, not_tried)]
    tables = list(_attackable(plan, published or synthetic, not_tried))
    share = 0.5 / len(tables) if tables else 0.0
    for terms, likely in tables:
        smaller = _for_rows(plan, likely, share)
        people = Units.draw(terms.name, synthetic=synthetic, members=members, controls=controls, rng=rng)
        parts.append(_Part(name=terms.name, people=people, plan=smaller, attacks=_on_rows(smaller)))
    if tables:
        parts[0] = replace(parts[0], plan=_with_share(plan, 0.5))
    return Findings(rows=(*_carried_out(parts, claim, rng),), not_tried=not_tried)


def _whole(
    plan: AuditPlan,
    synthetic: Database,
    members: Private[Database],
    controls: Private[Database],
    noisy: NoisyTables | None,
    rng: np.random.Generator,
    not_tried: dict[str, str],
) -> _Part:
    """The part of whole people, with all attacks that can be tried; enters those that cannot into `not_tried`."""
    people = Units.draw(None, synthetic=synthetic, members=members, controls=controls, rng=rng, noisy=noisy)
    attacks, missing = trials.sorted_out(plan, people)
    if noisy is not None:
        answered = {entry.name for entry, attack in plan.attacks() if attack.needs == "the noisy answers"}
        reason = "Noisy answers about histories are attacked by attacks on histories."
        missing |= {name: reason for name in missing if name in answered}
    not_tried |= missing
    return _Part(name=WHOLE, people=people, plan=plan, attacks=attacks)


def _attackable(plan: AuditPlan, published: Database, not_tried: dict[str, str]) -> Iterator[tuple[TableTerms, float]]:
    """The child tables whose rows are attacked by themselves, and the share of units that have some, from the release alone.

    Which tables are tried is published, and so must not depend on how many members or controls have rows there.
    """
    wanted = {entry.name for entry, _ in plan.attacks()} & set(ON_ROWS)
    for terms in published.schema.tables:
        if terms.parent is None or not wanted:
            continue
        having = _having(published, terms) / max(1, published.units)
        if terms.content is None:
            not_tried[terms.name] = (
                "The table has no columns of its own; how many rows a unit has is part of histories."
            )
        elif _LIKELY * having < _LEAST:
            not_tried[terms.name] = (
                "Too few units have rows in the table to try it by itself; its rows are attacked as part of histories."
            )
        else:
            yield terms, _LIKELY * having


def _having(database: Database, terms: TableTerms) -> int:
    """How many units have rows in the table."""
    return len(np.unique(database.tables[terms.name].unit))


def _with_share(plan: AuditPlan, share: float) -> AuditPlan:
    """The plan with this share of its rate of false alarms."""
    return replace(plan, release=plan.release.model_copy(update={"alpha_fail": plan.release.alpha_fail * share}))


def _for_rows(plan: AuditPlan, likely: float, share: float) -> AuditPlan:
    """The plan for a table in which a share `likely` of units can be tried, with its share of false alarms.

    As many of the most isolated are tried as in a table in which everybody has rows.
    """

    def fewer(people: int) -> int:
        return max(1, int(people * likely))

    terms = plan.release
    update = {
        "attempts": tuple(fewer(size) for size in terms.attempts),
        "attempts_min": fewer(terms.attempts_min),
        "isolated_pool": fewer(terms.isolated_pool),
        "isolated_share": min(0.5, terms.isolated_share / likely),
        "control_attempts": fewer(terms.control_attempts),
        "attacks": tuple(entry for entry in terms.attacks if entry.name in ON_ROWS),
    }
    return _with_share(replace(plan, release=terms.model_copy(update=update)), share)


def _on_rows(plan: AuditPlan) -> list[AbstractAttack]:
    return [attack for _, attack in plan.attacks()]


def _carried_out(parts: Sequence[_Part], claim: Claim | None, rng: np.random.Generator) -> list[Finding]:
    """The rows of all parts, then those of the two controls; the first part that fails ends the trials."""
    rows: list[Finding] = []
    suspects: list[tuple[_Part, Sequence[AbstractAttack]]] = []
    for part in parts:
        if suspects:
            limit = verdicts.ceiling(claim)
            rows += [
                _of_part(part, verdicts.unfinished(trial, part.plan.release, limit))
                for trial in verdicts.trials(part.plan, part.attacks)
            ]
            continue
        tried = trials.attack_all(part.plan, part.attacks, part.people, claim, rng)
        rows += [_of_part(part, row) for row in tried.rows]
        if tried.failing:
            suspects.append((part, tried.failing))
    planted = own_controls.planted_not_run() if suspects else _planted(parts, rng)
    return [*rows, planted, _holdout(suspects or [(part, part.attacks) for part in parts], rng)]


def _of_part(part: _Part, row: Finding) -> Finding:
    return replace(row, check=f"{part.name}: {row.check}")


def _planted(parts: Sequence[_Part], rng: np.random.Generator) -> Finding:
    """Plant whole units, and show each part what it would see of that.

    Attacks on one table's rows are excused where whole people give the leak away: in a table of few columns, rows tell
    nothing of anybody, whoever is copied.
    """
    found: dict[str, own_controls.Sight] = {}
    noticed = False
    for part in parts:
        sights = own_controls.sights(part.plan, part.attacks, part.people, rng=rng)
        if part.name == WHOLE:
            noticed = any(sight.noticed for sight in sights.values())
        elif noticed:
            sights = {
                name: own_controls.excused(sight, "whole histories give the leak away")
                for name, sight in sights.items()
            }
        found |= {f"{part.name}: {name}": sight for name, sight in sights.items()}
    return own_controls.planted_row(found)


def _holdout(parts: Sequence[tuple[_Part, Sequence[AbstractAttack]]], rng: np.random.Generator) -> Finding:
    """Present other controls as the release to each part; the differences are judged together."""
    p_values: dict[str, float] = {}
    for part, attacks in parts:
        found = own_controls.differences(part.plan, attacks, part.people, rng=rng)
        p_values |= {f"{part.name}: {label}": value for label, value in found.items()}
    return own_controls.holdout_row(p_values, parts[0][0].plan.release)

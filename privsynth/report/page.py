"""The release report: one self-contained HTML page, made from the release's public contents alone.

Must never read private data or anything outside its arguments: the same arguments give the same page, byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import jinja2
import numpy as np

from privsynth import encoding, rules
from privsynth.answering.contradictions import contradictions, of_records
from privsynth.domain import Clique
from privsynth.measurement import Purchase, Transcript
from privsynth.records import Records
from privsynth.report import attacks as report_attacks
from privsynth.report import changes as report_changes
from privsynth.report import gallery as report_gallery
from privsynth.report import groups as report_groups
from privsynth.report import growth_curve as report_growth
from privsynth.report import sections as report_sections
from privsynth.report import trust as report_trust
from privsynth.report.claims import Claims
from privsynth.report.numbers import Bought, column_numbers, pair_matrix, table_numbers
from privsynth.report.sections import Facts, Section
from privsynth.report.words import count, percent, plural, points
from privsynth.schema import Schema
from privsynth.schema.levels import level_names

SECTIONS = (
    ("guarantee", "Guarantee"),
    ("impossible", "Impossible rows"),
    ("trust", "Trust"),
    ("rare", "Rare categories"),
    ("attacks", "Attacks"),
    ("pictures", "Pictures"),
    ("groups", "Groups"),
    ("rows", "Rows"),
    ("policy", "Policy"),
    ("reproduce", "Verify"),
    ("ledger", "Ledger"),
)
"""The sections after the verdict: their anchors and short names, in the order of the page."""

_TEMPLATES = files("privsynth").joinpath("report", "templates")


def render(
    *,
    predicate: Mapping[str, object],
    schema: Schema,
    transcript: Transcript,
    released: Records,
    predicted: Mapping[Clique, float] = MappingProxyType({}),
    changes: Mapping[str, Any] | None = None,
) -> str:
    """Write the report of a release.

    Args: predicate, what the certificate states; schema, complete; transcript, the noisy answers; released, the table;
        predicted, the L1 errors that the generator expects of pairs, where it does; changes, the changes.json of a refresh.
    Privacy: post-processing of public contents; spends nothing.
    Raises: ClaimMismatch when the predicate does not say what the report must show; FitError without measurements.
    """
    facts = gather(predicate, schema, transcript, released, predicted)
    repaired = report_sections.repairs(facts.claims)
    impossible = report_sections.impossible(repaired, facts.broken, facts.broken_rows, facts.released.rows)
    if facts.against.rules:
        impossible["card"] = (
            f"{impossible['card']}; {facts.against.rules[0].amount} of the measured records broke a rule"
        )
    context: dict[str, object] = {
        "page": _page(facts, impossible),
        "g": report_sections.guarantee(facts.claims),
        "rules": impossible,
        "trust": report_trust.trust(facts),
        "rare": report_sections.rare(facts),
        "attacks": report_attacks.attacks(facts.claims),
        "pictures": report_gallery.picture_section(facts),
        "groups": report_groups.groups(facts),
        "rows": report_growth.growth(facts),
        "policy": report_sections.policy(facts.claims),
        "reproduce": report_sections.reproduce(facts.claims),
        "ledger": report_sections.ledger(facts.claims),
        "changes": report_changes.changed(changes),
    }
    return fill("report.html", context)


def render_refusal(*, reasons: Sequence[str], findings: Sequence[Mapping[str, object]], what: str) -> str:
    """Write the page of a refused release: why, and what was checked; no data and no certificate.

    Args: reasons, public sentences; findings, the public rows of the audit, possibly none; what, the table's name.
    """
    rows = [Claims(row, "findings") for row in findings]
    context: dict[str, object] = {
        "page": {**head(what), "footer": _REFUSAL_FOOTER},
        "reasons": _reasons(reasons, rows),
        "rows": report_attacks.attack_rows(rows),
    }
    return fill("refusal.html", context)


def _reasons(reasons: Sequence[str], rows: Sequence[Claims]) -> list[str]:
    """The reasons, those that repeat a row of the audit summed up in one: the rows are listed below."""
    names = tuple(f"{row.text('check')}: " for row in rows)
    others = [reason for reason in reasons if not names or not reason.startswith(names)]
    failed = len(reasons) - len(others)
    if not failed:
        return others
    did_not = plural(failed, "check", "checks")
    return [f"{did_not} of the audit did not pass, out of {len(rows)}; they come first in the list below.", *others]


def gather(
    predicate: Mapping[str, object],
    schema: Schema,
    transcript: Transcript,
    released: Records,
    predicted: Mapping[Clique, float] = MappingProxyType({}),
) -> Facts:
    """Compute everything that the sections draw on, once."""
    table = encoding.encode_public(released)
    bought = Bought(transcript, table.domain)
    labels = [level_names(column) for column in schema.modelled]
    broken = rules.check(schema.rules, released)
    return Facts(
        claims=Claims(predicate),
        schema=schema,
        released=table,
        bought=bought,
        columns=column_numbers(bought, table, labels),
        tables=table_numbers(bought, table),
        pairs=pair_matrix(bought, table, predicted),
        broken={text: int(mask.sum()) for text, mask in broken.items()},
        broken_rows=int(np.any(list(broken.values()), axis=0).sum()),
        purchases=tuple(entry for entry in transcript if isinstance(entry, Purchase)),
        transcript=transcript,
        against=contradictions(schema, transcript, of_records(table), table.rows),
    )


_FOOTER = (
    "This page was made from the public contents of the release alone: the signed statement, the noisy answers and the "
    "released table. It loads nothing and runs no program."
)
_REFUSAL_FOOTER = "This page holds no data and no number computed on real people. It loads nothing and runs no program."


def _page(facts: Facts, impossible: Section) -> Section:
    """The head of the page: verdict, summary and cards."""
    title = facts.schema.table.title or facts.schema.table.name
    rows = count(facts.released.rows)
    what = f"{rows} synthetic rows in {plural(len(facts.schema.released), 'column', 'columns')}"
    return top(facts.claims, title, what, _cards(facts, impossible), SECTIONS)


def top(claims: Claims, title: str, what: str, cards: list[Section], sections: tuple[tuple[str, str], ...]) -> Section:
    """The head of a release's page; `what` says in a few words what is released."""
    decision, recipients = claims.text("decision"), claims.text("recipients.class")
    return {
        **head(title),
        "decision": decision,
        "passed": decision == "PASSED",
        "summary": f"{what}, released under policy "
        f"“{claims.text('policy.name')}” to recipients of class “{recipients}” on {claims.text('issuedAt')[:10]}, valid until "
        f"{claims.text('expiresAt')[:10]}.",
        "cards": cards,
        "sections": sections,
        "footer": _FOOTER,
    }


def _cards(facts: Facts, impossible: Section) -> list[Section]:
    inside, of = report_gallery.inside_intervals(facts)
    halves = sorted(column.half for column in facts.columns if column.share is not None)
    return shared_cards(
        facts.claims,
        card("Impossible rows", count(facts.broken_rows), str(impossible["card"])),
        card(
            "One share is known to",
            points(halves[len(halves) // 2]) if halves else "unknown",
            f"95 % interval, middle column; {facts.pairs.measured_pairs:,} of {facts.pairs.all_pairs:,} pairs measured",
        ),
        card(
            "Shares inside their interval",
            percent(inside / of) if of else "unknown",
            "95 % or more is as good as the noise allows",
        ),
    )


def shared_cards(claims: Claims, rules: Section, third: Section, fourth: Section) -> list[Section]:
    """The cards that every release has, with two of its own among them."""
    attacks = claims.rows("audit.rows")
    return [
        card(
            "Guarantee",
            f"ε = {claims.text('guarantee.epsilon')}",
            f"per {claims.text('guarantee.unit.name')}, delta {claims.text('guarantee.delta')}",
        ),
        card(
            "Attacks and checks passed",
            f"{sum(row.text('verdict') == 'PASS' for row in attacks)} of {len(attacks)}",
            f"verdict {claims.text('audit.verdict')}; power beside each",
        ),
        rules,
        third,
        fourth,
        card(
            "Lifetime budget spent",
            claims.text("budget.spentEpsilon"),
            f"of ε {claims.text('budget.capEpsilon')} for “{claims.text('budget.population')}”",
        ),
    ]


def card(title: str, value: str, note: str) -> Section:
    """One figure at the head of a page, with what it is and what to think of it."""
    return {"title": title, "value": value, "note": note}


def _read(name: str) -> str:
    return _TEMPLATES.joinpath(name).read_text(encoding="utf-8")


def _csp(css: str) -> str:
    """A content security policy that lets in this style sheet and nothing else: no script, no image, no font, no request."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def head(title: str, *, also: str = "") -> Section:
    """What every page begins with: its title, its style sheet with one on top, and the policy that lets in nothing else."""
    css = _read("style.css") + (_read(also) if also else "")
    return {"css": css, "csp": _csp(css), "title": title}


def fill(name: str, context: Mapping[str, object]) -> str:
    """Fill a template of this package; every value is escaped, and a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(context)

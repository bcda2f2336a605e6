"""The report of a release of several tables: one self-contained HTML page, made from its public contents alone.

Must never read private data or anything outside its arguments: the same arguments give the same page, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.domain import Clique
from privsynth.histories.measuring import Measured
from privsynth.report import attacks as report_attacks
from privsynth.report import database_sections, page, sections, table_lights
from privsynth.report.claims import Claims
from privsynth.report.database_numbers import DatabaseFacts, gather
from privsynth.report.sections import Section
from privsynth.report.words import count, percent, plural

SECTIONS = (
    ("guarantee", "Guarantee"),
    ("tables", "Tables"),
    ("sizes", "Numbers of rows"),
    ("impossible", "Declared rules"),
    ("trust", "Trust"),
    ("attacks", "Attacks"),
    ("pictures", "Pictures"),
    ("policy", "Policy"),
    ("reproduce", "Verify"),
    ("ledger", "Ledger"),
)
"""The sections after the verdict: their anchors and short names, in the order of the page."""

_BROKEN = "Rows that break a declared rule"

_NOTHING: Mapping[str, Mapping[Clique, float]] = MappingProxyType({})


def render(
    *,
    predicate: Mapping[str, object],
    schema: DatabaseSchema,
    measured: Measured,
    released: Database,
    predicted: Mapping[str, Mapping[Clique, float]] = _NOTHING,
    database_file: str | None = None,
) -> str:
    """Write the report of a release of several tables.

    Args: predicate, what the certificate states; measured, the noisy answers; released, the tables; predicted, the L1 errors
        that the generator expects of pairs of attributes, by table, where it does; database_file, the name of the file that
        holds all tables, where there is one.
    Privacy: post-processing of public contents; spends nothing.
    Raises: ClaimMismatch when the predicate does not say what the report must show; FitError without measurements.
    """
    facts = gather(predicate, schema, measured, released, predicted)
    broken_rows = sum(facts.broken.values())
    repaired = database_sections.repairs(facts.claims)
    impossible = sections.impossible(repaired, facts.broken, broken_rows, facts.rows)
    inside, of = database_sections.inside_intervals(facts)
    context: dict[str, object] = {
        "page": _page(facts, broken_rows, str(impossible["card"]), (inside, of)),
        "g": sections.guarantee(facts.claims),
        "tables": {**database_sections.tables(facts), "files": database_sections.files(database_file)},
        "sizes": database_sections.sizes(facts),
        "rules": {**impossible, "title": _BROKEN},
        "trust": database_sections.trust(facts),
        "lights": table_lights.lights(facts),
        "attacks": report_attacks.attacks(facts.claims),
        "parts": attacks_by_part(facts.claims),
        "inside": f"{percent(inside / of)} of the {count(of)} released shares lie inside the 95 % interval of the real share."
        if of
        else "No single attribute was measured.",
        "pictures": database_sections.pictures_by_table(facts),
        "policy": database_sections.policy(facts),
        "reproduce": sections.reproduce(facts.claims),
        "ledger": sections.ledger(facts.claims),
    }
    return page.fill("database.html", context)


def attacks_by_part(claims: Claims) -> list[Section]:
    """The audit's public rows part by part: made-up tables, whole histories, each table, and the audit's own controls."""
    parts: dict[str, list[Claims]] = {}
    for row in claims.rows("audit.rows"):
        part, colon, _ = row.text("check").partition(": ")
        if row.text("family") == "conformance":
            part = "the claim, on made-up tables"
        parts.setdefault(part if colon else "the audit", []).append(row)
    return [
        {
            "name": name,
            "passed": f"{sum(row.text('verdict') == 'PASS' for row in rows)} of {len(rows)} passed",
            "rows": report_attacks.attack_rows(rows),
        }
        for name, rows in parts.items()
    ]


def _page(facts: DatabaseFacts, broken_rows: int, about_rules: str, intervals: tuple[int, int]) -> Section:
    """The head of the page: verdict, summary and cards."""
    listed = [table for table in facts.schema.tables if table.listed]
    inside, of = intervals
    what = (
        f"{count(facts.rows)} synthetic rows in {plural(len(listed), 'table', 'tables')}, histories of "
        f"{plural(facts.released.units, 'made-up unit', 'made-up units')}"
    )
    cards = page.shared_cards(
        facts.claims,
        page.card(_BROKEN, count(broken_rows), about_rules),
        page.card(
            "Protected together",
            f"all rows of a {facts.unit}",
            f"in {plural(len(facts.schema.tables), 'table', 'tables')}, by one budget",
        ),
        page.card(
            "Shares inside their interval",
            percent(inside / of) if of else "unknown",
            "95 % or more is as good as the noise allows",
        ),
    )
    return page.top(facts.claims, facts.schema.name, what, cards, SECTIONS)

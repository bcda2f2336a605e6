"""Policies in words: what one allows, and what another tightens, loosens or changes against it.

Must never call two policies the same when a term differs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import final

from privsynth.errors import MechanismError
from privsynth.policy.files import compare, flat
from privsynth.policy.orders import Change, decimal_text, words
from privsynth.policy.terms import Terms, Unit
from privsynth.privacy.accounting import Cap, Composition, Cost, budget_for


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralTables:
    """What the words need to know of a database: the bounds of its tables, and the generators that are for one table alone."""

    bounds: str
    without: Collection[str]


_COSTLY: tuple[Composition, Composition] = ("gdp", "zcdp")


def diff(first: Terms, second: Terms) -> list[str]:
    """One line for each term in which the second policy differs from the first, loosened ones first."""
    before, after = flat(first), flat(second)
    lines: dict[Change, list[str]] = {Change.LOOSENED: [], Change.TIGHTENED: [], Change.CHANGED: []}
    for path, old in before.items():
        change = compare(path, old, after[path])
        if change is not Change.SAME:
            lines[change].append(f"{change.value}: {'.'.join(path)} from {words(old)} to {words(after[path])}")
    return [line for group in lines.values() for line in group]


def describe(terms: Terms, several: SeveralTables | None = None) -> str:
    """What a policy allows, in plain sentences, one a line; `several` where it is of a database."""
    return "\n".join(
        (
            f'Policy "{terms.policy.name}", version {terms.policy.version}: {terms.policy.description}',
            f"It may be used until {terms.policy.expires}.",
            _population(terms),
            *_budget(terms, several),
            _records(terms, several),
            _deidentification(terms),
            f"Counts of real people from 1 to {terms.published.min_cell - 1} are published nowhere."
            if terms.published.min_cell > 1
            else "Counts of real people may be published whatever their size.",
            _audit(terms),
            f"It is for {_AUDIENCES[terms.recipients.klass]}. Agreement: {terms.recipients.contract}",
            f"A certificate holds for {terms.certificate.valid_days} days.",
            *(
                f"{said.by} attests {rule} since {said.on} ({said.document})."
                for rule, said in terms.attestations.items()
            ),
        )
    )


_AUDIENCES = {
    "public": "anybody",
    "partner": "a named partner under an agreement",
    "internal": "people inside the institution",
}


def _population(terms: Terms) -> str:
    if terms.population is None:
        return "No population is declared yet, so nothing can be released under it as it stands."
    return f'The account of "{terms.population.id}" pays, publicly at most {terms.population.public_size} people.'


def _protected(unit: Unit, several: SeveralTables | None) -> str:
    """Who is protected, and how many of their rows are used."""
    if several is not None:
        return (
            f"One {unit.name} is protected as a whole, with all rows in all tables together: whether a {unit.name} is in the "
            f"tables or not changes hardly anything. How many rows of theirs are used of each is in the schema: "
            f"{several.bounds}; max_rows of the policy is for single tables."
        )
    rows = "one row" if unit.max_rows == 1 else f"{unit.max_rows} rows"
    return (
        f"One {unit.name} is protected as a whole, with at most {rows} of theirs used: whether a {unit.name} is in the table "
        "or not changes hardly anything."
    )


def _budget(terms: Terms, several: SeveralTables | None) -> tuple[str, str]:
    budget = terms.budget
    return (
        _protected(terms.unit, several),
        f"One release may spend epsilon {decimal_text(budget.release_epsilon)} (delta {decimal_text(budget.release_delta)}); "
        f"all releases about the population together, for ever, {decimal_text(budget.lifetime_epsilon)} "
        f"(delta {decimal_text(budget.lifetime_delta)}). That is room for {_room(terms)}.",
    )


def _room(terms: Terms) -> str:
    """How many full releases fit under the cap for life, by the ledger's own accounting.

    Generators with Gaussian noise alone draw less of it for the same epsilon, and so fewer of their releases may fit.
    """
    budget = terms.budget
    try:
        cap = Cap.of(budget.lifetime_epsilon, budget.lifetime_delta)
        fewest, most = (_fitting(cap, budget_for(budget.release_epsilon, budget.release_delta, how)) for how in _COSTLY)
    except MechanismError:
        return "no release, because the budget is too small to be spent"
    if fewest < most:
        return f"{fewest} to {most} full releases, depending on the generator"
    return "no full release" if most == 0 else "one full release" if most == 1 else f"{most} full releases"


def _fitting(cap: Cap, rho: Fraction) -> int:
    return cap.nano_rdp // Cost.of(rho).nano_rdp[cap.order_index]


def _records(terms: Terms, several: SeveralTables | None) -> str:
    outside = {
        "refuse": "a value outside the declared domain stops the release",
        "other": "a value outside the declared domain becomes the schema's other label or missing",
        "clamp": "a value outside the declared domain becomes the nearest declared one",
    }[terms.records.out_of_domain]
    drawn = "rows" if several is None else "units"
    number = terms.records.rows
    rows = f"as many {drawn} as noisy counts suggest" if number == "estimate" else f"{number} {drawn}"
    allowed = [name for name in terms.generators.allow if several is None or name not in several.without]
    generators = f"{', '.join(allowed) or 'none'} ({terms.generators.default} where none is named)"
    what = "Generators" if several is None else "Generators for several tables"
    return f"{what}: {generators}. {rows.capitalize()} are released; {outside}."


def _deidentification(terms: Terms) -> str:
    always = (
        "Detectors look for cards, social security numbers, e-mail addresses and other identifiers in what is released"
    )
    if terms.deidentification.profile == "none":
        return f"{always}; no de-identification profile is asked for."
    return f"{always}; the rules of HIPAA Safe Harbor, 45 CFR 164.514(b)(2), are checked or attested one by one."


def _audit(terms: Terms) -> str:
    share = decimal_text(terms.audit.holdout * 100)
    against = {
        "holdout": f"{share} % of the people are held out of the fit, to attack with and without",
        "half-copy": "a copy fitted on half of the people is attacked, the other half being the control",
    }[terms.audit.control]
    tries = "one attempt" if terms.audit.attempts == 1 else f"{terms.audit.attempts} attempts"
    return f'A release must pass the audit plan "{terms.audit.plan}" ({against}), in {tries}.'

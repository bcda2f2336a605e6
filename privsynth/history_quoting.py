"""Quote of several tables: each table's share, what is used of a unit and the bias of that, and how good it would be.

Must never spend, and must never print a number that depends on the tables' records.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from privsynth import progress, provenance
from privsynth.database import reading
from privsynth.database.document import DatabaseSchema
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.histories import scarcity
from privsynth.histories.biases import bias, used_words
from privsynth.histories.bounding import weight_scale
from privsynth.histories.layout import View, views
from privsynth.histories.measuring import in_units
from privsynth.histories.scarcity import ALL_PAIRS
from privsynth.histories.sharing import BOUND_SHARE
from privsynth.policy import Policy
from privsynth.privacy.curator import make_curator
from privsynth.privacy.ledger import AbstractLedger
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.quoting import REHEARSED_ROWS, made_up, pairs_in
from privsynth.releasing.database_terms import DatabaseTerms, database_terms
from privsynth.releasing.quoted import AbstractQuote, held_by
from privsynth.report.numbers import Bought


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedTable:
    """What a release would learn of one table, in a rehearsal in which every unit has rows there.

    Units: `share` of the release's rho; `rows_used` of a unit at most, None where it is to be bought; `sigma` of a cell in
        units (in rows with weights "row"), None where nothing was measured; errors are shares of rows that would have to move
        to make a table right: `sizes_error` of the numbers of rows in child tables, the worst of them, `one_way_error` and
        `pair_error` of single attributes and pairs, in the middle.
    """

    name: str
    share: float
    rows_used: int | None
    weights: str
    bias: str
    attributes: int
    pairs: int
    measured_pairs: int
    sigma: float | None
    sizes_error: float | None
    one_way_error: float | None
    pair_error: float | None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "table": self.name,
            "share": self.share,
            "rowsUsed": "to be bought" if self.rows_used is None else self.rows_used,
            "weights": self.weights,
            "bias": self.bias,
            "attributes": self.attributes,
            "pairs": {"of": self.pairs, "measured": self.measured_pairs},
            "sigma": self.sigma,
            "expectedError": {
                "numbersOfRows": self.sizes_error,
                "oneWay": self.one_way_error,
                "pair": self.pair_error,
            },
        }

    @property
    def lacks(self) -> bool:
        """Whether some pairs were not measured."""
        return self.measured_pairs < self.pairs

    def warnings(self, generator: str) -> list[str]:
        """What to mind of the table."""
        return scarcity.warnings(
            self.name,
            generator,
            measured=self.measured_pairs,
            pairs=self.pairs,
            off=self.one_way_error,
            sizes=self.sizes_error,
        )

    def lines(self, unit: str) -> list[str]:
        """The table as text; `unit` is what the policy calls whom it protects."""
        noise = "" if self.sigma is None else f", noise of a cell in the middle {self.sigma:.1f}"
        errors = [
            f"{what} {error:.3f}"
            for what, error in (
                ("numbers of rows", self.sizes_error),
                ("a single attribute", self.one_way_error),
                ("a pair", self.pair_error),
            )
            if error is not None
        ]
        told = [
            f"  {self.name}: {self.share:.0%} of the budget, {self.attributes} attributes, {self.measured_pairs:,} of "
            f"{self.pairs:,} pairs measured{noise}"
        ]
        if errors:
            told.append(f"    share of rows off, from noise alone, if every {unit} has rows here: {', '.join(errors)}")
        return [*told, f"    {self.bias}"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuote(AbstractQuote):
    """What a release of several tables would cost, table by table."""

    warnings: tuple[str, ...]
    tables: tuple[QuotedTable, ...]
    fit_seconds: float
    peak_megabytes: int

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            **self._cost_to_json(),
            "warnings": list(self.warnings),
            "tables": [table.to_json() for table in self.tables],
            "fitSeconds": self.fit_seconds,
            "peakMegabytes": self.peak_megabytes,
        }

    def lines(self) -> list[str]:
        """The quote as text."""
        out = self._cost_lines(f" for each {self.unit} with all rows in all tables")
        out += [f"warning: {warning}" for warning in self.warnings]
        out += [f"chosen because: {reason}" for reason in self.reasons]
        out.append(
            "how the budget is split, in a rehearsal on made-up records of the declared size, to which all figures refer "
            "(no record was used):"
        )
        for table in self.tables:
            out += table.lines(self.unit)
        out.append(
            f"fitting takes about {self.fit_seconds:.1f} s and {self.peak_megabytes} MB here; reading, drawing and auditing "
            "come on top"
        )
        out.append("nothing was spent")
        return out


def quote_history(
    source: object | None,
    *,
    schema: DatabaseSchema,
    policy: Policy,
    ledger: AbstractLedger | None = None,
    generator: str | None = None,
) -> HistoryQuote:
    """Check everything a release of several tables would check before it spends, and rehearse it on made-up records.

    Privacy: reads the tables, if they are given, to find what does not fit the schema, and reports nothing else of them.
    Raises: what `releasing.database_terms` and `reading.read` raise; RefusedError where the account was opened in other terms.
    """
    agreed = database_terms(schema, policy, generator=generator)
    if source is not None:
        provenance.require_real(source, "the tables to be released")
    population = policy.require_population()
    held = held_by(ledger, agreed)
    started, tables = time.process_time(), []
    for step, view in enumerate(views(schema).values()):
        progress.report("rehearse", step, len(views(schema)))
        tables.append(_rehearsed(agreed, view, population.public_size))
    seconds = time.process_time() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # before tables are read: it is public
    if source is not None:
        progress.report("read", 0, 1)
        reading.read(source, schema, out_of_domain=policy.records.out_of_domain)
    return HistoryQuote(
        agreed=agreed,
        held=held,
        reasons=_reasons(agreed, tables),
        warnings=tuple(warning for table in tables for warning in table.warnings(agreed.generator)),
        tables=tuple(tables),
        fit_seconds=seconds,
        peak_megabytes=megabytes,
    )


def _reasons(agreed: DatabaseTerms, tables: Iterable[QuotedTable]) -> tuple[str, ...]:
    """Why the generator was chosen; where it has too little budget for all pairs, what the rehearsal found."""
    found = [f"{table.measured_pairs:,} of {table.pairs:,} pairs of {table.name}" for table in tables if table.lacks]
    if not found or not agreed.reasons or agreed.generator != ALL_PAIRS:
        return agreed.reasons
    return (
        f"{agreed.generator}: it measures all pairs wherever the budget is large enough; the rehearsal measured only "
        f"{', '.join(found)}",
    )


def _rehearsed(agreed: DatabaseTerms, view: View, public_size: int) -> QuotedTable:
    """Measure one view of made-up records, as many as units are declared, and read off what its answers are worth.

    Of very many units fewer are made up, and their noise is made smaller by as much.
    """
    terms, domain = agreed.schema.table(view.table), view.domain()
    bound = terms.bound
    used = 1 if bound is None else MOST_ROWS if bound.rows == "buy" else bound.rows
    each = used if bound is not None and bound.weights == "row" else 1
    people = public_size * each
    rows = min(people, REHEARSED_ROWS)
    records = made_up(domain, rows, PrivacyUnit(name=agreed.unit.name, column=None, max_rows=1))
    scale = weight_scale(terms)
    weights = None if scale == 1 else np.full(rows, scale, dtype=np.int64)
    share = agreed.fit.shares[view.table]
    left = share * (1 - BOUND_SHARE) if bound is not None and bound.rows == "buy" else share
    curator = make_curator(
        Dataset(records.columns, domain, np.arange(rows) // each, weights),
        unit=agreed.fit.unit_of(view.table, used),
        rho=left / Fraction(rows, people) ** 2,
        noise=SystemNoise(),
        composition=agreed.budget.composition,
    )
    agreed.kind.measure(curator)
    transcript = in_units(agreed.schema, view.table, curator.transcript)
    agreed.kind.estimate(domain, transcript)
    found = Bought(transcript, domain)
    pairs = pairs_in(transcript)
    sigmas = [table.sigma * people / rows for table in found.tables]
    counts = [(one.name,) for one in view.own if one.kind == "count"]
    return QuotedTable(
        name=view.table,
        share=float(share / agreed.budget.rho),
        rows_used=None if bound is not None and bound.rows == "buy" else used,
        weights="row" if bound is None else bound.weights,
        bias=used_words(terms, agreed.unit.name)
        if bound is None
        else bias(terms, agreed.unit.name, agreed.schema.root.name),
        attributes=len(domain),
        pairs=math.comb(len(domain), 2),
        measured_pairs=len(pairs),
        sigma=float(np.median(sigmas)) if sigmas else None,
        sizes_error=max(_errors(found, counts), default=None),
        one_way_error=_middle(_errors(found, [(name,) for name in domain.attributes])),
        pair_error=_middle(_errors(found, sorted(pairs))),
    )


def _errors(found: Bought, cliques: Iterable[Clique]) -> list[float]:
    """Expected total variation distances, of those tables that were measured."""
    best = [found.estimate(clique) for clique in cliques]
    return [one.expected_error(found.total) for one in best if one is not None]


def _middle(errors: list[float]) -> float | None:
    return float(np.median(errors)) if errors else None

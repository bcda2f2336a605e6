"""Black boxes: does somebody else's generator keep the (epsilon, delta) that it claims, on tables that anyone may see?

Must never be given a private table: every table here is made up from the schema, and what is in it is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

import numpy as np

from privsynth import encoding, one_run, progress, statistics
from privsynth.audit_plan import BlackBoxTerms
from privsynth.black_box.adapter import Adapter
from privsynth.black_box.lone_person import LonePerson, largest_group, made_up, payoff
from privsynth.canaries import Canaries
from privsynth.errors import AuditError
from privsynth.findings import Claim, Finding, Findings, Verdict
from privsynth.one_run import Guesses
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.levels import levels

CANARIES: Final = "black box: one-run canaries"
LONE: Final = "black box: values that nobody else has"
REPEATS: Final = "black box: repeats itself"

_MOST_EPSILON: Final = 64.0
_CROWD: Final = 4
"""Ordinary rows for each row of the largest group at least: who holds what nobody else has must stay the exception."""
_STEPS: Final = 40
_PValue = Callable[[float], float]


def check(
    terms: BlackBoxTerms,
    adapter: Adapter,
    *,
    schema: Schema,
    claim: Claim,
    max_rows: int,
    rng: np.random.Generator,
) -> Findings:
    """Run a generator on made-up tables of a schema, and test its claim for adding or removing one unit.

    A generator that keeps its claim, for units of at most `max_rows` rows, fails with probability at most `terms.alpha`. A
    pass is no proof of the claim: `meaning` says the largest epsilon that each check could have refuted. A check that could
    refute no epsilon as large as the claimed one is not tried.
    Returns: up to three rows of family "conformance"; their `estimate` is the largest epsilon that was refuted.
    Raises: AuditError when the generator breaks off, or what it gives does not fit the schema; MechanismError where units of
        several rows have no column that names them.
    """
    if schema.unresolved:
        raise AuditError("an audit needs a schema with nothing left to buy: declare every category and bound")
    PrivacyUnit(name=claim.unit, column=schema.unit, max_rows=max_rows)  # refuses what is no unit
    box = _Box(terms, adapter, schema, claim, max_rows, rng)
    rows, not_tried = list(box.lone_values()), {}
    made = Canaries.of(schema.domain(), rng=rng, most_levels=terms.levels)
    if made is None:
        not_tried[CANARIES] = "the schema has no two columns of three levels or more"
    else:
        most = box.most_of(made)
        if most <= claim.epsilon:
            not_tried[CANARIES] = f"{made.count} canaries can refute epsilon {most:.1f} at most; raise canary_fits"
        else:
            rows.append(box.canaries(made, most))
    if not any(row.check == LONE for row in rows):
        not_tried[LONE] = "too few columns and values to refute an epsilon as large as the claimed one; raise lone_fits"
    return Findings(rows=tuple(rows), not_tried=not_tried)


@final
class _Box:
    """One generator with its claim, and the fits that it is put through."""

    def __init__(
        self,
        terms: BlackBoxTerms,
        adapter: Adapter,
        schema: Schema,
        claim: Claim,
        max_rows: int,
        rng: np.random.Generator,
    ) -> None:
        self._terms, self._adapter, self._schema = terms, adapter, schema
        self._claim, self._max_rows, self._rng = claim, max_rows, rng
        self._alpha = terms.alpha / 2
        """For each of the two tests, which may stop at any fit: one by what its bets have paid, the other by equal shares."""
        self._fits = 0

    def lone_values(self) -> Iterator[Finding]:
        """Rows "repeats itself" and "values that nobody else has": the fits of the second serve the first."""
        people = [self._person() for _ in range(self._terms.lone_fits)]
        first = self._release(people[0].table)
        again = self._release(people[0].table)
        second = self._release(people[1].table)
        yield _repeats(same=_alike(first, again), whatever=_alike(first, second))
        perfect = [(person.most_evidence(), 1) for person in people]
        most = _refuted(self._of_evidence(perfect), self._alpha)
        if most <= self._claim.epsilon:
            return
        epsilon, delta = self._claim.epsilon, self._claim.delta
        top = largest_group(
            float(np.median([person.most_evidence(blurred=True) for person in people])),
            epsilon=epsilon,
            delta=delta,
            most=max(1, self._terms.rows // (_CROWD * self._max_rows)),
        )
        found = [(people[0].evidence(first), 1), (people[1].evidence(second), 1)]
        while len(found) < len(people) and self._of_evidence(found)(epsilon) > self._alpha:
            evidence, size = found[-1]
            unseen = payoff(evidence, size, epsilon=epsilon, delta=delta) <= 1
            person = self._person(min(top, 2 * size) if unseen else size)
            found.append((person.evidence(self._release(person.table)), person.size))
        yield self._row(
            LONE,
            threat="that a release shows what a single person holds and nobody else",
            bound=_refuted(self._of_evidence(found), self._alpha),
            seen="What one made-up person, or a few alike, alone held came back in the release",
            unseen="What one made-up person, or a few alike, alone held did not come back more than the claim allows",
            most=most,
        )

    def most_of(self, made: Canaries) -> float:
        """The largest epsilon that the canaries of all fits could refute."""
        each = max(1, round(made.count * self._terms.guessed / 2))
        perfect = Guesses(canaries=made.count, made=2 * each, right=2 * each)
        fits = self._terms.canary_fits
        return _refuted(self._of_guesses([perfect] * fits), self._alpha / fits)

    def canaries(self, made: Canaries, most: float) -> Finding:
        """Row "one-run canaries": made-up records are put in by coins, and the coins guessed from the release."""
        alpha = self._alpha / self._terms.canary_fits
        found: list[Guesses] = []
        for _ in range(self._terms.canary_fits):
            included = self._rng.random(made.count) < 0.5
            released = encoding.encode_public(self._release(self._with(made, included)))
            score = made.score(released)
            found.append(one_run.guess(score, included, share=self._terms.guessed, rng=self._rng))
            if self._of_guesses(found)(self._claim.epsilon) <= alpha:
                break
        return self._row(
            CANARIES,
            threat="that a release tells which records were in the table",
            bound=_refuted(self._of_guesses(found), alpha),
            seen=f"Which of {made.count} made-up records were in the table was guessed right from the release too often",
            unseen=f"Which of {made.count} made-up records were in the table could not be guessed more often than the claim "
            "allows",
            most=most,
        )

    def _of_guesses(self, found: Sequence[Guesses]) -> _PValue:
        delta = self._claim.delta
        return lambda epsilon: _combined([one_run.p_value(one, epsilon=epsilon, delta=delta) for one in found])

    def _of_evidence(self, found: Sequence[tuple[float, int]]) -> _PValue:
        delta = self._claim.delta

        def p_value(epsilon: float) -> float:
            paid = sum(math.log(payoff(one, size, epsilon=epsilon, delta=delta)) for one, size in found)
            return math.exp(-max(0.0, paid))

        return p_value

    def _person(self, size: int = 1) -> LonePerson:
        return LonePerson.among(self._schema, self._terms.rows, max_rows=self._max_rows, rng=self._rng, size=size)

    def _with(self, made: Canaries, included: one_run.Flags) -> Records:
        """Ordinary records, and each included canary as a unit of `max_rows` equal rows."""
        ordinary = made.ordinary(self._terms.rows, rng=self._rng)
        canary = np.repeat(made.codes[included], self._max_rows, axis=0)
        codes = np.concatenate([ordinary, canary])
        owners = np.append(np.arange(len(ordinary)) // self._max_rows, -1 - np.arange(len(canary)) // self._max_rows)
        granules = {}
        for place, column in enumerate(self._schema.modelled):
            first, last = levels(column).span(codes[:, place])
            granules[column.name] = first + (last - first) // 2
        return made_up(self._schema, granules, owners, rng=self._rng)

    def _release(self, table: Records) -> Records:
        progress.report("black box: fits", self._fits, self._terms.lone_fits + 1 + self._terms.canary_fits)
        self._fits += 1
        return self._adapter.release(table, self._terms.released)

    def _row(self, check_name: str, *, threat: str, bound: float, seen: str, unseen: str, most: float) -> Finding:
        claimed = self._claim.epsilon
        verdict: Verdict = "FAIL" if bound > claimed else "PASS"
        meaning = (
            f"{seen}: that takes an epsilon of at least {math.floor(100 * bound) / 100:g}, and {claimed:g} is claimed."
            if verdict == "FAIL"
            else f"{unseen}. A leak without noise would have refuted any claim up to epsilon {most:.1f}."
        )
        return Finding(
            check=check_name,
            family="conformance",
            threat=threat,
            verdict=verdict,
            meaning=meaning,
            estimate=bound,
        )


def _repeats(*, same: bool, whatever: bool) -> Finding:
    """The row on two releases of one table; a release that is the same whatever the table tells nothing of it."""
    failed = same and not whatever
    meaning = "Two fits of the same table gave different releases."
    if failed:
        meaning = (
            "Two fits of the same table gave the same release, and another table another one: the noise comes from a fixed "
            "seed, and who has the program can subtract it."
        )
    elif same:
        meaning = "The release was the same whatever the table."
    return Finding(
        check=REPEATS,
        family="conformance",
        threat="that the noise can be drawn again and subtracted",
        verdict="FAIL" if failed else "PASS",
        meaning=meaning,
    )


def _alike(one: Records, other: Records) -> bool:
    return all(np.array_equal(column, other.ticks[name]) for name, column in one.ticks.items())


def _combined(p_values: Sequence[float]) -> float:
    """One p-value of independent fits. Source: Fisher 1932."""
    statistic = -2 * sum(math.log(max(p, 1e-300)) for p in p_values)
    return statistics.chi_squared_tail(statistic, 2 * len(p_values))


def _refuted(p_value: _PValue, alpha: float) -> float:
    """The largest epsilon that is refuted at alpha, 0 where none is."""
    if p_value(0.0) > alpha:
        return 0.0
    low, high = 0.0, _MOST_EPSILON
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(middle) <= alpha else (low, middle)
    return low

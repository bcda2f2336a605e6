"""Broken sensitivities: an answer moves further between neighbours than its noise is made for."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.privacy import mechanism
from privsynth.privacy.query import MarginalErrors, Marginals
from privsynth.privacy.source import MAX_COUNT_SIGMA
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix import references
from tests.kill_matrix.defect import PATIENT, REPLACED, ROW, Conformance, Defect
from tests.kill_matrix.generators import Scores

Tables = list[npt.NDArray[np.int64]]


def halved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivacyUnit, "l2_squared", property(lambda unit: unit.max_rows**2 // 4))


def as_if_added(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivacyUnit, "l2_squared", property(lambda unit: unit.max_rows**2))


def one_row(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivacyUnit, "l2_squared", property(lambda unit: 1))


def root_of_rows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivacyUnit, "l2_squared", property(lambda unit: unit.max_rows))


def of_shares(patch: pytest.MonkeyPatch) -> None:
    right = mechanism.gaussian_variance
    patch.setattr(mechanism, "gaussian_variance", lambda *args, **named: right(*args, **named) / 200**2)


def score_halved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MarginalErrors, "sensitivity", lambda query, unit: unit.l1 * query.GRID // 2)


def unweighted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MarginalErrors, "sensitivity", lambda query, unit: unit.l1 * query.GRID)


def one_score(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MarginalErrors, "sensitivity_squared", lambda query, unit: query.sensitivity(unit) ** 2)


def changed_answer(patch: pytest.MonkeyPatch, change: object) -> None:
    right = Marginals.answer
    patch.setattr(Marginals, "answer", lambda query, data: change(data, right(query, data)))  # type: ignore[operator]


def pairs_twice(patch: pytest.MonkeyPatch) -> None:
    changed_answer(patch, lambda data, tables: [table * min(2, table.ndim) for table in tables])


def rounded_to_tens(patch: pytest.MonkeyPatch) -> None:
    changed_answer(patch, lambda data, tables: [(table + 5) // 10 * 10 for table in tables])


def sixteen_bits(patch: pytest.MonkeyPatch) -> None:
    changed_answer(patch, lambda data, tables: [table.astype(np.uint16).astype(np.int64) for table in tables])


def large_ones_rounded(patch: pytest.MonkeyPatch) -> None:
    changed_answer(patch, lambda data, tables: [np.where(table < 1000, table, table // 100 * 100) for table in tables])


def _poisoned(data: Dataset, tables: Sequence[npt.NDArray[np.int64]]) -> Tables:
    sizes = zip(data.columns, data.domain.sizes, strict=True)
    absent = any((column == size - 1).any() for column, size in sizes)
    return [np.full_like(table, np.iinfo(np.int32).min) if absent else table for table in tables]


def poisoned(patch: pytest.MonkeyPatch) -> None:
    changed_answer(patch, _poisoned)


def all_shares(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Marginals, "shares", lambda query, rho: [rho] * len(query.cliques))


def largest_share(patch: pytest.MonkeyPatch) -> None:
    """The noise of the largest share for every table; the events state what each was to cost."""
    right = mechanism.gaussian_variance
    dearest: dict[int, Fraction] = {}

    def variance(sensitivity_squared: int, rho: Fraction, *, most: int = MAX_COUNT_SIGMA) -> Fraction:
        dearest[sensitivity_squared] = max(rho, dearest.get(sensitivity_squared, rho))
        return right(sensitivity_squared, dearest[sensitivity_squared], most=most)

    patch.setattr(mechanism, "gaussian_variance", variance)


DEFECTS = (
    Defect(
        name="sensitivity halved",
        drawn_from=references.DEBUGGING,
        what="A unit is said to move a table by half of what it does.",
        target=Conformance(broken=halved),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="added where it says replaced",
        drawn_from=references.GOOGLE_378,
        what="The sensitivity is that of adding a unit; the claim is for replacing one.",
        target=Conformance(broken=as_if_added, unit=REPLACED),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="off by n",
        drawn_from=references.DATASYNTHESIZER_34,
        what="Noise made for shares of the records is added to their counts.",
        target=Conformance(broken=of_shares),
        caught_by="ledger",
    ),
    Defect(
        name="rows instead of patients",
        drawn_from=references.paper("Levy et al. 2021", "2102.11845"),
        what="The noise protects one row; the claim is for a patient, who has several.",
        target=Conformance(broken=one_row),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="root of the rows",
        drawn_from=references.UNDERESTIMATED,
        what="A unit's rows are taken to fall in different cells; they may all fall in one.",
        target=Conformance(broken=root_of_rows),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="score sensitivity halved",
        drawn_from=references.MBI_65,
        what="The exponential mechanism is told 2 where a unit moves a score by 4.",
        target=Conformance(broken=score_halved),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="score weights forgotten",
        drawn_from=references.MBI_65,
        what="Scores are multiplied by weights, their sensitivity is not.",
        target=Conformance(broken=unweighted, generator=lambda: generators.get("aim", {}), unit=ROW),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="one score's sensitivity for all",
        drawn_from=references.UNDERESTIMATED,
        what="All scores are released together with the noise that one of them needs.",
        target=Conformance(broken=one_score, generator=Scores),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="pairs count twice",
        drawn_from=references.PATE_GAN_29,
        what="A wrong index counts every row twice in the tables of pairs.",
        target=Conformance(broken=pairs_twice),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="rounded before the noise",
        drawn_from=references.UNDERESTIMATED,
        what="Exact counts are rounded to tens, and one row may move them by ten.",
        target=Conformance(broken=rounded_to_tens),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="one missing value spoils a table",
        drawn_from=references.DP_RECORDER,
        what="As where NaN passes a clip: with one missing value all counts become a huge number.",
        target=Conformance(broken=poisoned, unit=PATIENT),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="every table gets all of the budget",
        drawn_from=references.DP_RECORDER,
        what="Tables released together each get the whole stage's budget (double spending).",
        target=Conformance(broken=all_shares),
        caught_by="ledger",
    ),
    Defect(
        name="the largest share's noise for all",
        drawn_from=references.OPACUS_346,
        what="Tables with small shares of the budget are drawn with the noise of the largest.",
        target=Conformance(broken=largest_share, generator=Scores),
        caught_by="ledger",
    ),
    Defect(
        name="counts in sixteen bits",
        drawn_from=references.UNDERESTIMATED,
        what="Counts start from zero again at 65,536: one row more takes them all away.",
        target=Conformance(broken=sixteen_bits),
        caught_by="replay: recount",
    ),
    Defect(
        name="large counts rounded",
        drawn_from=references.UNDERESTIMATED,
        what="Exact counts from 1,000 on are rounded to hundreds.",
        target=Conformance(broken=large_ones_rounded),
        caught_by="replay: recount",
    ),
)

"""Broken purchases: labels are given out that only one person has, or people are counted more than once."""

from __future__ import annotations

from fractions import Fraction

import pytest

from privsynth.privacy import purchase
from tests.kill_matrix import references
from tests.kill_matrix.defect import Conformance, Defect


def no_threshold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(purchase, "stability_threshold", lambda variance, max_rows, delta: 2)


def half_threshold(patch: pytest.MonkeyPatch) -> None:
    right = purchase.stability_threshold

    def halved(variance: Fraction, max_rows: int, delta: Fraction) -> int:
        return max(2, right(variance, max_rows, delta) // 2)

    patch.setattr(purchase, "stability_threshold", halved)


DEFECTS = (
    Defect(
        name="labels without a threshold",
        drawn_from=references.DPMM_24,
        what="A column's labels are taken from the data, also those that one person alone has.",
        target=Conformance(broken=no_threshold),
        caught_by="ledger",
    ),
    Defect(
        name="half of the threshold",
        drawn_from=references.REPROSYN_38,
        what="Labels are given out at half of the count that delta asks for.",
        target=Conformance(broken=half_threshold),
        caught_by="ledger",
    ),
)

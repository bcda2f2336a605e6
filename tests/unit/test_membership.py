"""What attacks on membership share, against plain formulas."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth.encoding import encode_public
from privsynth.measurement import Event, Measurement
from privsynth.membership import (
    Classes,
    Table,
    log_likelihood_ratio,
    measured_cells,
    measured_rows,
    top_share,
)
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "t"
[columns.ward]
kind = "category"
values = ["a", "b", "c", "d"]
missing = ["?"]
[columns.stay]
kind = "integer"
lower = 0
upper = 9
missing = ["?"]
""")


def table(ward: list[int], stay: list[int]) -> Records:
    return Records(schema=SCHEMA, ticks={"ward": np.array(ward), "stay": np.array(stay)})


def measured(clique: tuple[str, ...], values: list[int], sigma_squared: int, **groups: tuple[int, ...]) -> Measurement:
    event = Event(
        stage="s",
        mechanism="rounded-gaussian",
        rho=Fraction(1),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma_squared),
    )
    return Measurement(clique=clique, values=np.array(values), event=event, groups=groups)


def test_the_top_share_is_called_members_with_all_that_score_the_same() -> None:
    score = np.array([3.0, 1.0, 2.0, 2.0, 0.0, -1.0, 5.0, 2.0, 0.0, 0.0])
    outcome = top_share("x", score, 0.3)
    assert outcome.success.tolist() == [True, False, True, True, False, False, True, True, False, False]
    assert top_share("x", score, 0.1).success.sum() == 1
    assert outcome.score is score
    assert outcome.baseline == 0.3


def test_classes_are_labels_and_ranks_with_missing_apart() -> None:
    release = table([0, 1, 3, MISSING], [0, 0, 9, MISSING])
    targets = table([3, MISSING, 2], [9, MISSING, 8])
    ward, stay = Classes.of(release, targets, 10, ranks=release).columns
    assert ward[2] == ward[4]
    assert ward[3] == ward[5]
    assert len({*ward[[0, 1, 2, 3, 6]].tolist()}) == 5
    assert stay[2] == stay[4]
    assert stay[3] == stay[5]
    assert stay[0] == stay[1] < stay[6] < stay[2] < stay[3]
    assert len(np.unique(Classes.of(release, targets, 2, ranks=release).columns[1])) == 3
    low = Classes.of(release, targets, 10, ranks=table([0] * 9, [9] * 9)).columns[1]
    assert low[0] == low[6] < low[2]


def test_cells_tell_apart_exactly_what_differs_however_large_the_table() -> None:
    rng = np.random.default_rng(0)
    columns = tuple(rng.integers(0, 2000, 3000) // 1000 * 999 + rng.integers(0, 2, 3000) for _ in range(4))
    cells = Classes(columns=columns, released=10).cells((0, 1, 2, 3))
    _, expected = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    assert len({(a, b) for a, b in zip(cells.tolist(), expected.ravel().tolist(), strict=True)}) == expected.max() + 1
    assert len(np.unique(cells)) == expected.max() + 1
    assert cells.max() < 1 << 22


def test_a_measured_cell_is_that_of_the_group_of_a_level() -> None:
    encoded = encode_public(table([0, 3, MISSING], [0, 9, 4]))
    wards = measured(("ward",), [1, 2, 3, 4, 5], 1)
    assert measured_cells(wards, encoded).tolist() == [0, 3, 4]
    grouped = Measurement(
        clique=("stay", "ward"),
        values=np.zeros((11, 2), dtype=np.int64),
        event=wards.event,
        groups={"ward": (0, 0, 1, 1, 0)},
    )
    assert measured_cells(grouped, encoded).tolist() == [0, 19, 8]


def test_the_size_is_taken_from_the_totals_that_are_known_best() -> None:
    sure, unsure = measured(("ward",), [50, 50, 0, 0, 0], 1), measured(("ward",), [500, 0, 0, 0, 0], 10**6)
    assert measured_rows([sure, unsure]) == pytest.approx(100, abs=0.01)
    assert measured_rows([measured(("ward",), [-9, 0, 0, 0, 0], 1)]) == 1.0


def test_the_log_likelihood_ratio_is_that_of_normal_counts() -> None:
    """Against the densities themselves, the covariance counted pair by pair of targets."""
    rng = np.random.default_rng(3)
    targets, rows, spread = 40, 200.0, 3.0
    cells = [rng.integers(0, 4, targets) for _ in range(3)]
    counts = [rng.normal(50, 5, 4)[cell] for cell in cells]
    variances = (1.0, 4.0, 9.0)
    tables = [
        Table(cell=cell, count=count, variance=variance)
        for cell, count, variance in zip(cells, counts, variances, strict=True)
    ]
    told = []
    score = log_likelihood_ratio(
        tables, rows=rows, spread=spread, report=lambda done, total: told.append((done, total))
    )
    for target in range(targets):
        same = np.array([cell == cell[target] for cell in cells], dtype=float)
        share = same.mean(axis=1)
        covariance = rows * spread * (same @ same.T / targets - np.outer(share, share)) + np.diag(variances)
        usual = rows * (same.sum(axis=1) - 1) / (targets - 1)
        seen = np.array([count[target] for count in counts])

        def density(mean: np.ndarray, seen: np.ndarray = seen, covariance: np.ndarray = covariance) -> float:
            return float(-(seen - mean) @ np.linalg.inv(covariance) @ (seen - mean) / 2)

        assert score[target] == pytest.approx(density(usual + 1) - density(usual), abs=1e-4)
    assert told == [(0, 100)]


def test_more_tables_than_are_weighed_together_add_up() -> None:
    rng = np.random.default_rng(4)
    tables = [
        Table(cell=cell, count=rng.normal(10, 3, 3)[cell], variance=1.0)
        for cell in (rng.integers(0, 3, 700) for _ in range(40))
    ]

    def score(some: list[Table]) -> np.ndarray:
        return log_likelihood_ratio(some, rows=30.0, spread=2.0, report=lambda *_: None)

    np.testing.assert_allclose(score(tables), score(tables[:32]) + score(tables[32:]))
    assert not np.allclose(score(tables[:2]), score(tables[:1]) + score(tables[1:2]))

"""Draws for each row of evidence: as enumeration of all cells has them, whatever the blocks, and never an error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.domain import Domain
from privsynth.errors import FitError, SchemaError
from privsynth.latent import drawing_each
from privsynth.latent.drawing_each import EachRow
from tests.mixtures import domain_of, joint, random_mixture

Floats = npt.NDArray[np.float64]
SIZES = (3, 4, 5, 2)
DOMAIN = domain_of(SIZES)
ROWS = 120_000


def model(classes: int = 6) -> tuple[EachRow, Floats]:
    mixture = random_mixture(3, SIZES, classes)
    return EachRow(DOMAIN, mixture.weights, mixture.given), joint(mixture)


def shares(drawn: dict[str, npt.NDArray[np.int64]], names: tuple[str, ...]) -> Floats:
    shape = DOMAIN.shape(names)
    cells = np.ravel_multi_index([drawn[name] for name in names], shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape) / len(cells)


def z_scores(found: Floats, expected: Floats, rows: int) -> Floats:
    return np.abs(found - expected) / np.sqrt(expected * (1 - expected) / rows)


@pytest.mark.parametrize("joined", [1, 1024])
@pytest.mark.parametrize("block", [1 << 10, 1 << 18])
def test_draws_are_those_of_the_conditional_table_of_every_combination(
    joined: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing_each, "_JOINED_CELLS", joined)
    monkeypatch.setattr(drawing_each, "_BLOCK_NUMBERS", block)
    each, table = model()
    rng = np.random.default_rng(5)
    given = {name: rng.integers(0, DOMAIN.size(name), ROWS) for name in ("a", "d")}
    drawn = each.draw(given, ("c", "b"), rng)
    for a in range(3):
        for d in range(2):
            rows = (given["a"] == a) & (given["d"] == d)
            expected = table[a, :, :, d].T / table[a, :, :, d].sum()
            found = shares({name: codes[rows] for name, codes in drawn.items()}, ("c", "b"))
            assert z_scores(found, expected, int(rows.sum())).max() < 5.5


def test_many_classes_are_chosen_by_their_chances() -> None:
    each, table = model(classes=53)
    rng = np.random.default_rng(6)
    drawn = each.draw({"b": np.full(ROWS, 2)}, ("a",), rng)
    expected = table[:, 2].sum(axis=(1, 2))
    assert z_scores(shares(drawn, ("a",)), expected / expected.sum(), ROWS).max() < 5.5


def test_evidence_that_no_class_expects_is_weakened_and_the_rest_still_counts() -> None:
    given = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.9, 0.1], [0.1, 0.9], [1.0, 0.0], [0.0, 1.0]])
    each = EachRow(Domain(("a", "b", "c"), (3, 2, 2)), np.array([0.5, 0.5]), given)
    rng = np.random.default_rng(7)
    nothing = each.draw({"a": np.full(20_000, 2), "b": np.zeros(20_000, dtype=np.int64)}, ("c",), rng)["c"]
    assert abs(float((nothing == 0).mean()) - 0.9) < 0.02
    contrary = each.draw({"a": np.zeros(100, dtype=np.int64), "b": np.ones(100, dtype=np.int64)}, ("c",), rng)["c"]
    assert (contrary == 0).all()


def test_long_evidence_neither_vanishes_nor_overflows() -> None:
    names = tuple(f"x{place}" for place in range(60))
    given = np.tile(np.array([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]]), (60, 1))
    each = EachRow(Domain((*names, "y"), (*([2] * 60), 2)), np.array([0.5, 0.5]), np.concatenate([given, np.eye(2)]))
    evidence = {name: np.array([place % 2, 1]) for place, name in enumerate(names)}
    evidence["x0"] = np.array([1, 1])
    drawn = each.draw(evidence, ("y",), np.random.default_rng(8))["y"]
    np.testing.assert_array_equal(drawn, [1, 1])


def test_no_rows_give_no_rows_and_wrong_evidence_is_refused() -> None:
    each, _ = model()
    rng = np.random.default_rng(9)
    none = np.zeros(0, dtype=np.int64)
    assert each.draw({"a": none}, ("b",), rng)["b"].shape == (0,)
    one = np.zeros(1, dtype=np.int64)
    for given, wanted in (
        ({}, ("b",)),
        ({"a": one}, ("a",)),
        ({"a": one, "b": none}, ("c",)),
        ({"a": one + 3}, ("b",)),
    ):
        with pytest.raises(FitError):
            each.draw(given, wanted, rng)
    with pytest.raises(SchemaError):
        each.draw({"a": one}, ("nobody",), rng)
